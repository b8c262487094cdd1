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
// structure. HOOK is our name for it; found_HOOK() is the real function.
//
// LATE: not before it is called, for what is not in every program. dlsym() remembers what it does
// not find in memory that it frees the next time: a hook of free() may then come to look up another
// function, in the middle of it.
#define GORDIAN_HOOK_LATE(type, hook, symbol, parameters)                                   \
  namespace {                                                                               \
  using hook##_function = type parameters;                                                  \
  constinit hook##_function* real_##hook = nullptr;                                         \
  void find_##hook() {                                                                      \
    real_##hook = reinterpret_cast<hook##_function*>(::gordian::memory::find_next(symbol)); \
  }                                                                                         \
  [[maybe_unused]] hook##_function* found_##hook() {                                        \
    if (real_##hook == nullptr) find_##hook();                                              \
    return real_##hook;                                                                     \
  }                                                                                         \
  }                                                                                         \
  GORDIAN_HOOK type hook parameters asm(symbol)

#define GORDIAN_HOOK_AS(type, hook, symbol, parameters)                         \
  namespace {                                                                   \
  void find_##hook();                                                           \
  __attribute__((constructor)) void find_##hook##_at_start() { find_##hook(); } \
  }                                                                             \
  GORDIAN_HOOK_LATE(type, hook, symbol, parameters)

// real_NAME: the function of libc that a hook of the same name stands in front of. Null until
// GORDIAN_FIND(NAME), which a constructor does.
#define GORDIAN_REAL(name) constinit decltype(&::name) real_##name = nullptr
#define GORDIAN_FIND(name) \
  real_##name = reinterpret_cast<decltype(&::name)>(::gordian::memory::find_next(#name))
