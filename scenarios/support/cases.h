// SPDX-License-Identifier: Apache-2.0
// Several small programs in one file, chosen by the first argument, so that a broken one and its
// twins stand side by side.
#pragma once

#include <cstdio>
#include <cstring>
#include <initializer_list>

namespace scenario {

struct Case {
  const char* name;
  void (*body)();
};

// Returns main's status: 0 when the case came to its end.
inline int run_case(int argc, char** argv, std::initializer_list<Case> cases) {
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
