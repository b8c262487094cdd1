// SPDX-License-Identifier: Apache-2.0
// The end of a run: what it did not hit but could have, over all processes seen.
#pragma once

#include "analysis/find_hazards.h"
#include "watch/run_history.h"

namespace gordian::watch {

// `history` is that of the processes. The findings come complete: with stacks and names. `refuted`:
// also what cannot happen.
analysis::Hazards find_run_hazards(const RunProcesses& processes, const model::History& history,
                                   bool refuted);

}  // namespace gordian::watch
