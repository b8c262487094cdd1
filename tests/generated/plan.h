// SPDX-License-Identifier: Apache-2.0
// What the threads of a random program do: the same seed always gives the same plan. The schedule
// stays free, so a plan that can hang does so only sometimes.
#pragma once

#include <cstdint>
#include <vector>

namespace generated {

inline constexpr int kMaxThreads = 6;
inline constexpr int kMaxLocks = 6;
inline constexpr int kProcesses = 2;

enum class LockKind : uint8_t { Mutex, Recursive, RwLock, Semaphore, Spin, Condition };

enum class Act : uint8_t {
  Lock,    // of `lock`, shared if `shared`, in the manner `how`
  Unlock,  // what action number `of` of this thread locked, if it got it
  Join,    // thread `lock`
  Await,   // condition `lock`: until somebody announced it
  Announce,
  Yield,  // `lock` times
};

enum class How : uint8_t { Blocking, Try, Timed };

struct Action {
  Act act = Act::Yield;
  How how = How::Blocking;
  bool shared = false;
  int lock = 0;
  int of = 0;
};

struct Plan {
  uint64_t seed = 0;
  bool two_processes = false;
  std::vector<LockKind> locks;  // a condition brings a mutex of its own
  std::vector<int> process_of;  // per thread
  std::vector<int> joiner;      // per thread: who joins it, -1: its process's main thread
  std::vector<std::vector<Action>> actions;  // per thread
};

Plan make_plan(uint64_t seed);

}  // namespace generated
