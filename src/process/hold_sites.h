// SPDX-License-Identifier: Apache-2.0
// Where a thread has taken what it holds, when nobody watched it: read from the code of the
// functions on its stack (see taken_locks.h).
#pragma once

#include "model/finding.h"
#include "process/thread_facts.h"
#include "process/unwind.h"

namespace gordian::process {

// Fills in site and frame of the holds of `thread`, one of `finding`, where they are not known yet.
void find_hold_sites(const ProcessFacts& facts, const RegisterSet& registers,
                     const model::Finding& finding, model::FindingThread& thread);

}  // namespace gordian::process
