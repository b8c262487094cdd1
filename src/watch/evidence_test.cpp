// SPDX-License-Identifier: Apache-2.0
#include "watch/evidence.h"

#include <cstring>
#include <gtest/gtest.h>

namespace gordian::watch {
namespace {

using format::Kind;

constexpr uint64_t kObject = 0x5000;
constexpr uint64_t kMutex = 0x6000;
constexpr uint64_t kStackPointer = 0x7f00;
constexpr uint64_t kFrame = 0x8000;
constexpr uint64_t kStackHigh = 0x9000;
constexpr uint64_t kWaitPrivate = 128;
constexpr uint64_t kWaitBitsetPrivate = 9 | 128;

process::ThreadReading in_futex(uint64_t address, uint64_t operation = kWaitPrivate,
                                uint64_t value = 2) {
  process::ThreadReading reading;
  reading.tid = 100;
  reading.state = 'S';
  reading.syscall = 202;
  reading.args = {address, operation, value, 0, 0, 0};
  reading.sp = kStackPointer;
  reading.pc = 0x1234;
  reading.voluntary_switches = 7;
  return reading;
}

ObjectBytes words(uint64_t address, std::initializer_list<uint32_t> values) {
  ObjectBytes object{.address = address, .bytes = std::vector<std::byte>(values.size() * 4)};
  std::memcpy(object.bytes.data(), values.begin(), object.bytes.size());
  return object;
}

// A thread that sleeps in this kind of wait, on `futex`.
WaitFacts sleeping(Kind kind, uint64_t futex, uint64_t operation = kWaitPrivate) {
  WaitFacts facts;
  facts.wait.number = 1;
  facts.wait.kind = kind;
  facts.wait.address = kObject;
  facts.wait.object = kMutex;
  facts.wait.frame = kFrame;
  facts.stack_high = kStackHigh;
  facts.first = facts.second = in_futex(futex, operation);
  facts.object = ObjectBytes{.address = kObject, .bytes = {}};
  return facts;
}

WaitFacts on_mutex() {
  WaitFacts facts = sleeping(Kind::Mutex, kObject);
  facts.object = words(kObject, {2, 0, 4711, 1, 0, 0});
  return facts;
}

TEST(Evidence, AThreadAsleepOnTheMutexWaitsForItsOwner) {
  const Testimony testimony = weigh(on_mutex());

  EXPECT_EQ(testimony.standing, Standing::Definite);
  EXPECT_TRUE(testimony.owner_known);
  EXPECT_EQ(testimony.owner_tid, 4711U);
}

TEST(Evidence, AThreadThatRanInBetweenIsMoving) {
  WaitFacts facts = on_mutex();
  facts.second->voluntary_switches++;

  EXPECT_EQ(weigh(facts).standing, Standing::Moving);
}

TEST(Evidence, AThreadWithAnotherStackPointerIsMoving) {
  WaitFacts facts = on_mutex();
  facts.second->sp -= 64;

  EXPECT_EQ(weigh(facts).standing, Standing::Moving);
}

TEST(Evidence, ARunnableThreadIsMovingEvenIfNothingElseChanged) {
  WaitFacts facts = on_mutex();
  facts.first->on_cpu = facts.second->on_cpu = true;

  EXPECT_EQ(weigh(facts).standing, Standing::Moving);
}

TEST(Evidence, AThreadThatHasGoneIsMoving) {
  WaitFacts facts = on_mutex();
  facts.second.reset();

  EXPECT_EQ(weigh(facts).standing, Standing::Moving);
}

TEST(Evidence, AThreadInAnotherSystemCallIsMoving) {
  WaitFacts facts = on_mutex();
  facts.first->syscall = facts.second->syscall = 7;  // poll

  EXPECT_EQ(weigh(facts).standing, Standing::Moving);
}

TEST(Evidence, AFutexWithATimeoutEndsByItself) {
  WaitFacts facts = on_mutex();
  facts.first->args[3] = facts.second->args[3] = 0x7000;

  EXPECT_EQ(weigh(facts).standing, Standing::Moving);
}

TEST(Evidence, AFutexOfAnotherObjectIsDoubted) {
  WaitFacts facts = sleeping(Kind::Mutex, kObject + 64);
  facts.object = words(kObject, {2, 0, 4711, 1, 0, 0});

  EXPECT_EQ(weigh(facts).standing, Standing::Doubtful);
}

TEST(Evidence, WithoutTheRightToLookNothingIsCertain) {
  WaitFacts facts = on_mutex();
  facts.first->readable = facts.second->readable = false;

  EXPECT_EQ(weigh(facts).standing, Standing::Doubtful);
}

TEST(Evidence, TheOwnerOfAPriorityMutexStandsInTheLockWord) {
  WaitFacts facts = sleeping(Kind::Mutex, kObject, 6 | 128);
  facts.object = words(kObject, {4711 | 0x80000000, 0, 0, 1, 32, 0});

  const Testimony testimony = weigh(facts);

  EXPECT_EQ(testimony.standing, Standing::Definite);
  EXPECT_EQ(testimony.owner_tid, 4711U);
}

TEST(Evidence, TheThreadThatClosesAPriorityCycleSleepsOnItsOwnStack) {
  WaitFacts facts = sleeping(Kind::Mutex, kStackPointer + 16, 0x189);
  facts.object = words(kObject, {4711 | 0x80000000, 0, 0, 1, 32, 0});

  EXPECT_EQ(weigh(facts).standing, Standing::Definite);

  facts.object = words(kObject, {2, 0, 4711, 1, 0, 0});  // no priority mutex
  EXPECT_EQ(weigh(facts).standing, Standing::Doubtful);
}

TEST(Evidence, AnRwLockIsWaitedForOnThreeOfItsWords) {
  for (const uint64_t offset : {0, 8, 12}) {
    EXPECT_EQ(weigh(sleeping(Kind::RwLock, kObject + offset)).standing, Standing::Definite)
        << offset;
  }
  EXPECT_EQ(weigh(sleeping(Kind::RwLock, kObject + 24)).standing, Standing::Doubtful);
}

TEST(Evidence, OnlyAWriterLeavesItsNameInAnRwLock) {
  WaitFacts facts = sleeping(Kind::RwLock, kObject + 8);
  facts.object = words(kObject, {10, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_FALSE(weigh(facts).owner_known);

  facts.object = words(kObject, {10, 0, 0, 0, 0, 0, 4711, 0});
  EXPECT_EQ(weigh(facts).owner_tid, 4711U);
}

TEST(Evidence, ReadersAndSpinnersAreCountedWithoutNames) {
  EXPECT_EQ(count_nameless_holders(Kind::RwLock, words(kObject, {2 << 3 | 2, 1, 0, 0, 0, 0, 0, 0})),
            2U);
  EXPECT_EQ(count_nameless_holders(Kind::RwLock, words(kObject, {10, 0, 0, 0, 0, 0, 4711, 0})), 0U);
  EXPECT_EQ(count_nameless_holders(Kind::Spin, words(kObject, {0})), 1U);
  EXPECT_EQ(count_nameless_holders(Kind::Spin, words(kObject, {1})), 0U);
  EXPECT_EQ(count_nameless_holders(Kind::Mutex, words(kObject, {1, 0, 0, 0})), 0U);
}

TEST(Evidence, AConditionWaitHasTwoPhases) {
  EXPECT_FALSE(weigh(sleeping(Kind::Condition, kObject + 40)).reacquires_mutex);

  WaitFacts facts = sleeping(Kind::Condition, kMutex);
  facts.companion = words(kMutex, {2, 0, 4711, 1, 0, 0});
  const Testimony testimony = weigh(facts);

  EXPECT_EQ(testimony.standing, Standing::Definite);
  EXPECT_TRUE(testimony.reacquires_mutex);
  EXPECT_EQ(testimony.owner_tid, 4711U);
}

TEST(Evidence, ASemaphoreWithATokenIsAboutToWakeItsWaiter) {
  WaitFacts facts = sleeping(Kind::Semaphore, kObject, kWaitBitsetPrivate);
  facts.object = words(kObject, {0, 1});
  EXPECT_EQ(weigh(facts).standing, Standing::Definite);

  facts.object = words(kObject, {1, 1});
  EXPECT_EQ(weigh(facts).standing, Standing::Moving);
}

TEST(Evidence, ABarrierSaysHowManyAreMissing) {
  WaitFacts facts = sleeping(Kind::Barrier, kObject + 4);
  facts.object = words(kObject, {7, 4, 4, 0, 4});  // the second round of four: three have come

  EXPECT_EQ(weigh(facts).needed, 1U);
}

TEST(Evidence, AJoinerSleepsOnTheTidWordOfTheThread) {
  WaitFacts facts = sleeping(Kind::Join, 0xa2d0, 265);
  facts.first->args[2] = facts.second->args[2] = 4711;
  facts.joined_tid_word = 0xa2d0;

  const Testimony testimony = weigh(facts);

  EXPECT_EQ(testimony.standing, Standing::Definite);
  EXPECT_EQ(testimony.joined_tid, 4711U);
}

TEST(Evidence, ASpinnerAttestsItselfByItsHeartbeat) {
  WaitFacts facts;
  facts.wait.number = 1;
  facts.wait.kind = Kind::Spin;
  facts.wait.flags = format::kSpinning;
  facts.heartbeat_first = 5;
  facts.heartbeat_second = 6;
  EXPECT_EQ(weigh(facts).standing, Standing::Definite);

  facts.heartbeat_second = 5;
  EXPECT_EQ(weigh(facts).standing, Standing::Moving);
}

TEST(Evidence, AWaitForAFileLockIsAnotherSystemCall) {
  WaitFacts facts = sleeping(Kind::Flock, 0);
  facts.first->syscall = facts.second->syscall = 73;
  EXPECT_EQ(weigh(facts).standing, Standing::Definite);

  facts.same_file = false;
  EXPECT_EQ(weigh(facts).standing, Standing::Doubtful);

  facts.wait.kind = Kind::FcntlLock;
  EXPECT_EQ(weigh(facts).standing, Standing::Moving);
}

TEST(Evidence, AWaitInsideGLibMustLieDeeperThanItsCaller) {
  EXPECT_EQ(weigh(sleeping(Kind::GlibQueue, 0x123456)).standing, Standing::Definite);

  WaitFacts facts = sleeping(Kind::GlibQueue, 0x123456);
  facts.wait.frame = kStackPointer - 64;
  EXPECT_NE(weigh(facts).standing, Standing::Definite);
}

}  // namespace
}  // namespace gordian::watch
