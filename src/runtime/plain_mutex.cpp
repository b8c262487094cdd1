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

// Bytes, not members: what we do not know of must be the same too.
bool are_same_bytes(const void* one, const void* other, size_t size) {
  return memcmp(one, other, size) == 0;
}

}  // namespace

bool probe_plain_mutex(uint32_t tid) {
  if (!is_libcs(reinterpret_cast<const void*>(real.pthread_mutex_lock)) ||
      !is_libcs(reinterpret_cast<const void*>(real.pthread_mutex_trylock)) ||
      !is_libcs(reinterpret_cast<const void*>(real.pthread_mutex_unlock))) {
    return false;
  }
  if (!is_default_kind(&by_libc) || real.pthread_mutex_lock(&by_libc) != 0) return false;
  const bool taken = take_plain_mutex(&by_us, tid);
  bool same = taken && are_same_bytes(&by_libc, &by_us, sizeof by_us);
  real.pthread_mutex_unlock(&by_libc);
  if (same) {
    real.pthread_mutex_unlock(&by_us);
    same = are_same_bytes(&by_libc, &by_us, sizeof by_us);
  }
  return same;
}

}  // namespace gordian::runtime
