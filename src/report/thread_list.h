// SPDX-License-Identifier: Apache-2.0
// What all threads of a process do, in words: those that belong to no finding.
#pragma once

#include "model/stack.h"
#include "report/text.h"

#include <string>
#include <vector>

namespace gordian::report {

struct ListedThread {
  int tid = 0;
  std::string name;
  std::string call;  // what it sleeps in, or "running"
  model::Stack stack;
};

// "12 in epoll_wait, 3 in pthread_cond_wait and 1 running"; the most first.
std::string calls_line(const std::vector<ListedThread>& threads);

// Every thread with its stack; those with the same stack are listed once.
std::string threads_text(const std::vector<ListedThread>& threads, const TextOptions& options = {});

}  // namespace gordian::report
