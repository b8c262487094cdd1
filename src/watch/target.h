// SPDX-License-Identifier: Apache-2.0
// What stands behind a program's name, and whether a library can be preloaded into it.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace gordian::watch {

struct Target {
  std::string path;         // the file to execute
  std::string interpreted;  // a script: the program that runs it in the end, else the path
  std::string unwatchable;  // why nothing can be preloaded; empty: it can
};

// As execvp finds it. Errors: not found, not executable, a directory, no permission; with hints.
Result<Target> find_target(const std::string& program, std::string_view path_variable);

// The head of an executable: "statically linked", "a 32-bit program", ...; empty: all is well.
// `head` holds the first bytes of the file, as many as there are up to kHeadBytes.
inline constexpr size_t kHeadBytes = 64 << 10;
std::string why_unwatchable(std::string_view head);

// The limits that we live under: why no program at all can be watched; empty: it can.
std::string why_nothing_is_watchable();

}  // namespace gordian::watch
