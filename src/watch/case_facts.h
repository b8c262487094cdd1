// SPDX-License-Identifier: Apache-2.0
// What is asked between the two readings of a case: what the objects say that threads wait for,
// whether the owners they name exist, and whether those who spin do.
#pragma once

#include "watch/case.h"
#include "watch/evidence.h"

#include <vector>

namespace gordian::watch {

// Parallel to the threads of the snapshot.
struct CaseFacts {
  std::vector<WaitFacts> waits;
  std::vector<bool> owner_gone;
};

// Also gives file locks their names. It must come before the second readings: a thread that ends
// wakes its joiners before it disappears, so a joiner that still sleeps at the second reading will
// sleep for ever.
CaseFacts gather_facts(Case& current);

}  // namespace gordian::watch
