// SPDX-License-Identifier: Apache-2.0
#include "watch/launcher.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <sys/wait.h>

namespace gordian::watch {
namespace {

bool contains(const std::vector<std::string>& texts, const std::string& text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

TEST(Launcher, OurLibraryComesBeforeThoseOfTheUser) {
  const char* const environment[] = {"A=1", "LD_PRELOAD=/lib/theirs.so", "GORDIAN_JUDGE=old",
                                     nullptr};

  const auto result = environment_with(environment, {.runtime = "/lib/ours.so", .judge = "new"});

  EXPECT_TRUE(contains(result, "A=1"));
  EXPECT_TRUE(contains(result, "LD_PRELOAD=/lib/ours.so:/lib/theirs.so"));
  EXPECT_TRUE(contains(result, "GORDIAN_JUDGE=new"));
  EXPECT_FALSE(contains(result, "GORDIAN_JUDGE=old"));
  EXPECT_FALSE(contains(result, "GORDIAN_CHILDREN=0"));
}

TEST(Launcher, AnUnwatchedProgramKeepsItsEnvironment) {
  const char* const environment[] = {"LD_PRELOAD=/lib/theirs.so", nullptr};

  const auto result = environment_with(environment, {});

  ASSERT_EQ(result.size(), 1U);
  EXPECT_EQ(result[0], "LD_PRELOAD=/lib/theirs.so");
}

TEST(Launcher, SeparatorsInThePathCannotBePreloaded) {
  EXPECT_TRUE(can_be_preloaded("/usr/lib/libgordian.so"));
  EXPECT_FALSE(can_be_preloaded("/my programs/libgordian.so"));
  EXPECT_FALSE(can_be_preloaded("/a:b/libgordian.so"));
}

TEST(Launcher, PassesTheExitStatusOn) {
  const auto signals = SignalPort::open();
  ASSERT_TRUE(signals);
  const auto child =
      launch({.path = "/bin/sh", .arguments = {"sh", "-c", "exit 7"}, .environment = {}}, *signals);
  ASSERT_TRUE(child);

  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(*child), &info, WEXITED | WNOWAIT), 0);
  const auto state = poll_child(*child);
  signals->restore_in_child();

  ASSERT_TRUE(state);
  EXPECT_TRUE(state->ended);
  EXPECT_EQ(state->code, 7);
  EXPECT_EQ(state->signal, 0);
}

TEST(Launcher, AProgramThatCannotBeExecutedIsAnError) {
  const auto signals = SignalPort::open();
  ASSERT_TRUE(signals);
  const auto child =
      launch({.path = "/etc/passwd", .arguments = {"passwd"}, .environment = {}}, *signals);
  signals->restore_in_child();

  EXPECT_FALSE(child);
}

}  // namespace
}  // namespace gordian::watch
