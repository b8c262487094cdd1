// SPDX-License-Identifier: Apache-2.0
// The functions behind our hooks: the next definition after ours in the loader's order, with the
// version the program meant. Found once, by walking the loaded objects' symbol tables: dlsym may
// allocate and lock, and the program's malloc may lock too.
//
// To hook one more function that is always in libc: add a line to GORDIAN_REAL_FUNCTIONS, write the
// hook (see hook.h), name it in exports.map. For a function that may be missing or come later by
// dlopen (GLib): call find_next_symbol from a slow path and keep the result.
#pragma once

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

namespace gordian::runtime {

using SemaphoreOpen = sem_t*(const char*, int, ...);

// member (also the symbol), version ("" any), type
#define GORDIAN_REAL_FUNCTIONS(X)                                       \
  X(flock, "", decltype(::flock))                                       \
  X(fcntl, "", decltype(::fcntl))                                       \
  X(fcntl64, "", decltype(::fcntl64))                                   \
  X(lockf, "", decltype(::lockf))                                       \
  X(lockf64, "", decltype(::lockf64))                                   \
  X(pthread_mutex_init, "", decltype(::pthread_mutex_init))             \
  X(pthread_mutex_destroy, "", decltype(::pthread_mutex_destroy))       \
  X(pthread_mutex_lock, "", decltype(::pthread_mutex_lock))             \
  X(pthread_mutex_trylock, "", decltype(::pthread_mutex_trylock))       \
  X(pthread_mutex_timedlock, "", decltype(::pthread_mutex_timedlock))   \
  X(pthread_mutex_clocklock, "", decltype(::pthread_mutex_clocklock))   \
  X(pthread_mutex_unlock, "", decltype(::pthread_mutex_unlock))         \
  X(pthread_mutex_consistent, "", decltype(::pthread_mutex_consistent)) \
  X(pthread_create, "", decltype(::pthread_create))                     \
  X(pthread_join, "", decltype(::pthread_join))                         \
  X(pthread_tryjoin_np, "", decltype(::pthread_tryjoin_np))             \
  X(pthread_timedjoin_np, "", decltype(::pthread_timedjoin_np))         \
  X(pthread_clockjoin_np, "", decltype(::pthread_clockjoin_np))         \
  X(pthread_detach, "", decltype(::pthread_detach))

struct RealFunctions {
#define GORDIAN_MEMBER(name, version, type) type* name;
  GORDIAN_REAL_FUNCTIONS(GORDIAN_MEMBER)
#undef GORDIAN_MEMBER
};

extern RealFunctions real;

// Fills `real`. False if libc lacks one of them (an older glibc): the caller must disarm.
bool find_real_functions();

// The next definition of a function after this library in the loader's order, or null. `version`
// "" takes the default one. Lock-free; must not race with the dlclose of the object that has it.
void* find_next_symbol(const char* name, const char* version);

// The same from the first loaded object on, this library excluded: what a caller would have got.
void* find_first_symbol(const char* name, const char* version);

}  // namespace gordian::runtime
