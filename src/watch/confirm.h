// SPDX-License-Identifier: Apache-2.0
// Runs a program again and again, steered, until a predicted deadlock really happens.
//
// The first attempt holds each thread of the finding before its last request. If that does not come
// about, further attempts hold one for each part alone, let some comers pass first, or draw
// priorities for all threads at every synchronisation point. An attempt is its seed: the same seed
// does the same again.
#pragma once

#include "base/result.h"
#include "model/finding.h"
#include "watch/director.h"
#include "watch/run.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace gordian::watch {

struct SteeredRun {
  uint64_t seed = 0;
  std::string way = {};  // how it was steered, in words
  SteerAccount account = {};
  bool was_steered = false;                     // false: no process made gates
  std::optional<model::Finding> deadlock = {};  // complete; verdict Confirmed
  bool over_limit = false;
  RunOutcome outcome = {};
};

// The attempt of this seed along the plan.
std::function<std::unique_ptr<Strategy>()> confirming(const SteerPlan& plan, uint64_t seed,
                                                      std::chrono::milliseconds patience);
std::string way_of_confirming(uint64_t seed);

// The exploring run of this seed (Scheduler).
std::function<std::unique_ptr<Strategy>()> exploring(uint64_t seed, uint32_t depth);
std::string way_of_exploring(uint64_t seed);

// One run. `options.steering` is set; the program is ended at its first deadlock. The next run
// reads the same input, if that is a file.
Result<SteeredRun> run_steered(RunOptions options, uint64_t seed);

}  // namespace gordian::watch
