// SPDX-License-Identifier: Apache-2.0
// Deadlocks that no board shows: in locks that libc and the dynamic loader take for themselves, and
// past all hooks. Now and then each watched process is looked at as gordian attach does it, but
// without stopping anything, and as seldom as it takes to cost next to nothing.
#pragma once

#include "model/finding.h"
#include "watch/watched_process.h"

#include <chrono>
#include <map>
#include <set>
#include <vector>

namespace gordian::watch {

class UnseenWaits {
 public:
  // Deadlocks seen twice, in two looks, and not noted before; complete. Mostly no look is due.
  std::vector<model::Finding> look(const std::map<int, WatchedProcess*>& processes);

  // Its threads need not be told of again.
  void note(const model::Finding& finding);

 private:
  using Clock = std::chrono::steady_clock;
  using Knot = std::set<int>;  // tids

  static Knot knot_of(const model::Finding& finding);
  std::vector<model::Finding> look_at(int pid);

  std::map<int, Clock::time_point> due_;  // by pid
  std::map<int, std::set<Knot>> seen_;    // by pid, in its last look
  Knot told_;
};

}  // namespace gordian::watch
