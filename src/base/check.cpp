// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace gordian {

void check_failed(const char* condition, const std::source_location& where) {
  std::fprintf(stderr,
               "gordian: internal error: expected %s\n  in %s (%s:%u)\n"
               "  hint: this is a bug of Gordian's; please report it with these lines.\n",
               condition, where.function_name(), where.file_name(), where.line());
  std::abort();
}

}  // namespace gordian
