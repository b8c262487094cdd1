// SPDX-License-Identifier: Apache-2.0
// The functions of libc behind our hooks, found when this library is loaded.
#pragma once

#include <dlfcn.h>

#define GORDIAN_HOOK extern "C" __attribute__((visibility("default")))

namespace gordian::memory {

// What is called NAME in the libraries behind this one. Null: there is none.
inline void* find_next(const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  // dlsym looks at who calls it: it must not be jumped to in the place of a return.
  asm volatile("" : "+r"(found));
  return found;
}

}  // namespace gordian::memory

// real_NAME: the function of libc that a hook of the same name stands in front of. Null until
// GORDIAN_FIND(NAME), which a constructor does.
#define GORDIAN_REAL(name) constinit decltype(&::name) real_##name = nullptr
#define GORDIAN_FIND(name) \
  real_##name = reinterpret_cast<decltype(&::name)>(::gordian::memory::find_next(#name))
