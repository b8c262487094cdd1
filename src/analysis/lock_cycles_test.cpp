// SPDX-License-Identifier: Apache-2.0
#include "analysis/lock_cycles.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <set>
#include <string>

namespace gordian::analysis {
namespace {

using Cycle = std::vector<uint32_t>;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<Cycle> cycles_of(const Adjacency& graph, CycleLimits limits = {},
                             bool* complete = nullptr) {
  std::vector<Cycle> cycles;
  const bool all = for_each_cycle(graph, limits, [&](const Cycle& cycle) {
    cycles.push_back(cycle);
    return true;
  });
  if (complete != nullptr) *complete = all;
  return cycles;
}

TEST(LockCycles, ADiamondIsNotACycle) { EXPECT_THAT(cycles_of({{1, 2}, {3}, {3}, {}}), IsEmpty()); }

TEST(LockCycles, ShortOnesComeFirst) {
  EXPECT_THAT(cycles_of({{1}, {2}, {0, 3}, {2}}), ElementsAre(Cycle{2, 3}, Cycle{0, 1, 2}));
}

TEST(LockCycles, ALoopAtOneNodeIsNotOne) { EXPECT_THAT(cycles_of({{0, 1}, {1}}), IsEmpty()); }

TEST(LockCycles, ALongRingIsOneCycle) {
  Adjacency graph(2'000);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    graph[i].push_back((i + 1) % static_cast<uint32_t>(graph.size()));
  }
  bool complete = false;
  EXPECT_EQ(cycles_of(graph, {}, &complete).size(), 1U);
  EXPECT_TRUE(complete);
}

TEST(LockCycles, ACliqueEndsAtTheLimit) {
  Adjacency graph(64);
  for (uint32_t i = 0; i < 64; ++i) {
    for (uint32_t j = 0; j < 64; ++j) graph[i].push_back(j);
  }
  bool complete = true;
  const auto cycles = cycles_of(graph, {.max_cycles = 3'000}, &complete);
  EXPECT_EQ(cycles.size(), 3'000U);
  EXPECT_FALSE(complete);
  EXPECT_EQ(std::count_if(cycles.begin(), cycles.end(), [](auto& c) { return c.size() == 2; }),
            64 * 63 / 2);
}

// All sequences of distinct nodes that begin with their smallest and are joined by edges.
void extend(const Adjacency& graph, Cycle& path, std::set<Cycle>& found) {
  for (const uint32_t next : graph[path.back()]) {
    if (next == path[0] && path.size() > 1) found.insert(path);
    if (next <= path[0] || std::count(path.begin(), path.end(), next) != 0) continue;
    path.push_back(next);
    extend(graph, path, found);
    path.pop_back();
  }
}

TEST(LockCycles, FindsWhatANaiveSearchFinds) {
  for (unsigned seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const uint32_t nodes = 2 + random() % 6;
    Adjacency graph(nodes);
    for (uint32_t edges = random() % (nodes * 3); edges > 0; --edges) {
      graph[random() % nodes].push_back(random() % nodes);
    }
    std::set<Cycle> expected;
    for (uint32_t i = 0; i < nodes; ++i) {
      Cycle path{i};
      extend(graph, path, expected);
    }
    bool complete = false;
    const auto cycles = cycles_of(graph, {}, &complete);
    ASSERT_TRUE(complete);
    ASSERT_EQ(std::set<Cycle>(cycles.begin(), cycles.end()), expected);
    ASSERT_EQ(cycles.size(), expected.size());
    ASSERT_TRUE(std::is_sorted(cycles.begin(), cycles.end(),
                               [](auto& a, auto& b) { return a.size() < b.size(); }));
  }
}

}  // namespace
}  // namespace gordian::analysis
