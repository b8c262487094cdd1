// SPDX-License-Identifier: Apache-2.0
// Who holds and who waits for what at one instant: the solver's only input.
#pragma once

#include "model/resource.h"
#include "model/stack.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gordian::model {

struct Registers {
  uint64_t rip = 0, rsp = 0, rbp = 0, rbx = 0, r12 = 0, r13 = 0, r14 = 0, r15 = 0;
};

struct Process {
  ProcessId id{};
  int pid = 0;
  std::string exe;
  std::vector<std::string> argv;
  bool handles_signals = false;  // has handlers of its own that could post a semaphore
};

struct Hold {
  ResourceId resource{};
  Mode mode = Mode::Exclusive;
  uint64_t site = 0;
  uint64_t frame = 0;
  uint32_t count = 1;
  bool by_try = false;
  bool definite = true;  // false: inferred, or from an inexact card
};

struct Wait {
  ResourceId resource{};
  Mode mode = Mode::Exclusive;
  bool timed = false;     // gives up by itself: never stuck
  bool definite = false;  // the kernel's evidence agrees (see docs/runtime.md)
  std::string doubt;      // why it is not definite
  uint64_t number = 0;    // changes with every wait
  uint64_t site = 0;
  uint64_t frame = 0;
  std::chrono::nanoseconds since{0};  // CLOCK_MONOTONIC
  Registers registers;
  bool has_registers = false;
};

enum class Activity : uint8_t {
  Running,  // on a CPU, runnable, in I/O, asleep, in poll: can move
  Waiting,  // blocked in `wait`
  Gone,     // exited
};

struct Thread {
  ThreadId id{};
  ProcessId process{};
  int tid = 0;       // as the judge's /proc names it
  uint32_t uid = 0;  // card uid, 0 without a card
  std::string name;
  Activity activity = Activity::Running;
  bool inexact = false;  // its card skipped a record
  bool busy =
      false;  // Running, and really ran between two readings (not blocked in one system call)
  std::vector<Hold> holds;
  std::optional<Wait> wait;
  uint64_t start_routine = 0;
  uint64_t create_site = 0;
};

// Invariant kept by producers: ids equal positions, and every id used exists.
struct Snapshot {
  std::vector<Process> processes;
  std::vector<Thread> threads;
  std::vector<Resource> resources;
  std::chrono::nanoseconds taken{0};
};

}  // namespace gordian::model
