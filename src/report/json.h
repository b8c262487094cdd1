// SPDX-License-Identifier: Apache-2.0
// The report as JSON for programs, schema 1; docs/json.md is its prose.
#pragma once

#include "report/report.h"

#include <string>

namespace gordian::report {

// Ends with a newline. Never fails: bytes that are not UTF-8 become U+FFFD.
std::string to_json(const Report& report);

}  // namespace gordian::report
