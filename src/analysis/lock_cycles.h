// SPDX-License-Identifier: Apache-2.0
// The simple cycles of a directed graph, shortest first.
//
// There can be exponentially many, so the search stops at its limits and says so. Each cycle is
// found once, from its smallest node; a search from a node only goes where a way back of the wanted
// length exists, so rings and forests of small cycles cost about their size.
#pragma once

#include "analysis/components.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace gordian::analysis {

struct CycleLimits {
  size_t max_cycles = 5'000;
  size_t max_steps = 2'000'000;
  size_t max_length = SIZE_MAX;
};

// Calls `visit` for every cycle of two or more nodes, until it returns false. Returns false if a
// limit, or `visit`, ended the search early.
bool for_each_cycle(const Adjacency& graph, const CycleLimits& limits,
                    const std::function<bool(const std::vector<uint32_t>&)>& visit);

}  // namespace gordian::analysis
