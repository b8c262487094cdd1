// SPDX-License-Identifier: Apache-2.0
// What one examination gathers of the watched processes: their cards, and what the kernel said of
// the threads that matter, twice.
#pragma once

#include "format/board.h"
#include "model/snapshot.h"
#include "process/live.h"
#include "trace/board_snapshot.h"
#include "watch/evidence.h"
#include "watch/watched_process.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace gordian::watch {

using TaskId = std::pair<size_t, int>;  // process, by its place in the case; tid as we see it
using Tasks = std::set<TaskId>;

struct Reading {
  std::optional<process::ThreadReading> first, second;
};

struct Case {
  std::vector<WatchedProcess*> processes;  // in the order of the snapshot; not owned
  std::vector<trace::ProcessBoard> boards;
  trace::BoardSnapshot now;
  std::map<TaskId, Reading> readings;
  // By process, before its first reading.
  std::map<size_t, std::optional<std::chrono::nanoseconds>> processor_times;

  [[nodiscard]] const Reading* find_reading(size_t thread) const;  // of a thread of the snapshot
};

// Of those processes that live and have a board.
Case open_case(const std::map<int, WatchedProcess*>& processes);

// In brief those of `idle`, if they are many.
void read_first(Case& current, const Tasks& tasks, const Tasks& idle);
// After the cards, the objects and all else that is to be true at the same instant. False: the
// brief readings are worth nothing, for a process did not stand still.
bool read_second(Case& current, const Tasks& tasks);

// The bytes of what a thread of this process waits for.
ObjectBytes read_object(const Case& current, size_t process, format::Kind kind, uint64_t address);

}  // namespace gordian::watch
