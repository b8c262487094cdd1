// SPDX-License-Identifier: Apache-2.0
// The one assertion: for our own bugs only, and on in release too.
#pragma once

namespace gordian {

// Prints what was expected and where, then aborts: a wrong verdict is worse than none.
// (std::source_location would do, but clang 14, which checks and fuzzes this code, has none.)
[[noreturn]] void check_failed(const char* condition, const char* function, const char* file,
                               int line);

}  // namespace gordian

#define GORDIAN_CHECK(cond)                                         \
  do {                                                              \
    if (!(cond)) [[unlikely]]                                       \
      ::gordian::check_failed(#cond, __func__, __FILE__, __LINE__); \
  } while (false)
