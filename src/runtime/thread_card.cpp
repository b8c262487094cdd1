// SPDX-License-Identifier: Apache-2.0
#include "runtime/thread_card.h"

#include "runtime/chains.h"
#include "runtime/gates.h"
#include "runtime/lock_table.h"
#include "runtime/log.h"
#include "runtime/system_calls.h"
#include "runtime/threads.h"

#include <string.h>
#include <time.h>

namespace gordian::runtime {

using format::Card;
using format::Hold;
using format::kHoldBlockHolds;
using format::kInlineHolds;
using format::WaitWord;

__thread ThreadState this_thread __attribute__((tls_model("initial-exec"))) = {};

constinit uint32_t semaphore_like_locks = 0;

namespace {

uint64_t coarse_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

// Takes one hold block for the card; its index + 1, or 0 when all are gone.
uint32_t claim_block() {
  const uint32_t reused = pop_free(FreeList::Blocks);
  if (reused != 0) return reused;
  format::BoardHeader& header = *board.header;
  if (__atomic_load_n(&header.blocks_used, __ATOMIC_RELAXED) >= header.block_capacity) return 0;
  const uint32_t index = __atomic_fetch_add(&header.blocks_used, 1, __ATOMIC_RELAXED);
  if (index >= header.block_capacity) {
    __atomic_store_n(&header.blocks_used, header.block_capacity, __ATOMIC_RELAXED);
    return 0;
  }
  return index + 1;
}

void write_hold(Hold& hold, const Request& request, const CallSite& site, uint32_t generation) {
  hold.address = request.address;
  hold.site = site.pc;
  hold.frame = site.frame;
  hold.kind = request.kind;
  hold.flags = request.flags;
  hold.count = 1;
  hold.generation = generation;
}

}  // namespace

// A scope that is open while a hook runs in a frame older than the scope's own was abandoned: its
// frame is gone. A handler on an alternate stack cannot be told from that, so frames count only
// when both lie on the thread's own stack.
bool HookScope::claim_slow(uint64_t frame) {
  ThreadState& thread = this_thread;
  if (thread.card == nullptr) return adopt_this_thread(frame);
  const Card& own = *thread.card;
  const bool both_on_stack = frame >= own.stack_low && frame < own.stack_high &&
                             thread.scope >= own.stack_low && thread.scope < own.stack_high;
  thread.mark_inexact();
  return both_on_stack && frame > thread.scope;
}

void ThreadState::mark_inexact() {
  card->flags |= format::kCardInexact;
  count(board.header->inexact_events);
}

Hold* ThreadState::hold_at(uint32_t index) {
  if (index < kInlineHolds) return &card->holds[index];
  const uint32_t block = card->hold_blocks[(index - kInlineHolds) / kHoldBlockHolds];
  return board.blocks + uint64_t{block - 1} * kHoldBlockHolds +
         (index - kInlineHolds) % kHoldBlockHolds;
}

Hold* ThreadState::find_hold(uint64_t address) {
  for (uint32_t i = card->hold_count; i-- > 0;) {
    Hold* hold = hold_at(i);
    if (hold->address == address) return hold;
  }
  return nullptr;
}

bool ThreadState::got_again(uint64_t address) {
  Hold* hold = find_hold(address);
  if (hold == nullptr) return false;
  hold->count += 1;
  card->acquisitions += 1;
  return true;
}

void ThreadState::suspend_hold(uint64_t address) {
  if (Hold* hold = find_hold(address)) hold->flags |= format::kSuspended;
}

void ThreadState::resume_hold(uint64_t address) {
  if (Hold* hold = find_hold(address)) hold->flags &= static_cast<uint8_t>(~format::kSuspended);
}

// The routine of a pthread_once may leave by an exception, past our hook: its hold is stale once a
// hook runs in a frame that is not below the call of pthread_once.
void ThreadState::forget_finished_once(const CallSite& site) {
  const uint64_t low = card->stack_low, high = card->stack_high;
  for (uint32_t i = card->hold_count; i-- > 0;) {
    const Hold& hold = *hold_at(i);
    const bool once = hold.kind == format::Kind::Once || hold.kind == format::Kind::GlibOnce;
    if (once && hold.frame >= low && hold.frame < high && site.frame >= hold.frame &&
        site.frame < high) {
      remove_hold(i);
      once_depth -= 1;
    }
  }
}

// A thread that ends inside the routine of a pthread_once has not done it: libc lets the next one
// try.
void ThreadState::forget_all_once() {
  for (uint32_t i = card->hold_count; once_depth != 0 && i-- > 0;) {
    if (hold_at(i)->kind == format::Kind::Once) remove_hold(i);
  }
  once_depth = 0;
}

void ThreadState::end_once(uint64_t control) {
  for (uint32_t i = card->hold_count; i-- > 0;) {
    if (hold_at(i)->address != control) continue;
    remove_hold(i);
    if (once_depth > 0) once_depth -= 1;
    return;
  }
}

void ThreadState::push_slow(Request request, CallSite site) {
  if (once_depth != 0) forget_finished_once(site);
  if (semaphore_like_locks != 0 || request.kind == format::Kind::Semaphore) {
    for (uint32_t i = card->hold_count; i-- > 0;) {
      if (is_semaphore_like(hold_at(i)->address)) remove_hold(i);
    }
    if (is_semaphore_like(request.address)) return;
    if (request.kind == format::Kind::Semaphore && find_hold(request.address) != nullptr) return;
  }
  const uint32_t index = card->hold_count;
  if (index >= kInlineHolds) {
    const uint32_t block = (index - kInlineHolds) / kHoldBlockHolds;
    if (block >= format::kHoldBlocksPerCard ||
        (card->hold_blocks[block] == 0 && (card->hold_blocks[block] = claim_block()) == 0)) {
      card->holds_dropped += 1;
      count(board.header->dropped_holds);
      mark_inexact();
      return;
    }
  }
  Hold* hold = hold_at(index);
  write_hold(*hold, request, site, visit(request.address, tag));
  if (index >= 2) held_mark = mark_of_all_holds() + mark_of(*hold);
  // ORDER: a reader that sees the count must see the hold.
  __atomic_store_n(&card->hold_count, index + 1, __ATOMIC_RELEASE);
}

void ThreadState::remove_hold(uint32_t index) {
  const uint32_t last = card->hold_count - 1;
  const uint64_t mark = mark_of(*hold_at(index));
  for (uint32_t i = index; i < last; ++i) *hold_at(i) = *hold_at(i + 1);
  hold_at(last)->address = 0;  // see quick_holds.h
  if (last >= 2) held_mark -= mark;
  // ORDER: the holds have moved before the count says so.
  __atomic_store_n(&card->hold_count, last, __ATOMIC_RELEASE);
}

bool ThreadState::pop_slow(Request request, CallSite site) {
  for (uint32_t i = card->hold_count; i-- > 0;) {
    Hold* hold = hold_at(i);
    if (hold->address != request.address) continue;
    if (hold->count > 1) {
      hold->count -= 1;
      return false;
    }
    remove_hold(i);
    return true;
  }
  if (card->holds_dropped > 0) {
    card->holds_dropped -= 1;
    return true;
  }
  // A hold without address was never finished: a signal handler jumped away from in between.
  if (find_hold(0) != nullptr) mark_inexact();
  // An inexact card may just have missed the lock.
  if ((card->flags & format::kCardInexact) == 0) note_released_by_other(*this, request, site);
  return true;
}

// The word counts up at every change, so that a reader sees a torn one: even while nothing is
// published, odd while a wait stands.
void ThreadState::begin_wait(const Request& request, const CallSite& site,
                             const format::Registers& registers) {
  WaitWord& word = *wait;
  uint64_t number = word.number;
  uint8_t depth = 0;
  if ((number & 1) != 0) {
    // Either a signal handler interrupted a wait, or that wait was left by longjmp or cancellation:
    // then its frame, and those of the waits below it, lie deeper than ours.
    depth = word.depth;
    const uint64_t low = card->stack_low, high = card->stack_high;
    const bool on_stack = site.frame >= low && site.frame < high;
    bool alive = !(on_stack && word.frame >= low && word.frame < high && word.frame <= site.frame);
    if (alive && depth < format::kOuterWaits) {
      card->outer[depth].wait = word;
      card->outer[depth].registers = card->registers;
      depth += 1;
    } else if (alive) {
      mark_inexact();
    } else {
      while (depth > 0 && card->outer[depth - 1].wait.frame <= site.frame) depth -= 1;
    }
    number += 1;
    // ORDER: what follows overwrites a wait a reader may be copying; it checks the number after.
    __atomic_store_n(&word.number, number, __ATOMIC_RELEASE);
  }
  word.address = request.address;
  word.object = request.object;
  word.site = site.pc;
  word.frame = site.frame;
  word.since_ns = coarse_now_ns();
  word.kind = request.kind;
  word.flags = request.flags;
  word.depth = depth;
  word.heartbeat = 0;
  card->registers = registers;
  card->waits += 1;
  // ORDER: a reader that sees the odd number must see the wait it stands for.
  __atomic_store_n(&word.number, number + 1, __ATOMIC_RELEASE);
  if (is_steered()) ring_for_judge();
}

void ThreadState::end_wait() {
  WaitWord& word = *wait;
  if ((word.number & 1) == 0) return;  // published before a fork
  const uint64_t waited = coarse_now_ns() - word.since_ns;
  if (waited > card->longest_wait_ns) card->longest_wait_ns = waited;
  __atomic_store_n(&word.number, word.number + 1, __ATOMIC_RELEASE);
  if (word.depth > 0) {
    const uint8_t depth = static_cast<uint8_t>(word.depth - 1);
    const uint64_t number = word.number;
    const format::OuterWait& outer = card->outer[depth];
    card->registers = outer.registers;
    word.address = outer.wait.address;
    word.object = outer.wait.object;
    word.site = outer.wait.site;
    word.frame = outer.wait.frame;
    word.since_ns = outer.wait.since_ns;
    word.kind = outer.wait.kind;
    word.flags = outer.wait.flags;
    word.depth = outer.wait.depth;
    word.heartbeat = outer.wait.heartbeat;
    // ORDER: as in begin_wait.
    __atomic_store_n(&word.number, number + 1, __ATOMIC_RELEASE);
  }
}

}  // namespace gordian::runtime
