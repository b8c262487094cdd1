// SPDX-License-Identifier: Apache-2.0
// Where a thread waits for one word from another thread.
//
// A bare futex instead of a condition variable: what the thread waits for is announced to Gordian
// by whoever parks it (gordian/annotate.h), and a condition variable's mutex would be one more
// lock.
#pragma once

#include "gordian/lease_words.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <linux/futex.h>
#include <optional>
#include <sys/syscall.h>
#include <unistd.h>

namespace gordian::redis {

class Parker {
 public:
  // From any thread, also before park(). The last thing that may touch the Parker: the owner may be
  // gone right after the store, so the wake-up only names its address.
  void unpark() {
    // ORDER: release pairs with the acquire in park(): who sees the word sees what was written
    // before.
    words_.word.store(1, std::memory_order_release);
    syscall(SYS_futex, address(), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, nullptr, nullptr, 0);
  }

  // Says what park() waits for, to those who look at the process from outside.
  void announce(const lease_words& lease, bool gives_up) {
    words_.gives_up = gives_up ? 1 : 0;
    words_.self = reinterpret_cast<uint64_t>(&words_);
    words_.lease = reinterpret_cast<uint64_t>(&lease);
    words_.magic = parked_words::magic_number;
  }
  // From any thread, before unpark(): that wait is over.
  void settle() { words_.lease = 0; }

  // Until unparked; false if the deadline came first. Takes the word.
  bool park(std::optional<std::chrono::steady_clock::time_point> deadline) {
    // ORDER: see unpark().
    while (words_.word.exchange(0, std::memory_order_acquire) == 0) {
      timespec time{};
      if (deadline) {
        if (*deadline <= std::chrono::steady_clock::now()) return false;
        const int64_t ns =
            std::chrono::duration_cast<std::chrono::nanoseconds>(deadline->time_since_epoch())
                .count();
        time = {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
      }
      // The bitset form takes an absolute time, of the clock steady_clock reads.
      syscall(SYS_futex, address(), FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0,
              deadline ? &time : nullptr, nullptr, FUTEX_BITSET_MATCH_ANY);
    }
    return true;
  }

 private:
  uint32_t* address() { return reinterpret_cast<uint32_t*>(&words_.word); }
  parked_words words_;
};

}  // namespace gordian::redis
