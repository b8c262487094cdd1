// SPDX-License-Identifier: Apache-2.0
// Parts of the headline that the story and the closing lines need too; headline() is in text.h.
#pragma once

#include "report/labels.h"

#include <cstddef>
#include <string>
#include <vector>

namespace gordian::report {

// Told apart everywhere: nothing is waited for (yet), something was left behind.
bool is_held_at_exit(const model::Finding& finding);

// "a, b (shared) and 2 more": what the knot waits for, and how much else. "no lock".
std::string held_locks(const Labels& labels, const model::FindingThread& thread);

}  // namespace gordian::report
