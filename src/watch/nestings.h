// SPDX-License-Identifier: Apache-2.0
// In which order locks were taken: over a whole run, and by a process that goes on.
#pragma once

#include "base/result.h"
#include "model/lock_order.h"
#include "watch/run_history.h"

namespace gordian::watch {

// At the end of a run, over all processes seen, with stacks and names. `history` is theirs.
model::Nestings find_run_nestings(const RunProcesses& processes, const model::History& history);

// The same, so far. The process was started with the runtime preloaded; nothing is stopped.
Result<model::Nestings> read_nestings(int pid);

}  // namespace gordian::watch
