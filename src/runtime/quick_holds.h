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

#include <stddef.h>

namespace gordian::runtime {

// Fills the empty slot `hold`, all but its address.
__attribute__((always_inline)) inline void describe_hold(format::Hold& hold, Kind kind,
                                                         uint8_t mode, uint32_t generation,
                                                         const CallSite& site) {
  hold.site = site.pc;
  hold.frame = site.frame;
  // kind, flags, count and generation: each store less is a store less for the unlock to wait for.
  using Words [[gnu::may_alias]] = uint64_t;
  *reinterpret_cast<Words*>(reinterpret_cast<char*>(&hold) + offsetof(format::Hold, kind)) =
      static_cast<uint64_t>(kind) | uint64_t{mode} << 8 | uint64_t{1} << 16 |
      uint64_t{generation} << 32;
}
static_assert(offsetof(format::Hold, flags) == offsetof(format::Hold, kind) + 1 &&
              offsetof(format::Hold, count) == offsetof(format::Hold, kind) + 2 &&
              offsetof(format::Hold, generation) == offsetof(format::Hold, kind) + 4);

__attribute__((always_inline)) inline void add_hold(format::Card& card, uint32_t index,
                                                    uint64_t address, Kind kind, uint8_t mode,
                                                    uint32_t generation, const CallSite& site) {
  format::Hold& hold = card.holds[index];
  card.acquisitions += 1;
  card.hold_count = index + 1;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  describe_hold(hold, kind, mode, generation, site);
  // ORDER: last, against a signal handler of this thread; other processes see x86 stores in order.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  hold.address = address;
}

// What a thread is about to take, and where its hold goes if that may be done quickly.
struct QuickHold {
  format::Card* card = nullptr;  // null: take the general road
  uint32_t index = 0;
  uint32_t generation = 0;
};

// As prepare_hold, but only for what can be judged without a call.
__attribute__((always_inline)) inline QuickHold find_known_hold(format::Card& card,
                                                                uint64_t address, uint64_t pc,
                                                                uint8_t mode = 0) {
  const uint32_t visitors = __atomic_load_n(generation_word(address), __ATOMIC_RELAXED);
  const uint32_t generation = visitors & 0xffff;
  const uint64_t wanted = instance_of(address, generation, mode);
  const auto is_known = [&](uint64_t cached, uint64_t key, uint32_t holds) {
    return __builtin_expect(cached == key, 1) ||
           (is_full_site(card, holds, pc) && !is_new_visitor(visitors, this_thread.tag));
  };
  if (card.hold_count == 0) {
    // A try that holds nothing makes nobody wait: it is no chain.
    const bool is_known_bare =
        (mode & format::kTry) != 0
            ? !is_new_visitor(visitors, this_thread.tag)
            : is_known(cached_bare(card, address), cache_key(wanted, card), 0);
    if (is_known_bare) return {&card, 0, generation};
    return {};
  }
  if (card.hold_count != 1) return {};
  const uint64_t key = cache_key(chain_key(wanted, mark_of(card.holds[0])), card);
  if (is_known(cached_chain(card, key), key, 1)) return {&card, 1, generation};
  return {};
}

// Before the real call or after it: a lock that changes its generation meanwhile is logged again.
__attribute__((always_inline)) inline QuickHold prepare_hold(uint64_t address, uint64_t pc,
                                                             uint8_t mode = 0) {
  format::Card* const card = this_thread.quick;
  if (__builtin_expect(card == nullptr, 0)) return {};
  // What is in the caches was visited: no need to do it again.
  const uint32_t generation = generation_of(address);
  const uint64_t wanted = instance_of(address, generation, mode);
  if (card->hold_count == 0) {
    if (__builtin_expect(cached_bare(*card, address) == cache_key(wanted, *card), 1)) {
      return {card, 0, generation};
    }
    if (!is_full_site(*card, 0, pc)) return {};
    return {card, 0, visit(address, this_thread.tag)};
  }
  const format::Hold& first = card->holds[0];
  // A read lock that is held already is a level more, not a hold more.
  if (card->hold_count != 1 || (mode != 0 && first.address == address)) return {};
  const uint64_t key = cache_key(chain_key(wanted, mark_of(first)), *card);
  if (__builtin_expect(cached_chain(*card, key) == key, 1)) return {card, 1, generation};
  if (!is_full_site(*card, 1, pc)) return {};
  return {card, 1, visit(address, this_thread.tag)};
}

// The thread holds it now.
__attribute__((always_inline)) inline void finish_hold(const QuickHold& quick, uint64_t address,
                                                       Kind kind, uint8_t mode,
                                                       const CallSite& site) {
  format::Card& card = *quick.card;
  if (quick.index == 0) {
    add_hold(card, 0, address, kind, mode, quick.generation, site);
  } else {
    card.nested += 1;
    add_hold(card, 1, address, kind, mode, quick.generation, site);
  }
}

// False: nothing was done, take the general road.
__attribute__((always_inline)) inline bool push_quickly(uint64_t address, Kind kind,
                                                        const CallSite& site, uint8_t mode = 0) {
  const QuickHold quick = prepare_hold(address, site.pc, mode);
  if (__builtin_expect(quick.card == nullptr, 0)) return false;
  finish_hold(quick, address, kind, mode, site);
  return true;
}

__attribute__((always_inline)) inline bool drop_hold(format::Card& card, uint32_t index,
                                                     uint64_t address) {
  format::Hold& hold = card.holds[index];
  if (__builtin_expect(hold.address != address || hold.count != 1, 0)) return false;
  hold.address = 0;
  // ORDER: as above.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  card.hold_count = index;
  return true;
}

// False: nothing was done, take the general road.
__attribute__((always_inline)) inline bool pop_quickly(uint64_t address) {
  format::Card* const card = this_thread.quick;
  if (__builtin_expect(card == nullptr, 0)) return false;
  if (card->hold_count == 1) return drop_hold(*card, 0, address);
  return card->hold_count == 2 && drop_hold(*card, 1, address);
}

}  // namespace gordian::runtime
