// SPDX-License-Identifier: Apache-2.0
// From one recorded run: which deadlocks another order of the same steps would have hit.
//
// A caller reads its trace twice: once into a LockOrderScan, and if that leaves candidates, once
// into a TraceIndex. Ids in the findings are those of the trace (a resource beyond the locks is a
// thread); whoever read it puts in the names.
//
// `proved` needs that every read is in the trace: a schedule is then the program's own, as each
// thread sees what it saw. Without, the same schedule is `possible`: the locks allow it.
#pragma once

#include "analysis/predict_index.h"
#include "analysis/predict_scan.h"
#include "model/finding.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace gordian::analysis {

struct PredictOptions {
  bool complete_memory = false;
  bool swaps = true;  // also look for orders in which critical sections are swapped
  // Bounds, in steps or events looked at: about a second each.
  uint64_t max_pattern_work = 30'000'000;
  uint64_t max_closure_work = 400'000'000;
  uint64_t max_search_work = 20'000'000;
  uint64_t max_search_work_each = 2'000'000;
  uint64_t max_replay_work = 40'000'000;
};

struct Prediction {
  std::vector<model::Finding> findings;  // proved, possible, refuted
  uint64_t patterns = 0;                 // circles looked at
  uint64_t unchecked = 0;                // circles for which no work was left
  bool patterns_cut = false;             // there are more circles than were enumerated
  bool searches_cut = false;             // a refusal may be for want of work
  bool trace_cut = false;                // only its beginning was looked at, for want of memory
};

Prediction predict(const TraceIndex& index, const Candidates& candidates,
                   const model::TraceSize& size, const PredictOptions& options);

}  // namespace gordian::analysis
