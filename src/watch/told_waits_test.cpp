// SPDX-License-Identifier: Apache-2.0
#include "watch/told_waits.h"

#include <gtest/gtest.h>

namespace gordian::watch {
namespace {

using model::Verdict;

model::Snapshot one_waiter(uint64_t wait_number) {
  model::Snapshot snapshot;
  snapshot.processes.emplace_back().pid = 4711;
  model::Thread& thread = snapshot.threads.emplace_back();
  thread.uid = 7;
  thread.wait.emplace().number = wait_number;
  return snapshot;
}

model::Finding about_it(Verdict verdict) {
  model::Finding finding;
  finding.verdict = verdict;
  finding.threads.emplace_back().role = model::Role::Knot;
  return finding;
}

TEST(ToldWaits, TheSameWaitIsToldOnce) {
  ToldWaits told;
  EXPECT_FALSE(told.has_told(one_waiter(1), about_it(Verdict::Stall)));
  EXPECT_TRUE(told.tell(one_waiter(1), about_it(Verdict::Stall)));
  EXPECT_TRUE(told.has_told(one_waiter(1), about_it(Verdict::Stall)));
  EXPECT_FALSE(told.tell(one_waiter(1), about_it(Verdict::Stall)));
}

TEST(ToldWaits, TheNextWaitOfTheThreadIsAnother) {
  ToldWaits told;
  told.tell(one_waiter(1), about_it(Verdict::Stall));
  EXPECT_TRUE(told.tell(one_waiter(3), about_it(Verdict::Stall)));
}

TEST(ToldWaits, AStallThatIsADeadlockAfterAllIsToldOnceMore) {
  ToldWaits told;
  told.tell(one_waiter(1), about_it(Verdict::Stall));
  EXPECT_TRUE(told.tell(one_waiter(1), about_it(Verdict::Deadlock)));
  EXPECT_FALSE(told.tell(one_waiter(1), about_it(Verdict::Deadlock)));
  EXPECT_FALSE(told.tell(one_waiter(1), about_it(Verdict::Stall)));
}

}  // namespace
}  // namespace gordian::watch
