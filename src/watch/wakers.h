// SPDX-License-Identifier: Apache-2.0
// Whoever could end a wait for a signal and is on no card: processes that nobody watches, and
// threads without a card.
#pragma once

#include "watch/case.h"
#include "watch/outsiders.h"

#include <vector>

namespace gordian::watch {

// Unwatched processes that reach what threads of the case wait for. Asked between the readings, as
// all that could free a thread.
std::vector<Outsider> find_case_outsiders(const Case& current);

void add_case_outsiders(Case& current, const std::vector<Outsider>& outsiders);

// Those of the tasks that have no card: they can move, for all we know.
void add_unknown_threads(Case& current, const Tasks& tasks);

}  // namespace gordian::watch
