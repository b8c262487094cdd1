// SPDX-License-Identifier: Apache-2.0
#include "runtime/generations.h"

namespace gordian::runtime {

constinit uint32_t generations[kGenerationWords] = {};

namespace {

template <typename Change>
uint32_t change(uint32_t* word, Change next) {
  uint32_t value = __atomic_load_n(word, __ATOMIC_RELAXED);
  uint32_t changed = next(value);
  while (!__atomic_compare_exchange_n(word, &value, changed, true, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED)) {
    changed = next(value);
  }
  return changed & 0xffff;
}

}  // namespace

uint32_t note_visitor(uint32_t* word, uint32_t tag) {
  return change(word, [tag](uint32_t value) {
    if (value >= kSeveral) return value;
    const uint32_t visitor = value & ~kCreator & kSeveral;
    if (visitor == 0) return value | tag;
    return visitor == tag ? value : kSeveral | ((value + 1) & 0xffff);
  });
}

void end_generation(uint64_t address) {
  change(generation_word(address), [](uint32_t value) { return (value + 1) & 0xffff; });
}

void begin_generation(uint64_t address, uint32_t tag) {
  change(generation_word(address),
         [tag](uint32_t value) { return kCreator | tag | ((value + 1) & 0xffff); });
}

}  // namespace gordian::runtime
