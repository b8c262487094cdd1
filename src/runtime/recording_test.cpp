// SPDX-License-Identifier: Apache-2.0
#include "runtime/recording.h"

#include "runtime/board.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <semaphore>
#include <sys/single_threaded.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace gordian::runtime {
namespace {

constexpr CallSite kSite{.pc = 100, .frame = 0};
constexpr Request kLock{.address = 0x70000, .kind = format::Kind::Mutex};

class Recording : public testing::Test {
 protected:
  void SetUp() override {
    ensure_started();
    memfd_ = make_recording(false, 0);
    ASSERT_GE(memfd_, 0);
  }
  void TearDown() override {
    leave_recording();
    close(memfd_);
  }

  int memfd_ = -1;
};

// The process has more threads than one.
class OtherThread {
 public:
  ~OtherThread() { done_.release(); }

 private:
  std::binary_semaphore done_{0};
  std::jthread thread_{[this] { done_.acquire(); }};
};

// As the hooks do: the long way only where the short one does not go.
void lock_and_unlock(ThreadState& thread, format::Ring& ring) {
  if (!has_room(ring) || !record_acquired_quickly(ring, *thread.card, kLock.address, kSite)) {
    record_acquired(thread, kLock, kSite);
  }
  if (!record_released_quickly(ring, kLock.address)) record_released(thread, kLock);
}

// First words of what the ring has behind `from`, without slots.
std::vector<uint32_t> heads_from(const format::Ring& ring, uint64_t from) {
  constexpr uint32_t kPad = format::event_head(format::Event::Pad, 1);
  std::vector<uint32_t> heads;
  while (from < ring.head) {
    const auto* const words =
        reinterpret_cast<uint32_t*>(ring.data + (from & (format::kRingBytes - 1)));
    const uint32_t size = words[0] >> format::kEventSizeShift & 7;
    if (words[0] == kPad) {
      from = (from | (format::kRingBytes - 1)) + 1;
    } else {
      heads.push_back(words[0] & ((1U << format::kEventSlotShift) - 1));
      from += 4 * uint64_t{size == format::kSizeFollows ? words[1] : size};
    }
  }
  return heads;
}

// What is the same as at the last acquisition of a lock is not said again, on both roads.
TEST_F(Recording, AnAcquisitionSaysWhatIsNotThatOfTheLast) {
  using format::Event;
  using format::event_head;
  constexpr CallSite kElsewhere{.pc = 200, .frame = 0};
  HookScope scope(kSite);
  ASSERT_TRUE(scope);
  ThreadState& thread = *scope.operator->();
  format::Ring& ring = *ring_of(*thread.card);
  for (const CallSite& site : {kSite, kElsewhere}) {  // both are known, the clock is told
    record_acquired(thread, kLock, site);
    record_released(thread, kLock);
  }
  using Road = void (*)(ThreadState&, const CallSite&);
  const Road short_way = [](ThreadState& self, const CallSite& site) {
    format::Ring& own = *ring_of(*self.card);
    ASSERT_TRUE(record_acquired_quickly(own, *self.card, kLock.address, site));
    ASSERT_TRUE(record_released_quickly(own, kLock.address));
  };
  const Road long_way = [](ThreadState& self, const CallSite& site) {
    record_acquired(self, kLock, site);
    record_released(self, kLock);
  };
  const uint32_t release = event_head(Event::Release, 1);
  for (const Road road : {short_way, long_way}) {
    recorder.slots[object_index(kLock.address)].last = 0;  // somebody else was there
    const uint64_t from = ring.head;
    for (const CallSite& site : {kSite, kSite, kElsewhere, kElsewhere}) road(thread, site);

    EXPECT_EQ(heads_from(ring, from), (std::vector{event_head(Event::Acquire, 3), release,
                                                   event_head(Event::AcquireAgain, 1), release,
                                                   event_head(Event::AcquireNext, 2), release,
                                                   event_head(Event::AcquireAgain, 1), release}));
  }
}

TEST_F(Recording, AnAcquisitionLeansOnNoneThatWasLost) {
  using format::Event;
  using format::event_head;
  HookScope scope(kSite);
  ASSERT_TRUE(scope);
  ThreadState& thread = *scope.operator->();
  format::Ring& ring = *ring_of(*thread.card);
  for (const bool is_first : {true, false}) {  // of the lock's in this ring
    record_acquired(thread, kLock, kSite);
    record_released(thread, kLock);
    while (ring.lost == ring.lost_told) lock_and_unlock(thread, ring);
    if (is_first) recorder.slots[object_index(kLock.address)].last = 0;
    record_acquired(thread, kLock, kSite);
    record_released(thread, kLock);
    ring.tail = ring.head;
    const uint64_t behind = ring.head;
    record_acquired(thread, kLock, kSite);

    const std::vector<uint32_t> heads = heads_from(ring, behind);
    ASSERT_FALSE(heads.empty());
    EXPECT_EQ(heads.back(), event_head(Event::Acquire, 3));
    record_released(thread, kLock);
  }
}

// Its holder counts the tickets by plain stores, and may be about to.
TEST_F(Recording, WhoDoesNotHoldALockLeavesItsTicketsAlone) {
  using format::Event;
  using format::event_head;
  HookScope scope(kSite);
  ASSERT_TRUE(scope);
  ThreadState& thread = *scope.operator->();
  format::Ring& ring = *ring_of(*thread.card);
  const ObjectSlot& slot = recorder.slots[object_index(kLock.address)];
  record_try_failed(thread, kLock, kSite);
  record_request(thread, kLock, kSite);
  EXPECT_EQ(slot.ticket, 0U);
  const auto is_birth = [](uint32_t head) {
    return head == event_head(Event::Born, format::kSizeFollows);
  };
  std::vector<uint32_t> heads = heads_from(ring, 0);
  EXPECT_EQ(std::count(heads.begin(), heads.end(), event_head(Event::TryFailed, 3)), 1);
  EXPECT_EQ(std::count(heads.begin(), heads.end(), event_head(Event::Request, 2)), 1);
  EXPECT_EQ(std::count_if(heads.begin(), heads.end(), is_birth), 0);

  record_acquired(thread, kLock, kSite);
  heads = heads_from(ring, 0);
  EXPECT_EQ(std::count_if(heads.begin(), heads.end(), is_birth), 1);
  EXPECT_EQ(heads.back(), event_head(Event::Acquire, 3));
  EXPECT_EQ(slot.ticket, 2U);
}

TEST_F(Recording, AThreadForWhichThereIsNoRingIsCounted) {
  HookScope scope(kSite);
  ASSERT_TRUE(scope);
  ThreadState& thread = *scope.operator->();
  record_begin(thread);
  EXPECT_EQ(recorder.header->dropped_threads, 0U);
  const uint64_t end = std::exchange(recorder.rings_end, 0);
  record_begin(thread);
  EXPECT_EQ(recorder.header->dropped_threads, 1U);
  recorder.rings_end = end;
}

TEST_F(Recording, ARingThatFillsWakesTheJudge) {
  const OtherThread other;
  HookScope scope(kSite);
  ASSERT_TRUE(scope);
  ThreadState& thread = *scope.operator->();
  format::Ring& ring = *ring_of(*thread.card);
  uint32_t& sleeps = recorder.header->sleeps;
  for (uint64_t turn = 0; turn < 100; ++turn) {
    // Wherever in the ring it stands.
    for (uint64_t i = 0; i < turn * turn; ++i) lock_and_unlock(thread, ring);
    ring.tail = ring.head;
    sleeps = 1;
    const uint64_t taken = ring.tail;
    uint64_t before = ring.head;
    while (sleeps == 1 && ring.head < taken + format::kRingBytes) {
      before = ring.head;
      lock_and_unlock(thread, ring);
    }
    EXPECT_EQ(sleeps, 0U);
    // Not before, and not much later: what was taken is seen only now and then.
    EXPECT_GE(before + 100, taken + format::kWakeBytes);
    EXPECT_LE(before, taken + 2 * format::kWakeBytes);
  }
  EXPECT_EQ(ring.lost, 0U);
}

// It may stand behind a filter that ends it for a futex.
TEST_F(Recording, AProgramOfOneThreadWakesNobody) {
  if (__libc_single_threaded == 0) GTEST_SKIP() << "a test before it had threads";
  HookScope scope(kSite);
  ASSERT_TRUE(scope);
  ThreadState& thread = *scope.operator->();
  recorder.header->sleeps = 1;
  while (ring_of(*thread.card)->lost == 0) lock_and_unlock(thread, *ring_of(*thread.card));
  EXPECT_EQ(recorder.header->sleeps, 1U);
}

TEST_F(Recording, AJudgeThatDoesNotSleepIsLeftAlone) {
  const OtherThread other;
  HookScope scope(kSite);
  ASSERT_TRUE(scope);
  ThreadState& thread = *scope.operator->();
  format::Ring& ring = *ring_of(*thread.card);
  while (ring.lost == 0) lock_and_unlock(thread, ring);
  EXPECT_EQ(recorder.header->sleeps, 0U);
  EXPECT_GT(ring.head, format::kRingBytes - 100U);
}

TEST_F(Recording, WhatWasLostIsToldBeforeWhatFollowsAlsoWhereMemoryIsTold) {
  HookScope scope(kSite);
  ASSERT_TRUE(scope);
  ThreadState& thread = *scope.operator->();
  format::Ring& ring = *ring_of(*thread.card);
  const format::MemoryClient client{.version = format::kMemoryVersion,
                                    .settle = [](void*, void*, format::TellReadFrom) {},
                                    .wrote = nullptr,
                                    .freed = nullptr,
                                    .forget = nullptr};
  // It is full in its middle: there nothing has to be filled up first.
  while (ring.head < format::kRingBytes / 2) lock_and_unlock(thread, ring);
  ring.tail = ring.head;
  while (ring.lost == 0) lock_and_unlock(thread, ring);
  recorder.memory = &client;
  ring.memory = 1;
  ring.tail = ring.head;
  const uint64_t behind = ring.head;

  settle_what_was_read(&ring);
  lock_and_unlock(thread, ring);

  EXPECT_EQ(*reinterpret_cast<uint32_t*>(ring.data + (behind & (format::kRingBytes - 1))),
            format::event_head(format::Event::Lost, 4));
  EXPECT_EQ(ring.lost, ring.lost_told);
  ring.memory = 0;
}

}  // namespace
}  // namespace gordian::runtime
