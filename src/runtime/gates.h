// SPDX-License-Identifier: Apache-2.0
// Gates: where the threads of a steered run wait for the judge's leave to go on. format/steer.h has
// their layout.
//
// A program is steered if its environment said so at its start; in any other, hooks that take the
// general road ask one word that they have at hand. A gate never holds a thread for good: it gives
// up after SteerPage::patience_ms, and all gates of a process do once the judge's beat stops.
#pragma once

#include "format/steer.h"
#include "runtime/board.h"
#include "runtime/thread_card.h"

namespace gordian::runtime {

inline bool is_steered() { return __builtin_expect(alive() == kSteered, 0); }

// For pass_gate. No scope may be open. Keeps errno; no cancellation point.
void wait_at_gate(const Request& request, const CallSite& site, format::GatePhase phase);

// Before the real call, and before anything is recorded of it. What gives up by itself never stops.
__attribute__((always_inline)) inline void pass_gate(
    const Request& request, const CallSite& site,
    format::GatePhase phase = format::GatePhase::Request) {
  if (is_steered()) wait_at_gate(request, site, phase);
}

// Something happened that the judge may wait for: a thread sleeps, or is gone.
void ring_for_judge();

// The new card has passed all gates that an earlier thread stood at.
void clear_gate(uint32_t card);

// With the modules logged. Waits until the judge has said how the program is steered; at most ten
// seconds, and not for a judge that is gone.
void wait_for_judge();

}  // namespace gordian::runtime
