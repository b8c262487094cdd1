// SPDX-License-Identifier: Apache-2.0
// What a run showed beside a lock-order file, and the file itself, for people and for Graphviz.
#pragma once

#include "model/lock_order.h"
#include "report/report.h"
#include "report/text.h"

#include <string>

namespace gordian::report {

// Violations with both stacks, then what is new. Nothing, if there is neither. `quiet`: violations
// only.
std::string order_text(const OrderReport& order, const TextOptions& options, bool quiet);

// The classes from the outermost to the innermost; those on one line have no order.
std::string order_listing(const model::LockOrder& order);

// The same for `dot -Tsvg`. Labels are escaped.
std::string order_dot(const model::LockOrder& order);

}  // namespace gordian::report
