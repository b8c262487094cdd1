// SPDX-License-Identifier: Apache-2.0
// Luck: the same program with the same bug, in a run that happens not to hit it.
//
// A lucky run keeps its threads apart by time alone: whoever would wait to meet the others goes on
// at once, and threads have a head start before others. A head start is no order that a program
// could rely on: it ends after a while, whatever has become of the others.
#pragma once

#include <atomic>
#include <sched.h>
#include <time.h>

namespace scenario {

inline std::atomic<bool> lucky{false};
// Each thread has a head start before the next one is born.
inline std::atomic<bool> one_by_one{false};

// A head start is so many naps: on a busy machine a nap ends when the others had their turns too.
// To yield instead would take turns from those it is to help.
inline constexpr int kNaps = 100;
inline constexpr timespec kNap{.tv_sec = 0, .tv_nsec = 1'000'000};

// Waits until `done`; in a lucky run for a head start at most.
template <typename Done>
void wait_until(Done done) {
  for (int naps = 0; !done();) {
    if (!lucky) {
      sched_yield();
    } else if (++naps > kNaps) {
      return;
    } else {
      nanosleep(&kNap, nullptr);
    }
  }
}

}  // namespace scenario
