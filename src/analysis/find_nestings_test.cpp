// SPDX-License-Identifier: Apache-2.0
#include "analysis/find_nestings.h"

#include "analysis/test_history.h"

#include <gtest/gtest.h>
#include <set>
#include <utility>

namespace gordian::analysis {
namespace {

using model::Nestings;
using model::ResourceId;

std::set<std::pair<uint32_t, uint32_t>> pairs_of(const Nestings& nestings) {
  std::set<std::pair<uint32_t, uint32_t>> pairs;
  for (const model::NestedPair& pair : nestings.pairs)
    pairs.emplace(static_cast<uint32_t>(pair.held), static_cast<uint32_t>(pair.wanted));
  return pairs;
}

TEST(FindNestings, OneThreadIsEnough) {
  TestHistory test;
  const auto locks = test.resources(2);
  test.chain(test.main(), {locks[0]}, locks[1]);
  test.chain(test.main(), {locks[1]}, locks[0]);

  EXPECT_EQ(pairs_of(find_nestings(test.history)),
            (std::set<std::pair<uint32_t, uint32_t>>{{0, 1}, {1, 0}}));
}

TEST(FindNestings, EveryLockHeldIsAPairWithTheOneAskedFor) {
  TestHistory test;
  const auto locks = test.resources(3);
  test.chain(test.main(), {locks[0], locks[1]}, locks[2]);

  const Nestings nestings = find_nestings(test.history);

  EXPECT_EQ(pairs_of(nestings), (std::set<std::pair<uint32_t, uint32_t>>{{0, 2}, {1, 2}}));
  ASSERT_EQ(nestings.samples.size(), 1U);
  const model::FindingThread& thread = nestings.samples[0].threads.at(0);
  EXPECT_EQ(thread.holds.at(nestings.pairs[1].hold).resource, nestings.pairs[1].held);
}

TEST(FindNestings, WhatGivesUpHasNoOrder) {
  TestHistory test;
  const auto locks = test.resources(3);
  test.chain(test.main(), {locks[0]}, locks[1]).by_try = true;
  test.chain(test.main(), {locks[0]}, locks[2]).timed = true;

  EXPECT_TRUE(find_nestings(test.history).pairs.empty());
}

TEST(FindNestings, ALockThatIsHeldAlreadyIsNotAskedForInAnOrder) {
  TestHistory test;
  const auto locks = test.resources(2);
  test.chain(test.main(), {locks[0], locks[1]}, locks[0]);

  EXPECT_TRUE(find_nestings(test.history).pairs.empty());
}

TEST(FindNestings, OnlyLocksAreOrdered) {
  TestHistory test;
  const auto lock = test.resource();
  const auto condition = test.resource(model::ResourceKind::Condition);
  const auto thread = test.resource(model::ResourceKind::Thread);
  test.chain(test.main(), {lock}, condition);
  test.chain(test.main(), {lock}, thread);

  EXPECT_TRUE(find_nestings(test.history).pairs.empty());
}

TEST(FindNestings, AWaitOnAConditionAsksForItsMutexAgain) {
  TestHistory test;
  const auto locks = test.resources(2);
  const auto condition = test.resource(model::ResourceKind::Condition);
  model::Chain& wait = test.chain(test.main(), {locks[0]}, condition);
  wait.has_companion = true;
  wait.companion = locks[1];
  wait.timed = true;  // the wait gives up, the mutex is asked for all the same

  EXPECT_EQ(pairs_of(find_nestings(test.history)),
            (std::set<std::pair<uint32_t, uint32_t>>{{0, 1}}));
}

TEST(FindNestings, APairTheProgramExceptedIsLeftOut) {
  TestHistory test;
  const auto locks = test.resources(2);
  test.chain(test.main(), {locks[0]}, locks[1]);
  test.history.never_report.emplace_back(locks[1], locks[0]);

  EXPECT_TRUE(find_nestings(test.history).pairs.empty());
}

TEST(FindNestings, ALockReleasedByOthersHasNoHolder) {
  TestHistory test;
  const auto locks = test.resources(2);
  test.history.resources[0].semaphore_like = true;
  test.chain(test.main(), {locks[0]}, locks[1]);

  EXPECT_TRUE(find_nestings(test.history).pairs.empty());
}

TEST(FindNestings, InstancesOfOnePlaceShareASampleButStaySeparatePairs) {
  TestHistory test;
  const auto locks = test.resources(3);
  for (model::Resource& resource : test.history.resources) resource.address_may_be_reused = true;
  test.chain(test.main(), {locks[0]}, locks[1], 0x100);
  test.chain(test.main(), {locks[0]}, locks[2], 0x100);

  const Nestings nestings = find_nestings(test.history);

  EXPECT_EQ(nestings.samples.size(), 1U);
  EXPECT_EQ(nestings.pairs.size(), 2U);
}

TEST(FindNestings, StaticLocksHaveSamplesOfTheirOwn) {
  TestHistory test;
  const auto locks = test.resources(3);
  for (size_t i = 0; i < locks.size(); ++i) test.history.resources[i].address = 0x1000 + i * 64;
  test.chain(test.main(), {locks[0]}, locks[1], 0x100);
  test.chain(test.main(), {locks[0]}, locks[2], 0x100);

  EXPECT_EQ(find_nestings(test.history).samples.size(), 2U);
}

TEST(FindNestings, LocksOnAStackSayNothingOfInstances) {
  TestHistory test;
  const auto locks = test.resources(2);
  test.history.resources[1].address = 0x7ff000001000;
  test.chain(test.main(), {locks[0]}, locks[1]).registers.rsp = 0x7ff000000000;

  ASSERT_EQ(find_nestings(test.history).pairs.size(), 1U);
  EXPECT_TRUE(find_nestings(test.history).pairs[0].may_be_two_locks);
}

TEST(FindNestings, BeyondALimitItSaysSo) {
  TestHistory test;
  const auto locks = test.resources(3);
  for (size_t i = 0; i < locks.size(); ++i) test.history.resources[i].address = 0x1000 + i * 64;
  test.chain(test.main(), {locks[0]}, locks[1]);
  test.chain(test.main(), {locks[0]}, locks[2]);

  const Nestings nestings = find_nestings(test.history, {.max_samples = 1});

  EXPECT_TRUE(nestings.cut);
  EXPECT_EQ(nestings.samples.size(), 1U);
}

}  // namespace
}  // namespace gordian::analysis
