// SPDX-License-Identifier: Apache-2.0
#include "analysis/find_hazards.h"
#include "analysis/test_history.h"

#include <benchmark/benchmark.h>
#include <random>

namespace gordian::analysis {
namespace {

using model::ResourceId;
using model::ThreadId;

// A big healthy program: 1,000 threads nest 2,000 locks in one order.
void in_one_order(benchmark::State& state) {
  TestHistory it;
  std::mt19937 random(1);
  const auto locks = it.resources(2'000);
  while (it.history.threads.size() < 1'000) it.thread();
  for (int64_t i = 0; i < state.range(0); ++i) {
    const size_t outer = random() % 1'999;
    it.chain(static_cast<ThreadId>(random() % 1'000), {locks[outer]},
             locks[outer + 1 + random() % (1'999 - outer)]);
  }
  for (auto _ : state) benchmark::DoNotOptimize(find_hazards(it.history, {.refuted = true}));
}
BENCHMARK(in_one_order)->Arg(5'000)->Arg(50'000)->Unit(benchmark::kMillisecond);

// The worst: every lock with every other in both orders.
void clique(benchmark::State& state) {
  TestHistory it;
  const auto locks = it.resources(static_cast<size_t>(state.range(0)));
  while (it.history.threads.size() < 1'000) it.thread();
  uint32_t thread = 0;
  for (const ResourceId a : locks) {
    for (const ResourceId b : locks) {
      if (a != b) it.chain(static_cast<ThreadId>(thread++ % 1'000), {a}, b);
    }
  }
  for (auto _ : state) benchmark::DoNotOptimize(find_hazards(it.history, {.refuted = true}));
}
BENCHMARK(clique)->Arg(70)->Unit(benchmark::kMillisecond);

// The same with all locks of one class, as the accounts of a bank are: one bug.
void clique_of_one_class(benchmark::State& state) {
  TestHistory it;
  const auto locks = it.resources(static_cast<size_t>(state.range(0)));
  for (const ResourceId lock : locks) it.of(lock).birth_site = 0x42;
  while (it.history.threads.size() < 1'000) it.thread();
  uint32_t thread = 0;
  for (const ResourceId a : locks) {
    for (const ResourceId b : locks) {
      if (a == b) continue;
      it.chain(static_cast<ThreadId>(thread++ % 1'000), {a}, b, 7).held[0].site = 9;
    }
  }
  for (auto _ : state) benchmark::DoNotOptimize(find_hazards(it.history, {.refuted = true}));
}
BENCHMARK(clique_of_one_class)->Arg(70)->Unit(benchmark::kMillisecond);

// One thread after the other takes two locks, each pair of them ordered by joins: nothing to find,
// and every pair must be looked at.
void ordered_by_joins(benchmark::State& state) {
  TestHistory it;
  const ResourceId a = it.resource(), b = it.resource();
  for (uint32_t i = 0; i < static_cast<uint32_t>(state.range(0)); ++i) {
    const ThreadId thread = it.thread();
    it.before(it.main(), i, thread, 0);
    if (i % 2 == 0) {
      it.chain(thread, {a}, b);
    } else {
      it.chain(thread, {b}, a);
    }
    it.before(thread, 0xffffffff, it.main(), i + 1);
  }
  for (auto _ : state) benchmark::DoNotOptimize(find_hazards(it.history, {.refuted = true}));
}
BENCHMARK(ordered_by_joins)->Arg(1'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gordian::analysis
