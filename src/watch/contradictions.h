// SPDX-License-Identifier: Apache-2.0
// Locks that more threads claim than can have them.
#pragma once

#include "watch/case_facts.h"

namespace gordian::watch {

// The memory of a lock that was never released may be used anew, and nobody hears of it: then two
// cards claim what one thread can have, or more claim to read than the lock counts. Who can move
// probably tells the truth, since the other would wait for itself; if nobody can, nothing is
// certain. Only locks are looked at that somebody waits for by the kernel's word.
void settle_contradictions(Case& current, const CaseFacts& facts);

}  // namespace gordian::watch
