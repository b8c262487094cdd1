// SPDX-License-Identifier: Apache-2.0
// A call stack, innermost frame first. Raw program counters first; words when somebody asks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gordian::model {

struct Frame {
  uint64_t pc = 0;  // return address, except in the innermost frame of a live thread
  uint64_t sp = 0;  // stack pointer on entry to the caller's part: frame covers [sp, cfa)
  uint64_t cfa = 0;
  bool is_return_address = true;  // look up pc - 1
  bool inlined = false;           // an inlined function of the frame after it

  std::string function;  // demangled; empty: unknown
  std::string file;
  int line = 0;
  std::string module;          // path of the executable or library
  uint64_t module_offset = 0;  // pc relative to the module's load bias
  bool plumbing = false;       // std::, pthread or Gordian's own: folded away in reports
};

struct Stack {
  std::vector<Frame> frames;
  bool complete = false;  // reached the thread's first frame
  std::string note;       // why it is incomplete, or "only the call site is known"
};

}  // namespace gordian::model
