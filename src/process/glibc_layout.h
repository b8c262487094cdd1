// SPDX-License-Identifier: Apache-2.0
// Where glibc keeps what: the layouts of its locks on x86-64, by version.
//
// The public types have not moved since 2.25; what differs is the inside of condition variables and
// the offset of the thread id in a thread's descriptor, which libc itself tells (it exports it for
// debuggers).
#pragma once

#include "process/memory.h"
#include "process/symbols.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace gordian::process {

struct GlibcLayout {
  std::string version;            // "2.36"; empty: unknown
  bool known = false;             // the version is one this table was made for
  size_t tid_offset = 0;          // in a thread descriptor; 0: unknown
  size_t condition_signals = 40;  // __g_signals in a condition variable

  // pthread_mutex_t: lock word, count, owner, users, kind.
  static constexpr size_t kMutexSize = 40;
  static constexpr size_t kMutexOwner = 8;
  static constexpr size_t kMutexKind = 16;
  static constexpr uint32_t kMutexTypeMask = 3;
  static constexpr uint32_t kMutexRecursive = 1;
  static constexpr uint32_t kMutexRobust = 16;
  static constexpr uint32_t kMutexPriority = 32;
  static constexpr uint32_t kMutexShared = 128;
  static constexpr uint32_t kMutexKindMax = 1023;
  // pthread_rwlock_t: readers, writers, __wrphase_futex, __writers_futex, ..., __cur_writer,
  // __shared, ..., flags.
  static constexpr size_t kRwLockSize = 56;
  static constexpr size_t kRwLockWriterPhase = 8;
  static constexpr size_t kRwLockWriters = 12;
  static constexpr size_t kRwLockOwner = 24;
  static constexpr size_t kRwLockFlags = 48;
  static constexpr uint32_t kRwLockReaderWaiting = 4;  // in `readers`
  static constexpr uint32_t kRwLockReaderShift = 3;
  static constexpr uint32_t kRwLockPrefersWriters = 2;  // ..._WRITER_NONRECURSIVE_NP
  // pthread_cond_t
  static constexpr size_t kConditionSize = 48;
  // pthread_barrier_t: in, current_round, count, shared, out.
  static constexpr size_t kBarrierRound = 4;
  static constexpr size_t kBarrierCount = 8;
  // A descriptor begins with tcbhead_t: tcb, dtv, self.
  static constexpr size_t kDescriptorSelf = 16;
};

// Never fails: an unknown glibc gets the newest layout and `known` = false.
GlibcLayout find_glibc_layout(const Symbols& symbols, const MemoryReader& memory);

// For tests and by hand.
GlibcLayout glibc_layout(const std::string& version);

}  // namespace gordian::process
