// SPDX-License-Identifier: Apache-2.0
// The kind of a deadlock or hazard, from what its threads want.
#pragma once

#include "model/finding.h"
#include "model/resource.h"

#include <vector>

namespace gordian::analysis {

// A kind names what has to be changed. Mutexes, spin locks, rwlocks and custom locks are the
// background of nearly every knot, so one kind of anything else among them names the finding: a
// join in a cycle of locks is `Join`. Two kinds of anything else are `Mixed`. Of locks alone, an
// rwlock makes it `RwLock`, else it is `LockOrder`. Raw futexes and futures count as conditions.
//
// The caller decides what a list of resources cannot show: SelfLock, Orphan, HeldAtExit.
model::FindingKind kind_of_wants(const std::vector<const model::Resource*>& wanted);

// Whoever may give a signal ends a wait for it. A lock once released by a thread that did not hold
// it is used as a semaphore.
bool is_signalled(const model::Resource& resource);

}  // namespace gordian::analysis
