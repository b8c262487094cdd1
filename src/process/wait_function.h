// SPDX-License-Identifier: Apache-2.0
// The functions in which threads wait, by name.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace gordian::process {

enum class WaitTarget : uint8_t {
  Mutex,
  RecMutex,  // GRecMutex: a pointer to a pthread mutex
  Condition,
  ReadLock,
  WriteLock,
  Semaphore,
  Barrier,
  Join,
  Once,
  Guard,
  Future,
  GlibMutex,
  GlibCondition,
  GlibBit,
  GlibReadLock,  // GRWLock: a pointer to a pthread rwlock
  GlibWriteLock,
  GlibOnce,   // waits for one condition variable that all of them share
  GlibQueue,  // waits for a condition variable inside
  Spin,
};

// "__GI___pthread_mutex_lock@GLIBC_2.2.5" is pthread_mutex_lock.
std::string_view plain_name(std::string_view symbol);

// All plain names known.
std::span<const std::string_view> wait_functions();

std::optional<WaitTarget> find_wait_target(std::string_view plain_name);

}  // namespace gordian::process
