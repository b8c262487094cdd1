// SPDX-License-Identifier: Apache-2.0
// The logs of several boards -> what the run did with its locks: the input of hazard prediction.
#pragma once

#include "model/history.h"
#include "trace/board_reader.h"
#include "trace/board_snapshot.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

namespace gordian::trace {

struct ProcessLog {
  model::Process process;  // `id` is filled in
  BoardReader* board = nullptr;
  std::unordered_map<uint32_t, std::string> thread_names;  // by uid, of those that did not end
  std::function<std::optional<SharedIdentity>(uint64_t address)> shared_identity;
};

// Threads, locks and chains of all processes in one numbering. Locks that lie in memory shared by
// several processes are one resource.
model::History read_history(std::span<const ProcessLog> logs);

// What a process did in numbers, also by threads that have gone.
struct BoardTotals {
  uint64_t threads = 0;
  uint64_t locks = 0;
  uint64_t acquisitions = 0;
  uint64_t nested = 0;
  uint64_t waits = 0;
  uint64_t longest_wait_ns = 0;
  uint64_t chains = 0;          // distinct, as logged
  uint64_t nested_threads = 0;  // that asked for something while holding something
  uint64_t lock_pairs = 0;      // distinct pairs "asked for this while holding that"
};
BoardTotals read_totals(BoardReader& board);

}  // namespace gordian::trace
