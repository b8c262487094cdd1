// SPDX-License-Identifier: Apache-2.0
// What to change so that the knot cannot be tied again.
#pragma once

#include "report/labels.h"

#include <string>

namespace gordian::report {

// One paragraph, drawn from the structure of the knot and the names in it. Empty if there is
// nothing honest to say (a refuted pattern).
std::string advice(const Labels& labels);

}  // namespace gordian::report
