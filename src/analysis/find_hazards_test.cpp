// SPDX-License-Identifier: Apache-2.0
#include "analysis/find_hazards.h"

#include "analysis/test_history.h"

#include <algorithm>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <set>
#include <string>

namespace gordian::analysis {
namespace {

using model::Finding;
using model::FindingKind;
using model::Mode;
using model::Publication;
using model::ReasonCode;
using model::ResourceId;
using model::ResourceKind;
using model::ThreadId;
using model::Verdict;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr uint32_t kWholeLife = 0xffffffff;

std::vector<Finding> hazards(const TestHistory& it) { return find_hazards(it.history).findings; }

// Why nothing is found: the one refuted pattern's reason; None if there is no pattern, or a hazard.
ReasonCode refuted(const TestHistory& it) {
  EXPECT_THAT(hazards(it), IsEmpty());
  const auto findings = find_hazards(it.history, {.refuted = true}).findings;
  if (findings.size() != 1 || findings[0].verdict != Verdict::Refuted) return ReasonCode::None;
  return findings[0].reason.code;
}

std::vector<ThreadId> threads(const Finding& finding) {
  std::vector<ThreadId> ids;
  for (const model::FindingThread& thread : finding.threads) ids.push_back(thread.id);
  return ids;
}

struct CrossedOrders : TestHistory {
  ThreadId left = thread(), right = thread();
  ResourceId a = resource(), b = resource();
  CrossedOrders() {
    chain(left, {a}, b);
    chain(right, {b}, a);
  }
};

TEST(FindHazards, TwoOrdersByTwoThreadsAreAHazard) {
  CrossedOrders it;
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  const Finding& finding = findings[0];
  EXPECT_EQ(finding.verdict, Verdict::Possible);
  EXPECT_EQ(finding.kind, FindingKind::LockOrder);
  EXPECT_EQ(finding.reason.code, ReasonCode::MemoryNotRecorded);
  EXPECT_FALSE(finding.rank_last);
  ASSERT_THAT(threads(finding), ElementsAre(it.left, it.right));
  EXPECT_THAT(finding.threads[0].holds, SizeIs(1));
  EXPECT_EQ(finding.threads[0].holds[0].resource, it.a);
  EXPECT_EQ(finding.threads[0].wants->resource, it.b);
  EXPECT_THAT(finding.threads[0].wants->owners, ElementsAre(it.right));
  EXPECT_THAT(finding.resources, SizeIs(2));
  EXPECT_THAT(finding.processes, SizeIs(1));
}

TEST(FindHazards, OneOrderIsNone) {
  TestHistory it;
  const auto locks = it.resources(4);
  for (size_t i = 0; i < 4; ++i) it.chain(it.thread(), {locks[i / 2]}, locks[i / 2 + 1 + i % 2]);
  EXPECT_EQ(refuted(it), ReasonCode::None);
}

TEST(FindHazards, PhilosophersAreOneCycle) {
  for (const size_t count : {2U, 3U, 5U, 40U}) {
    TestHistory it;
    const auto forks = it.resources(count);
    for (size_t i = 0; i < count; ++i) it.chain(it.thread(), {forks[i]}, forks[(i + 1) % count]);
    const auto findings = hazards(it);
    ASSERT_THAT(findings, SizeIs(1));
    EXPECT_THAT(findings[0].threads, SizeIs(count));
  }
}

TEST(FindHazards, PhilosophersOfOneClassAreOneBugHoweverMany) {
  TestHistory it;
  const auto forks = it.resources(6);
  for (const ResourceId fork : forks) it.of(fork).birth_site = 0x42;
  for (size_t i = 0; i < 6; ++i) {
    it.chain(it.thread(), {forks[i]}, forks[(i + 1) % 6], 7).held[0].site = 9;
    it.chain(it.thread(), {forks[(i + 1) % 6]}, forks[i], 7).held[0].site = 9;
  }
  EXPECT_THAT(hazards(it), SizeIs(1));
}

TEST(FindHazards, PhilosophersInGlobalOrderAreClean) {
  TestHistory it;
  const auto forks = it.resources(5);
  for (size_t i = 0; i < 4; ++i) it.chain(it.thread(), {forks[i]}, forks[i + 1]);
  it.chain(it.thread(), {forks[0]}, forks[4]);
  EXPECT_EQ(refuted(it), ReasonCode::None);
}

TEST(FindHazards, SeparateCyclesAreSeparateFindings) {
  TestHistory it;
  for (int i = 0; i < 5; ++i) {
    const ResourceId a = it.resource(), b = it.resource();
    it.chain(it.thread(), {a}, b);
    it.chain(it.thread(), {b}, a);
  }
  EXPECT_THAT(hazards(it), SizeIs(5));
}

TEST(FindHazards, EachPlaceInTheProgramIsToldOnce) {
  TestHistory it;
  const ResourceId a = it.resource(), b = it.resource();
  for (int i = 0; i < 10; ++i) {
    it.chain(it.thread(), {a}, b, 0x10);
    it.chain(it.thread(), {b}, a, 0x20 + static_cast<uint64_t>(i % 2) * 0x10);
  }
  EXPECT_THAT(hazards(it), SizeIs(2));
}

TEST(FindHazards, OneThreadInBothOrdersIsRefuted) {
  TestHistory it;
  const ResourceId a = it.resource(), b = it.resource();
  it.chain(it.main(), {a}, b);
  it.chain(it.main(), {b}, a);
  EXPECT_EQ(refuted(it), ReasonCode::SameThread);
}

TEST(FindHazards, HandOverHandIsClean) {
  TestHistory it;
  const auto nodes = it.resources(3);
  for (int i = 0; i < 2; ++i) {
    const ThreadId thread = it.thread();
    it.chain(thread, {nodes[0]}, nodes[1]);
    it.chain(thread, {nodes[1]}, nodes[2]);
  }
  EXPECT_EQ(refuted(it), ReasonCode::None);
}

TEST(FindHazards, AGateOnBothSidesRefutes) {
  TestHistory it;
  const ResourceId gate = it.resource(), a = it.resource(), b = it.resource();
  it.chain(it.thread(), {gate, a}, b);
  it.chain(it.thread(), {gate, b}, a);
  EXPECT_EQ(refuted(it), ReasonCode::GateLock);
  EXPECT_EQ(find_hazards(it.history, {.refuted = true}).findings[0].reason.resource, gate);
}

TEST(FindHazards, AGateOnOneSideDoesNot) {
  TestHistory it;
  const ResourceId gate = it.resource(), a = it.resource(), b = it.resource();
  it.chain(it.thread(), {gate, a}, b);
  it.chain(it.thread(), {b}, a);
  EXPECT_THAT(hazards(it), SizeIs(1));
}

TEST(FindHazards, ASharedGateIsNoneUnlessOneSideWrites) {
  TestHistory it;
  const ResourceId gate = it.resource(ResourceKind::RwLock), a = it.resource(), b = it.resource();
  it.chain(it.thread(), {gate, a}, b).held[0].mode = Mode::Shared;
  it.chain(it.thread(), {gate, b}, a).held[0].mode = Mode::Shared;
  EXPECT_THAT(hazards(it), SizeIs(1));
  it.history.chains[1].held[0].mode = Mode::Exclusive;
  EXPECT_EQ(refuted(it), ReasonCode::GateLock);
}

TEST(FindHazards, AnUngatedThreadMakesAGatedPatternPossible) {
  TestHistory it;
  const ResourceId gate = it.resource(), a = it.resource(), b = it.resource();
  it.chain(it.thread(), {gate, a}, b, 0x10);
  it.chain(it.thread(), {gate, b}, a, 0x20);
  it.history.chains[0].site = it.history.chains[1].site = 0x10;
  const ThreadId free = it.thread();
  it.chain(free, {b}, a).site = 0x10;
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(threads(findings[0]), testing::Contains(free));
}

TEST(FindHazards, AThreadStartedLaterIsOrdered) {
  TestHistory it;
  const ThreadId child = it.thread();
  const ResourceId a = it.resource(), b = it.resource();
  it.chain(it.main(), {a}, b);
  it.before(it.main(), 1, child, 0);
  it.chain(child, {b}, a);
  EXPECT_EQ(refuted(it), ReasonCode::OrderedByFork);
}

TEST(FindHazards, MainInParallelWithItsChildIsNotOrdered) {
  TestHistory it;
  const ThreadId child = it.thread();
  const ResourceId a = it.resource(), b = it.resource();
  it.before(it.main(), 1, child, 0);
  it.chain(child, {b}, a);
  it.segment = 2;
  it.chain(it.main(), {a}, b);
  EXPECT_THAT(hazards(it), SizeIs(1));
}

TEST(FindHazards, JoinThenStartIsOrdered) {
  TestHistory it;
  const ThreadId first = it.thread(), second = it.thread();
  const ResourceId a = it.resource(), b = it.resource();
  it.before(it.main(), 1, first, 0);
  it.chain(first, {a}, b);
  it.before(first, kWholeLife, it.main(), 2);
  it.before(it.main(), 2, second, 0);
  it.chain(second, {b}, a);
  EXPECT_EQ(refuted(it), ReasonCode::OrderedByJoin);
}

TEST(FindHazards, SignalsAndBarriersOrder) {
  for (const auto& [kind, reason] :
       {std::pair(ResourceKind::Semaphore, ReasonCode::OrderedBySignal),
        std::pair(ResourceKind::Condition, ReasonCode::OrderedBySignal),
        std::pair(ResourceKind::Barrier, ReasonCode::OrderedByBarrier)}) {
    TestHistory it;
    const ThreadId left = it.thread(), right = it.thread();
    const ResourceId a = it.resource(), b = it.resource();
    it.chain(left, {a}, b);
    it.before(left, 1, right, 3, kind);
    it.segment = 3;
    it.chain(right, {b}, a);
    EXPECT_EQ(refuted(it), reason);
    it.history.chains[1].segment = 2;  // before it was woken
    EXPECT_THAT(hazards(it), SizeIs(1));
  }
}

TEST(FindHazards, OnlyTheLastOfManyInstancesIsEnough) {
  TestHistory it;
  const ResourceId a = it.resource(), b = it.resource();
  const ThreadId late = it.thread();
  for (int i = 0; i < 100; ++i) {
    const ThreadId early = it.thread();
    it.chain(early, {a}, b);
    if (i < 99) it.before(early, kWholeLife, late, 1);
  }
  it.chain(late, {b}, a);
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(threads(findings[0]), testing::Contains(static_cast<ThreadId>(101)));
}

TEST(FindHazards, ATryOrTimedRequestCannotBlockButItHolds) {
  CrossedOrders it;
  it.history.chains[0].by_try = true;
  EXPECT_EQ(refuted(it), ReasonCode::TryOrTimed);
  it.history.chains[0].by_try = false;
  it.history.chains[1].timed = true;
  EXPECT_EQ(refuted(it), ReasonCode::TryOrTimed);

  CrossedOrders held;
  held.history.chains[0].held[0].by_try = true;
  EXPECT_THAT(hazards(held), SizeIs(1));
}

TEST(FindHazards, ScopedLockBacksOffAndIsClean) {
  // std::lock waits for one of them with nothing held and tries the other.
  TestHistory it;
  const ResourceId a = it.resource(), b = it.resource();
  it.chain(it.thread(), {a}, b).by_try = true;
  it.chain(it.thread(), {b}, a).by_try = true;
  EXPECT_EQ(refuted(it), ReasonCode::TryOrTimed);
}

TEST(FindHazards, ReadersAndWriters) {
  const auto pattern = [](Mode hold1, Mode want1, Mode hold2, Mode want2) {
    TestHistory it;
    const ResourceId a = it.resource(ResourceKind::RwLock), b = it.resource(ResourceKind::RwLock);
    it.chain(it.thread(), {a}, b).held[0].mode = hold1;
    it.history.chains[0].mode = want1;
    it.chain(it.thread(), {b}, a).held[0].mode = hold2;
    it.history.chains[1].mode = want2;
    return it;
  };
  constexpr Mode kRead = Mode::Shared, kWrite = Mode::Exclusive;
  EXPECT_THAT(hazards(pattern(kWrite, kWrite, kWrite, kWrite)), SizeIs(1));
  EXPECT_THAT(hazards(pattern(kRead, kWrite, kRead, kWrite)), SizeIs(1));
  EXPECT_EQ(hazards(pattern(kRead, kWrite, kRead, kWrite))[0].kind, FindingKind::RwLock);
  EXPECT_THAT(hazards(pattern(kWrite, kRead, kWrite, kRead)), SizeIs(1));
  EXPECT_EQ(refuted(pattern(kRead, kRead, kRead, kRead)), ReasonCode::ReadersOnly);
  EXPECT_EQ(refuted(pattern(kRead, kRead, kRead, kWrite)), ReasonCode::ReadersOnly);

  TestHistory it = pattern(kRead, kRead, kRead, kRead);
  it.of(ResourceId{0}).prefers_writers = it.of(ResourceId{1}).prefers_writers = true;
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].reason.code, ReasonCode::ThirdWriterNeeded);
}

TEST(FindHazards, ReadingTwiceNeedsAWriterInBetween) {
  TestHistory it;
  const ResourceId a = it.resource(ResourceKind::RwLock);
  it.chain(it.main(), {a}, a).mode = Mode::Shared;
  it.history.chains[0].held[0].mode = Mode::Shared;
  EXPECT_THAT(hazards(it), IsEmpty());
  it.of(a).prefers_writers = true;
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::RwLock);
  EXPECT_EQ(findings[0].reason.code, ReasonCode::ThirdWriterNeeded);
}

TEST(FindHazards, JoiningUnderALockTheThreadTakes) {
  TestHistory it;
  const ThreadId child = it.thread();
  const ResourceId a = it.resource();
  it.before(it.main(), 1, child, 0);
  it.chain(child, {}, a);
  it.segment = 2;
  it.join(it.main(), {a}, child);
  it.before(child, kWholeLife, it.main(), 3);
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::Join);
  EXPECT_EQ(findings[0].reason.code, ReasonCode::MemoryNotRecorded);
  EXPECT_THAT(threads(findings[0]), testing::UnorderedElementsAre(it.main(), child));
}

// With nothing else held its request was not worth a record: it shows in the next one.
TEST(FindHazards, JoiningUnderALockTheThreadHeldWhenItAskedForMore) {
  TestHistory it;
  const ThreadId child = it.thread();
  const ResourceId a = it.resource(), b = it.resource();
  it.before(it.main(), 1, child, 0);
  it.chain(child, {a}, b);
  it.segment = 2;
  it.join(it.main(), {a}, child);
  it.before(child, kWholeLife, it.main(), 3);
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::Join);
  EXPECT_THAT(threads(findings[0]), testing::UnorderedElementsAre(it.main(), child));
  ASSERT_TRUE(findings[0].threads[0].wants);
  ASSERT_TRUE(findings[0].threads[1].wants);
  EXPECT_TRUE(findings[0].threads[0].wants->resource == a ||
              findings[0].threads[1].wants->resource == a);
}

TEST(FindHazards, JoiningUnderALockTheThreadOnlyTriesIsClean) {
  TestHistory it;
  const ThreadId child = it.thread();
  const ResourceId a = it.resource();
  it.chain(child, {}, a).by_try = true;
  it.join(it.main(), {a}, child);
  EXPECT_EQ(refuted(it), ReasonCode::TryOrTimed);
}

TEST(FindHazards, AThirdThreadMayCloseTheCycleOfAJoin) {
  TestHistory it;
  const ThreadId joined = it.thread(), other = it.thread();
  const ResourceId a = it.resource(), b = it.resource();
  it.join(it.main(), {a}, joined);
  it.chain(joined, {}, b);
  it.chain(other, {b}, a);
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::Join);
  EXPECT_THAT(threads(findings[0]), testing::UnorderedElementsAre(it.main(), joined, other));
}

TEST(FindHazards, WhatASiblingTakesTheJoinedThreadMayTakeToo) {
  TestHistory it;
  const ThreadId early = it.thread(), joined = it.thread();
  const ResourceId a = it.resource();
  it.of(early).start_routine = it.of(joined).start_routine = 0x77;
  it.chain(early, {}, a);
  it.before(early, kWholeLife, it.main(), 2);  // says nothing about what its sibling does later
  it.segment = 2;
  it.join(it.main(), {a}, joined);
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].reason.code, ReasonCode::SiblingThread);
  EXPECT_EQ(findings[0].reason.thread, early);
  EXPECT_THAT(threads(findings[0]), testing::UnorderedElementsAre(it.main(), joined));

  EXPECT_THAT(find_hazards(it.history, {.trampolines = {0x77}}).findings, IsEmpty());
  it.of(early).create_site = it.of(joined).create_site = 0x78;
  EXPECT_THAT(find_hazards(it.history, {.trampolines = {0x77}}).findings, IsEmpty());
  it.of(early).start_routine = it.of(joined).start_routine = 0;
  EXPECT_THAT(hazards(it), SizeIs(1));
}

TEST(FindHazards, AThreadThatTookTheLockBeforeTheJoinWasPossibleIsOrdered) {
  TestHistory it;
  const ThreadId child = it.thread();
  const ResourceId a = it.resource();
  it.chain(child, {}, a);
  it.before(child, 1, it.main(), 2, ResourceKind::Semaphore);
  it.segment = 2;
  it.join(it.main(), {a}, child);
  EXPECT_EQ(refuted(it), ReasonCode::OrderedBySignal);
}

// Of two threads with one routine, one joins the other under a lock that only it was seen to take:
// that the joined one takes it too is a guess.
TEST(FindHazards, TheJoinerIsNoExampleOfWhatTheJoinedThreadTakes) {
  TestHistory it;
  const ThreadId joiner = it.thread(), joined = it.thread(), third = it.thread();
  for (const ThreadId thread : {joiner, joined, third}) it.of(thread).start_routine = 0x4000;
  const ResourceId a = it.resource();
  it.chain(joiner, {}, a);
  it.join(joiner, {a}, joined);
  EXPECT_THAT(hazards(it), IsEmpty());
  it.chain(third, {}, a);
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].reason.code, ReasonCode::SiblingThread);
}

TEST(FindHazards, JoiningAThreadThatJoinsMe) {
  TestHistory it;
  const ThreadId left = it.thread(), right = it.thread();
  it.join(left, {}, right);
  it.join(right, {}, left);
  EXPECT_THAT(hazards(it), SizeIs(1));
}

TEST(FindHazards, WaitingForASignalUnderALockTheSignallerTakes) {
  TestHistory it;
  const ThreadId waiter = it.thread(), signaller = it.thread();
  const ResourceId outer = it.resource(), mutex = it.resource();
  const ResourceId signal = it.resource(ResourceKind::Condition);
  model::Chain& wait = it.chain(waiter, {outer, mutex}, signal);
  wait.has_companion = true;
  wait.companion = mutex;  // released while waiting, so it is nothing the signaller lacks
  it.signal(signaller, signal, {mutex});
  EXPECT_EQ(refuted(it), ReasonCode::None);

  it.history.signals.clear();
  it.signal(signaller, signal, {outer, mutex});
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::Condition);
  EXPECT_THAT(threads(findings[0]), testing::UnorderedElementsAre(waiter, signaller));
  EXPECT_FALSE(findings[0].rank_last);

  it.signal(it.thread(), signal, {});  // another one needs no lock
  const auto weak = hazards(it);
  ASSERT_THAT(weak, SizeIs(1));
  EXPECT_TRUE(weak[0].rank_last);
  EXPECT_EQ(weak[0].reason.code, ReasonCode::WakerMayExist);
}

// Waits for a signal while holding `outer`, which the signaller holds with `mutex` when it signals,
// or does not.
struct WaitUnderALock : TestHistory {
  WaitUnderALock() {
    model::Chain& wait = chain(waiter, {outer, mutex}, signalled);
    wait.has_companion = true;
    wait.companion = mutex;
  }
  const ThreadId waiter = thread(), signaller = thread();
  const ResourceId outer = resource(), mutex = resource();
  const ResourceId signalled = resource(ResourceKind::Condition);
};

TEST(FindHazards, ALockASignallerTakesOnItsWayIsAWeakHazard) {
  WaitUnderALock it;
  it.chain(it.signaller, {}, it.outer);
  EXPECT_THAT(hazards(it), IsEmpty());
  it.signal(it.signaller, it.signalled, {it.mutex});
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::Condition);
  EXPECT_THAT(threads(findings[0]), testing::UnorderedElementsAre(it.waiter, it.signaller));
  EXPECT_TRUE(findings[0].rank_last);
}

TEST(FindHazards, ALockASignallerTakesAfterItsSignalIsNotOnItsWay) {
  WaitUnderALock it;
  it.signal(it.signaller, it.signalled, {it.mutex});
  it.chain(it.signaller, {}, it.outer);
  EXPECT_THAT(hazards(it), IsEmpty());
}

TEST(FindHazards, ALockASignallerTookInAnEarlierSectionIsNotOnItsWay) {
  WaitUnderALock it;
  it.chain(it.signaller, {}, it.outer);
  it.segment = 2;
  it.signal(it.signaller, it.signalled, {it.mutex});
  EXPECT_THAT(hazards(it), IsEmpty());
}

TEST(FindHazards, ALockTakenInAFunctionThatReturnedIsNotOnTheWayToASignal) {
  WaitUnderALock it;
  model::Chain& before = it.chain(it.signaller, {}, it.outer);
  before.call_frame = 0x1000;
  model::Signal& signal = it.signal(it.signaller, it.signalled, {it.mutex});
  signal.frame = 0x1800;  // of a function further out
  EXPECT_THAT(hazards(it), IsEmpty());
  signal.frame = 0x1000;
  EXPECT_THAT(hazards(it), SizeIs(1));
  signal.frame = 0x800;
  EXPECT_THAT(hazards(it), SizeIs(1));
}

// The way to wake a waiter that may hold the lock: first the signal, then the lock.
TEST(FindHazards, ASignallerThatSignalsWithoutTheLockTooIsWeak) {
  WaitUnderALock it;
  it.signal(it.signaller, it.signalled, {it.mutex}).site = 1;
  it.signal(it.signaller, it.signalled, {it.outer, it.mutex}).site = 1;
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_TRUE(findings[0].rank_last);
  EXPECT_EQ(findings[0].reason.code, ReasonCode::WakerMayExist);
}

TEST(FindHazards, TheLockASignallerNeedsMayBeHeldByAThird) {
  TestHistory it;
  const ThreadId waiter = it.thread(), signaller = it.thread(), third = it.thread();
  const ResourceId outer = it.resource(), mutex = it.resource();
  const ResourceId signal = it.resource(ResourceKind::Semaphore);
  it.history.resources[static_cast<size_t>(signal)].semaphore_like = true;
  it.chain(waiter, {outer}, signal);
  it.signal(signaller, signal, {mutex});
  it.chain(third, {mutex}, outer);
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::Semaphore);
  EXPECT_THAT(threads(findings[0]), testing::UnorderedElementsAre(waiter, signaller, third));
}

TEST(FindHazards, ASemaphoreUsedAsALockIsALock) {
  TestHistory it;
  const ThreadId left = it.thread(), right = it.thread();
  const ResourceId a = it.resource(), sem = it.resource(ResourceKind::Semaphore);
  it.chain(left, {a}, sem);
  it.chain(right, {sem}, a);
  it.signal(left, sem, {});
  it.signal(right, sem, {});
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::Semaphore);
  EXPECT_FALSE(findings[0].rank_last);
}

TEST(FindHazards, SemaphoresTakenAndGivenBackInOneOrderAreClean) {
  TestHistory it;
  const ThreadId left = it.thread(), right = it.thread();
  const ResourceId a = it.resource(ResourceKind::Semaphore);
  const ResourceId b = it.resource(ResourceKind::Semaphore);
  for (const ThreadId thread : {left, right}) {
    it.chain(thread, {a}, b);
    it.signal(thread, b, {a});
    it.signal(thread, a, {});
  }
  EXPECT_THAT(hazards(it), IsEmpty());
}

TEST(FindHazards, HandingASemaphoreOverAsALockOrdersNothing) {
  TestHistory it;
  const ThreadId left = it.thread(), right = it.thread();
  const ResourceId a = it.resource(ResourceKind::Semaphore);
  const ResourceId b = it.resource(ResourceKind::Semaphore);
  it.chain(left, {a}, b);
  it.before(left, 1, right, 2, ResourceKind::Semaphore);
  it.segment = 2;
  it.chain(right, {b}, a);
  for (const ThreadId thread : {left, right}) {
    it.signal(thread, a, {});
    it.signal(thread, b, {a});
  }
  const auto findings = hazards(it);
  ASSERT_THAT(findings, testing::Not(IsEmpty()));
  EXPECT_EQ(findings[0].kind, FindingKind::Semaphore);
  EXPECT_FALSE(findings[0].rank_last);
  EXPECT_THAT(threads(findings[0]), testing::UnorderedElementsAre(left, right));
}

TEST(FindHazards, ATokenTakenByOneAndGivenByAnotherIsWeak) {
  TestHistory it;
  const ThreadId left = it.thread(), right = it.thread(), giver = it.thread();
  const ResourceId a = it.resource(), sem = it.resource(ResourceKind::Semaphore);
  it.chain(left, {a}, sem);
  it.chain(right, {sem}, a);
  it.signal(giver, sem, {});
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_TRUE(findings[0].rank_last);
}

TEST(FindHazards, ABarrierUnderALockOthersTakeOnTheirWay) {
  TestHistory it;
  const ThreadId holder = it.thread(), other = it.thread();
  const ResourceId a = it.resource(), barrier = it.resource(ResourceKind::Barrier);
  it.chain(holder, {a}, barrier);
  it.chain(other, {}, a);
  EXPECT_THAT(hazards(it), IsEmpty());  // does not come to the barrier
  it.chain(other, {}, barrier);
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::Barrier);
}

TEST(FindHazards, TakingTheLockAfterTheBarrierIsOrdered) {
  TestHistory it;
  const ThreadId holder = it.thread(), other = it.thread();
  const ResourceId a = it.resource(), barrier = it.resource(ResourceKind::Barrier);
  it.chain(holder, {a}, barrier);
  it.before(holder, 1, other, 2, ResourceKind::Barrier);
  it.segment = 2;
  it.chain(other, {}, a);
  EXPECT_EQ(refuted(it), ReasonCode::OrderedByBarrier);
}

TEST(FindHazards, AnUnpublishedObjectIsRefutedAndAnUnseenBirthRanksLast) {
  CrossedOrders it;
  it.history.chains[0].held[0].publication = Publication::Unpublished;
  EXPECT_EQ(refuted(it), ReasonCode::Unpublished);
  it.history.chains[0].held[0].publication = Publication::CreationUnseen;
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].reason.code, ReasonCode::CreationUnseen);
  EXPECT_TRUE(findings[0].rank_last);
}

TEST(FindHazards, APairTheUserNamedIsNeverReported) {
  CrossedOrders it;
  it.history.never_report.emplace_back(it.b, it.a);
  EXPECT_EQ(refuted(it), ReasonCode::Annotated);
}

TEST(FindHazards, LocksHeldAtAThreadsEnd) {
  TestHistory it;
  const ThreadId first = it.thread(), second = it.thread();
  const ResourceId a = it.resource(), file = it.resource(ResourceKind::FileLock);
  for (const ThreadId thread : {first, second}) {
    it.of(thread).held_at_exit.resize(2);
    it.of(thread).held_at_exit[0].resource = a;
    it.of(thread).held_at_exit[1].resource = file;
  }
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::HeldAtExit);
  EXPECT_EQ(findings[0].verdict, Verdict::Possible);
  EXPECT_FALSE(findings[0].threads[0].wants.has_value());
}

TEST(FindHazards, ARobustMutexMayBeLeftHeld) {
  TestHistory it;
  const ThreadId thread = it.thread();
  const ResourceId a = it.resource();
  it.of(a).robust = true;
  it.of(thread).held_at_exit.resize(1);
  it.of(thread).held_at_exit[0].resource = a;
  EXPECT_THAT(hazards(it), SizeIs(0));
}

TEST(FindHazards, SharedLocksConnectProcesses) {
  TestHistory it;
  it.history.processes.emplace_back().id = model::ProcessId{1};
  const ThreadId other = it.thread();
  it.of(other).process = model::ProcessId{1};
  const ResourceId a = it.resource(), b = it.resource();
  it.chain(it.main(), {a}, b);
  it.chain(other, {b}, a);
  const auto findings = hazards(it);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(findings[0].processes, SizeIs(2));
}

TEST(FindHazards, SaysThatItWasCapped) {
  TestHistory it;
  const auto locks = it.resources(40);
  for (const ResourceId a : locks) {
    for (const ResourceId b : locks) {
      if (a != b) it.chain(it.thread(), {a}, b);
    }
  }
  const Hazards found = find_hazards(it.history, {.max_findings = 50});
  EXPECT_TRUE(found.capped);
  EXPECT_THAT(found.findings, SizeIs(50));
  EXPECT_FALSE(find_hazards(CrossedOrders().history).capped);
}

// The definition itself, over every sequence of chains: distinct threads, each wants what the next
// one holds, nothing is held twice, no two are ordered.
class Oracle {
 public:
  explicit Oracle(const model::History& history) : h_(history) {}

  // Sets of sites of all patterns.
  std::set<std::set<uint64_t>> patterns() {
    for (size_t i = 0; i < h_.chains.size(); ++i) extend({i});
    return found_;
  }

 private:
  static bool conflict(Mode a, Mode b) { return a == Mode::Exclusive || b == Mode::Exclusive; }
  [[nodiscard]] bool links(size_t a, size_t b) const {
    return std::any_of(h_.chains[b].held.begin(), h_.chains[b].held.end(), [&](auto& hold) {
      return hold.lock == h_.chains[a].wanted && conflict(hold.mode, h_.chains[a].mode);
    });
  }
  [[nodiscard]] bool fit(size_t a, size_t b) const {
    const model::Chain &one = h_.chains[a], &other = h_.chains[b];
    if (one.thread == other.thread || one.timed || other.timed) return false;
    for (const auto& edge : h_.order) {  // the random order has no chains of edges
      for (const auto& [x, y] : {std::pair(&one, &other), std::pair(&other, &one)}) {
        if (x->thread == edge.from && x->segment <= edge.from_segment && y->thread == edge.to &&
            y->segment >= edge.to_segment) {
          return false;
        }
      }
    }
    for (const auto& hold : one.held) {
      for (const auto& hold2 : other.held) {
        if (hold.lock == hold2.lock && conflict(hold.mode, hold2.mode)) return false;
      }
    }
    return true;
  }
  void extend(std::vector<size_t> path) {
    if (path.size() > 1 && links(path.back(), path[0])) {
      std::set<uint64_t> sites;
      std::set<ResourceId> wanted;
      for (const size_t i : path) {
        sites.insert(h_.chains[i].site);
        wanted.insert(h_.chains[i].wanted);
      }
      if (wanted.size() == path.size()) found_.insert(sites);
    }
    for (size_t i = 0; i < h_.chains.size(); ++i) {
      const bool fits = std::all_of(path.begin(), path.end(), [&](size_t j) { return fit(i, j); });
      if (!fits || !links(path.back(), i)) continue;
      path.push_back(i);
      extend(path);
      path.pop_back();
    }
  }

  const model::History& h_;
  std::set<std::set<uint64_t>> found_;
};

TEST(FindHazards, AgreesWithTheDefinitionOnRandomHistories) {
  size_t total = 0;
  for (unsigned seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto roll = [&](unsigned n) { return static_cast<uint32_t>(random() % n); };
    TestHistory it;
    const uint32_t threads = 2 + roll(3), locks = 2 + roll(3);
    while (it.history.threads.size() < threads) it.thread();
    for (uint32_t i = 0; i < locks; ++i) it.resource(ResourceKind::RwLock);
    for (uint32_t i = roll(9); i > 0; --i) {
      std::vector<ResourceId> order;
      for (uint32_t l = 0; l < locks; ++l) order.push_back(static_cast<ResourceId>(l));
      std::shuffle(order.begin(), order.end(), random);
      const uint32_t held = 1 + roll(std::min(2U, locks - 1));
      it.segment = 1 + roll(3);
      model::Chain& chain =
          it.chain(static_cast<ThreadId>(roll(threads)),
                   std::vector<ResourceId>(order.begin(), order.begin() + held), order[held]);
      chain.site = it.history.chains.size();  // each is a place of its own
      chain.timed = roll(8) == 0;
      chain.mode = roll(3) == 0 ? Mode::Shared : Mode::Exclusive;
      for (auto& hold : chain.held) hold.mode = roll(3) == 0 ? Mode::Shared : Mode::Exclusive;
    }
    const uint32_t from = roll(threads);
    for (uint32_t to = 0; to < threads; ++to) {
      if (to == from || roll(2) == 0) continue;
      it.before(static_cast<ThreadId>(from), 1 + roll(3), static_cast<ThreadId>(to), 1 + roll(3));
    }

    std::set<std::set<uint64_t>> sites;
    for (const Finding& finding : hazards(it)) {
      std::set<uint64_t> one;
      for (const auto& thread : finding.threads) one.insert(thread.wants->site);
      sites.insert(one);
    }
    const auto expected = Oracle(it.history).patterns();
    ASSERT_EQ(sites, expected);
    total += expected.size();
  }
  EXPECT_GT(total, 100U);
}

}  // namespace
}  // namespace gordian::analysis
