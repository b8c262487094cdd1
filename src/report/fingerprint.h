// SPDX-License-Identifier: Apache-2.0
// The name of a finding that survives edits: the same knot has the same fingerprint in the next
// run, the next build and on another machine.
#pragma once

#include "model/finding.h"

#include <string>

namespace gordian::report {

// 16 hex digits, made of the kind, the names (else classes) of the locks and the functions that
// hold and want them in the knot. Independent of the order of threads, of how many threads do the
// same thing, of addresses and of line numbers. The verdict is no part of it: a hazard keeps its
// fingerprint when it strikes.
std::string fingerprint(const model::Finding& finding);

// The same before hashing, one fact a line: for tests and curious people.
std::string fingerprint_text(const model::Finding& finding);

// Is any function in which a thread of the one's knot holds or wants something one of the other's,
// too? Also true if nothing is known of them.
bool share_a_function(const model::Finding& one, const model::Finding& other);

}  // namespace gordian::report
