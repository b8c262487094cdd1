// SPDX-License-Identifier: Apache-2.0
// What the kernel and the locks themselves testify, against what the cards of a case say.
#pragma once

#include "watch/case_facts.h"

namespace gordian::watch {

// After both readings: makes waits definite, doubtful, or no waits at all, and settles who owns
// what they are for where the lock names its owner.
void apply_testimonies(Case& current, const CaseFacts& facts);

// Takes whoever was not asked for one that can go on, whatever its card says: it may have woken up
// since. Who waits for it is then not stuck either.
void free_unheard(Case& current, const CaseFacts& facts);

}  // namespace gordian::watch
