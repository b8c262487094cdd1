// SPDX-License-Identifier: Apache-2.0
// The families of traces that every analyser of deadlocks is tried on; each real one has a twin
// that must stay silent.
#include "analysis/predict.h"

#include "analysis/predict_patterns.h"
#include "analysis/predict_replay.h"
#include "analysis/test_trace.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace gordian::analysis {
namespace {

using model::ReasonCode;
using model::Verdict;

constexpr uint32_t kMain = 0;
constexpr uint32_t kA = 0;
constexpr uint32_t kB = 1;
constexpr uint32_t kGate = 2;
using Op = model::TraceOp;

size_t count(const Prediction& prediction, Verdict verdict) {
  return static_cast<size_t>(
      std::count_if(prediction.findings.begin(), prediction.findings.end(),
                    [&](const model::Finding& finding) { return finding.verdict == verdict; }));
}

size_t proved(const TestTrace& trace) { return count(trace.predict(), Verdict::Proved); }

ReasonCode why_not(const TestTrace& trace) {
  const Prediction prediction = trace.predict();
  if (prediction.findings.size() != 1 || prediction.findings[0].verdict != Verdict::Refuted)
    return ReasonCode::None;
  return prediction.findings[0].reason.code;
}

TestTrace philosophers(uint32_t count, uint32_t rounds) {
  TestTrace trace;
  for (uint32_t round = 0; round < rounds; ++round)
    for (uint32_t id = 0; id < count; ++id) {
      const uint32_t left = id;
      const uint32_t right = (id + 1) % count;
      trace.add(id, Op::Acquire, left, 1).add(id, Op::Acquire, right, 2);
      trace.add(id, Op::Release, right, 3).add(id, Op::Release, left, 4);
    }
  return trace;
}

TEST(Predict, TwoOrdersAreADeadlockAndOneIsNot) {
  EXPECT_EQ(proved(TestTrace().nested(1, kA, kB).nested(2, kB, kA)), 1U);
  EXPECT_EQ(proved(TestTrace().nested(1, kA, kB).nested(2, kA, kB)), 0U);
}

TEST(Predict, SaysWhatEachHoldsWantsAndWhere) {
  const Prediction prediction = TestTrace().nested(1, kA, kB).nested(2, kB, kA).predict();
  ASSERT_EQ(prediction.findings.size(), 1U);
  const model::Finding& finding = prediction.findings[0];
  ASSERT_EQ(finding.threads.size(), 2U);
  EXPECT_EQ(finding.threads[0].id, model::ThreadId{1});
  ASSERT_EQ(finding.threads[0].holds.size(), 1U);
  EXPECT_EQ(finding.threads[0].holds[0].site, 1U);
  EXPECT_EQ(finding.threads[0].wants->site, 2U);
  EXPECT_EQ(finding.threads[1].wants->site, 6U);
  ASSERT_TRUE(finding.witness);
  EXPECT_TRUE(finding.witness->replayed);
  EXPECT_TRUE(finding.witness->in_recorded_order);
  ASSERT_EQ(finding.witness->steps.size(), 2U);
  EXPECT_EQ(finding.witness->stops[0].line, 2U);
  EXPECT_EQ(finding.witness->stops[1].line, 6U);
}

TEST(Predict, WithoutMemoryItIsPossible) {
  const Prediction prediction =
      TestTrace().nested(1, kA, kB).nested(2, kB, kA).predict({.complete_memory = false});
  ASSERT_EQ(prediction.findings.size(), 1U);
  EXPECT_EQ(prediction.findings[0].verdict, Verdict::Possible);
  EXPECT_EQ(prediction.findings[0].reason.code, ReasonCode::MemoryNotRecorded);
}

TEST(Predict, PhilosophersAreOneCircleHoweverOftenTheyEat) {
  for (const uint32_t count : {2U, 3U, 5U, 40U}) {
    const Prediction prediction = philosophers(count, 5).predict();
    ASSERT_EQ(prediction.findings.size(), 1U) << count;
    EXPECT_EQ(prediction.findings[0].threads.size(), count);
    EXPECT_EQ(prediction.findings[0].verdict, Verdict::Proved);
  }
}

TEST(Predict, AGateOnBothSidesExcludesIt) {
  const auto with_gate = [](bool left, bool right) {
    TestTrace trace;
    if (left) trace.acquire(1, kGate);
    trace.nested(1, kA, kB);
    if (left) trace.release(1, kGate);
    if (right) trace.acquire(2, kGate);
    trace.nested(2, kB, kA);
    if (right) trace.release(2, kGate);
    return trace;
  };
  EXPECT_EQ(with_gate(true, true).predict().findings.size(), 0U);
  EXPECT_EQ(proved(with_gate(true, false)), 1U);
}

TEST(Predict, AGateHeldByTheParentAcrossItsChildExcludesIt) {
  TestTrace trace;
  trace.acquire(kMain, kGate).fork(kMain, 1).nested(1, kA, kB).join(kMain, 1).release(kMain, kGate);
  trace.acquire(2, kGate).nested(2, kB, kA).release(2, kGate);
  EXPECT_EQ(proved(trace), 0U);
}

TEST(Predict, OneThreadInBothOrdersIsNone) {
  EXPECT_EQ(
      TestTrace().nested(1, kA, kB).nested(1, kB, kA).acquire(2, kA).predict().findings.size(), 0U);
}

TEST(Predict, SaysWhichOrderExcludesIt) {
  EXPECT_EQ(why_not(TestTrace().nested(kMain, kA, kB).fork(kMain, 1).nested(1, kB, kA)),
            ReasonCode::OrderedByFork);
  EXPECT_EQ(why_not(TestTrace().nested(1, kA, kB).join(kMain, 1).nested(kMain, kB, kA)),
            ReasonCode::OrderedByJoin);
  EXPECT_EQ(why_not(TestTrace().nested(1, kA, kB).write(1, 0).read(2, 0).nested(2, kB, kA)),
            ReasonCode::OrderedByMemory);
  EXPECT_EQ(proved(TestTrace().fork(kMain, 1).nested(kMain, kA, kB).nested(1, kB, kA)), 1U);
  EXPECT_EQ(proved(TestTrace().nested(1, kA, kB).write(1, 0).read(2, 1).nested(2, kB, kA)), 1U);
}

TEST(Predict, AReadInsideOfWhatTheOtherSectionWroteExcludesIt) {
  TestTrace trace;
  trace.acquire(1, kA).write(1, 0).acquire(1, kB).release(1, kB).release(1, kA);
  trace.acquire(2, kB).read(2, 0).acquire(2, kA).release(2, kA).release(2, kB);
  EXPECT_EQ(proved(trace), 1U);  // the value is there before the inner lock is asked for
  TestTrace inner;
  inner.acquire(1, kA).acquire(1, kB).write(1, 0).release(1, kB).release(1, kA);
  inner.acquire(2, kB).read(2, 0).acquire(2, kA).release(2, kA).release(2, kB);
  EXPECT_EQ(why_not(inner), ReasonCode::OrderedByMemory);
}

TEST(Predict, AWakeUpOrdersTheSides) {
  TestTrace trace;
  trace.acquire(2, kGate).release(2, kGate).add(2, Op::Wait, kGate);
  trace.nested(1, kA, kB).acquire(1, kGate).add(1, Op::Notify, kGate).release(1, kGate);
  trace.acquire(2, kGate).release(2, kGate).nested(2, kB, kA);
  EXPECT_EQ(why_not(trace), ReasonCode::OrderedBySignal);
}

TEST(Predict, ARequestIsNoSignOfAWakeUp) {
  const auto woken = [](bool behind_section) {
    TestTrace trace;
    trace.acquire(2, kGate).release(2, kGate).add(2, Op::Wait, kGate).add(2, Op::Request, kGate);
    if (!behind_section) trace.add(1, Op::Notify, kGate);
    trace.nested(1, kA, kB);
    if (behind_section) trace.add(1, Op::Notify, kGate);
    return trace.acquire(2, kGate).release(2, kGate).nested(2, kB, kA);
  };
  EXPECT_EQ(why_not(woken(true)), ReasonCode::OrderedBySignal);
  EXPECT_EQ(proved(woken(false)), 1U);
}

TEST(Predict, WhoStillWaitsForASignalAsksForNothing) {
  TestTrace trace;
  trace.acquire(1, kGate).acquire(1, kA).release(1, kGate);
  trace.add(1, Op::Wait, kGate).add(1, Op::Request, kGate);
  trace.acquire(2, kGate).add(2, Op::Request, kA);
  EXPECT_EQ(proved(trace), 0U);
  trace.add(3, Op::Notify, kGate);
  EXPECT_EQ(proved(trace), 1U);
}

TEST(Predict, SwapsSectionsWhereThatIsNeeded) {
  // Thread 2 held the gate around its part, then thread 1 took it in passing. As recorded thread 2
  // would have to be over; in the other order it holds the gate when both stop.
  TestTrace trace;
  trace.acquire(2, kGate).nested(2, kB, kA).release(2, kGate);
  trace.acquire(1, kA).acquire(1, kGate).release(1, kGate).acquire(1, kB).release(1, kB);
  trace.release(1, kA);
  // (That thread 1 may want the gate itself is another deadlock, in recorded order.)
  const Prediction with = trace.predict();
  EXPECT_EQ(count(with, Verdict::Proved), 2U);
  EXPECT_EQ(std::count_if(with.findings.begin(), with.findings.end(),
                          [](const model::Finding& finding) {
                            return finding.witness && finding.witness->replayed &&
                                   !finding.witness->in_recorded_order;
                          }),
            1);
  const Prediction without = trace.predict({.complete_memory = true, .swaps = false});
  EXPECT_EQ(count(without, Verdict::Proved), 1U);
  ASSERT_EQ(count(without, Verdict::Refuted), 1U);
  EXPECT_EQ(without.findings[1].reason.code, ReasonCode::OrderedBySections);
}

TEST(Predict, ReadersExcludeOnlyWriters) {
  const auto crossed = [](bool left_shares, bool right_shares) {
    TestTrace trace;
    trace.acquire(1, kA);
    left_shares ? trace.share(1, kB).unshare(1, kB) : trace.acquire(1, kB).release(1, kB);
    trace.release(1, kA);
    right_shares ? trace.share(2, kB) : trace.acquire(2, kB);
    trace.acquire(2, kA).release(2, kA);
    right_shares ? trace.unshare(2, kB) : trace.release(2, kB);
    return trace;
  };
  EXPECT_EQ(proved(crossed(false, false)), 1U);
  EXPECT_EQ(proved(crossed(false, true)), 1U);
  EXPECT_EQ(proved(crossed(true, false)), 1U);
  EXPECT_EQ(proved(crossed(true, true)), 0U);
}

TEST(Predict, AReaderMayQueueBehindAWriter) {
  const auto readers = [](bool with_writer) {
    TestTrace trace;
    trace.acquire(1, kA).share(1, kB).unshare(1, kB).release(1, kA);
    trace.share(2, kB).acquire(2, kA).release(2, kA).unshare(2, kB);
    if (with_writer) trace.acquire(3, kB).release(3, kB);
    return trace;
  };
  EXPECT_EQ(readers(false).predict().findings.size(), 0U);
  const Prediction prediction = readers(true).predict();
  ASSERT_EQ(prediction.findings.size(), 1U);
  EXPECT_EQ(prediction.findings[0].verdict, Verdict::Possible);
  EXPECT_EQ(prediction.findings[0].reason.code, ReasonCode::ThirdWriterNeeded);
  ASSERT_EQ(prediction.findings[0].threads.size(), 3U);
  // The reader waits for the writer, the writer for the reader that holds the lock.
  for (const model::FindingThread& thread : prediction.findings[0].threads) {
    constexpr uint32_t kWaitsFor[] = {0, 3, 1, 2};
    EXPECT_EQ(thread.wants->owners,
              (std::vector{model::ThreadId{kWaitsFor[static_cast<uint32_t>(thread.id)]}}));
  }
}

TEST(Predict, ASharedGateIsNone) {
  TestTrace trace;
  trace.share(1, kGate).nested(1, kA, kB).unshare(1, kGate);
  trace.share(2, kGate).nested(2, kB, kA).unshare(2, kGate);
  EXPECT_EQ(proved(trace), 1U);
}

// Thread 0 keeps the gate until it has read what thread 2 wrote behind its section, and thread 1
// takes the gate first. The hold is in both modes, one after the other.
TestTrace gate_that_changes_its_mode(bool begins_shared, uint32_t variable) {
  TestTrace trace;
  begins_shared ? trace.share(kMain, kGate) : trace.acquire(kMain, kGate);
  trace.fork(kMain, 1).fork(kMain, 2).nested(2, kB, kA).write(2, 0);
  if (begins_shared) trace.exchange(kMain, kGate, model::Mode::Exclusive);
  trace.exchange(kMain, kGate, model::Mode::Shared).read(kMain, variable).unshare(kMain, kGate);
  return trace.acquire(1, kGate).release(1, kGate).nested(1, kA, kB);
}

TEST(Predict, NobodyComesBetweenTheModesOfOneHold) {
  for (const bool begins_shared : {false, true}) {
    EXPECT_EQ(why_not(gate_that_changes_its_mode(begins_shared, 0)), ReasonCode::OrderedByMemory);
    EXPECT_EQ(proved(gate_that_changes_its_mode(begins_shared, 1)), 1U);
  }
}

TEST(Predict, AHoldThatBecameExclusiveIsWaitedFor) {
  const auto crossed = [](bool becomes_exclusive) {
    TestTrace trace;
    trace.share(1, kA);
    if (becomes_exclusive) trace.exchange(1, kA, model::Mode::Exclusive);
    trace.acquire(1, kB).release(1, kB).release(1, kA);
    trace.acquire(2, kB).share(2, kA).unshare(2, kA).release(2, kB);
    return trace;
  };
  EXPECT_EQ(proved(crossed(true)), 1U);
  EXPECT_EQ(proved(crossed(false)), 0U);
}

TEST(Predict, ATryDoesNotWait) {
  TestTrace trace;
  trace.acquire(1, kA).add(1, Op::Acquire, kB, 2, model::Mode::Exclusive, true);
  trace.release(1, kB).release(1, kA).nested(2, kB, kA);
  EXPECT_EQ(trace.predict().findings.size(), 0U);
}

TEST(Predict, AJoinIsARequest) {
  // Main holds A and joins 1, which wants B; 2 holds B and wants A.
  TestTrace trace;
  trace.fork(kMain, 1).fork(kMain, 2);
  trace.nested(2, kB, kA).acquire(1, kB).release(1, kB);
  trace.acquire(kMain, kA).join(kMain, 1).release(kMain, kA);
  const Prediction prediction = trace.predict();
  ASSERT_EQ(count(prediction, Verdict::Proved), 1U);
  EXPECT_EQ(prediction.findings[0].threads.size(), 3U);
  EXPECT_EQ(prediction.findings[0].kind, model::FindingKind::Join);

  TestTrace joined_free;
  joined_free.fork(kMain, 1).fork(kMain, 2);
  joined_free.nested(2, kB, kA).acquire(1, kB).release(1, kB);
  joined_free.acquire(kMain, kA).release(kMain, kA).join(kMain, 1);
  EXPECT_EQ(proved(joined_free), 0U);
}

TEST(Predict, AJoinThatWouldHaveGivenUpIsNone) {
  TestTrace trace;
  trace.fork(kMain, 1).acquire(1, kA).release(1, kA).acquire(kMain, kA);
  trace.add(kMain, Op::Join, 1, 7, model::Mode::Exclusive, true).release(kMain, kA);
  EXPECT_EQ(trace.predict().findings.size(), 0U);
  // It comes after the other's end all the same, also where another join waits.
  trace.fork(kMain, 2).acquire(2, kB).release(2, kB).acquire(kMain, kB).join(kMain, 2);
  const Prediction prediction = trace.predict();
  ASSERT_EQ(count(prediction, Verdict::Proved), 1U);
  EXPECT_NE(prediction.findings[0].threads[0].wants->site, 7U);
  EXPECT_NE(prediction.findings[0].threads[1].wants->site, 7U);
}

TEST(Predict, AChildThatWantsWhatItsJoinerHolds) {
  TestTrace trace;
  trace.fork(kMain, 1).acquire(1, kA).release(1, kA);
  trace.acquire(kMain, kA).join(kMain, 1).release(kMain, kA);
  EXPECT_EQ(proved(trace), 1U);
  // Created inside of the section, it would have hung every time; it took the lock before: never.
  TestTrace before;
  before.fork(kMain, 1).acquire(1, kA).release(1, kA).write(1, 0);
  before.read(kMain, 0).acquire(kMain, kA).join(kMain, 1).release(kMain, kA);
  EXPECT_EQ(proved(before), 0U);
}

TEST(Predict, AThreadIsNotJoinedBeforeItIsCreated) {
  // Main comes to its second join only through thread 2, which thread 1 creates after its section.
  TestTrace trace;
  trace.fork(kMain, 1).acquire(1, kA).release(1, kA).fork(1, 2);
  trace.acquire(kMain, kA).join(kMain, 2).join(kMain, 1).release(kMain, kA);
  const Prediction prediction = trace.predict();
  for (const model::Finding& finding : prediction.findings) {
    if (finding.verdict != Verdict::Proved) continue;
    for (const model::FindingThread& thread : finding.threads)
      EXPECT_NE(thread.wants->site, 7U) << "the join of thread 1";
  }
}

TEST(Predict, TheDeadlockInWhichTheTraceEnds) {
  TestTrace trace;
  trace.acquire(1, kA).acquire(2, kB).add(1, Op::Request, kB).add(2, Op::Request, kA);
  EXPECT_EQ(proved(trace), 1U);
}

TEST(Predict, OnlyTheLastRoundIsFree) {
  TestTrace trace;
  for (uint32_t round = 0; round < 50; ++round) {
    trace.add(1, Op::Acquire, kA, 1).add(1, Op::Acquire, kB, 2);
    trace.release(1, kB).release(1, kA).write(1, 0).read(2, 0);
  }
  trace.nested(2, kB, kA);
  EXPECT_EQ(why_not(trace), ReasonCode::OrderedByMemory);
  trace.add(1, Op::Acquire, kA, 1).add(1, Op::Acquire, kB, 2).release(1, kB).release(1, kA);
  EXPECT_EQ(proved(trace), 1U);
}

TEST(Predict, ASecondPlaceIsASecondDeadlock) {
  TestTrace trace;
  for (const uint32_t site : {11U, 12U}) {
    trace.add(1, Op::Acquire, kA, 10).add(1, Op::Acquire, kB, site);
    trace.release(1, kB).release(1, kA);
  }
  trace.nested(2, kB, kA);
  EXPECT_EQ(proved(trace), 2U);
}

TEST(Predict, TellsTheSameCircleOfOtherThreadsOnce) {
  TestTrace trace;
  for (uint32_t id = 1; id <= 6; ++id) {
    const bool left = id % 2 == 0;
    trace.add(id, Op::Acquire, left ? kA : kB, left ? 1 : 3);
    trace.add(id, Op::Acquire, left ? kB : kA, left ? 2 : 4);
    trace.release(id, left ? kB : kA).release(id, left ? kA : kB);
  }
  const Prediction prediction = trace.predict();
  ASSERT_EQ(prediction.findings.size(), 1U);
  EXPECT_EQ(prediction.findings[0].similar, 8U);
}

TEST(Predict, DisjointCirclesAreAllFound) {
  TestTrace trace;
  for (uint32_t i = 0; i < 30; ++i)
    trace.nested(2 * i, 2 * i, 2 * i + 1).nested(2 * i + 1, 2 * i + 1, 2 * i);
  EXPECT_EQ(proved(trace), 30U);
}

TEST(Predict, ThreadsCreatedUnderOtherNamesAreOrderedAllTheSame) {
  // Main creates 7 and acts after joining it; thread 1, which nobody created, is that thread.
  TestTrace trace;
  trace.fork(kMain, 7).nested(1, kA, kB).join(kMain, 7).nested(kMain, kB, kA);
  EXPECT_EQ(why_not(trace), ReasonCode::OrderedByJoin);
  // The same where main is not the thread of the smallest number.
  TestTrace other;
  other.fork(2, 7).nested(0, kA, kB).join(2, 7).nested(2, kB, kA);
  EXPECT_EQ(why_not(other), ReasonCode::OrderedByJoin);
}

TEST(Predict, BoundsAreSaidNotHidden) {
  // Twelve threads that take twelve locks in every order of two: more circles than allowed.
  TestTrace trace;
  for (uint32_t id = 0; id < 12; ++id)
    for (uint32_t a = 0; a < 12; ++a)
      for (uint32_t b = 0; b < 12; ++b)
        if (a != b) trace.nested(id, a, b);
  const Prediction prediction =
      trace.predict({.complete_memory = true, .swaps = true, .max_pattern_work = 10'000});
  EXPECT_TRUE(prediction.patterns_cut);
  EXPECT_GT(count(prediction, Verdict::Proved), 0U);
}

TEST(Predict, ALongCircleTakesNoMoreWorkThanAllowed) {
  const TestTrace ring = philosophers(300, 1);
  const Candidates candidates = ring.candidates();
  TraceIndex index(candidates, ring.size());
  index.add(ring.events());
  index.finish();
  constexpr uint64_t kMaxWork = 10'000;
  PatternSearch patterns(index, kMaxWork);
  patterns.run([](const PatternSearch::Pattern&) { return true; });
  EXPECT_TRUE(patterns.was_cut());
  EXPECT_LT(patterns.work(), kMaxWork + 10);
}

TEST(Predict, WithoutMemoryForAllTheTraceItsBeginningIsLookedAt) {
  TestTrace trace;
  trace.nested(1, kA, kB).nested(2, kB, kA);
  for (int i = 0; i < 100; ++i) {
    trace.add(1, Op::Acquire, kA, 1).add(1, Op::Acquire, kB, 2);
    trace.add(1, Op::Release, kB, 3).add(1, Op::Release, kA, 4);
  }
  trace.nested(1, kGate, kGate + 1).nested(2, kGate + 1, kGate);
  EXPECT_FALSE(trace.predict().trace_cut);
  EXPECT_EQ(proved(trace), 2U);

  const Prediction prediction = trace.predict({.complete_memory = true}, {.bytes = 1000});
  EXPECT_TRUE(prediction.trace_cut);
  EXPECT_EQ(count(prediction, Verdict::Proved), 1U);
}

TEST(Predict, EventsThatTurnOutTooManyAreNotKept) {
  TestTrace trace;
  trace.nested(1, kA, kB).nested(2, kB, kA);
  const Candidates candidates = trace.candidates();
  model::TraceSize size = trace.size();
  size.events = 1;  // the others were not seen by the first pass
  for (const uint64_t kept_events : {uint64_t{7}, uint64_t{8}}) {
    TraceIndex index(candidates, size, {.kept_events = kept_events});
    index.add(trace.events());
    index.finish();
    EXPECT_EQ(index.keeps_events(), kept_events == 8);
    EXPECT_EQ(index.events().capacity() > 0, kept_events == 8);
    const Prediction prediction = predict(index, candidates, size, {.complete_memory = true});
    ASSERT_EQ(count(prediction, Verdict::Proved), 1U);
    EXPECT_EQ(prediction.findings[0].witness->replayed, kept_events == 8);
  }
}

// Two orders of A and B, and whatever `add` does with the gate.
template <typename Add>
bool gate_matters(const Add& add) {
  TestTrace trace;
  trace.nested(1, kA, kB).nested(2, kB, kA).nested(1, kGate, kGate + 1);
  trace.acquire(2, kGate).release(2, kGate);
  add(trace);
  const Candidates candidates = trace.candidates();
  EXPECT_NE(candidates.matters[kA], 0);
  EXPECT_NE(candidates.matters[kB], 0);
  EXPECT_EQ(candidates.matters[kGate + 1], 0);  // of one thread
  return candidates.matters[kGate] != 0;
}

TEST(Predict, OnlyLocksInWhoseSectionsAThreadMayStopMatter) {
  EXPECT_FALSE(gate_matters([](TestTrace&) {}));
  // Inside of a section of A it keeps nobody waiting all the same.
  EXPECT_FALSE(gate_matters([](TestTrace& trace) { trace.nested(1, kA, kGate); }));
  EXPECT_TRUE(gate_matters([](TestTrace& trace) { trace.nested(1, kGate, kA); }));
  EXPECT_TRUE(gate_matters([](TestTrace& trace) {
    trace.acquire(1, kGate).add(1, Op::Acquire, kB, 0, model::Mode::Exclusive, true);
    trace.release(1, kB).release(1, kGate);
  }));
  EXPECT_TRUE(gate_matters([](TestTrace& trace) {
    trace.acquire(1, kGate).add(1, Op::Wait, kGate + 2).release(1, kGate);
  }));
  EXPECT_TRUE(gate_matters([](TestTrace& trace) { trace.read(1, 0); }));
  EXPECT_TRUE(gate_matters([](TestTrace& trace) {
    trace.acquire(1, kGate).add(1, Op::Join, 3, 0, model::Mode::Exclusive, true).release(1, kGate);
  }));
  // Around a lock that only one thread uses, around A.
  EXPECT_TRUE(gate_matters([](TestTrace& trace) {
    trace.acquire(1, kGate).acquire(1, kGate + 1).nested(1, kA, kB);
    trace.release(1, kGate + 1).release(1, kGate);
  }));
  // Let go of in another order than taken, the gate last.
  EXPECT_TRUE(gate_matters([](TestTrace& trace) {
    trace.acquire(1, kGate + 1).add(1, Op::Wait, kGate + 2).acquire(1, kGate);
    trace.release(1, kGate + 1).add(1, Op::Wait, kGate + 2).release(1, kGate);
  }));
}

TEST(Predict, WhereTheFirstPassDoesNotSeeAllOrdersEverySharedLockMatters) {
  TestTrace trace;
  trace.nested(1, kA, kB).nested(2, kB, kA).acquire(1, kGate).release(1, kGate);
  trace.acquire(2, kGate).release(2, kGate);
  model::TraceSize size = trace.size();
  for (const bool has_other_orders : {false, true}) {
    size.has_other_orders = has_other_orders;
    LockOrderScan scan;
    scan.add(trace.events());
    EXPECT_EQ(scan.finish(size).matters[kGate] != 0, has_other_orders);
  }
}

TEST(Predict, SaysThatLocksWereNestedInMoreWaysThanFit) {
  TestTrace trace;
  trace.nested(1, kA, kB).nested(1, kA, kGate).acquire(2, kA).release(2, kA);
  trace.nested(2, kB, kA).acquire(2, kGate).release(2, kGate);
  for (const size_t max_orders : {2U, 3U, 4U}) {
    LockOrderScan scan(max_orders);
    scan.add(trace.events());
    const Candidates candidates = scan.finish(trace.size());
    EXPECT_EQ(candidates.orders_cut, max_orders == 2);
    EXPECT_EQ(candidates.any(), max_orders > 2);
    // Where not all is known about its sections, a lock counts.
    EXPECT_EQ(candidates.matters[kGate] != 0, max_orders == 2);
  }
}

TEST(Predict, ASectionAroundATriedJoinKeepsOthersWaiting) {
  const auto joined = [](bool inside) {
    TestTrace trace;
    trace.acquire(kMain, kGate).fork(kMain, 1).fork(kMain, 2).nested(2, kB, kA);
    if (inside) trace.add(kMain, Op::Join, 2, 0, model::Mode::Exclusive, true);
    trace.release(kMain, kGate);
    return trace.acquire(1, kGate).release(1, kGate).nested(1, kA, kB);
  };
  EXPECT_EQ(why_not(joined(true)), ReasonCode::OrderedByJoin);
  EXPECT_EQ(proved(joined(false)), 1U);
}

TEST(Replay, RefusesWhatBreaksARule) {
  TestTrace trace;
  trace.acquire(1, kA).write(1, 0).release(1, kA).acquire(2, kA).read(2, 0).release(2, kA);
  Replay replay(trace.events(), trace.size(), true);
  const std::vector<uint32_t> recorded = {0, 1, 2, 3, 4, 5};
  const std::vector<uint32_t> two_holders = {0, 3};
  const std::vector<uint32_t> swapped = {3, 4};
  const std::vector<uint32_t> skipped = {0, 2};
  EXPECT_EQ(replay.check(recorded, {}), "");
  EXPECT_EQ(replay.check(two_holders, {}), "a held lock is acquired");
  EXPECT_EQ(replay.check(swapped, {}), "a read sees another write");
  EXPECT_EQ(replay.check(skipped, {}), "the order of a thread is not kept");
  const std::vector<Stop> stops = {{.thread = 1, .event = 2}, {.thread = 2, .event = 3}};
  EXPECT_EQ(replay.check(recorded, stops), "a thread does not come to its request");
}

TEST(Replay, ExchangesOnlyAHoldThatIsTheOnlyOne) {
  TestTrace trace;
  trace.share(1, kA).exchange(1, kA, model::Mode::Exclusive);
  trace.exchange(1, kA, model::Mode::Shared).share(2, kA);
  Replay replay(trace.events(), trace.size(), true);
  const std::vector<uint32_t> recorded = {0, 1, 2, 3};
  const std::vector<uint32_t> before = {0, 3, 1};
  const std::vector<uint32_t> between = {0, 1, 3};
  EXPECT_EQ(replay.check(recorded, {}), "");
  EXPECT_EQ(replay.check(before, {}), "a hold is exchanged that is not the only one");
  EXPECT_EQ(replay.check(between, {}), "a held lock is acquired");
}

}  // namespace
}  // namespace gordian::analysis
