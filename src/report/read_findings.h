// SPDX-License-Identifier: Apache-2.0
// Reads back what report/json wrote: as much of the findings as a steered re-run needs (kinds,
// verdicts, fingerprints, threads with their places; no addresses of that run).
//
// The text may come from anywhere: every field may be missing or of a wrong type, and is bounded.
#pragma once

#include "base/result.h"
#include "model/finding.h"

#include <string>
#include <vector>

namespace gordian::report {

// A site is its frame's pc, and both are the offset in the module.
Result<std::vector<model::Finding>> read_findings(const std::string& json);

}  // namespace gordian::report
