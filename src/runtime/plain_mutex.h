// SPDX-License-Identifier: Apache-2.0
// Takes a free mutex of the default kind without calling libc: the call alone costs half of what a
// lock may cost more under us (docs/decisions/0005). Only while probe_plain_mutex() found that this
// libc's own pthread_mutex_lock leaves the very same bytes behind; libc unlocks it, waits for it
// and destroys it as ever.
#pragma once

#include <pthread.h>
#include <stdint.h>
#include <sys/single_threaded.h>

namespace gordian::runtime {

// Private, not robust, not priority-inheriting, not recursive, not elided.
inline bool is_default_kind(const pthread_mutex_t* mutex) { return mutex->__data.__kind == 0; }

// True: the calling thread, `tid`, owns it now. False: it is taken; nothing was done.
__attribute__((always_inline)) inline bool take_plain_mutex(pthread_mutex_t* mutex, uint32_t tid) {
  int expected = 0;
  // ORDER: acquire, as a lock; pairs with libc's release in pthread_mutex_unlock.
  if (!__atomic_compare_exchange_n(&mutex->__data.__lock, &expected, 1, false, __ATOMIC_ACQUIRE,
                                   __ATOMIC_RELAXED)) {
    return false;
  }
  mutex->__data.__owner = static_cast<int>(tid);
  mutex->__data.__nusers += 1;
  return true;
}

// The same in a process of one thread, where the mutex cannot be taken meanwhile: libc's own short
// cut, a third of the price.
inline bool take_plain_mutex_alone(pthread_mutex_t* mutex, uint32_t tid) {
  if (__libc_single_threaded == 0 || mutex->__data.__lock != 0) return false;
  mutex->__data.__lock = 1;
  mutex->__data.__owner = static_cast<int>(tid);
  mutex->__data.__nusers += 1;
  return true;
}

// Does libc lock as we do? No if another library stands between us and libc: it must see each lock.
bool probe_plain_mutex(uint32_t tid);

}  // namespace gordian::runtime
