// SPDX-License-Identifier: Apache-2.0
// The one assertion: for our own bugs only, and on in release too.
#pragma once

#include <source_location>

namespace gordian {

// Prints what was expected and where, then aborts: a wrong verdict is worse than none.
[[noreturn]] void check_failed(const char* condition, const std::source_location& where);

}  // namespace gordian

#define GORDIAN_CHECK(cond)                                            \
  do {                                                                 \
    if (!(cond)) [[unlikely]]                                          \
      ::gordian::check_failed(#cond, std::source_location::current()); \
  } while (false)
