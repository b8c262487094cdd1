// SPDX-License-Identifier: Apache-2.0
// The generation of an address: it changes when a lock there is known to have ended, so that a new
// lock at the address is not taken for the old one. And who has been at the lock: nobody, one
// thread, or several; a lock that only its creator knows cannot be in anybody's way.
//
// A small table of words: addresses that share a word cost each other a repeated log record, and
// may look as if several threads had been there; nothing worse.
#pragma once

#include <stdint.h>

namespace gordian::runtime {

// generation in the lower half; upper half: 0 nobody, kSeveral, or the visitor's tag, with kCreator
// if it was seen to create the lock.
inline constexpr uint32_t kGenerationWords = 1 << 16;
inline constexpr uint32_t kSeveral = 0xffff0000;
inline constexpr uint32_t kCreator = 0x80000000;
extern uint32_t generations[kGenerationWords] __attribute__((visibility("hidden")));

// Multiplicative, but neighbours stay neighbours: 8 bytes further is the next word, so the locks of
// an array share cache lines here as they do themselves. The large part of the factor keeps locks 4
// bytes apart from each other's word, the small one moves pages and larger powers of two apart.
inline uint32_t generation_index(uint64_t address) {
  constexpr uint64_t kFactor = (uint64_t{1} << 61) + (uint64_t{1} << 45) + 0x9E3779B97U;
  return static_cast<uint32_t>((address * kFactor) >> 48);
}
static_assert(kGenerationWords == 1 << (64 - 48));
inline uint32_t* generation_word(uint64_t address) {
  return &generations[generation_index(address)];
}

inline uint32_t generation_of(uint64_t address) {
  // A thread that learns late of an end logs under the old number; the end of a lock and its next
  // use are ordered by the program itself, or the program is wrong.
  return __atomic_load_n(generation_word(address), __ATOMIC_RELAXED) & 0xffff;
}

// A thread's tag: never 0, never that of kSeveral.
inline uint32_t visitor_tag(uint32_t uid) { return (uid % 0x7ffd + 1) << 16; }

// Is the thread with that tag not known yet to be at the lock whose word this is? One branch that
// is never taken in the long run, be the lock one thread's or everybody's.
inline bool is_new_visitor(uint32_t value, uint32_t tag) {
  return (value < kSeveral) & (((value ^ tag) & ~kCreator & kSeveral) != 0);
}

// The slow half of visit().
uint32_t note_visitor(uint32_t* word, uint32_t tag);

// The thread with that tag is at the lock; returns the lock's generation. When a second thread
// comes the generation changes: what the first logged while it was alone is logged again if it
// repeats.
__attribute__((always_inline)) inline uint32_t visit(uint64_t address, uint32_t tag) {
  uint32_t* const word = generation_word(address);
  const uint32_t value = __atomic_load_n(word, __ATOMIC_RELAXED);
  if (__builtin_expect(is_new_visitor(value, tag), 0)) return note_visitor(word, tag);
  return value & 0xffff;
}

// The lock there has ended; the next is nobody's yet.
void end_generation(uint64_t address);

// The thread with that tag creates a lock there.
void begin_generation(uint64_t address, uint32_t tag);

}  // namespace gordian::runtime
