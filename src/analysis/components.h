// SPDX-License-Identifier: Apache-2.0
// Strong components of a directed graph.
#pragma once

#include <cstdint>
#include <vector>

namespace gordian::analysis {

using Adjacency = std::vector<std::vector<uint32_t>>;  // successors of node 0, 1, ...

// The strong components of what can be reached from `roots` through allowed nodes (Tarjan, linear,
// without recursion: chains of waits can be 10,000 long). A component comes after those it leads
// to; nodes within one are in order of id.
std::vector<std::vector<uint32_t>> strong_components(const Adjacency& graph,
                                                     const std::vector<uint32_t>& roots,
                                                     const std::vector<char>& allowed);

}  // namespace gordian::analysis
