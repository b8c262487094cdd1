// SPDX-License-Identifier: Apache-2.0
// Classes for the locks of a run.
//
// One place may tell the type a lock is a member of where another cannot: memory is gone, a
// variable was optimised away. So an instance that is named anywhere has that name everywhere. One
// that is named nowhere is called after its init, or the function of the program in which it was
// first taken. Locks on a stack are named place by place: their addresses are used again.
#pragma once

#include "model/lock_order.h"

#include <cstddef>
#include <vector>

namespace gordian::report {

struct NamedPairs {
  std::vector<model::SeenPair> seen;  // in the order of the nestings
  size_t nameless = 0;                // left out: one of the locks has no name that lasts
};

NamedPairs name_pairs(const model::Nestings& nestings);

}  // namespace gordian::report
