// SPDX-License-Identifier: Apache-2.0
// Who else could give a signal: whoever has the memory in which a semaphore lies can post it,
// watched or not.
#pragma once

#include "model/snapshot.h"

#include <cstdint>
#include <string>
#include <vector>

namespace gordian::watch {

// Something threads wait for that anybody who reaches it can signal.
struct SignalPlace {
  int pid = 0;
  uint64_t address = 0;
  bool shared = false;  // in memory that processes share
};

struct Outsider {
  int pid = 0;  // 0: not there yet; any program could come and open the file
  std::string exe;
  std::vector<std::string> argv;
  std::string name;
  int memory_of = 0;  // the watched process in whose very memory it lives, 0: none
};

// Unwatched processes that reach one of the places: they map the same file, or they live in the
// very same memory (clone without CLONE_THREAD). Memory with a name in the file system (a named
// semaphore, a file) can be opened by programs that do not run yet: one outsider stands for them.
std::vector<Outsider> find_outsiders(const std::vector<int>& watched,
                                     const std::vector<SignalPlace>& places);

// Adds them to the snapshot, as threads that can move.
void add_outsiders(model::Snapshot& snapshot, const std::vector<Outsider>& outsiders);

}  // namespace gordian::watch
