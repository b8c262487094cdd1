// SPDX-License-Identifier: Apache-2.0
// From a finding to what a steered run needs of it: the places in the code.
#pragma once

#include "base/result.h"
#include "model/finding.h"
#include "watch/director.h"

namespace gordian::watch {

// The finding must be complete (stacks with modules). Errors: a finding that no steering can bring
// about (one thread alone, a lock left behind), or whose places are not known.
Result<SteerPlan> plan_of(const model::Finding& finding);

}  // namespace gordian::watch
