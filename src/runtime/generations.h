// SPDX-License-Identifier: Apache-2.0
// The generation of an address: it changes when a lock there is known to have ended, so that a new
// lock at the address is not taken for the old one. A small table of counters: addresses that share
// a counter cost each other a repeated log record, nothing worse.
#pragma once

#include <stdint.h>

namespace gordian::runtime {

inline constexpr uint32_t kGenerationCounters = 1 << 16;
extern uint16_t generations[kGenerationCounters];

inline uint32_t generation_slot(uint64_t address) {
  return static_cast<uint32_t>((address >> 3) * 0x9E3779B1U >> 7) & (kGenerationCounters - 1);
}

inline uint32_t generation_of(uint64_t address) {
  // ORDER: relaxed. A thread that learns late of an end logs under the old number; the end of a
  // lock and its next use are ordered by the program itself, or the program is wrong.
  return __atomic_load_n(&generations[generation_slot(address)], __ATOMIC_RELAXED);
}

inline void end_generation(uint64_t address) {
  __atomic_fetch_add(&generations[generation_slot(address)], uint16_t{1}, __ATOMIC_RELAXED);
}

}  // namespace gordian::runtime
