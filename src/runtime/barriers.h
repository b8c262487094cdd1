// SPDX-License-Identifier: Apache-2.0
// Who arrived at a barrier in which round, for the order of events: see order.h.
//
// Only for barriers of up to kMaxParties threads; the order that larger ones make is not logged,
// and a hazard that it rules out is reported as possible.
#pragma once

#include "runtime/thread_card.h"

#include <stdint.h>

namespace gordian::runtime {

inline constexpr uint32_t kMaxParties = 16;

// A barrier for `needed` threads was initialised.
void watch_barrier(uint64_t address, uint32_t needed);

// The thread is about to arrive. Returns what note_departure wants to know.
uint64_t note_arrival(const Request& request, const CallSite& site);
void note_departure(const Request& request, uint64_t arrival, const CallSite& site);

}  // namespace gordian::runtime
