// SPDX-License-Identifier: Apache-2.0
// All threads of a process by what they do, those with the same stack together.
#pragma once

#include "model/stack.h"
#include "report/text.h"

#include <string>
#include <vector>

namespace gordian::report {

struct OverviewThread {
  std::string name;
  int tid = 0;
  std::string doing;  // "wants the mutex at 0x55d0", "idle in poll"
  model::Stack stack;
};

// One paragraph for each distinct stack, the most frequent first:
//
//   12 threads idle in epoll_wait: "worker" (4711) ...
//       Server::loop  server.cpp:210
//
// At most `max_groups` of them; the rest is counted.
std::string overview_text(const std::vector<OverviewThread>& threads, size_t max_groups,
                          const TextOptions& options = {});

}  // namespace gordian::report
