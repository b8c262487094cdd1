// SPDX-License-Identifier: Apache-2.0
// What a run shows of the order of its locks: which were asked for while which were held, by one
// thread or many. Hazards ask whether threads could meet; an order does not, so one thread that
// takes two locks in both orders is enough to break it.
//
// Left out: tries and timed requests (they give up), a lock that its thread holds already, waits
// for what is no lock, pairs the program has excepted. A wait on a condition asks for its mutex
// again when it ends, with whatever else the thread holds.
#pragma once

#include "model/history.h"
#include "model/lock_order.h"

#include <cstddef>

namespace gordian::analysis {

struct NestingLimits {
  size_t max_samples = 20'000;
  size_t max_pairs = 1'000'000;
};

model::Nestings find_nestings(const model::History& history, const NestingLimits& limits = {});

}  // namespace gordian::analysis
