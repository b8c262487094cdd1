// SPDX-License-Identifier: Apache-2.0
// Which processes of this machine have threads that wait for locks, and how long: `gordian ps`.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace gordian::watch {

struct BlockedProcess {
  int pid = 0;
  std::string exe;
  size_t threads = 0;
  size_t blocked = 0;  // on locks, without limit, for at least as long as asked
  std::chrono::nanoseconds longest{0};
  std::string lock;  // that most of them want; empty: it has no symbol
};

struct BlockedProcesses {
  std::vector<BlockedProcess> processes;  // the worst first
  size_t unreadable = 0;                  // processes we have no right to look into
};

// Of those processes that we may look into. Stops nobody.
BlockedProcesses find_blocked_processes(std::chrono::nanoseconds at_least);

}  // namespace gordian::watch
