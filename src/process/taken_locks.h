// SPDX-License-Identifier: Apache-2.0
// Which locks the functions on a stack have taken, by reading their code: a call of a lock function
// before the place where the function stands now, with an argument that its registers and its frame
// still tell.
//
// That is how the holder is found of a lock that does not name it (GMutex, readers of an rwlock,
// pthread_once, spin locks), and where a lock was taken. It is evidence, not proof: the code is
// read in the order in which it lies, not in which it ran.
#pragma once

#include "process/memory.h"
#include "process/symbols.h"
#include "process/unwind.h"
#include "process/wait_function.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace gordian::process {

struct TakenLock {
  uint64_t address = 0;   // the argument
  WaitTarget target{};    // what kind of function took it
  size_t frame = 0;       // of the stack
  uint64_t site = 0;      // return address of the call
  bool doubtful = false;  // an unlock of it lies between the call and here
};

class TakenLocks {
 public:
  // Both must outlive it. What is learnt of the code is kept.
  TakenLocks(const Symbols& symbols, const MemoryReader& memory)
      : symbols_(symbols), memory_(memory) {}

  // The first argument of the call that has not yet returned to this frame, and the second.
  std::optional<uint64_t> argument(const UnwoundFrame& frame);
  std::optional<uint64_t> second_argument(const UnwoundFrame& frame);

  // Innermost first. The call that waits is not among them.
  std::vector<TakenLock> find(const UnwoundStack& stack);

 private:
  struct Call {
    uint64_t site = 0;  // return address
    WaitTarget target{};
    bool unlocks = false;
  };
  struct Code {
    uint64_t start = 0;
    std::vector<uint8_t> bytes;
    std::vector<Call> calls;
  };
  std::optional<uint64_t> argument_in(int number, const UnwoundFrame& frame);
  const Code& code_at(uint64_t pc);
  void find_calls(Code& code);

  const Symbols& symbols_;
  const MemoryReader& memory_;
  std::map<uint64_t, Code> codes_;       // by start
  std::map<uint64_t, uint64_t> starts_;  // pc -> start
};

}  // namespace gordian::process
