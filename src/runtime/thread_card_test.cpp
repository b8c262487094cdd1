// SPDX-License-Identifier: Apache-2.0
#include "runtime/thread_card.h"

#include "runtime/lock_table.h"

#include <gtest/gtest.h>
#include <random>
#include <thread>
#include <vector>

namespace gordian::runtime {
namespace {

using format::Kind;

// A card belongs to a thread: each test has its own.
template <typename Body>
void in_new_thread(Body body) {
  ensure_started();
  std::thread(body).join();
}

CallSite site_at(uint64_t pc) {
  return {pc, reinterpret_cast<uint64_t>(__builtin_frame_address(0))};
}

Request mutex_at(uint64_t address) {
  return {.address = address, .object = 0, .kind = Kind::Mutex, .flags = 0, .recursive = false};
}

void take(uint64_t address) {
  HookScope scope(site_at(address + 1));
  ASSERT_TRUE(scope);
  scope->push(mutex_at(address), site_at(address + 1));
}

void give_back(uint64_t address) {
  HookScope scope(site_at(1));
  ASSERT_TRUE(scope);
  scope->pop(mutex_at(address), site_at(1));
}

uint64_t marks_of_all_holds() {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < this_thread.card->hold_count; ++i)
    sum += mark_of(*this_thread.hold_at(i));
  return sum;
}

TEST(ThreadCard, HoldsAreKeptInTheOrderTheyWereTaken) {
  in_new_thread([] {
    take(0x1000);
    take(0x2000);
    ASSERT_EQ(this_thread.card->hold_count, 2U);
    EXPECT_EQ(this_thread.hold_at(0)->address, 0x1000U);
    EXPECT_EQ(this_thread.hold_at(1)->address, 0x2000U);
    EXPECT_EQ(this_thread.hold_at(1)->site, 0x2001U);
    give_back(0x1000);
    ASSERT_EQ(this_thread.card->hold_count, 1U);
    EXPECT_EQ(this_thread.hold_at(0)->address, 0x2000U);
    give_back(0x2000);
    EXPECT_EQ(this_thread.card->hold_count, 0U);
  });
}

TEST(ThreadCard, ALevelMoreIsNoHoldMore) {
  in_new_thread([] {
    take(0x3000);
    EXPECT_TRUE(this_thread.got_again(0x3000));
    EXPECT_FALSE(this_thread.got_again(0x3100));
    EXPECT_EQ(this_thread.card->hold_count, 1U);
    give_back(0x3000);
    EXPECT_EQ(this_thread.card->hold_count, 1U);
    give_back(0x3000);
    EXPECT_EQ(this_thread.card->hold_count, 0U);
  });
}

TEST(ThreadCard, AnyOrderOfTakingAndGivingBackAgreesWithAVector) {
  in_new_thread([] {
    constexpr unsigned kSeed = 20261120;
    SCOPED_TRACE(kSeed);
    std::mt19937 random(kSeed);
    std::vector<uint64_t> held;
    for (int step = 0; step < 20000; ++step) {
      if (held.size() < 300 && (held.empty() || random() % 2 == 0)) {
        held.push_back(0x10000 + 64 * static_cast<uint64_t>(step));
        take(held.back());
      } else {
        const size_t at = random() % held.size();
        give_back(held[at]);
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
      }
      ASSERT_EQ(this_thread.card->hold_count, held.size());
      if (held.size() >= 3) {
        ASSERT_EQ(this_thread.held_mark, marks_of_all_holds()) << step;
      }
    }
    for (uint32_t i = 0; i < held.size(); ++i) EXPECT_EQ(this_thread.hold_at(i)->address, held[i]);
    while (!held.empty()) {
      give_back(held.back());
      held.pop_back();
    }
  });
}

TEST(ThreadCard, HoldsBeyondAllBlocksAreCountedAndMakeTheCardInexact) {
  in_new_thread([] {
    constexpr uint32_t kRoom =
        format::kInlineHolds + format::kHoldBlocksPerCard * format::kHoldBlockHolds;
    for (uint32_t i = 0; i < kRoom + 5; ++i) take(0x100000 + 64 * uint64_t{i});
    EXPECT_EQ(this_thread.card->hold_count, kRoom);
    EXPECT_EQ(this_thread.card->holds_dropped, 5U);
    EXPECT_NE(this_thread.card->flags & format::kCardInexact, 0U);
    for (uint32_t i = kRoom + 5; i-- > 0;) give_back(0x100000 + 64 * uint64_t{i});
    EXPECT_EQ(this_thread.card->hold_count, 0U);
    EXPECT_EQ(this_thread.card->holds_dropped, 0U);
  });
}

TEST(ThreadCard, AnUnlockWithoutALockTurnsTheLockIntoASemaphore) {
  in_new_thread([] {
    give_back(0x7000);
    EXPECT_TRUE(is_semaphore_like(0x7000));
    take(0x7000);
    EXPECT_EQ(this_thread.card->hold_count, 0U) << "nobody owns a semaphore";
    lock_ended(0x7000);
    __atomic_store_n(&semaphore_like_locks, 0, __ATOMIC_RELAXED);
  });
}

TEST(ThreadCard, ASuspendedHoldStaysWhereItIs) {
  in_new_thread([] {
    take(0x8000);
    this_thread.suspend_hold(0x8000);
    EXPECT_NE(this_thread.hold_at(0)->flags & format::kSuspended, 0);
    this_thread.resume_hold(0x8000);
    EXPECT_EQ(this_thread.hold_at(0)->flags & format::kSuspended, 0);
    give_back(0x8000);
  });
}

TEST(ThreadCard, AWaitInsideAWaitGivesTheOuterOneBack) {
  in_new_thread([] {
    take(0x9000);
    const uint64_t here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
    format::Registers outer_registers{}, inner_registers{};
    outer_registers.rip = 1;
    inner_registers.rip = 2;
    const uint64_t before = this_thread.wait->number;
    this_thread.begin_wait(mutex_at(0xa000), {11, here}, outer_registers);
    EXPECT_EQ(this_thread.wait->number % 2, 1U);
    this_thread.begin_wait(mutex_at(0xb000), {12, here - 512}, inner_registers);
    EXPECT_EQ(this_thread.wait->address, 0xb000U);
    EXPECT_EQ(this_thread.wait->depth, 1);
    EXPECT_EQ(this_thread.card->registers.rip, 2U);
    this_thread.end_wait();
    EXPECT_EQ(this_thread.wait->number % 2, 1U) << "the outer wait goes on";
    EXPECT_EQ(this_thread.wait->address, 0xa000U);
    EXPECT_EQ(this_thread.card->registers.rip, 1U);
    this_thread.end_wait();
    EXPECT_EQ(this_thread.wait->number % 2, 0U);
    EXPECT_GT(this_thread.wait->number, before);
    give_back(0x9000);
  });
}

TEST(ThreadCard, AWaitThatWasJumpedOutOfIsForgottenByTheNext) {
  in_new_thread([] {
    take(0xc000);
    const uint64_t here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
    this_thread.begin_wait(mutex_at(0xd000), {11, here - 512}, {});
    this_thread.begin_wait(mutex_at(0xe000), {12, here}, {});  // an older frame: the first is gone
    EXPECT_EQ(this_thread.wait->depth, 0);
    this_thread.end_wait();
    EXPECT_EQ(this_thread.wait->number % 2, 0U);
    give_back(0xc000);
  });
}

TEST(HookScope, AHookThatInterruptsAnotherIsSkippedAndMakesTheCardInexact) {
  in_new_thread([] {
    const uint64_t here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
    HookScope outer(CallSite{1, here});
    ASSERT_TRUE(outer);
    HookScope inner(CallSite{2, here - 256});
    EXPECT_FALSE(inner);
    EXPECT_NE(this_thread.card->flags & format::kCardInexact, 0U);
  });
}

TEST(HookScope, AScopeThatWasJumpedOutOfIsTakenOver) {
  in_new_thread([] {
    take(0xf000);
    const uint64_t here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
    this_thread.scope = here - 256;
    HookScope scope(CallSite{1, here});
    EXPECT_TRUE(scope);
    EXPECT_NE(this_thread.card->flags & format::kCardInexact, 0U);
  });
}

TEST(Cards, AreUsedAgainAfterTheirThreads) {
  in_new_thread([] {
    take(0x11000);
    give_back(0x11000);
  });
  const uint32_t used = board.header->cards_used;
  for (int i = 0; i < 20; ++i) {
    in_new_thread([] {
      take(0x11000);
      give_back(0x11000);
    });
  }
  EXPECT_EQ(board.header->cards_used, used);
}

}  // namespace
}  // namespace gordian::runtime
