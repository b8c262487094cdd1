// SPDX-License-Identifier: Apache-2.0
#include "watch/steering.h"

namespace gordian::watch {
namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
// generators", 2014).
uint64_t scramble(uint64_t value) {
  value ^= value >> 30;
  value *= 0xBF58476D1CE4E5B9U;
  value ^= value >> 27;
  value *= 0x94D049BB133111EBU;
  return value ^ value >> 31;
}

}  // namespace

uint64_t mix(uint64_t seed, uint64_t a, uint64_t b, uint64_t c) {
  uint64_t state = seed;
  for (const uint64_t part : {a, b, c}) state = scramble(state + 0x9E3779B97F4A7C15U + part);
  return state;
}

}  // namespace gordian::watch
