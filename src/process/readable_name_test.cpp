// SPDX-License-Identifier: Apache-2.0
#include "process/symbols.h"

#include <gtest/gtest.h>
#include <string>

namespace gordian::process {
namespace {

TEST(ReadableName, KeepsPlainNames) {
  EXPECT_EQ(readable_name("rooms_mutex"), "rooms_mutex");
  EXPECT_EQ(readable_name("room_create.constprop.0"), "room_create");
  EXPECT_EQ(readable_name("counter.3"), "counter");
  EXPECT_EQ(readable_name("pthread_cond_wait@@GLIBC_2.3.2"), "pthread_cond_wait");
}

TEST(ReadableName, LeavesOutReturnTypeAndParameters) {
  EXPECT_EQ(readable_name("_ZN6Server8slave_ofERKSs"), "Server::slave_of");
  EXPECT_EQ(readable_name("_ZNK6Server4sizeEv"), "Server::size");
  EXPECT_EQ(readable_name("_Z3getIiET_v"), "get<int>");
}

TEST(ReadableName, FoldsInlineNamespaces) {
  EXPECT_EQ(readable_name("_ZN12_GLOBAL__N_111rooms_mutexE"), "rooms_mutex");
  EXPECT_EQ(readable_name("_ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE6resizeEm"),
            "std::string::resize");
}

TEST(ReadableName, KeepsOperatorsAndLambdas) {
  EXPECT_EQ(readable_name("_ZZ4mainENKUlvE_clEv"), "main::{lambda()#1}::operator()");
  EXPECT_EQ(readable_name("_ZN4PoolclEi"), "Pool::operator()");
  EXPECT_EQ(readable_name("_ZN4PoolltERKS_"), "Pool::operator<");
  EXPECT_EQ(readable_name("_Znwm"), "operator new");
}

TEST(ReadableName, NamesStaticsOfFunctions) {
  EXPECT_EQ(readable_name("_ZZ9configurevE5guard"), "configure::guard");
  EXPECT_EQ(readable_name("_ZGVZ9configurevE5guard"), "configure::guard");
}

TEST(ReadableName, DoesNotExplode) {
  // A function type of function types, each twice the size of the one before.
  std::string bomb = "_Z1fPFvvE";
  for (int i = 0; i < 60; ++i) {
    const char last[] = {'S', "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i % 36], '_', '\0'};
    for (const char* part : {"PFv", last, last, last, "E"}) bomb += part;
  }
  EXPECT_LE(readable_name(bomb).size(), 1024u);
  EXPECT_LE(readable_name(std::string(100000, 'a')).size(), 1024u);
  EXPECT_LE(readable_name("_ZN" + std::string(100000, '9')).size(), 1024u);
}

TEST(ReadableName, SurvivesNonsense) {
  for (const char* name : {"", "(", ")", "<", ">", "operator", "operator(", "a b", " ", "_Z", "::",
                           "f(", "f(int", "{", "}", "(anonymous namespace)::", ".", "..", "@"})
    (void)readable_name(name);
}

TEST(IsPlumbing, KnowsLibrariesAndPrefixes) {
  EXPECT_TRUE(is_plumbing("std::mutex::lock", "/usr/bin/server"));
  EXPECT_TRUE(is_plumbing("anything", "/opt/gordian/lib/libgordian.so"));
  EXPECT_TRUE(is_plumbing("", "/lib/x86_64-linux-gnu/libc.so.6"));
  EXPECT_TRUE(is_plumbing("gordian::redis::lock_client::acquire", "/usr/bin/server"));
  EXPECT_TRUE(is_plumbing("~", "/usr/lib/libgordian_redis.so.0.1.0"));
  EXPECT_FALSE(is_plumbing("configure", "/usr/lib/janus/plugins/libjanus_videoroom.so"));
  EXPECT_FALSE(is_plumbing("clone_room", "/usr/bin/server"));
}

}  // namespace
}  // namespace gordian::process
