// SPDX-License-Identifier: Apache-2.0
// The hot path: an uncontended lock, at most one other held. Everything else takes the general road
// (HookScope, push, pop).
//
// No scope is claimed here: the stores are in an order that a signal handler in between survives.
// A slot above the count always has address 0. Taking raises the count first and writes the address
// last; releasing clears the address first and lowers the count last. A handler that runs in the
// middle sees a slot without address, puts its own holds above it and takes them away again.
#pragma once

#include "runtime/hook.h"

namespace gordian::runtime {

// False: nothing was done, take the general road.
__attribute__((always_inline)) inline bool push_quickly(uint64_t address, Kind kind, uint64_t pc,
                                                        uint64_t frame, uint8_t mode = 0) {
  ThreadState& thread = this_thread;
  format::Card* const card = thread.card;
  if (__builtin_expect(card == nullptr || thread.scope != 0 || thread.once_depth != 0 ||
                           semaphore_like_locks != 0,
                       0)) {
    return false;
  }
  const uint32_t index = card->hold_count;
  const uint32_t generation = visit(address, thread.tag);
  const uint64_t mark = mark_of(address, generation, mode);
  if (index == 0) {
    const uint64_t key = cache_key(chain_key(mark, kind, 0), card->segment);
    if (__builtin_expect(card->chain_cache[key >> 55] != key, 0)) return false;
  } else {
    if (index != 1) return false;
    // A read lock that is held already is a level more, not a hold more.
    if (mode != 0 && card->holds[0].address == address) return false;
    const uint64_t held = mark_of(card->holds[0]);
    const uint64_t key = cache_key(chain_key(mark, kind, held), card->segment);
    if (__builtin_expect(card->chain_cache[key >> 55] != key, 0)) return false;
    thread.held_mark = held + mark;
    card->nested += 1;
  }
  card->acquisitions += 1;
  format::Hold& hold = card->holds[index];
  card->hold_count = index + 1;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  hold.site = pc;
  hold.frame = frame;
  hold.kind = kind;
  hold.flags = mode;
  hold.count = 1;
  hold.generation = generation;
  // ORDER: last, against a signal handler of this thread; other processes see x86 stores in order.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  hold.address = address;
  return true;
}

// False: nothing was done, take the general road.
__attribute__((always_inline)) inline bool pop_quickly(uint64_t address) {
  ThreadState& thread = this_thread;
  format::Card* const card = thread.card;
  if (__builtin_expect(card == nullptr || thread.scope != 0, 0)) return false;
  const uint32_t index = card->hold_count - 1;  // none held: the largest number
  if (index > 1) return false;
  format::Hold& hold = card->holds[index];
  if (__builtin_expect(hold.address != address || hold.count != 1, 0)) return false;
  hold.address = 0;
  // ORDER: as above.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  card->hold_count = index;
  return true;
}

}  // namespace gordian::runtime
