// SPDX-License-Identifier: Apache-2.0
// Waits for progress that only the kernel can attest: that a thread of ours is asleep in a futex.
//
// For the few stories in which one thread may go on only once another is *inside* a call such as
// pthread_join, which no latch can show. It reads /proc and never guesses a time.
#pragma once

#include "support/luck.h"

#include <cstdint>
#include <cstdio>
#include <sched.h>
#include <string>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace scenario {

// The futex word that the thread of this /proc/PID/task/TID/syscall sleeps on now, or null if it
// runs or sleeps in another system call.
inline const volatile uint32_t* find_futex(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return nullptr;
  long number = -1;
  unsigned long word = 0;
  const int fields = std::fscanf(file, "%ld %lx", &number, &word);
  std::fclose(file);
  if (fields != 2 || number != SYS_futex) return nullptr;
  return reinterpret_cast<const volatile uint32_t*>(word);
}

inline const volatile uint32_t* find_futex(pid_t tid) {
  return find_futex("/proc/self/task/" + std::to_string(tid) + "/syscall");
}

// Returns when `tid` sleeps in a futex.
inline void wait_until_blocked(pid_t tid) {
  wait_until([&] { return find_futex(tid) != nullptr; });
}

// A head start by the kernel's word alone: returns when the thread `tid` of ours has ended, or
// after so many naps: whoever holds it up for good (a steered run) is to see us go on. On a busy
// machine a nap ends when `tid` had its turn too; to yield instead would give our own turns away,
// for seconds. Nothing that `tid` writes says so, so no order is seen in the program's memory.
inline void let_end(pid_t tid) {
  for (int i = 0; i < 5 * kNaps && syscall(SYS_tgkill, getpid(), tid, 0) == 0; ++i) {
    nanosleep(&kNap, nullptr);
  }
}

// Returns when `tid` sleeps until the thread `joined` has ended: glibc joins by waiting for the
// kernel to clear the word that holds the joined thread's id.
inline void wait_until_joining(pid_t tid, pid_t joined) {
  wait_until([&] {
    const volatile uint32_t* word = find_futex(tid);
    return word != nullptr && *word == static_cast<uint32_t>(joined);
  });
}

// Returns when `tid`, a thread of process `pid`, sleeps in a futex that lies in `object`.
template <typename Object>
void wait_until_blocked_on(pid_t tid, const Object& object, const char* pid = "self") {
  const std::string path =
      std::string("/proc/") + pid + "/task/" + std::to_string(tid) + "/syscall";
  const auto low = reinterpret_cast<uintptr_t>(&object);
  wait_until([&] {
    const volatile uint32_t* word = find_futex(path);
    const auto at = reinterpret_cast<uintptr_t>(word);
    return word != nullptr && at >= low && at < low + sizeof(Object);
  });
}

}  // namespace scenario
