// SPDX-License-Identifier: Apache-2.0
// The end of a run: what it did not hit but could have, over all processes seen.
#pragma once

#include "analysis/find_hazards.h"
#include "watch/watched_process.h"

#include <memory>
#include <vector>

namespace gordian::watch {

// The findings come complete: with stacks and names. `refuted`: also what cannot happen.
analysis::Hazards find_run_hazards(const std::vector<std::unique_ptr<WatchedProcess>>& processes,
                                   bool refuted);

}  // namespace gordian::watch
