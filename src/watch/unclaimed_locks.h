// SPDX-License-Identifier: Apache-2.0
// Locks that are waited for and that no card claims.
#pragma once

#include "watch/case.h"

namespace gordian::watch {

// Asks each such lock itself who has it. The holds it adds are inferred: never definite.
void find_unclaimed_owners(Case& current);

}  // namespace gordian::watch
