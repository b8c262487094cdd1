// SPDX-License-Identifier: Apache-2.0
// Several small programs in one file, chosen by the first argument, so that a broken one and its
// twins stand side by side.
#pragma once

#include "support/luck.h"

#include <cstdio>
#include <cstring>
#include <initializer_list>

namespace scenario {

struct Case {
  const char* name;
  void (*body)();
};

// A second argument "lucky" makes it a lucky run (luck.h).
// Returns main's status: 0 when the case came to its end.
inline int run_case(int argc, char** argv, std::initializer_list<Case> cases) {
  lucky = one_by_one = argc > 2 && std::strcmp(argv[2], "lucky") == 0;
  for (const Case& one : cases) {
    if (argc > 1 && std::strcmp(argv[1], one.name) == 0) {
      one.body();
      std::puts("done");
      return 0;
    }
  }
  std::fprintf(stderr, "which one? ");
  for (const Case& one : cases) std::fprintf(stderr, "%s ", one.name);
  std::fprintf(stderr, "\n");
  return 2;
}

}  // namespace scenario
