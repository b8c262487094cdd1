// SPDX-License-Identifier: Apache-2.0
// The functions behind our hooks: the next definition after ours in the loader's order, with the
// version the program meant. Found once, by walking the loaded objects' symbol tables: dlsym may
// allocate and lock, and the program's malloc may lock too.
//
// To hook one more function that is always in libc: add a line to GORDIAN_REAL_FUNCTIONS, write the
// hook (see hook.h), name it in exports.txt. For a function that may be missing or come later by
// dlopen (GLib): call find_next_symbol from a slow path and keep the result.
#pragma once

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

namespace gordian::runtime {

// member (also the symbol), version ("" any), type
#define GORDIAN_REAL_FUNCTIONS(X)                                              \
  X(mtx_init, "", decltype(::mtx_init))                                        \
  X(mtx_destroy, "", decltype(::mtx_destroy))                                  \
  X(mtx_lock, "", decltype(::mtx_lock))                                        \
  X(mtx_timedlock, "", decltype(::mtx_timedlock))                              \
  X(mtx_trylock, "", decltype(::mtx_trylock))                                  \
  X(mtx_unlock, "", decltype(::mtx_unlock))                                    \
  X(cnd_wait, "", decltype(::cnd_wait))                                        \
  X(cnd_timedwait, "", decltype(::cnd_timedwait))                              \
  X(cnd_signal, "", decltype(::cnd_signal))                                    \
  X(cnd_broadcast, "", decltype(::cnd_broadcast))                              \
  X(thrd_create, "", decltype(::thrd_create))                                  \
  X(thrd_join, "", decltype(::thrd_join))                                      \
  X(getenv, "", decltype(::getenv))                                            \
  X(flock, "", decltype(::flock))                                              \
  X(fcntl, "", decltype(::fcntl))                                              \
  X(fcntl64, "", decltype(::fcntl64))                                          \
  X(lockf, "", decltype(::lockf))                                              \
  X(lockf64, "", decltype(::lockf64))                                          \
  X(pthread_mutex_init, "", decltype(::pthread_mutex_init))                    \
  X(pthread_mutex_destroy, "", decltype(::pthread_mutex_destroy))              \
  X(pthread_mutex_lock, "", decltype(::pthread_mutex_lock))                    \
  X(pthread_mutex_trylock, "", decltype(::pthread_mutex_trylock))              \
  X(pthread_mutex_timedlock, "", decltype(::pthread_mutex_timedlock))          \
  X(pthread_mutex_clocklock, "", decltype(::pthread_mutex_clocklock))          \
  X(pthread_mutex_unlock, "", decltype(::pthread_mutex_unlock))                \
  X(pthread_create, "", decltype(::pthread_create))                            \
  X(pthread_join, "", decltype(::pthread_join))                                \
  X(pthread_tryjoin_np, "", decltype(::pthread_tryjoin_np))                    \
  X(pthread_timedjoin_np, "", decltype(::pthread_timedjoin_np))                \
  X(pthread_clockjoin_np, "", decltype(::pthread_clockjoin_np))                \
  X(pthread_rwlock_init, "", decltype(::pthread_rwlock_init))                  \
  X(pthread_rwlock_destroy, "", decltype(::pthread_rwlock_destroy))            \
  X(pthread_rwlock_rdlock, "", decltype(::pthread_rwlock_rdlock))              \
  X(pthread_rwlock_tryrdlock, "", decltype(::pthread_rwlock_tryrdlock))        \
  X(pthread_rwlock_timedrdlock, "", decltype(::pthread_rwlock_timedrdlock))    \
  X(pthread_rwlock_clockrdlock, "", decltype(::pthread_rwlock_clockrdlock))    \
  X(pthread_rwlock_wrlock, "", decltype(::pthread_rwlock_wrlock))              \
  X(pthread_rwlock_trywrlock, "", decltype(::pthread_rwlock_trywrlock))        \
  X(pthread_rwlock_timedwrlock, "", decltype(::pthread_rwlock_timedwrlock))    \
  X(pthread_rwlock_clockwrlock, "", decltype(::pthread_rwlock_clockwrlock))    \
  X(pthread_rwlock_unlock, "", decltype(::pthread_rwlock_unlock))              \
  X(pthread_spin_init, "", decltype(::pthread_spin_init))                      \
  X(pthread_spin_destroy, "", decltype(::pthread_spin_destroy))                \
  X(pthread_spin_lock, "", decltype(::pthread_spin_lock))                      \
  X(pthread_spin_trylock, "", decltype(::pthread_spin_trylock))                \
  X(pthread_spin_unlock, "", decltype(::pthread_spin_unlock))                  \
  X(pthread_cond_init, "GLIBC_2.3.2", decltype(::pthread_cond_init))           \
  X(pthread_cond_destroy, "GLIBC_2.3.2", decltype(::pthread_cond_destroy))     \
  X(pthread_cond_wait, "GLIBC_2.3.2", decltype(::pthread_cond_wait))           \
  X(pthread_cond_timedwait, "GLIBC_2.3.2", decltype(::pthread_cond_timedwait)) \
  X(pthread_cond_clockwait, "", decltype(::pthread_cond_clockwait))            \
  X(pthread_cond_signal, "GLIBC_2.3.2", decltype(::pthread_cond_signal))       \
  X(pthread_cond_broadcast, "GLIBC_2.3.2", decltype(::pthread_cond_broadcast)) \
  X(pthread_barrier_init, "", decltype(::pthread_barrier_init))                \
  X(pthread_barrier_destroy, "", decltype(::pthread_barrier_destroy))          \
  X(pthread_barrier_wait, "", decltype(::pthread_barrier_wait))                \
  X(pthread_once, "", decltype(::pthread_once))                                \
  X(sem_init, "", decltype(::sem_init))                                        \
  X(sem_destroy, "", decltype(::sem_destroy))                                  \
  X(sem_wait, "", decltype(::sem_wait))                                        \
  X(sem_trywait, "", decltype(::sem_trywait))                                  \
  X(sem_timedwait, "", decltype(::sem_timedwait))                              \
  X(sem_clockwait, "", decltype(::sem_clockwait))                              \
  X(sem_post, "", decltype(::sem_post))                                        \
  X(free, "", decltype(::free))                                                \
  X(realloc, "", decltype(::realloc))                                          \
  X(munmap, "", decltype(::munmap))                                            \
  X(setrlimit, "", decltype(::setrlimit))                                      \
  X(setrlimit64, "", decltype(::setrlimit64))                                  \
  X(prlimit, "", decltype(::prlimit))                                          \
  X(prlimit64, "", decltype(::prlimit64))                                      \
  X(mlockall, "", decltype(::mlockall))

struct RealFunctions {
#define GORDIAN_MEMBER(name, version, type) type* name;
  GORDIAN_REAL_FUNCTIONS(GORDIAN_MEMBER)
#undef GORDIAN_MEMBER
};

extern RealFunctions real __attribute__((visibility("hidden")));

// Fills `real`. False if libc lacks one of them (an older glibc): the caller must disarm.
bool find_real_functions();

// The next definition of a function after this library in the loader's order, or null. `version`
// "" takes the default one. Lock-free; must not race with the dlclose of the object that has it.
void* find_next_symbol(const char* name, const char* version);

// The same from the first loaded object on, this library excluded: what a caller would have got.
void* find_first_symbol(const char* name, const char* version);

}  // namespace gordian::runtime
