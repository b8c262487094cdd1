// SPDX-License-Identifier: Apache-2.0
// What the reports of all commands begin with, and whether they are coloured.
#pragma once

#include "report/report.h"

#include <string>

namespace gordian::cli {

// Empty but for the command, our version and the host.
report::Report make_report(const std::string& command);

// The descriptor is a terminal that shows colours, and the user has not asked for none (NO_COLOR).
bool wants_color(int descriptor);

}  // namespace gordian::cli
