// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace gordian {

void check_failed(const char* condition, const char* function, const char* file, int line) {
  std::fprintf(stderr,
               "gordian: internal error: expected %s\n  in %s (%s:%d)\n"
               "  hint: this is a bug of Gordian's; please report it with these lines.\n",
               condition, function, file, line);
  std::abort();
}

}  // namespace gordian
