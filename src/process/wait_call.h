// SPDX-License-Identifier: Apache-2.0
// The call in which a thread waits: from its system call outwards to the first function that is
// known to wait, by symbols, by what the caller's code calls, and by the halves into which glibc
// splits its functions.
#pragma once

#include "process/memory.h"
#include "process/symbols.h"
#include "process/taken_locks.h"
#include "process/unwind.h"
#include "process/wait_function.h"

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace gordian::process {

struct WaitCall {
  std::optional<WaitTarget> target = {};
  std::string name = {};                  // of the function that waits, else of the innermost known
  std::optional<uint64_t> argument = {};  // with which the program called a wrapper
  std::vector<UnwoundFrame> inner_frames = {};  // of libc and its like
  std::optional<UnwoundFrame> caller = {};      // the program's own that called them
};

// GLib's functions lie around others that wait: the outer one counts.
bool is_wait_wrapper(WaitTarget target);

class WaitCalls {
 public:
  // Both must outlive it. What is learnt of the code is kept.
  WaitCalls(const Symbols& symbols, const MemoryReader& memory)
      : symbols_(symbols), memory_(memory), taken_locks_(symbols, memory) {}

  WaitCall find(const RegisterSet& registers);

  // The mutex that the caller named, as its code tells; nullopt: not a call of a known function.
  std::optional<uint64_t> mutex_argument(const WaitCall& call);

 private:
  struct FunctionAt {
    std::string name;          // plain; empty: no symbol
    bool is_plumbing = false;  // libc and its like
  };
  const FunctionAt& function_at(uint64_t pc);
  const std::string& called_before(uint64_t return_address);
  [[nodiscard]] std::string name_of_half(uint64_t pc) const;

  const Symbols& symbols_;
  const MemoryReader& memory_;
  TakenLocks taken_locks_;
  std::unordered_map<uint64_t, FunctionAt> functions_;
  std::unordered_map<uint64_t, std::string> called_;
};

}  // namespace gordian::process
