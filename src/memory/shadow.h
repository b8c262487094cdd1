// SPDX-License-Identifier: Apache-2.0
// Who wrote last, by 8 bytes of the program's memory.
//
// A cell names the writer's ring and how much of it was recorded then: the writer's segment. That
// is all an edge needs: "everything in that ring before it came before". 0: nobody of whom anything
// was recorded.
//
// Addresses are folded into the shadow: two granules may share a cell. As a write counts as a read
// of what it overwrites, that adds orders and loses none. Nothing here locks: a cell only ever
// changes by compare and exchange, from a writer to one that comes after it.
#pragma once

#include <stdint.h>

namespace gordian::memory {

using Cell = uint64_t;

inline constexpr uint32_t kPositionBits = 44;  // of the position, in words

constexpr Cell cell_owner(uint32_t ring) { return (uint64_t{ring} + 1) << kPositionBits; }
constexpr uint32_t ring_of_cell(Cell cell) {
  return static_cast<uint32_t>(cell >> kPositionBits) - 1;
}
constexpr uint64_t position_of_cell(Cell cell) {
  return (cell & ((uint64_t{1} << kPositionBits) - 1)) << 2;
}

struct Shadow {
  uint64_t base;
  uint64_t mask;  // of an address: which bytes of the shadow are its cell
};
extern Shadow shadow __attribute__((visibility("hidden")));

inline uint64_t number(const volatile void* address) { return reinterpret_cast<uint64_t>(address); }

inline Cell* cell_of(uint64_t address) {
  return reinterpret_cast<Cell*>(shadow.base + (address & shadow.mask));
}

// Maps it, as large as the limits of the process allow. In a forked child it is empty again. False:
// there is no room.
bool map_shadow();

}  // namespace gordian::memory
