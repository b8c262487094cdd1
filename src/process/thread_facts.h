// SPDX-License-Identifier: Apache-2.0
// What is known of the threads of a process at one instant, whoever took it down: /proc of a live
// one, or the notes of a core. All that decode_waits() needs, and nothing of where it comes from.
#pragma once

#include "model/snapshot.h"
#include "process/memory.h"
#include "process/symbols.h"
#include "process/unwind.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace gordian::process {

struct ThreadFacts {
  int tid = 0;           // as we name it
  uint32_t own_tid = 0;  // as its own process names it: what the owner words of its locks hold
  std::string name = {};
  bool blocked = false;  // it slept when the facts were taken; false: it can move
  bool gone = false;     // it has ended: a main thread that left before the others
  int64_t syscall = -1;  // it sleeps in; -1: none, or unknown
  std::array<uint64_t, 6> args{};
  RegisterSet registers = {};         // at least program counter and stack pointer, where known
  std::chrono::nanoseconds since{0};  // CLOCK_MONOTONIC when it fell asleep; 0: unknown
  uint64_t spins_on = 0;              // not blocked, but caught in pthread_spin_lock for this one
};

// Where memory that several processes share really lies.
struct SharedPlace {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t offset = 0;
};

struct ProcessFacts {
  model::Process process = {};  // without its id
  std::vector<ThreadFacts> threads = {};
  const MemoryReader* memory = nullptr;
  const Symbols* symbols = nullptr;
  // nullopt: private memory. Empty function: nothing is known, all memory counts as private.
  std::function<std::optional<SharedPlace>(uint64_t address)> shared_place = {};
  // Whether the process has a thread of this number now, one begun meanwhile too. Empty: `threads`
  // are all there are.
  std::function<bool(uint32_t own_tid)> has_thread = {};
  // Whether a thread of another process has this number: owners of process-shared locks, and of
  // those that came through fork. Empty, or nullopt: unknown.
  std::function<std::optional<bool>(uint32_t own_tid)> is_alive_elsewhere = {};
};

}  // namespace gordian::process
