// SPDX-License-Identifier: Apache-2.0
#include "runtime/plain_mutex.h"

#include "runtime/modules.h"
#include "runtime/real_functions.h"

#include <string.h>

namespace gordian::runtime {

namespace {

constinit pthread_mutex_t by_libc = PTHREAD_MUTEX_INITIALIZER;
constinit pthread_mutex_t by_us = PTHREAD_MUTEX_INITIALIZER;

bool is_libcs(const void* function) { return is_in_library(function, "libc.so."); }

}  // namespace

bool probe_plain_mutex(uint32_t tid) {
  if (!is_libcs(reinterpret_cast<const void*>(real.pthread_mutex_lock)) ||
      !is_libcs(reinterpret_cast<const void*>(real.pthread_mutex_trylock)) ||
      !is_libcs(reinterpret_cast<const void*>(real.pthread_mutex_unlock))) {
    return false;
  }
  if (!is_default_kind(&by_libc) || real.pthread_mutex_lock(&by_libc) != 0) return false;
  const bool taken = take_plain_mutex(&by_us, tid);
  bool same = taken && memcmp(&by_libc, &by_us, sizeof by_us) == 0;
  real.pthread_mutex_unlock(&by_libc);
  if (same) {
    real.pthread_mutex_unlock(&by_us);
    same = memcmp(&by_libc, &by_us, sizeof by_us) == 0;
  }
  return same;
}

}  // namespace gordian::runtime
