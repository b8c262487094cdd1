// SPDX-License-Identifier: Apache-2.0
// Who wrote last, by 8 bytes of the program's memory.
//
// A cell names the writer's ring and how much of it was recorded then: the writer's segment. That
// is all an edge needs: "everything in that ring before it came before". 0: nobody of whom anything
// was recorded.
//
// Addresses are folded into the shadow: two granules may share a cell. As a write counts as a read
// of what it overwrites, that adds orders and loses none. Nothing here locks: a cell only ever
// changes by compare and exchange, from a writer to one that comes after it, or to 0.
//
// Memory that is freed forgets its writers: who gets it next has it of the allocator, and would
// have got other memory in another order. So that this forgets nobody who wrote elsewhere, a cell
// also tells which of the granules that share it was written; once it was two it is never emptied.

#pragma once

#include <stdint.h>

namespace gordian::memory {

using Cell = uint64_t;

// From the low end: the place, the position in words, the ring.
inline constexpr uint32_t kPlaceBits = 8;
inline constexpr uint32_t kPositionBits = 36;  // 256 GiB of one ring
inline constexpr uint32_t kRingShift = kPlaceBits + kPositionBits;
inline constexpr Cell kPlaceMask = (1 << kPlaceBits) - 1;
inline constexpr Cell kSeveralPlaces = 1 << (kPlaceBits - 1);

// The largest shadow, of which a place (bits 40 to 46 of an address) tells all granules of a cell.
inline constexpr uint32_t kShadowBits = 40;
constexpr Cell place_of(uint64_t address) { return address >> kShadowBits & (kSeveralPlaces - 1); }

constexpr Cell cell_owner(uint32_t ring) { return (uint64_t{ring} + 1) << kRingShift; }
constexpr Cell without_place(Cell cell) { return cell & ~kPlaceMask; }
constexpr uint32_t ring_of_cell(Cell cell) { return static_cast<uint32_t>(cell >> kRingShift) - 1; }
constexpr uint64_t position_of_cell(Cell cell) {
  return (cell >> kPlaceBits & ((uint64_t{1} << kPositionBits) - 1)) << 2;
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
