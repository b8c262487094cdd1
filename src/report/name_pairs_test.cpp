// SPDX-License-Identifier: Apache-2.0
#include "report/name_pairs.h"

#include <gtest/gtest.h>
#include <string>
#include <utility>

namespace gordian::report {
namespace {

using model::Finding;
using model::ResourceId;

// A place where lock 1 is held and lock 2 asked for.
Finding place(const std::string& held, const std::string& wanted, const std::string& function) {
  Finding sample;
  model::FindingThread& thread = sample.threads.emplace_back();
  model::FindingHold& hold = thread.holds.emplace_back();
  hold.resource = ResourceId{1};
  hold.stack.frames.emplace_back().function = function;
  model::FindingWant& want = thread.wants.emplace();
  want.resource = ResourceId{2};
  want.stack.frames.emplace_back().function = function;
  for (const auto& [id, name] : {std::pair(1, held), std::pair(2, wanted)}) {
    model::Resource& resource = sample.resources.emplace_back();
    resource.id = ResourceId{static_cast<uint32_t>(id)};
    resource.name = name;
  }
  return sample;
}

model::NestedPair pair(uint32_t held, uint32_t wanted, uint32_t sample) {
  return {.held = ResourceId{held}, .wanted = ResourceId{wanted}, .sample = sample};
}

TEST(NamePairs, WhatOnePlaceKnowsHoldsForTheLockEverywhere) {
  model::Nestings nestings;
  nestings.samples = {place("a", "", "f()"), place("b", "m", "g()")};
  nestings.pairs = {pair(10, 11, 0), pair(12, 11, 1)};

  const NamedPairs named = name_pairs(nestings);

  ASSERT_EQ(named.seen.size(), 2U);
  EXPECT_EQ(named.seen[0].wanted, "m");
  EXPECT_EQ(named.seen[1].wanted, "m");
}

TEST(NamePairs, ALockWithoutANameIsCalledAfterTheFunctionThatFirstTookIt) {
  model::Nestings nestings;
  nestings.samples = {place("a", "", "ns::f(int)"), place("a", "", "g()")};
  nestings.pairs = {pair(10, 11, 0), pair(10, 11, 1)};

  const NamedPairs named = name_pairs(nestings);

  ASSERT_EQ(named.seen.size(), 2U);
  EXPECT_EQ(named.seen[0].wanted, "first locked in ns::f");
  EXPECT_EQ(named.seen[1].wanted, "first locked in ns::f");
}

TEST(NamePairs, OnAStackTheSameAddressMayBeAnotherLock) {
  model::Nestings nestings;
  nestings.samples = {place("a", "m", "f()"), place("a", "n", "g()")};
  nestings.pairs = {pair(10, 11, 0), pair(10, 11, 1)};
  for (model::NestedPair& one : nestings.pairs) one.may_be_two_locks = true;

  const NamedPairs named = name_pairs(nestings);

  ASSERT_EQ(named.seen.size(), 2U);
  EXPECT_EQ(named.seen[0].wanted, "m");
  EXPECT_EQ(named.seen[1].wanted, "n");
}

TEST(NamePairs, ANameTheProgramGaveComesFirst) {
  model::Nestings nestings;
  nestings.samples = {place("a", "m", "f()")};
  nestings.pairs = {pair(10, 11, 0)};
  nestings.given_names[ResourceId{11}] = "streams";

  EXPECT_EQ(name_pairs(nestings).seen.at(0).wanted, "streams");
}

TEST(NamePairs, WhatHasNoNameIsCounted) {
  model::Nestings nestings;
  nestings.samples = {place("a", "", "")};
  nestings.pairs = {pair(10, 11, 0)};

  const NamedPairs named = name_pairs(nestings);

  EXPECT_TRUE(named.seen.empty());
  EXPECT_EQ(named.nameless, 1U);
}

}  // namespace
}  // namespace gordian::report
