// SPDX-License-Identifier: Apache-2.0
#include "trace/recording_reader.h"
#include "trace/sample_recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>

namespace gordian::trace {
namespace {

using format::Event;
using model::TraceEvent;
using model::TraceOp;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr uint32_t kOuter = 7, kInner = 9;  // slots

// The recording's bytes live as long as the run.
struct SketchedRun {
  explicit SketchedRun(const std::vector<SampleRing>& rings)
      : bytes(sample_recording(rings)),
        runs(runs_of(std::move(*RecordingFile::over(bytes, "test")))) {}
  RunSketch sketch() { return runs.front().sketch(); }

  std::string bytes;
  std::vector<RecordingRun> runs;
};

TEST(RecordingScan, TellsWhichLockWasAskedForWithWhichInHand) {
  SampleRing one, other;
  one.begin(1).acquire(kOuter, 1).acquire(kInner, 1).release(kInner).release(kOuter);
  other.begin(2).acquire(kInner, 2).release(kInner).acquire(kOuter, 2).release(kOuter);
  const RunSketch sketch = SketchedRun({one, other}).sketch();

  EXPECT_FALSE(sketch.needs_order);
  EXPECT_THAT(sketch.nestings, UnorderedElementsAre(Pair(kOuter, kInner)));
  EXPECT_EQ(sketch.threads, 2U);
  EXPECT_EQ(sketch.used_locks, 2U);
  EXPECT_EQ(sketch.acquisitions, 4U);
  EXPECT_EQ(sketch.nested, 1U);
}

TEST(RecordingScan, ATryAsksForNothing) {
  SampleRing ring;
  ring.begin(1)
      .acquire(kOuter, 1)
      .acquire(kInner, 1, 0, format::kEventTry)
      .release(kInner)
      .release(kOuter);

  EXPECT_THAT(SketchedRun({ring}).sketch().nestings, IsEmpty());
}

TEST(RecordingScan, NorDoesWhatWouldHaveGivenUp) {
  SampleRing granted, asking;
  granted.begin(1).acquire(kOuter, 1).acquire(kInner, 1, 0, format::kEventTimed).release(kInner);
  asking.begin(2).acquire(kInner, 2).record(Event::Request, kOuter, {0}, format::kEventTimed);

  EXPECT_THAT(SketchedRun({granted, asking}).sketch().nestings, IsEmpty());
}

TEST(RecordingScan, ARequestThatWasNeverGrantedCounts) {
  SampleRing one, other;
  one.begin(1).acquire(kOuter, 1).record(Event::Request, kInner, {0});
  other.begin(2).acquire(kInner, 1);
  const RunSketch sketch = SketchedRun({one, other}).sketch();

  EXPECT_THAT(sketch.nestings, UnorderedElementsAre(Pair(kOuter, kInner)));
  EXPECT_EQ(sketch.events, 3U);
}

TEST(RecordingScan, AskForAnOrderWhereOnlyThatTells) {
  SampleRing lost, foreign, again, joins, headless;
  lost.begin(1).acquire(kOuter, 1).record(Event::Lost, 0, {1, 0, 1});
  foreign.begin(1).release(kOuter);
  again.begin(1).acquire(kOuter, 1).acquire(kOuter, 2);
  joins.begin(1).acquire(kOuter, 1).record(Event::Join, 0, {2, 0});
  headless.acquire(kOuter, 1);

  for (const SampleRing& ring : {lost, foreign, again, joins, headless})
    EXPECT_TRUE(SketchedRun({ring}).sketch().needs_order);
}

TEST(RecordingScan, FindsWhatTheProcessHasLoaded) {
  SampleRing ring;
  format::ModuleBody module{};
  module.start = 0x1000;
  module.end = 0x2000;
  module.flags = format::kModuleTellsMemory;
  ring.begin(1).body(Event::Module, 0, module).body(Event::Module, 0, module);
  SketchedRun run({ring});

  EXPECT_FALSE(run.sketch().needs_order);
  const std::vector<RecordedModule>& found = run.runs.front().facts().modules;
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].start, 0x1000U);
  EXPECT_EQ(found[0].flags, format::kModuleTellsMemory);
}

TEST(RecordingScan, TellsTheNestingsOfTheMergedOrder) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::vector<SampleRing> rings(4);
    for (uint32_t i = 0; i < rings.size(); ++i) rings[i].begin(i + 1);
    uint32_t tickets[9] = {};
    for (int i = 0; i < 40; ++i) {
      SampleRing& ring = rings[random() % rings.size()];
      std::set<uint32_t> locks;
      while (locks.size() < 1 + random() % 3) locks.insert(1 + random() % 8);
      for (const uint32_t lock : locks) ring.acquire(lock, ++tickets[lock]);
      for (const uint32_t lock : locks) ring.release(lock);
    }
    SketchedRun sample(rings);
    std::map<uint32_t, std::vector<uint32_t>> held;
    std::vector<std::pair<uint32_t, uint32_t>> pairs;
    uint64_t events = 0;
    sample.runs.front().read(Detail::Locks, [&](std::span<const TraceEvent> part) {
      for (const TraceEvent& event : part) {
        ++events;
        std::vector<uint32_t>& holds = held[static_cast<uint32_t>(event.thread)];
        if (event.op == TraceOp::Release) std::erase(holds, event.object);
        if (event.op != TraceOp::Acquire) continue;
        for (const uint32_t hold : holds) pairs.emplace_back(hold, event.object);
        holds.push_back(event.object);
      }
    });
    const RecordingFacts& facts = sample.runs.front().facts();
    std::set<std::pair<uint32_t, uint32_t>> nestings;
    for (const auto& [hold, wanted] : pairs)
      nestings.emplace(facts.locks[hold].slot, facts.locks[wanted].slot);
    const RunSketch sketch = sample.sketch();

    EXPECT_FALSE(sketch.needs_order);
    EXPECT_THAT(sketch.nestings, testing::UnorderedElementsAreArray(nestings));
    EXPECT_EQ(sketch.events, events);
  }
}

}  // namespace
}  // namespace gordian::trace
