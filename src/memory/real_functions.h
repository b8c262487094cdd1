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

// As GORDIAN_REAL and GORDIAN_FIND together, and the hook's declaration, for a symbol whose own
// declaration is in the way: an argument list that varies, a body in a header, the name of a
// structure. HOOK is our name for it; find_HOOK() is the constructor.
#define GORDIAN_HOOK_AS(type, hook, symbol, parameters)                                     \
  namespace {                                                                               \
  using hook##_function = type parameters;                                                  \
  constinit hook##_function* real_##hook = nullptr;                                         \
  __attribute__((constructor)) void find_##hook() {                                         \
    real_##hook = reinterpret_cast<hook##_function*>(::gordian::memory::find_next(symbol)); \
  }                                                                                         \
  }                                                                                         \
  GORDIAN_HOOK type hook parameters asm(symbol)

// real_NAME: the function of libc that a hook of the same name stands in front of. Null until
// GORDIAN_FIND(NAME), which a constructor does.
#define GORDIAN_REAL(name) constinit decltype(&::name) real_##name = nullptr
#define GORDIAN_FIND(name) \
  real_##name = reinterpret_cast<decltype(&::name)>(::gordian::memory::find_next(#name))
