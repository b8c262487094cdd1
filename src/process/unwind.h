// SPDX-License-Identifier: Apache-2.0
// Call stacks from registers and memory by call frame information, in nobody's process but ours.
//
// Registers that a frame does not tell stay unknown, and what depends on them is not guessed.
#pragma once

#include "model/snapshot.h"
#include "model/stack.h"
#include "process/memory.h"
#include "process/symbols.h"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace gordian::process {

// x86-64 registers in DWARF's numbering; 16 is the return address, that is the program counter.
inline constexpr int kRegisterCount = 17;
inline constexpr int kRegisterRbx = 3, kRegisterRbp = 6, kRegisterRsp = 7, kRegisterPc = 16;

class RegisterSet {
 public:
  RegisterSet() = default;
  explicit RegisterSet(const model::Registers& registers);

  [[nodiscard]] std::optional<uint64_t> get(int number) const;
  void set(int number, uint64_t value);
  void forget(int number);

 private:
  std::array<uint64_t, kRegisterCount> value_{};
  uint32_t known_ = 0;
};

struct UnwoundFrame {
  uint64_t pc = 0;
  uint64_t sp = 0;
  uint64_t cfa = 0;                // the frame covers [sp, cfa); 0: unknown
  bool is_return_address = false;  // look up pc - 1
  RegisterSet registers = {};      // as they stand in this frame at pc

  [[nodiscard]] uint64_t lookup_pc() const { return is_return_address && pc != 0 ? pc - 1 : pc; }
};

struct UnwoundStack {
  std::vector<UnwoundFrame> frames;
  bool complete = false;
  std::string note;
};

inline constexpr size_t kMaxFrames = 512;

// Whether what lies outside this frame need not be known.
using LastFrame = std::function<bool(const UnwoundFrame&)>;

UnwoundStack unwind(const Symbols& symbols, const RegisterSet& registers,
                    const MemoryReader& memory, size_t max_frames = kMaxFrames,
                    const LastFrame& is_last = {});

// Whether the unwind tables go on without a gap from `start` to `pc`: both belong to one function,
// as far as that can be told without a symbol.
bool is_same_code(const Symbols& symbols, uint64_t start, uint64_t pc);

// Where the lock was taken, as far as the thread's stack still tells: the frame that covers `frame`
// (the stack pointer after the acquiring call) is the one that took it, and it and all outside it
// are still there. When it has returned, only the site and the frames outside are left, and the
// note says so. The site comes first, with the registers of its frame where that is still there.
UnwoundStack acquisition_stack(const Symbols& symbols, const UnwoundStack& thread_stack,
                               uint64_t site, uint64_t frame);

model::Stack to_stack(const UnwoundStack& stack);

}  // namespace gordian::process
