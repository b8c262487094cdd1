// SPDX-License-Identifier: Apache-2.0
// The logs of all processes of a run, read once, and what puts findings from them into words.
#pragma once

#include "model/history.h"
#include "process/complete.h"
#include "watch/watched_process.h"

#include <memory>
#include <vector>

namespace gordian::watch {

using RunProcesses = std::vector<std::unique_ptr<WatchedProcess>>;

model::History read_run_history(const RunProcesses& processes);

// For findings of that history. `processes` must outlive it.
process::FindingCompleter run_completer(const RunProcesses& processes);

}  // namespace gordian::watch
