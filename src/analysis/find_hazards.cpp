// SPDX-License-Identifier: Apache-2.0
#include "analysis/find_hazards.h"

namespace gordian::analysis {

Hazards find_hazards(const model::History&, const HazardOptions&) { return {}; }

}  // namespace gordian::analysis
