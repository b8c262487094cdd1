// SPDX-License-Identifier: Apache-2.0
// Turns stuck threads into a finding: who holds and wants what, in an order that tells the story.
#pragma once

#include "analysis/wait_graph.h"
#include "model/finding.h"
#include "model/snapshot.h"

#include <cstdint>
#include <vector>

namespace gordian::analysis {

// The threads a waiting thread certainly waits for: holders, the joined thread, announced wakers.
// Not those who merely could give a signal.
std::vector<uint32_t> blockers_of(const model::Snapshot& snapshot, const WaitGraph& graph,
                                  uint32_t thread);

// Begins with the longest wait and goes from each thread to one it waits for.
std::vector<uint32_t> in_cycle_order(const model::Snapshot& snapshot, const WaitGraph& graph,
                                     const std::vector<uint32_t>& knot);

// Fills everything but verdict and reason. `knot` and `victims` are shown in the order given.
model::Finding make_stuck_finding(const model::Snapshot& snapshot, const WaitGraph& graph,
                                  const std::vector<uint32_t>& knot,
                                  const std::vector<uint32_t>& victims);

// Adds the resource or process to the finding's list unless it is there.
void mention(model::Finding& finding, const model::Resource& resource);
void mention(model::Finding& finding, const model::Process& process);

}  // namespace gordian::analysis
