// SPDX-License-Identifier: Apache-2.0
#include "analysis/find_stuck.h"

namespace gordian::analysis {

std::vector<model::Finding> find_stuck(const model::Snapshot&, const StuckOptions&) { return {}; }
std::vector<model::ThreadId> find_stuck_threads(const model::Snapshot&) { return {}; }

}  // namespace gordian::analysis
