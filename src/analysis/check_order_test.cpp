// SPDX-License-Identifier: Apache-2.0
#include "analysis/check_order.h"

#include <gtest/gtest.h>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace gordian::analysis {
namespace {

using model::LockOrder;
using model::OrderFault;
using model::OrderOutcome;
using model::ResourceId;
using model::SeenPair;

// "a -> b" lines, numbered from 1.
LockOrder law(const std::vector<std::pair<std::string, std::string>>& order,
              const std::vector<std::pair<std::string, std::string>>& any = {}) {
  LockOrder made;
  for (const auto& [before, after] : order)
    made.order.push_back({.before = before, .after = after, .line = made.order.size() + 1});
  for (const auto& [one, other] : any)
    made.any.push_back({.before = one, .after = other, .line = 100, .reason = "tested"});
  return made;
}

SeenPair seen(const std::string& held, const std::string& wanted, uint32_t held_id = 1,
              uint32_t wanted_id = 2) {
  return {.held = held,
          .wanted = wanted,
          .pair = {.held = ResourceId{held_id}, .wanted = ResourceId{wanted_id}}};
}

std::vector<std::string> added(const OrderOutcome& outcome, const std::vector<SeenPair>& pairs) {
  std::vector<std::string> text;
  for (const size_t index : outcome.added)
    text.push_back(pairs[index].held + ">" + pairs[index].wanted);
  return text;
}

TEST(CheckOrder, APairThatTheFileHasIsRight) {
  const OrderOutcome outcome = check_order(law({{"a", "b"}}), {seen("a", "b")});

  EXPECT_EQ(outcome.confirmed, 1U);
  EXPECT_TRUE(outcome.violations.empty());
  EXPECT_TRUE(outcome.added.empty());
}

TEST(CheckOrder, APairThatFollowsFromTwoLinesIsRight) {
  const OrderOutcome outcome = check_order(law({{"a", "b"}, {"b", "c"}}), {seen("a", "c")});

  EXPECT_EQ(outcome.confirmed, 1U);
  EXPECT_TRUE(outcome.added.empty());
}

TEST(CheckOrder, TheOppositeOfALineIsWrong) {
  const OrderOutcome outcome = check_order(law({{"a", "b"}}), {seen("b", "a")});

  ASSERT_EQ(outcome.violations.size(), 1U);
  EXPECT_EQ(outcome.violations[0].fault, OrderFault::AgainstFile);
  ASSERT_EQ(outcome.violations[0].opposite.size(), 1U);
  EXPECT_EQ(outcome.violations[0].opposite[0].line, 1U);
  EXPECT_EQ(outcome.violations[0].opposite[0].seen, -1);
}

TEST(CheckOrder, TheOppositeOfWhatFollowsNamesAllLines) {
  const OrderOutcome outcome =
      check_order(law({{"a", "b"}, {"b", "c"}}), {seen("a", "b"), seen("c", "a")});

  ASSERT_EQ(outcome.violations.size(), 1U);
  const auto& opposite = outcome.violations[0].opposite;
  ASSERT_EQ(opposite.size(), 2U);
  EXPECT_EQ(opposite[0].line, 1U);
  EXPECT_EQ(opposite[0].seen, 0);  // this run shows it too
  EXPECT_EQ(opposite[1].line, 2U);
  EXPECT_EQ(opposite[1].seen, -1);
}

TEST(CheckOrder, BothOrdersInOneRunContradictEachOtherWithoutAFile) {
  const OrderOutcome outcome = check_order(law({}), {seen("a", "b"), seen("b", "a")});

  ASSERT_EQ(outcome.violations.size(), 1U);
  EXPECT_EQ(outcome.violations[0].seen, 1U);
  EXPECT_EQ(outcome.violations[0].fault, OrderFault::AgainstRun);
  EXPECT_EQ(outcome.added.size(), 1U);
}

TEST(CheckOrder, NewPairsThatCloseACircleWithTheFileAreWrong) {
  const OrderOutcome outcome =
      check_order(law({{"c", "a"}}), {seen("a", "b"), seen("b", "c"), seen("c", "a")});

  ASSERT_EQ(outcome.violations.size(), 1U);
  EXPECT_EQ(outcome.violations[0].seen, 1U);
  EXPECT_EQ(outcome.violations[0].fault, OrderFault::AgainstRun);
}

TEST(CheckOrder, WhatIsNewIsSortedAndLeavesOutWhatFollows) {
  const std::vector<SeenPair> pairs{seen("b", "c"), seen("a", "c"), seen("a", "b")};

  const OrderOutcome outcome = check_order(law({}), pairs);

  EXPECT_EQ(added(outcome, pairs), (std::vector<std::string>{"a>b", "b>c"}));
}

TEST(CheckOrder, AnExceptionIsNeitherWrongNorNewAndProvesNothing) {
  const std::vector<SeenPair> pairs{seen("a", "b"), seen("b", "a")};

  const OrderOutcome outcome = check_order(law({}, {{"b", "a"}}), pairs);

  EXPECT_TRUE(outcome.violations.empty());
  EXPECT_TRUE(outcome.added.empty());
  EXPECT_EQ(outcome.excepted, 2U);
}

TEST(CheckOrder, AWildcardSpeaksOfLocksItHasNeverSeen) {
  const OrderOutcome outcome = check_order(
      law({{"*", "Logger::mutex"}}), {seen("x", "Logger::mutex"), seen("Logger::mutex", "y")});

  EXPECT_EQ(outcome.confirmed, 1U);
  ASSERT_EQ(outcome.violations.size(), 1U);
  EXPECT_EQ(outcome.violations[0].opposite[0].line, 1U);
}

TEST(CheckOrder, AWildcardThatCoversAPairInBothDirectionsSaysNothingOfIt) {
  const std::vector<SeenPair> pairs{seen("Node::a", "Node::b")};

  const OrderOutcome outcome = check_order(law({{"Node::*", "*"}}), pairs);

  EXPECT_TRUE(outcome.violations.empty());
  EXPECT_EQ(outcome.added.size(), 1U);
}

TEST(CheckOrder, AnEscapedStarIsAStar) {
  const OrderOutcome outcome = check_order(
      law({{"Slot<int\\*>::m", "b"}}), {seen("b", "Slot<int*>::m"), seen("b", "Slot<intx>::m")});

  EXPECT_EQ(outcome.violations.size(), 1U);
  EXPECT_EQ(outcome.added.size(), 1U);
}

TEST(CheckOrder, TwoLocksOfOneClassInOneOrderAreNewOnce) {
  const OrderOutcome outcome =
      check_order(law({}), {seen("a", "a", 1, 2), seen("a", "a", 2, 3), seen("a", "a", 1, 3)});

  EXPECT_TRUE(outcome.violations.empty());
  EXPECT_EQ(outcome.added.size(), 1U);
}

TEST(CheckOrder, TwoLocksOfOneClassInBothOrdersAreWrongEvenIfTheClassMayNest) {
  const OrderOutcome outcome =
      check_order(law({{"a", "a"}}), {seen("a", "a", 1, 2), seen("a", "a", 2, 1)});

  ASSERT_EQ(outcome.violations.size(), 1U);
  EXPECT_EQ(outcome.violations[0].fault, OrderFault::Instances);
  EXPECT_EQ(outcome.violations[0].seen, 1U);
  ASSERT_EQ(outcome.violations[0].opposite.size(), 1U);
  EXPECT_EQ(outcome.violations[0].opposite[0].seen, 0);
}

TEST(CheckOrder, ACircleOfThreeInstancesIsWrong) {
  const OrderOutcome outcome =
      check_order(law({}), {seen("a", "a", 1, 2), seen("a", "a", 2, 3), seen("a", "a", 3, 1)});

  ASSERT_EQ(outcome.violations.size(), 1U);
  EXPECT_EQ(outcome.violations[0].opposite.size(), 2U);
}

TEST(CheckOrder, AddressesOnAStackTellNoInstances) {
  std::vector<SeenPair> pairs{seen("a", "a", 1, 2), seen("a", "a", 2, 1)};
  for (SeenPair& pair : pairs) pair.pair.may_be_two_locks = true;

  EXPECT_TRUE(check_order(law({}), pairs).violations.empty());
}

TEST(CheckOrder, AnExceptedClassMayNestInAnyOrder) {
  const OrderOutcome outcome =
      check_order(law({}, {{"a", "a"}}), {seen("a", "a", 1, 2), seen("a", "a", 2, 1)});

  EXPECT_TRUE(outcome.violations.empty());
  EXPECT_TRUE(outcome.added.empty());
}

TEST(FindCircle, LinesThatContradictEachOtherAreNamed) {
  const auto circle = find_circle(law({{"x", "a"}, {"a", "b"}, {"b", "c"}, {"c", "a"}}));

  ASSERT_TRUE(circle);
  std::set<size_t> lines;
  for (const model::OrderRule& rule : *circle) lines.insert(rule.line);
  EXPECT_EQ(lines, (std::set<size_t>{2, 3, 4}));
}

TEST(FindCircle, AClassThatNestsInItselfIsNone) {
  EXPECT_FALSE(find_circle(law({{"a", "a"}, {"a", "b"}})));
}

// What is told of a run must hold by the definition: right and new pairs together have an order, a
// wrong pair has none with them. And the file as learnt makes the same run right.
TEST(CheckOrder, AgreesWithANaiveSolverOnRandomRuns) {
  constexpr uint32_t kNames = 6;
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto pick = [&] { return std::string(1, static_cast<char>('a' + random() % kNames)); };
    std::vector<SeenPair> pairs;
    LockOrder file;
    for (uint32_t i = random() % 5; i > 0; --i) {
      // Downwards only: a file that agrees with itself.
      std::string before = pick();
      std::string after = pick();
      if (before == after) continue;
      if (before > after) std::swap(before, after);
      file.order.push_back({.before = before, .after = after, .line = file.order.size() + 1});
    }
    for (uint32_t i = 1 + random() % 8; i > 0; --i) {
      const std::string held = pick();
      const std::string wanted = pick();
      if (held != wanted) pairs.push_back(seen(held, wanted));
    }
    const OrderOutcome outcome = check_order(file, pairs);

    bool reach[kNames][kNames] = {};
    const auto close = [&] {
      for (uint32_t k = 0; k < kNames; ++k)
        for (uint32_t i = 0; i < kNames; ++i)
          for (uint32_t j = 0; j < kNames; ++j) reach[i][j] |= reach[i][k] && reach[k][j];
    };
    const auto number = [](const std::string& name) {
      return static_cast<uint32_t>(name[0] - 'a');
    };
    for (const auto& rule : file.order) reach[number(rule.before)][number(rule.after)] = true;
    for (const size_t index : outcome.added)
      reach[number(pairs[index].held)][number(pairs[index].wanted)] = true;
    close();
    for (uint32_t i = 0; i < kNames; ++i) ASSERT_FALSE(reach[i][i]) << "a circle was accepted";
    std::set<std::pair<std::string, std::string>> wrong;
    for (const auto& violation : outcome.violations)
      wrong.emplace(pairs[violation.seen].held, pairs[violation.seen].wanted);
    for (const SeenPair& pair : pairs) {
      const uint32_t held = number(pair.held);
      const uint32_t wanted = number(pair.wanted);
      if (wrong.contains({pair.held, pair.wanted})) {
        EXPECT_TRUE(reach[wanted][held]) << pair.held << pair.wanted << " could have been allowed";
      } else {
        EXPECT_TRUE(reach[held][wanted]) << pair.held << pair.wanted << " is not accounted for";
      }
    }

    LockOrder learnt = file;
    for (const size_t index : outcome.added)
      learnt.order.push_back(
          {.before = pairs[index].held, .after = pairs[index].wanted, .line = 50});
    const OrderOutcome again = check_order(learnt, pairs);
    EXPECT_TRUE(again.added.empty());
    EXPECT_EQ(again.violations.size(), outcome.violations.size());
    EXPECT_FALSE(find_circle(learnt));
  }
}

}  // namespace
}  // namespace gordian::analysis
