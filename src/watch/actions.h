// SPDX-License-Identifier: Apache-2.0
// What is done to a program that can never go on.
#pragma once

#include "watch/watched_process.h"

#include <string>
#include <vector>

namespace gordian::watch {

// SIGKILL to all of them.
void kill_processes(const std::vector<int>& pids);

// Makes the process dump core: a fatal signal it neither catches nor ignores, with the limit
// raised. Waits some seconds for the end. Returns one sentence on what was done, or why it could
// not be.
std::string dump_core(int pid);

}  // namespace gordian::watch
