// SPDX-License-Identifier: Apache-2.0
#include "analysis/find_stuck.h"

#include "analysis/test_snapshot.h"

#include <algorithm>
#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

namespace gordian::analysis {
namespace {

using model::AssumptionCode;
using model::Finding;
using model::FindingKind;
using model::Mode;
using model::ReasonCode;
using model::ResourceId;
using model::ResourceKind;
using model::Role;
using model::ThreadId;
using model::Verdict;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

std::vector<ThreadId> with_role(const Finding& finding, Role role) {
  std::vector<ThreadId> ids;
  for (const model::FindingThread& thread : finding.threads) {
    if (thread.role == role) ids.push_back(thread.id);
  }
  return ids;
}
std::vector<ThreadId> knot(const Finding& finding) { return with_role(finding, Role::Knot); }
std::vector<ThreadId> victims(const Finding& finding) { return with_role(finding, Role::Victim); }

// Two threads in a lock-order deadlock, and what tests add to it.
struct Crossed : TestSnapshot {
  ThreadId left = thread(), right = thread();
  ResourceId a = resource(), b = resource();
  Crossed() { holds(left, a).wants(left, b).holds(right, b).wants(right, a); }
};

TEST(FindStuck, AnIdleProgramIsFine) {
  TestSnapshot it;
  const ThreadId worker = it.thread();
  it.thread();
  it.wants(worker, it.resource(ResourceKind::Condition));
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
  EXPECT_THAT(find_stuck_threads(it.snapshot), IsEmpty());
}

TEST(FindStuck, TwoThreadsInOppositeOrderAreADeadlock) {
  Crossed it;
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  const Finding& finding = findings[0];
  EXPECT_EQ(finding.verdict, Verdict::Deadlock);
  EXPECT_EQ(finding.kind, FindingKind::LockOrder);
  EXPECT_EQ(finding.reason.code, ReasonCode::None);
  EXPECT_THAT(knot(finding), ElementsAre(it.left, it.right));
  EXPECT_THAT(finding.threads[0].wants->owners, ElementsAre(it.right));
  EXPECT_EQ(finding.threads[0].wants->waited, std::chrono::hours(1));
  EXPECT_THAT(finding.assumptions, ElementsAre(AssumptionCode::OwnersRelease));
  EXPECT_THAT(finding.resources, SizeIs(2));
  EXPECT_THAT(finding.processes, SizeIs(1));
}

TEST(FindStuck, ADeadlockNeedsNoAge) {
  Crossed it;
  it.waited(it.left, milliseconds(0)).waited(it.right, milliseconds(0));
  EXPECT_THAT(find_stuck(it.snapshot), SizeIs(1));
}

TEST(FindStuck, AFreeHolderFreesEverybodyBehindIt) {
  TestSnapshot it;
  const ThreadId worker = it.thread(), first = it.thread(), second = it.thread();
  const ResourceId a = it.resource(), b = it.resource();
  it.holds(worker, a).holds(first, b).wants(first, a).wants(second, b);
  EXPECT_THAT(find_stuck_threads(it.snapshot), IsEmpty());
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
}

TEST(FindStuck, ATimedWaitIsNeverStuck) {
  Crossed it;
  it.of(it.left).wait->timed = true;
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
}

TEST(FindStuck, TheKnotIsInCycleOrderFromTheLongestWait) {
  TestSnapshot it;
  const ThreadId t0 = it.thread(), t1 = it.thread(), t2 = it.thread();
  const ResourceId a = it.resource(), b = it.resource(), c = it.resource();
  it.holds(t0, a).wants(t0, c).holds(t1, b).wants(t1, a).holds(t2, c).wants(t2, b);
  it.waited(t1, std::chrono::hours(2));
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(knot(findings[0]), ElementsAre(t1, t0, t2));
}

TEST(FindStuck, ThreadsQueuedBehindAKnotAreItsVictims) {
  Crossed it;
  const ThreadId queued = it.thread(), further = it.thread(), joiner = it.thread();
  const ResourceId c = it.resource();
  it.holds(queued, c).wants(queued, it.a).wants(further, c);
  it.wants(joiner, it.join_of(it.left));
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(knot(findings[0]), ElementsAre(it.left, it.right));
  EXPECT_THAT(victims(findings[0]), ElementsAre(queued, joiner, further));
}

TEST(FindStuck, TwoKnotsAreTwoFindings) {
  Crossed it;
  const ThreadId other = it.thread(), self = it.thread();
  const ResourceId c = it.resource();
  it.holds(self, c).wants(self, c).wants(other, c);
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(2));
  EXPECT_THAT(knot(findings[1]), ElementsAre(self));
  EXPECT_THAT(victims(findings[1]), ElementsAre(other));
}

TEST(FindStuck, AKnotBehindAKnotIsAKnotOfItsOwn) {
  Crossed it;
  const ThreadId third = it.thread(), fourth = it.thread();
  const ResourceId c = it.resource(), d = it.resource(ResourceKind::RwLock);
  // `third` needs `fourth` and `left`, which are both readers of d.
  it.reads(fourth, d).reads(it.left, d).holds(third, c).wants(third, d).wants(fourth, c);
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(2));
  EXPECT_THAT(knot(findings[0]), ElementsAre(it.left, it.right));
  EXPECT_THAT(knot(findings[1]), UnorderedElementsAre(third, fourth));
  EXPECT_EQ(findings[1].kind, FindingKind::RwLock);
}

TEST(FindStuck, ALockTakenAgainByItsOwnerIsASelfLockUnlessRecursive) {
  TestSnapshot it;
  const ThreadId thread = it.thread();
  const ResourceId a = it.resource();
  it.holds(thread, a).wants(thread, a);
  auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::SelfLock);
  EXPECT_EQ(findings[0].verdict, Verdict::Deadlock);
  it.of(a).recursive = true;
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
}

TEST(FindStuck, AReaderWhoWantsToWriteBlocksItself) {
  TestSnapshot it;
  const ThreadId thread = it.thread();
  const ResourceId a = it.resource(ResourceKind::RwLock);
  it.reads(thread, a).wants(thread, a);
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::SelfLock);
}

TEST(FindStuck, AWriterNeedsAllReaders) {
  TestSnapshot it;
  const ThreadId writer = it.thread(), stuck = it.thread(), free = it.thread();
  const ResourceId a = it.resource(ResourceKind::RwLock), b = it.resource();
  it.reads(stuck, a).reads(free, a).holds(writer, b).wants(writer, a).wants(stuck, b);
  auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(knot(findings[0]), UnorderedElementsAre(writer, stuck));
  EXPECT_EQ(findings[0].kind, FindingKind::RwLock);
}

TEST(FindStuck, ReadersDoNotBlockReaders) {
  TestSnapshot it;
  const ThreadId left = it.thread(), right = it.thread();
  const ResourceId a = it.resource(ResourceKind::RwLock), b = it.resource(ResourceKind::RwLock);
  it.reads(left, a).wants_to_read(left, b).reads(right, b).wants_to_read(right, a);
  EXPECT_THAT(find_stuck_threads(it.snapshot), IsEmpty());
}

TEST(FindStuck, AReaderWaitsBehindAWaitingWriterOnlyIfTheLockPrefersWriters) {
  TestSnapshot it;
  const ThreadId reader = it.thread(), writer = it.thread();
  const ResourceId a = it.resource(ResourceKind::RwLock);
  it.reads(reader, a).wants_to_read(reader, a).wants(writer, a);
  EXPECT_THAT(find_stuck_threads(it.snapshot), IsEmpty());
  it.of(a).prefers_writers = true;
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(knot(findings[0]), UnorderedElementsAre(reader, writer));
  EXPECT_EQ(findings[0].kind, FindingKind::RwLock);
  it.of(writer).wait->timed = true;  // gives up, and the reader goes on
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
}

TEST(FindStuck, JoiningAThreadThatWantsMyLockIsADeadlock) {
  TestSnapshot it;
  const ThreadId worker = it.thread(), replication = it.thread(), queued = it.thread();
  const ResourceId guard = it.resource(ResourceKind::RwLock);
  it.holds(worker, guard).wants(worker, it.join_of(replication));
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());  // it still runs
  it.wants_to_read(replication, guard).wants_to_read(queued, guard);
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::Join);
  EXPECT_EQ(findings[0].verdict, Verdict::Deadlock);
  EXPECT_THAT(knot(findings[0]), UnorderedElementsAre(worker, replication));
  EXPECT_THAT(victims(findings[0]), ElementsAre(queued));
}

// A cancelled joiner leaves the join, and with it the knot.
TEST(FindStuck, AFreeThreadCouldCancelAJoinerButNoLocker) {
  TestSnapshot it;
  const ThreadId worker = it.thread(), replication = it.thread();
  const ResourceId guard = it.resource();
  it.holds(worker, guard).wants(worker, it.join_of(replication)).wants(replication, guard);
  const auto assumptions = [&] { return find_stuck(it.snapshot).at(0).assumptions; };
  EXPECT_THAT(assumptions(), ElementsAre(AssumptionCode::OwnersRelease));
  it.thread();
  EXPECT_THAT(assumptions(),
              ElementsAre(AssumptionCode::OwnersRelease, AssumptionCode::NotCancelled));

  TestSnapshot locks;
  const ThreadId left = locks.thread(), right = locks.thread();
  const ResourceId a = locks.resource(), b = locks.resource();
  locks.thread();
  locks.holds(left, a).wants(left, b).holds(right, b).wants(right, a);
  EXPECT_THAT(find_stuck(locks.snapshot).at(0).assumptions,
              ElementsAre(AssumptionCode::OwnersRelease));
}

// A handler runs on top of a thread that waits, too: it could unlock, or jump out of the wait.
TEST(FindStuck, AHandlerCouldReleaseALockOrLeaveAnyWait) {
  TestSnapshot it;
  const ThreadId left = it.thread(), right = it.thread();
  const ResourceId a = it.resource(), b = it.resource();
  it.holds(left, a).wants(left, b).holds(right, b).wants(right, a);
  it.snapshot.processes[0].handles_signals = true;
  EXPECT_THAT(find_stuck(it.snapshot).at(0).assumptions,
              ElementsAre(AssumptionCode::OwnersRelease, AssumptionCode::NoSignalHandlerReleases));

  TestSnapshot joins;
  const ThreadId first = joins.thread(), second = joins.thread();
  joins.wants(first, joins.join_of(second)).wants(second, joins.join_of(first));
  joins.snapshot.processes[0].handles_signals = true;
  EXPECT_THAT(find_stuck(joins.snapshot).at(0).assumptions,
              ElementsAre(AssumptionCode::NoSignalHandlerReleases));
}

TEST(FindStuck, AJoinEndsWithItsThreadButOnlyForOneJoiner) {
  TestSnapshot it;
  const ThreadId first = it.thread(), second = it.thread(), joined = it.thread();
  it.gone(joined).wants(first, it.join_of(joined)).wants(second, it.join_of(joined));
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
  it.of(it.of(second).wait->resource).owner_gone = true;
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::Orphan);
  EXPECT_THAT(knot(findings[0]), ElementsAre(second));
}

TEST(FindStuck, AJoinOfAnUnknownThreadProvesNothing) {
  TestSnapshot it;
  const ThreadId thread = it.thread();
  it.wants(thread, it.resource(ResourceKind::Thread));
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
}

// A program may leave its last threads on the lock of one that ended, and end.
TEST(FindStuck, AnOwnerThatHasGoneIsToldAtOnceOnlyIfNobodyCanMove) {
  TestSnapshot it;
  const ThreadId waiter = it.thread(), dead = it.thread(), main = it.thread();
  const ResourceId a = it.resource();
  it.gone(dead).holds(dead, a).wants(waiter, a).waited(waiter, std::chrono::milliseconds(900));
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
  it.waited(waiter, std::chrono::milliseconds(1100));
  EXPECT_THAT(find_stuck(it.snapshot), SizeIs(1));
  it.wants(main, it.join_of(waiter)).waited(waiter, std::chrono::milliseconds(1));
  EXPECT_THAT(find_stuck(it.snapshot), SizeIs(1));
}

TEST(FindStuck, WhoWaitsForAnOwnerThatHasGoneIsStuckForEver) {
  TestSnapshot it;
  const ThreadId first = it.thread(), second = it.thread(), dead = it.thread();
  const ResourceId a = it.resource();
  it.gone(dead).holds(dead, a).wants(first, a).wants(second, a);
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));  // one lost lock is one finding
  EXPECT_EQ(findings[0].kind, FindingKind::Orphan);
  EXPECT_EQ(findings[0].verdict, Verdict::Deadlock);
  EXPECT_THAT(findings[0].threads, SizeIs(2));
}

TEST(FindStuck, ALockWithoutKnownHolderMakesNoDeadlock) {
  TestSnapshot it;
  const ThreadId left = it.thread(), right = it.thread();
  const ResourceId a = it.resource(), unknown = it.resource();
  it.holds(left, a).wants(left, unknown).wants(right, a);
  EXPECT_THAT(find_stuck_threads(it.snapshot), IsEmpty());
  const auto findings = find_stuck(it.snapshot);  // a stall, because both have waited for an hour
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].verdict, Verdict::Stall);
  EXPECT_EQ(findings[0].reason.code, ReasonCode::OwnerUnknown);
  it.of(unknown).owner_gone = true;
  EXPECT_EQ(find_stuck(it.snapshot)[0].verdict, Verdict::Deadlock);
}

// main holds the client's mutex and pushes into a full queue; everybody who could take from the
// queue wants that mutex.
struct RedisLock : TestSnapshot {
  ThreadId main = thread(), reader = thread(), waiter1 = thread(), waiter2 = thread();
  ResourceId mutex = resource(), not_full = resource(ResourceKind::Condition);
  RedisLock() {
    holds(main, mutex).wants(main, not_full);
    for (const ThreadId thread : {reader, waiter1, waiter2}) wants(thread, mutex);
  }
};

TEST(FindStuck, ASignalNobodyCanGiveIsADeadlock) {
  RedisLock it;
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].verdict, Verdict::Deadlock);
  EXPECT_EQ(findings[0].kind, FindingKind::Condition);
  EXPECT_THAT(knot(findings[0]), UnorderedElementsAre(it.main, it.reader, it.waiter1, it.waiter2));
  EXPECT_THAT(findings[0].assumptions,
              ElementsAre(AssumptionCode::OwnersRelease, AssumptionCode::NoSignalHandlerPosts,
                          AssumptionCode::NoOutsideWaker));
}

TEST(FindStuck, IdleWorkersAndJoinersOfASignalKnotAreVictims) {
  RedisLock it;
  const ThreadId idle = it.thread(), idle2 = it.thread(), joiner = it.thread();
  const ResourceId work = it.resource(ResourceKind::Condition);
  it.wants(idle, work).wants(idle2, work).wants(joiner, it.join_of(it.reader));
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].verdict, Verdict::Deadlock);
  EXPECT_THAT(knot(findings[0]), UnorderedElementsAre(it.main, it.reader, it.waiter1, it.waiter2));
  EXPECT_THAT(victims(findings[0]), UnorderedElementsAre(idle, idle2, joiner));
}

TEST(FindStuck, AnIdleFreeThreadMakesItAStallAtOnce) {
  RedisLock it;
  const ThreadId idle = it.thread();
  for (const ThreadId thread : {it.main, it.reader, it.waiter1, it.waiter2}) {
    it.waited(thread, milliseconds(600));
  }
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].verdict, Verdict::Stall);
  EXPECT_EQ(findings[0].kind, FindingKind::Condition);
  EXPECT_EQ(findings[0].reason.code, ReasonCode::WakerMayExist);
  EXPECT_EQ(findings[0].reason.thread, idle);
  EXPECT_THAT(knot(findings[0]), UnorderedElementsAre(it.main, it.reader, it.waiter1, it.waiter2));
}

TEST(FindStuck, WaitingForAHelperForMillisecondsIsNormal) {
  RedisLock it;
  it.thread();
  it.waited(it.main, milliseconds(20));
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
  it.waited(it.main, seconds(1));
  for (const ThreadId thread : {it.reader, it.waiter1, it.waiter2}) {
    it.waited(thread, milliseconds(20));
  }
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
}

TEST(FindStuck, ABusyHelperGetsMoreTime) {
  RedisLock it;
  const ThreadId busy = it.thread();
  it.of(busy).busy = true;
  for (const ThreadId thread : {it.main, it.reader, it.waiter1, it.waiter2}) {
    it.waited(thread, seconds(2));
  }
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
  it.of(busy).busy = false;
  EXPECT_THAT(find_stuck(it.snapshot), SizeIs(1));
}

TEST(FindStuck, HoldingALockNobodyWantsWhileWaitingIsNoStall) {
  TestSnapshot it;
  const ThreadId waiter = it.thread();
  it.thread();
  it.holds(waiter, it.resource()).wants(waiter, it.resource(ResourceKind::Condition));
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
}

TEST(FindStuck, AnotherProcessCannotSignalUnlessTheObjectIsShared) {
  RedisLock it;
  it.thread(it.process());
  EXPECT_EQ(find_stuck(it.snapshot)[0].verdict, Verdict::Deadlock);
  it.of(it.not_full).process_shared = true;
  EXPECT_EQ(find_stuck(it.snapshot)[0].verdict, Verdict::Stall);
}

TEST(FindStuck, ClosedWakersLeaveOutEverybodyElse) {
  RedisLock it;
  it.thread();
  it.of(it.not_full).wakers_closed = true;
  it.of(it.not_full).only_wakers = {it.reader};
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].verdict, Verdict::Deadlock);
  EXPECT_THAT(knot(findings[0]), UnorderedElementsAre(it.main, it.reader));
  EXPECT_THAT(victims(findings[0]), ElementsAre(it.waiter1, it.waiter2));
  EXPECT_THAT(findings[0].assumptions, testing::Contains(AssumptionCode::ClosedWakers));
}

TEST(FindStuck, IdleWorkersBehindAPlainKnotAreItsVictims) {
  Crossed it;
  const ThreadId idle = it.thread(), idle2 = it.thread();
  it.wants(idle, it.resource(ResourceKind::Condition));
  it.wants(idle2, it.resource(ResourceKind::Condition));
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::LockOrder);
  EXPECT_THAT(knot(findings[0]), ElementsAre(it.left, it.right));
  EXPECT_THAT(victims(findings[0]), UnorderedElementsAre(idle, idle2));
}

TEST(FindStuck, AllThreadsWaitingForSignalsAreADeadlock) {
  TestSnapshot it;
  const ThreadId main = it.thread(), worker = it.thread();
  it.wants(main, it.join_of(worker)).wants(worker, it.resource(ResourceKind::Condition));
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::Condition);
  EXPECT_THAT(knot(findings[0]), ElementsAre(worker));
  EXPECT_THAT(victims(findings[0]), ElementsAre(main));
}

TEST(FindStuck, ASignalHandlerMayPostASemaphore) {
  TestSnapshot it;
  const ThreadId holder = it.thread(), other = it.thread();
  const ResourceId a = it.resource(), sem = it.resource(ResourceKind::Semaphore);
  it.holds(holder, a).wants(holder, sem).wants(other, a);
  EXPECT_EQ(find_stuck(it.snapshot)[0].verdict, Verdict::Deadlock);
  EXPECT_EQ(find_stuck(it.snapshot)[0].kind, FindingKind::Semaphore);
  it.of(sem).posts_from_handler_possible = true;
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].verdict, Verdict::Stall);
  EXPECT_EQ(findings[0].reason.code, ReasonCode::SignalHandlerMayPost);
}

TEST(FindStuck, AnIdleProgramThatWaitsForASignalHandlerIsFine) {
  TestSnapshot it;
  const ThreadId main = it.thread(), worker = it.thread();
  const ResourceId sem = it.resource(ResourceKind::Semaphore);
  it.of(sem).posts_from_handler_possible = true;
  it.wants(main, sem).wants(worker, it.resource(ResourceKind::Condition));
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
  EXPECT_THAT(find_stuck_threads(it.snapshot), SizeIs(2));
}

TEST(FindStuck, ALockReleasedByOthersIsASemaphore) {
  Crossed it;
  it.of(it.a).semaphore_like = true;
  EXPECT_EQ(find_stuck(it.snapshot)[0].kind, FindingKind::Semaphore);
  it.thread();
  EXPECT_THAT(find_stuck_threads(it.snapshot), IsEmpty());
}

TEST(FindStuck, ABarrierNeedsEnoughThreads) {
  TestSnapshot it;
  const ThreadId here = it.thread(), late = it.thread();
  const ResourceId a = it.resource(), barrier = it.resource(ResourceKind::Barrier);
  it.holds(here, a).wants(here, barrier).wants(late, a);
  it.of(barrier).needed = 1;
  auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::Barrier);
  EXPECT_EQ(findings[0].verdict, Verdict::Deadlock);

  const ThreadId free = it.thread();
  EXPECT_THAT(find_stuck_threads(it.snapshot), IsEmpty());
  it.of(barrier).needed = 2;  // one free thread is not enough, but it could start another
  findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].verdict, Verdict::Stall);
  EXPECT_EQ(findings[0].reason.code, ReasonCode::WakerMayExist);
  EXPECT_EQ(findings[0].reason.thread, free);
}

TEST(FindStuck, AnyThreadOfAProcessCanReleaseItsFileLock) {
  TestSnapshot it;
  const auto other = it.process();
  const ThreadId left = it.thread(), right = it.thread(other);
  const ResourceId a = it.resource(ResourceKind::FileLock), b = it.resource(ResourceKind::FileLock);
  it.holds(left, a).wants(left, b).holds(right, b).wants(right, a);
  auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::FileLock);
  EXPECT_EQ(findings[0].verdict, Verdict::Deadlock);
  EXPECT_THAT(findings[0].processes, SizeIs(2));

  const ThreadId idle = it.thread(other);
  findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].verdict, Verdict::Stall);
  EXPECT_EQ(findings[0].reason.thread, idle);
}

TEST(FindStuck, ASignalMayEndAWaitForAFileLock) {
  TestSnapshot it;
  const auto other = it.process();
  const ThreadId left = it.thread(), right = it.thread(other);
  const ResourceId a = it.resource(ResourceKind::FileLock), b = it.resource(ResourceKind::FileLock);
  it.holds(left, a).wants(left, b).holds(right, b).wants(right, a);
  it.snapshot.processes[index_of(other)].handles_signals = true;
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].verdict, Verdict::Stall);
  EXPECT_EQ(findings[0].reason.code, ReasonCode::SignalHandlerMayPost);
  EXPECT_EQ(findings[0].reason.thread, right);
}

TEST(FindStuck, AFileLockHeldByAWorkingProcessIsNoStall) {
  TestSnapshot it;
  const ThreadId at_work = it.thread(it.process()), left = it.thread(), right = it.thread();
  const ResourceId a = it.resource(), file = it.resource(ResourceKind::FileLock);
  it.holds(at_work, file).holds(left, a).wants(left, file).wants(right, a);
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
}

TEST(FindStuck, DifferentKindsOfWaitsAreMixed) {
  TestSnapshot it;
  const ThreadId joiner = it.thread(), joined = it.thread(), once = it.thread();
  const ResourceId a = it.resource(), init = it.resource(ResourceKind::Once);
  it.holds(joiner, a).wants(joiner, it.join_of(joined));
  it.wants(joined, init).holds(once, init).wants(once, a);
  const auto findings = find_stuck(it.snapshot);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::Mixed);
}

TEST(FindStuck, OnceAndGuardAreKindOnce) {
  TestSnapshot it;
  const ThreadId left = it.thread(), right = it.thread();
  const ResourceId a = it.resource(), guard = it.resource(ResourceKind::Guard);
  it.holds(left, guard).wants(left, a).holds(right, a).wants(right, guard);
  EXPECT_EQ(find_stuck(it.snapshot)[0].kind, FindingKind::Once);
}

TEST(FindStuck, WeakEvidenceMakesAStallWithThePreciseReason) {
  {
    Crossed it;
    it.of(it.right).wait->definite = false;
    it.of(it.right).wait->doubt = "no permission";
    const Finding finding = find_stuck(it.snapshot).at(0);
    EXPECT_EQ(finding.verdict, Verdict::Stall);
    EXPECT_EQ(finding.reason.code, ReasonCode::NoKernelEvidence);
    EXPECT_EQ(finding.reason.thread, it.right);
    EXPECT_EQ(finding.reason.detail, "no permission");
  }
  {
    Crossed it;
    it.of(it.left).inexact = true;
    const Finding finding = find_stuck(it.snapshot).at(0);
    EXPECT_EQ(finding.reason.code, ReasonCode::InexactCard);
    EXPECT_EQ(finding.reason.thread, it.left);
  }
  {
    Crossed it;
    it.of(it.left).holds[0].definite = false;
    const Finding finding = find_stuck(it.snapshot).at(0);
    EXPECT_EQ(finding.reason.code, ReasonCode::OwnerInferred);
    EXPECT_EQ(finding.reason.resource, it.a);
  }
}

TEST(FindStuck, WeakEvidenceNeedsAgeUnlessCandidatesAreWanted) {
  Crossed it;
  it.of(it.right).wait->definite = false;
  it.waited(it.left, milliseconds(1));
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
  EXPECT_THAT(find_stuck(it.snapshot, {.stall_min_age = milliseconds(0)}), SizeIs(1));
}

TEST(FindStuck, LongWaitsAreToldWhenAsked) {
  TestSnapshot it;
  const ThreadId main = it.thread(), worker = it.thread(), other = it.thread();
  it.thread();
  it.wants(main, it.join_of(worker)).wants(worker, it.resource(ResourceKind::Condition));
  it.wants(other, it.resource(ResourceKind::Semaphore)).waited(other, seconds(5));
  EXPECT_THAT(find_stuck(it.snapshot), IsEmpty());
  const auto findings = find_stuck(it.snapshot, {.stall_after = seconds(30)});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].verdict, Verdict::Stall);
  EXPECT_EQ(findings[0].reason.code, ReasonCode::StuckForLong);
  EXPECT_THAT(knot(findings[0]), ElementsAre(main, worker));
}

TEST(FindStuck, WantedHoldsComeFirst) {
  Crossed it;
  const ResourceId c = it.resource();
  auto& holds = it.of(it.left).holds;
  it.holds(it.left, c);
  std::swap(holds[0], holds[1]);
  const Finding finding = find_stuck(it.snapshot).at(0);
  ASSERT_THAT(finding.threads[0].holds, SizeIs(2));
  EXPECT_EQ(finding.threads[0].holds[0].resource, it.a);
  EXPECT_EQ(finding.threads[0].holds[1].resource, c);
}

// The definition itself: a set is stuck if no member could go on even if everybody outside moved.
// Stuck sets are closed under union, so the union of all of them is the greatest.
class NaiveSolver {
 public:
  explicit NaiveSolver(const model::Snapshot& snapshot) : s_(snapshot) {}

  [[nodiscard]] std::vector<ThreadId> stuck() const {
    uint32_t all = 0;
    for (uint32_t set = 1; set < 1U << s_.threads.size(); ++set) {
      bool ok = true;
      for (uint32_t t = 0; t < s_.threads.size(); ++t) ok &= !(set >> t & 1) || !can_go(t, set);
      if (ok) all |= set;
    }
    std::vector<ThreadId> ids;
    for (uint32_t t = 0; t < s_.threads.size(); ++t) {
      if (all >> t & 1) ids.push_back(static_cast<ThreadId>(t));
    }
    return ids;
  }

 private:
  [[nodiscard]] bool moves(uint32_t t, uint32_t set) const {
    return !(set >> t & 1) && s_.threads[t].activity != model::Activity::Gone;
  }
  [[nodiscard]] bool can_go(uint32_t t, uint32_t set) const {
    const model::Thread& thread = s_.threads[t];
    if (thread.activity != model::Activity::Waiting || !thread.wait || thread.wait->timed)
      return true;
    const model::Resource& r = s_.resources[static_cast<uint32_t>(thread.wait->resource)];
    if (r.owner_gone) return false;
    if (r.kind == ResourceKind::Thread) {
      const auto joined = static_cast<uint32_t>(r.joined);
      return !r.joined_known || !(set >> joined & 1);
    }
    if (!model::is_owned(r.kind) || r.semaphore_like) {
      uint32_t wakers = 0;
      for (uint32_t w = 0; w < s_.threads.size(); ++w) {
        if (r.wakers_closed) {
          wakers += moves(w, set) && std::count(r.only_wakers.begin(), r.only_wakers.end(),
                                                static_cast<ThreadId>(w)) != 0;
        } else {
          wakers += moves(w, set) && (r.process_shared || s_.threads[w].process == thread.process);
        }
      }
      return wakers >= (r.kind == ResourceKind::Barrier ? r.needed : 1);
    }
    for (uint32_t o = 0; o < s_.threads.size(); ++o) {
      for (const model::Hold& hold : s_.threads[o].holds) {
        if (hold.resource != r.id) continue;
        if (hold.mode == Mode::Shared && thread.wait->mode == Mode::Shared) continue;
        if (o == t && r.recursive && hold.mode == Mode::Exclusive) return true;
        if (!moves(o, set)) return false;
      }
      const auto& wait = s_.threads[o].wait;
      if (r.prefers_writers && thread.wait->mode == Mode::Shared && wait &&
          s_.threads[o].activity == model::Activity::Waiting && wait->resource == r.id &&
          wait->mode == Mode::Exclusive && !moves(o, set)) {
        return false;
      }
    }
    return true;
  }

  const model::Snapshot& s_;
};

model::Snapshot random_snapshot(std::mt19937& random) {
  const auto roll = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  TestSnapshot it;
  const auto other = it.process();
  const int threads = 1 + roll(6);
  for (int i = 0; i < threads; ++i) it.thread(roll(4) == 0 ? other : model::ProcessId{});
  const ResourceKind kinds[] = {
      ResourceKind::Mutex,   ResourceKind::Mutex,     ResourceKind::RwLock,
      ResourceKind::RwLock,  ResourceKind::Condition, ResourceKind::Semaphore,
      ResourceKind::Barrier, ResourceKind::Thread,    ResourceKind::Once};
  const int resources = 1 + roll(6);
  for (int i = 0; i < resources; ++i) {
    const ResourceId id = it.resource(kinds[roll(9)]);
    model::Resource& r = it.of(id);
    r.prefers_writers = r.kind == ResourceKind::RwLock && roll(2) == 0;
    r.recursive = r.kind == ResourceKind::Mutex && roll(3) == 0;
    r.semaphore_like = roll(10) == 0 && r.kind == ResourceKind::Mutex;
    r.process_shared = roll(4) == 0;
    r.owner_gone = roll(15) == 0;
    r.needed = static_cast<uint32_t>(1 + roll(3));
    r.joined_known = roll(4) != 0;
    r.joined = static_cast<ThreadId>(roll(threads));
    if (!model::is_owned(r.kind) && roll(5) == 0) {
      r.wakers_closed = true;
      for (int w = 0; w < threads; ++w) {
        if (roll(2) == 0) r.only_wakers.push_back(static_cast<ThreadId>(w));
      }
    }
    if (!model::is_owned(r.kind) || r.kind == ResourceKind::Thread) continue;
    const bool shared = r.kind == ResourceKind::RwLock && roll(2) == 0;
    for (int holder = shared ? 1 + roll(2) : roll(5) != 0; holder > 0; --holder) {
      it.holds(static_cast<ThreadId>(roll(threads)), id, shared ? Mode::Shared : Mode::Exclusive);
    }
  }
  for (int i = 0; i < threads; ++i) {
    const auto id = static_cast<ThreadId>(i);
    if (roll(8) == 0) continue;
    if (roll(12) == 0) {
      it.gone(id);
      continue;
    }
    const auto wanted = static_cast<ResourceId>(roll(resources));
    const bool reads = it.of(wanted).kind == ResourceKind::RwLock && roll(2) == 0;
    it.wants(id, wanted, reads ? Mode::Shared : Mode::Exclusive);
    it.of(id).wait->timed = roll(12) == 0;
  }
  return it.snapshot;
}

TEST(FindStuck, AgreesWithTheDefinitionOnRandomSnapshots) {
  for (unsigned seed = 1; seed <= 2'000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const model::Snapshot snapshot = random_snapshot(random);
    const std::vector<ThreadId> stuck = NaiveSolver(snapshot).stuck();
    ASSERT_EQ(find_stuck_threads(snapshot), stuck);

    // Every stuck thread is told once, nobody else in a deadlock, and every knot stands by itself.
    std::vector<ThreadId> told;
    for (const Finding& finding : find_stuck(snapshot, {.stall_min_age = milliseconds(0)})) {
      const bool structural = std::any_of(
          finding.threads.begin(), finding.threads.end(), [&](const model::FindingThread& thread) {
            return std::binary_search(stuck.begin(), stuck.end(), thread.id);
          });
      if (finding.verdict == Verdict::Deadlock) {
        ASSERT_TRUE(structural);
      }
      ASSERT_FALSE(knot(finding).empty());
      if (!structural) continue;
      for (const model::FindingThread& thread : finding.threads) told.push_back(thread.id);
    }
    std::sort(told.begin(), told.end());
    ASSERT_EQ(told, stuck);
  }
}

}  // namespace
}  // namespace gordian::analysis
