// SPDX-License-Identifier: Apache-2.0
// One list of what a run did not hit, of two that know different things of it: the hazards of its
// lock order (find_hazards.h: nothing is lost, but order is seen in part only), and what its
// recording predicts (predict.h: the whole order, of what was recorded).
#pragma once

#include "model/finding.h"

#include <vector>

namespace gordian::analysis {

// Equal fingerprints mean the same bug. The prediction is taken, for its verdict and its schedule.
// A pattern that it refutes stays possible, though, if the recording is not `whole`, or if the
// hazard is of a sort that predictions do not look for. What the program's annotations excuse,
// which no recording shows, stays refuted. Findings come with their fingerprints filled in.
std::vector<model::Finding> join_predictions(std::vector<model::Finding> hazards,
                                             std::vector<model::Finding> predicted, bool whole);

}  // namespace gordian::analysis
