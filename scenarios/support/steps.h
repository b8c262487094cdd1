// SPDX-License-Identifier: Apache-2.0
// Puts threads in order by plain memory alone. Unlike a barrier or a latch it makes no system call
// and no synchronisation that a tool could count, so it neither hides nor explains a deadlock.
#pragma once

#include "support/luck.h"

#include <atomic>
#include <sched.h>

namespace scenario {

// A count that only grows.
class Steps {
 public:
  void advance() { done_.fetch_add(1); }
  bool is_at(int count) const { return done_.load() >= count; }
  void wait_for(int count) const {
    wait_until([&] { return is_at(count); });
  }

  // Returns when `count` threads have come here. Once.
  void meet(int count) {
    advance();
    if (!lucky) wait_for(count);
  }

 private:
  std::atomic<int> done_{0};
};

// A thread's kernel id, for others to wait for.
class Tid {
 public:
  void set(pid_t tid) { tid_.store(tid); }
  pid_t get() const {
    while (tid_.load() == 0) sched_yield();
    return tid_.load();
  }

 private:
  std::atomic<pid_t> tid_{0};
};

}  // namespace scenario
