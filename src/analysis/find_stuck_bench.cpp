// SPDX-License-Identifier: Apache-2.0
#include "analysis/find_stuck.h"
#include "analysis/test_snapshot.h"

#include <benchmark/benchmark.h>
#include <string>

namespace gordian::analysis {
namespace {

using model::ResourceId;
using model::ResourceKind;
using model::ThreadId;

// A server at rest: all threads but one wait for work.
void idle_threads(benchmark::State& state) {
  TestSnapshot it;
  const ResourceId work = it.resource(ResourceKind::Condition);
  it.thread();
  for (int64_t i = 1; i < state.range(0); ++i) it.wants(it.thread(), work);
  for (auto _ : state) benchmark::DoNotOptimize(find_stuck(it.snapshot));
}
BENCHMARK(idle_threads)->Arg(1'000)->Arg(10'000)->Unit(benchmark::kMillisecond);

// One knot, and everybody else queued behind it.
void victims(benchmark::State& state) {
  TestSnapshot it;
  const ThreadId left = it.thread(), right = it.thread();
  const ResourceId a = it.resource(), b = it.resource();
  it.holds(left, a).wants(left, b).holds(right, b).wants(right, a);
  for (int64_t i = 2; i < state.range(0); ++i) it.wants(it.thread(), a);
  for (auto _ : state) benchmark::DoNotOptimize(find_stuck(it.snapshot));
}
BENCHMARK(victims)->Arg(1'000)->Arg(10'000)->Unit(benchmark::kMillisecond);

// Everybody waits for the next one, and the last for the first.
void one_long_cycle(benchmark::State& state) {
  TestSnapshot it;
  const auto count = static_cast<uint32_t>(state.range(0));
  for (uint32_t i = 0; i < count; ++i) it.holds(it.thread(), it.resource());
  for (uint32_t i = 0; i < count; ++i) {
    it.wants(static_cast<ThreadId>(i), static_cast<ResourceId>((i + 1) % count));
  }
  for (auto _ : state) benchmark::DoNotOptimize(find_stuck(it.snapshot));
}
BENCHMARK(one_long_cycle)->Arg(1'000)->Arg(10'000)->Unit(benchmark::kMillisecond);

// Everybody could signal, and nobody can: one component with an edge from each to each.
void signal_knot(benchmark::State& state) {
  TestSnapshot it;
  const ResourceId mutex = it.resource(), signal = it.resource(ResourceKind::Condition);
  const ThreadId holder = it.thread();
  it.holds(holder, mutex).wants(holder, signal);
  for (int64_t i = 1; i < state.range(0); ++i) it.wants(it.thread(), i % 2 ? mutex : signal);
  for (auto _ : state) benchmark::DoNotOptimize(find_stuck(it.snapshot));
}
BENCHMARK(signal_knot)->Arg(1'000)->Arg(10'000)->Unit(benchmark::kMillisecond);

// Readers that all wait for writers that all wait for the readers.
void readers_and_writers(benchmark::State& state) {
  TestSnapshot it;
  const ResourceId lock = it.resource(ResourceKind::RwLock), mutex = it.resource();
  for (int64_t i = 0; i < state.range(0) / 2; ++i) {
    const ThreadId reader = it.thread(), writer = it.thread();
    it.reads(reader, lock).wants(reader, mutex).wants(writer, lock);
    if (i == 0) it.holds(writer, mutex);
  }
  for (auto _ : state) benchmark::DoNotOptimize(find_stuck(it.snapshot));
}
BENCHMARK(readers_and_writers)->Arg(1'000)->Arg(10'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gordian::analysis
