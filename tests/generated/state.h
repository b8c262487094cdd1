// SPDX-License-Identifier: Apache-2.0
// What a running random program says of itself, in a file mapped by all its threads and processes.
//
// Each thread writes what it wants before it asks, that it has it once it has it, and that it gave
// it back before it does. So a thread may look free for a moment while it is not; never the
// reverse.
#pragma once

#include "plan.h"

#include <atomic>
#include <cstdint>

namespace generated {

inline constexpr int kNothing = -1;
inline constexpr int kActors = kMaxThreads + kProcesses;  // threads, then the main threads

enum class Want : int { Nothing, Lock, SharedLock, Join, Condition };

struct ActorState {
  std::atomic<int> started;
  std::atomic<int> finished;
  std::atomic<int> position;                  // in its actions
  std::atomic<int> want;                      // Want
  std::atomic<int> object;                    // lock or thread wanted
  std::atomic<int> exclusive[2 * kMaxLocks];  // depth; from kMaxLocks on: the mutexes of conditions
  std::atomic<int> shared[kMaxLocks];
};

struct State {
  ActorState actors[kActors];
  std::atomic<int> announced[kMaxLocks];
  std::atomic<int> ended;  // the whole program came to its end
};

}  // namespace generated
