// SPDX-License-Identifier: Apache-2.0
// Luck: the same program with the same bug, in a run that happens not to hit it.
//
// A lucky run keeps its threads apart by time alone: whoever would wait to meet the others goes on
// at once, and threads have a head start before others. A head start is no order that a program
// could rely on: it ends after a while, whatever has become of the others.
#pragma once

#include <atomic>
#include <chrono>
#include <sched.h>

namespace scenario {

inline std::atomic<bool> lucky{false};
// Each thread has a head start before the next one is born.
inline std::atomic<bool> one_by_one{false};

inline constexpr std::chrono::milliseconds kHeadStart{100};

// Waits until `done`; in a lucky run for a head start at most.
template <typename Done>
void wait_until(Done done) {
  const auto begin = std::chrono::steady_clock::now();
  while (!done()) {
    if (lucky && std::chrono::steady_clock::now() - begin > kHeadStart) return;
    sched_yield();
  }
}

}  // namespace scenario
