// SPDX-License-Identifier: Apache-2.0
// What all threads of a process do, in words: those that belong to no finding.
#pragma once

#include "model/stack.h"
#include "report/text.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gordian::report {

struct ListedThread {
  int tid = 0;  // 0: not known
  std::string name;
  std::string doing;  // "in epoll_wait", "wants the mutex at 0x55d0", "running"
  model::Stack stack;
};

// What a thread does of which no more is known than the call it sleeps in; "running", "asleep" and
// "stopped by a signal" are no calls.
std::string in_call(const std::string& call);

// "12 in epoll_wait, 3 in pthread_cond_wait and 1 running"; the most first.
std::string calls_line(const std::vector<ListedThread>& threads);

// One paragraph for each distinct stack, the most frequent first:
//
//   12 threads, in epoll_wait: "worker" (4711), ...
//       Server::loop  server.cpp:210
//
// At most `max_groups` of them; the rest is counted.
std::string threads_text(const std::vector<ListedThread>& threads, const TextOptions& options = {},
                         size_t max_groups = SIZE_MAX);

}  // namespace gordian::report
