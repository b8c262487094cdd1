// SPDX-License-Identifier: Apache-2.0
#include "runtime/barriers.h"

#include "runtime/order.h"

namespace gordian::runtime {

namespace {

constexpr uint32_t kBarriers = 256;

// The parties of the last two rounds. Two are enough: nobody arrives for the round after next
// before everybody has left this one.
struct BarrierRounds {
  uint64_t address;
  uint32_t needed;
  uint32_t arrivals;                  // ever
  uint64_t parties[2 * kMaxParties];  // uid << 32 | segment
};
constinit BarrierRounds barriers[kBarriers] = {};

BarrierRounds& slot_of(uint64_t address) {
  return barriers[((address >> 4) * 0x9E3779B1U >> 8) % kBarriers];
}

}  // namespace

void watch_barrier(uint64_t address, uint32_t needed) {
  BarrierRounds& rounds = slot_of(address);
  rounds.address = needed <= kMaxParties ? address : 0;
  rounds.needed = needed;
  rounds.arrivals = 0;
}

uint64_t note_arrival(const Request& request, const CallSite& site) {
  BarrierRounds& rounds = slot_of(request.address);
  HookScope scope(site);
  if (!scope || rounds.address != request.address || rounds.needed == 0) return 0;
  const uint32_t arrival = __atomic_fetch_add(&rounds.arrivals, 1, __ATOMIC_RELAXED);
  const uint64_t party = uint64_t{scope->uid} << 32 | end_segment(*scope.operator->());
  // ORDER: the real barrier orders this store before the loads of those it lets go.
  __atomic_store_n(&rounds.parties[arrival % (2 * rounds.needed)], party, __ATOMIC_RELAXED);
  return uint64_t{arrival} + 1;
}

void note_departure(const Request& request, uint64_t arrival, const CallSite& site) {
  const BarrierRounds& rounds = slot_of(request.address);
  HookScope scope(site);
  if (!scope || arrival == 0 || rounds.address != request.address || rounds.needed == 0) return;
  const uint32_t needed = rounds.needed;
  const auto first = static_cast<uint32_t>((arrival - 1) / needed % 2 * needed);
  for (uint32_t i = 0; i < needed; ++i) {
    const uint64_t party = __atomic_load_n(&rounds.parties[first + i], __ATOMIC_RELAXED);
    note_comes_after(*scope.operator->(), static_cast<uint32_t>(party >> 32),
                     static_cast<uint32_t>(party), format::Kind::Barrier);
  }
}

}  // namespace gordian::runtime
