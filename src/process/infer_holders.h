// SPDX-License-Identifier: Apache-2.0
// Who holds a lock that does not say so: readers of an rwlock, GLib's locks, pthread_once, guards
// of statics. Found by what stands on the stacks; never definite, so what rests on it is a stall.
#pragma once

#include "process/decode_waits.h"
#include "process/thread_facts.h"

#include <span>

namespace gordian::process {

// Whether there is such a lock that somebody waits for: only then the stacks are worth reading, and
// all registers of sleeping threads worth having.
bool has_nameless_holders(const DecodedWaits& decoded);

void infer_holders(DecodedWaits& decoded, std::span<const ProcessFacts> processes);

}  // namespace gordian::process
