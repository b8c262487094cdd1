// SPDX-License-Identifier: Apache-2.0
// For which thread of this process a thread of this process waits, as far as the kernel and glibc
// say so: for the owner of a mutex, or for the end of a thread it joins.
//
// Read from the outside, so the program needs no runtime of Gordian's for it. What is not certain
// is no wait: a time limit, a lock whose owner nobody stores, a thread that ran in between.
// Thread-safety: free functions over /proc and the process's own memory; nothing is written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gordian::redis {

struct LocalWait {
  uint32_t thread = 0;
  uint32_t for_thread = 0;
  uint64_t address = 0;  // of the mutex; 0: it joins
  uint64_t ran = 0;      // how often the thread was given a processor
  bool operator==(const LocalWait&) const = default;
};

std::optional<LocalWait> read_local_wait(uint32_t thread);

// From a thread along its wait to a thread that waits for no other of this process, at most 16 of
// them; empty if it does not wait. All of them waited at one instant: each was read twice, all
// first readings before any second, and did not run in between.
std::vector<LocalWait> read_local_waits(uint32_t thread);

// "thread 17 "worker" waits for the mutex at 0x... that thread 18 holds"
std::string describe(const LocalWait& wait);

// As /proc has it; empty: there is no such thread.
std::string thread_name(uint32_t thread);

// The calling thread's functions, innermost first.
std::vector<std::string> own_stack();

}  // namespace gordian::redis
