// SPDX-License-Identifier: Apache-2.0
// The few system calls of the runtime, made directly: libc's wrappers set errno, may be hooked by
// ourselves or by the program, and some are cancellation points. All return -errno on failure.
//
// This is the golden list: tools/check compares it with what a traced program really does. Calls
// marked "start" are made only while a board is made.
#pragma once

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

namespace gordian::runtime {

__attribute__((always_inline)) inline long raw_call(long number, long a = 0, long b = 0, long c = 0,
                                                    long d = 0, long e = 0, long f = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

inline bool is_error(long result) { return static_cast<unsigned long>(result) > -4096UL; }

inline int thread_id() { return static_cast<int>(raw_call(SYS_gettid)); }
inline int process_id() { return static_cast<int>(raw_call(SYS_getpid)); }

// CLOCK_MONOTONIC. The call itself: a sanitizer's clock_gettime is not to be called before its
// constructor.
inline uint64_t now_ns() {
  timespec now{};
  raw_call(SYS_clock_gettime, CLOCK_MONOTONIC, reinterpret_cast<long>(&now));
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// Can the byte there be read? The kernel looks, and does not mind if not: a wait on a futex for no
// time at all.
inline bool is_readable(uint64_t address) {
  constexpr long kWait = 128;     // FUTEX_WAIT | FUTEX_PRIVATE_FLAG
  constexpr long kFault = -14;    // EFAULT
  constexpr long kUnlikely = -1;  // to be in the word; if it is not the clock is not even asked
  const timespec no_time{};
  return raw_call(SYS_futex, static_cast<long>(address & ~uint64_t{3}), kWait, kUnlikely,
                  reinterpret_cast<long>(&no_time)) != kFault;
}

// Does a thread of this process with that id exist? (Asked only when cards run out.)
inline bool thread_exists(int process, int thread) {
  constexpr long kNoSuchThread = -3;  // ESRCH
  return raw_call(SYS_tgkill, process, thread, 0) != kNoSuchThread;
}

}  // namespace gordian::runtime
