// SPDX-License-Identifier: Apache-2.0
// The variables that live in a frame, also those of functions inlined into it.
#pragma once

#include "process/debug_info.h"
#include "process/dwarf_expression.h"
#include "process/unwind.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <functional>
#include <string>

namespace gordian::process {

struct FrameVariable {
  std::string name;
  std::string function;   // whose variable it is
  bool plumbing = false;  // that function is nobody's own
  int depth = 0;          // functions a user wrote between the innermost frame and this one
  Dwarf_Die type{};
  Location location;
};

// Calls `visit` with every variable and parameter whose location is known, innermost function
// first, until it says false. `depth` counts on through calls.
void each_variable(DebugInfo& info, const UnwoundStack& stack, size_t frame_index,
                   const MemoryReader& memory, int& depth,
                   const std::function<bool(const FrameVariable&)>& visit);

}  // namespace gordian::process
