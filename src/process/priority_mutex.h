// SPDX-License-Identifier: Apache-2.0
// Which priority-inheriting mutex a thread wants that closed a cycle of them.
//
// Such a thread gets EDEADLK from the kernel, and glibc then lets it sleep for ever on a word of
// its own stack, which says nothing of the mutex. Two things still do: a preserved register of the
// frames in between may keep its address or that of a field, and the caller's code may tell with
// what argument it called. Words that merely lie on the stack are not looked at: they may be left
// from earlier calls. One of the two alone is an inference, for registers may be the caller's own,
// and code is read in the order in which it lies.
#pragma once

#include "process/memory.h"
#include "process/unwind.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace gordian::process {

struct PriorityWait {
  std::vector<UnwoundFrame> inner_frames = {};  // from the system call to the function that waits
  std::optional<uint64_t> argument = {};        // with which that function was called
};

struct PriorityMutex {
  uint64_t address = 0;          // 0: not known
  bool certain = false;          // registers and argument agree
  bool registers_known = false;  // false: all of the thread's registers would tell more
};

// `is_thread` says whether the process has a thread of that number: who owns the mutex.
PriorityMutex find_priority_mutex(const PriorityWait& wait, const MemoryReader& memory,
                                  const std::function<bool(uint32_t own_tid)>& is_thread);

}  // namespace gordian::process
