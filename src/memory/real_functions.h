// SPDX-License-Identifier: Apache-2.0
// The functions of libc behind our hooks, found when this library is loaded.
#pragma once

#include <dlfcn.h>

#define GORDIAN_HOOK extern "C" __attribute__((visibility("default")))

// real_NAME: the function of libc that a hook of the same name stands in front of. Null until
// GORDIAN_FIND(NAME), which a constructor does.
#define GORDIAN_REAL(name) constinit decltype(&::name) real_##name = nullptr
#define GORDIAN_FIND(name) \
  real_##name = reinterpret_cast<decltype(&::name)>(dlsym(RTLD_NEXT, #name))
