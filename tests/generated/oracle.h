// SPDX-License-Identifier: Apache-2.0
// Who can never go on? Asked of the program's own state, by the slowest and simplest means.
#pragma once

#include "plan.h"
#include "state.h"

#include <set>

namespace generated {

// With all that is known of the plan: a semaphore is given back only by who took it, a condition
// announced only by a thread whose plan still says so.
std::set<int> find_stuck(const Plan& plan, const State& state);

// With what can be known from outside: anybody who can run may post a semaphore or announce.
std::set<int> find_stuck_by_ownership(const Plan& plan, const State& state);

}  // namespace generated
