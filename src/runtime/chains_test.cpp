// SPDX-License-Identifier: Apache-2.0
#include "runtime/chains.h"

#include "runtime/log.h"

#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <thread>

namespace gordian::runtime {
namespace {

TEST(ChainMemory, KnowsWhatItSaw) {
  const auto memory = std::make_unique<ChainMemory>();
  EXPECT_TRUE(memory->insert(7));
  EXPECT_FALSE(memory->insert(7));
  EXPECT_TRUE(memory->insert(8));
}

TEST(ChainMemory, GoesOnWhenItIsFull) {
  const auto memory = std::make_unique<ChainMemory>();
  for (uint64_t i = 1; i <= 2 * uint64_t{kChainSlots}; ++i) {
    EXPECT_TRUE(memory->insert(i * 0x9E3779B97F4A7C15U | 1));
  }
}

TEST(ChainMemory, CountsUp) {
  const auto memory = std::make_unique<ChainMemory>();
  for (uint32_t i = 0; i < 20; ++i) EXPECT_EQ(memory->count_up(42), i);
  EXPECT_EQ(memory->count_up(43), 0U);
  for (int i = 0; i < 1000; ++i) memory->count_up(42);
  EXPECT_EQ(memory->count_up(42), 255U);
}

template <typename Wanted>
uint32_t count_chains(const Wanted& wanted) {
  uint32_t found = 0;
  for (uint64_t at = 0; at < board.header->log_used;) {
    const auto* record = reinterpret_cast<const format::RecordHeader*>(board.log + at);
    if (record->magic != format::kRecordMagic || record->committed == 0) {
      at += format::kRecordAlign;
      continue;
    }
    if (record->type == format::RecordType::Chain &&
        wanted(*reinterpret_cast<const format::ChainRecord*>(record)))
      ++found;
    at += record->size;
  }
  return found;
}

// Of chains with something held, or of bare requests.
uint32_t chains_in_log(bool bare = false) {
  return count_chains(
      [&](const format::ChainRecord& chain) { return (chain.hold_count == 0) == bare; });
}

void take_pair_at(const CallSite& site, uint64_t outer, uint64_t inner) {
  for (const uint64_t address : {outer, inner}) {
    HookScope scope(site);
    ASSERT_TRUE(scope);
    const Request request{.address = address, .object = 0, .kind = format::Kind::Mutex};
    scope->check_chain(request, site);
    scope->push(request, site);
  }
  for (const uint64_t address : {inner, outer}) {
    HookScope scope(site);
    scope->pop({.address = address, .object = 0, .kind = format::Kind::Mutex}, site);
  }
}

void take_pair(uint64_t outer, uint64_t inner) {
  take_pair_at({100, reinterpret_cast<uint64_t>(__builtin_frame_address(0))}, outer, inner);
}

// Stacks in the log of requests at `site`.
uint32_t slices_in_log(uint64_t site) {
  return count_chains([&](const format::ChainRecord& chain) {
    return chain.site == site && chain.hold_count != 0 && chain.slice_size != 0;
  });
}

// As a function would that only wraps the lock and was called from `caller`: the call site is
// always the same, and the saved frame pointers lead to the caller.
void take_pair_by_wrapper(uint64_t site_pc, uint64_t outer, uint64_t inner, uint64_t caller) {
  uint64_t frames[6] = {};
  const auto address = [&frames](int i) { return reinterpret_cast<uint64_t>(&frames[i]); };
  frames[0] = address(2);
  frames[1] = reinterpret_cast<uint64_t>(&take_pair_by_wrapper);
  frames[2] = address(4);
  frames[3] = caller;
  take_pair_at({site_pc, address(0)}, outer, inner);
}

// Two threads were at the lock: nothing changes when a third comes.
void make_common(uint64_t address) {
  visit(address, visitor_tag(1));
  visit(address, visitor_tag(2));
}

TEST(Chains, AreLoggedOncePerThread) {
  ensure_started();
  make_common(0x61000);
  make_common(0x62000);
  const uint32_t before = chains_in_log();
  for (int thread = 0; thread < 2; ++thread) {
    std::thread([] {
      for (int i = 0; i < 100; ++i) take_pair(0x61000, 0x62000);
      for (int i = 0; i < 100; ++i) take_pair(0x62000, 0x61000);
    }).join();
  }
  EXPECT_EQ(chains_in_log() - before, 4U);
}

// A thread that joins this one with the lock in hand depends on it.
TEST(Chains, WithNothingHeldAreLoggedOncePerThread) {
  ensure_started();
  make_common(0x69000);
  make_common(0x6a000);
  const uint32_t before = chains_in_log(true);
  std::thread([] {
    for (int i = 0; i < 100; ++i) take_pair(0x69000, 0x69000 + 8);
    for (int i = 0; i < 100; ++i) take_pair(0x6a000, 0x6a000 + 8);
  }).join();
  EXPECT_EQ(chains_in_log(true) - before, 2U);
}

// What happened between the two segments does not order the second time.
TEST(Chains, ComeOnceMoreInALaterSegment) {
  ensure_started();
  make_common(0x6b000);
  make_common(0x6c000);
  const uint32_t before = chains_in_log();
  std::thread([] {
    take_pair(0x6b000, 0x6c000);
    for (int i = 0; i < 10; ++i) {
      set_segment(*this_thread.card, this_thread.card->segment + 1);
      take_pair(0x6b000, 0x6c000);
    }
  }).join();
  EXPECT_EQ(chains_in_log() - before, 2U);
}

TEST(Chains, OfManyThreadsAreLoggedForTheFirstOnly) {
  ensure_started();
  make_common(0x63000);
  make_common(0x64000);
  const uint32_t before = chains_in_log();
  for (uint32_t thread = 0; thread < 2 * kThreadsPerChain; ++thread) {
    std::thread([] { take_pair(0x63000, 0x64000); }).join();
  }
  EXPECT_EQ(chains_in_log() - before, kThreadsPerChain);
}

TEST(Chains, OfALoneThreadAreLoggedAgainOnceOthersCome) {
  ensure_started();
  const uint32_t before = chains_in_log();
  std::thread([] {
    take_pair(0x67000, 0x68000);
    take_pair(0x67000, 0x68000);
    visit(0x67000, this_thread.tag == visitor_tag(1) ? visitor_tag(2) : visitor_tag(1));
    take_pair(0x67000, 0x68000);
  }).join();
  EXPECT_EQ(chains_in_log() - before, 2U);
}

// Else the second pair would be shown with the stack of the first, and its locks by their names.
TEST(Chains, ThroughAWrapperHaveTheStackOfTheirOwnCaller) {
  ensure_started();
  std::thread([] {
    const auto one = reinterpret_cast<uint64_t>(&slices_in_log);
    const auto other = reinterpret_cast<uint64_t>(&chains_in_log);
    take_pair_by_wrapper(200, 0x81000, 0x82000, one);
    take_pair_by_wrapper(200, 0x83000, 0x84000, other);
    EXPECT_EQ(slices_in_log(200), 2U);
    take_pair_by_wrapper(200, 0x85000, 0x86000, one);
    take_pair_by_wrapper(200, 0x87000, 0x88000, other);
    EXPECT_EQ(slices_in_log(200), 2U);
  }).join();
}

// Locks lie in arrays, or in objects of a size: however far apart, none takes another's word.
TEST(Generations, RegularlySpreadLocksHaveWordsOfTheirOwn) {
  for (const uint64_t stride :
       {4U, 8U, 40U, 48U, 64U, 200U, 1000U, 4096U, 8192U, 65536U, 1U << 20, 1U << 26}) {
    std::set<uint32_t> words;
    for (uint64_t i = 0; i < 512; ++i) words.insert(generation_index(0x55d3c1a2e040 + i * stride));
    EXPECT_EQ(words.size(), 512U) << stride;
  }
}

TEST(Generations, NeighboursShareCacheLines) {
  std::set<uint32_t> lines;
  for (uint64_t i = 0; i < 512; ++i) lines.insert(generation_index(0x55d3c1a2e040 + i * 40) / 16);
  EXPECT_LT(lines.size(), 512U / 2);
}

// Enough of three locks taken at the same places: no more of them are looked up, whatever locks.
TEST(Chains, OfThreeLocksAreCountedByPlacesToo) {
  ensure_started();
  const CallSite site{0x7100, reinterpret_cast<uint64_t>(__builtin_frame_address(0))};
  const uint32_t before = chains_in_log();
  const uint64_t dropped = board.header->dropped_repeats;
  std::thread([&site] {
    for (uint64_t i = 0; i < 2 * kChainsPerSites; ++i) {
      const uint64_t locks[] = {0x700000 + i * 64, 0x900000 + i * 64, 0xb00000 + i * 64};
      for (const uint64_t address : locks) {
        HookScope scope(site);
        const Request request{.address = address, .object = 0, .kind = format::Kind::Mutex};
        scope->check_chain(request, site);
        scope->push(request, site);
      }
      for (const uint64_t address : {locks[2], locks[1], locks[0]}) {
        HookScope scope(site);
        scope->pop({.address = address, .object = 0, .kind = format::Kind::Mutex}, site);
      }
    }
  }).join();
  // One each that met the limit, and the pairs and triples below it.
  EXPECT_EQ(chains_in_log() - before, 2 * kChainsPerSites);
  EXPECT_EQ(board.header->dropped_repeats - dropped, 2U);
}

TEST(Visitors, ASecondOneEndsTheGenerationTheFirstWasAloneIn) {
  const uint32_t alone = visit(0x71000, visitor_tag(5));
  EXPECT_EQ(visit(0x71000, visitor_tag(5)), alone);
  const uint32_t together = visit(0x71000, visitor_tag(6));
  EXPECT_NE(together, alone);
  EXPECT_EQ(visit(0x71000, visitor_tag(5)), together);
  EXPECT_EQ(visit(0x71000, visitor_tag(7)), together);
}

TEST(Visitors, ANewLockIsNobodysButItsCreators) {
  begin_generation(0x72000, visitor_tag(5));
  EXPECT_EQ(*generation_word(0x72000) & ~uint32_t{0xffff}, kCreator | visitor_tag(5));
  end_generation(0x72000);
  EXPECT_EQ(*generation_word(0x72000) & ~uint32_t{0xffff}, 0U);
}

TEST(Chains, ANewGenerationIsANewChain) {
  ensure_started();
  const uint32_t before = chains_in_log();
  std::thread([] {
    take_pair(0x65000, 0x66000);
    end_generation(0x66000);
    take_pair(0x65000, 0x66000);
  }).join();
  EXPECT_EQ(chains_in_log() - before, 2U);
}

}  // namespace
}  // namespace gordian::runtime
