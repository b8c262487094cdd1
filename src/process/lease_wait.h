// SPDX-License-Identifier: Apache-2.0
// A thread that waits for a lock on a server in a client of gordian/redis_lock.h, read from
// outside.
#pragma once

#include "process/memory.h"

#include <cstdint>
#include <optional>
#include <string>

namespace gordian::process {

struct LeaseWait {
  uint64_t lease = 0;  // an address that stands for it in its client
  std::string name;
  bool gives_up = false;      // by itself, after a while
  uint32_t owner = 0;         // as its own process names it; 0: nobody of this client
  bool owner_likely = false;  // another thread may release it in its place
};

// Nullopt: the word is no such client's. What is half changed counts as that, too.
std::optional<LeaseWait> read_lease_wait(const MemoryReader& memory, uint64_t futex);

}  // namespace gordian::process
