// SPDX-License-Identifier: Apache-2.0
// Does a run take its locks in the order that a file demands?
//
// The file's lines, with wildcards expanded over all classes that the file or the run name, are a
// graph; what follows from several lines holds too. A pair of the run is
//   - right, if the file has it, or it follows;
//   - wrong, if its opposite follows from the file, or from the file and earlier pairs of the run:
//     then no order at all could allow both;
//   - new otherwise.
// Two locks of one class have no order by class. If the run took the same two both ways, that is
// wrong too. What `any` covers is none of these.
//
// O(pairs * (classes + lines)).
#pragma once

#include "model/lock_order.h"

#include <optional>
#include <vector>

namespace gordian::analysis {

model::OrderOutcome check_order(const model::LockOrder& law,
                                const std::vector<model::SeenPair>& seen);

// Lines of a file that contradict each other: a shortest circle of them, if there is one.
// Wildcards are expanded over the names in the file.
std::optional<std::vector<model::OrderRule>> find_circle(const model::LockOrder& law);

}  // namespace gordian::analysis
