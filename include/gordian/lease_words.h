// SPDX-License-Identifier: Apache-2.0
// What a client of locks on a server (gordian/redis_lock.h) keeps in its memory for those who look
// from outside, at a live process or at its core: who waits for which lease, and who holds it.
// Nothing but memory, so it costs a few stores and needs no runtime.
//
// A thread that waits sleeps on the first word of a parked_words. That names the lease's
// lease_words, and those its hold_words. Each begins a known way and names its own address, so that
// other memory is not taken for one. A change of the layout is a new magic number.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace gordian::redis {

struct hold_words {
  static constexpr uint64_t magic_number = 0x31646c6f68726f67;  // "gorhold1"
  std::atomic<uint64_t> magic{0};
  std::atomic<uint64_t> self{0};
  std::atomic<uint32_t> owner{0};  // thread id, as gettid() gives it in that process
  // Not in the owner's stack: another thread may release it.
  std::atomic<uint32_t> kept_elsewhere{0};
};

struct lease_words {
  static constexpr uint64_t magic_number = 0x317361656c726f67;  // "gorleas1"
  std::atomic<uint64_t> magic{0};
  std::atomic<uint64_t> self{0};
  std::atomic<uint64_t> hold{0};  // 0: nobody of this client holds it
  std::atomic<uint64_t> name{0};
  std::atomic<uint64_t> name_size{0};
};

struct parked_words {
  static constexpr uint64_t magic_number = 0x3174696177726f67;  // "gorwait1"
  std::atomic<uint32_t> word{0};                                // the futex
  std::atomic<uint32_t> gives_up{0};                            // by itself, after a while
  std::atomic<uint64_t> magic{0};
  std::atomic<uint64_t> self{0};
  std::atomic<uint64_t> lease{0};  // 0: none any more, the wait is over
};

// Those outside read bytes.
static_assert(sizeof(std::atomic<uint64_t>) == 8 && sizeof(std::atomic<uint32_t>) == 4);

}  // namespace gordian::redis
