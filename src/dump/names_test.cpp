// SPDX-License-Identifier: Apache-2.0
#include "dump/names.h"

#include <gtest/gtest.h>
#include <string>

namespace gordian::dump {
namespace {

TEST(Names, AllNamesOfOneFunctionAreOne) {
  for (const char* const name :
       {"pthread_mutex_lock", "__pthread_mutex_lock", "___pthread_mutex_lock",
        "__GI___pthread_mutex_lock", "pthread_mutex_lock@@GLIBC_2.2.5", "pthread_mutex_lock@plt"})
    EXPECT_EQ(plain_name(name), "pthread_mutex_lock") << name;
}

TEST(Names, ParametersAndTemplateArgumentsGo) {
  EXPECT_EQ(plain_name("void ns::f<int, g<a> >(int (*)(b)) const"), "ns::f");
  EXPECT_EQ(plain_name("std::lock_guard<std::mutex>::lock_guard"), "std::lock_guard::lock_guard");
  EXPECT_EQ(plain_name("(anonymous namespace)::f(int) [clone .isra.0]"), "f");
  EXPECT_EQ(plain_name("example.com/lock.(*locker).try.func1"),
            "example.com/lock.(*locker).try.func1");
}

TEST(Names, WhatCompilersAndVersionsAddGoes) {
  EXPECT_EQ(plain_name("futex_wait.constprop.0"), "futex_wait");
  EXPECT_EQ(plain_name("__new_sem_wait_slow64.constprop.0"), "new_sem_wait_slow64");
  EXPECT_EQ(plain_name("work.part.0.isra.1"), "work");
  EXPECT_EQ(plain_name("absl::lts_20230802::Mutex::Lock()"), "absl::Mutex::Lock");
  EXPECT_EQ(plain_name("AbslInternalPerThreadSemWait_lts_20230802"),
            "AbslInternalPerThreadSemWait");
  EXPECT_EQ(plain_name("std::__1::mutex::lock()"), "std::mutex::lock");
  EXPECT_EQ(plain_name("std::__1::lock_guard<std::__1::mutex>::lock_guard[abi:v160006](int)"),
            "std::lock_guard::lock_guard");
}

TEST(Names, RustsTypesAreClasses) {
  EXPECT_EQ(plain_name("<app::State<T> as core::ops::drop::Drop>::drop"), "app::State::drop");
  EXPECT_EQ(plain_name("<app::State>::lock"), "app::State::lock");
  EXPECT_EQ(plain_name("<signal handler called>"), "<signal handler called>");
}

TEST(Names, AHostileNameIsCut) {
  EXPECT_LE(plain_name(std::string(1 << 20, '<')).size(), 4096u);

  EXPECT_LE(plain_name(std::string(1 << 20, 'x')).size(), 4096u);
  EXPECT_LE(plain_name(std::string(1 << 20, '(')).size(), 4096u);
}

TEST(Names, TheClassIsWhatTheFunctionBelongsTo) {
  EXPECT_EQ(class_of("ns::Class::f", Dialect::Native), "ns::Class");
  EXPECT_EQ(class_of("f", Dialect::Native), "");
  EXPECT_EQ(class_of("x.com/lock.(*locker).try.func1.2", Dialect::Go), "x.com/lock.(*locker)");
  EXPECT_EQ(class_of("x.com/lock.Open", Dialect::Go), "");
  EXPECT_EQ(class_of("demo.Bank.move", Dialect::Java), "demo.Bank");
}

TEST(Names, WrappersOfLocksAreKnown) {
  EXPECT_TRUE(is_lock_wrapper("pj_mutex_lock"));
  EXPECT_TRUE(is_lock_wrapper("grp_lock_acquire"));
  EXPECT_TRUE(is_lock_wrapper("EnterCriticalSection"));
  EXPECT_FALSE(is_lock_wrapper("block_read"));
  EXPECT_FALSE(is_lock_wrapper("clock_stop"));
  EXPECT_FALSE(is_lock_wrapper("unlock_all"));
}

}  // namespace
}  // namespace gordian::dump
