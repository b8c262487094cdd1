// SPDX-License-Identifier: Apache-2.0
// Sleeping on a 32-bit word: the futex system call, with deadlines and wake masks, and the small
// lock that the parts use inside. Not meant for direct use.
#ifndef GORDIAN_FUTEX_H
#define GORDIAN_FUTEX_H

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace gordian::detail {

// When a wait ends by itself. Absolute, so that a wait woken for nothing does not begin anew.
struct deadline {
  bool set = false;
  bool realtime = false;  // else CLOCK_MONOTONIC
  timespec at{};

  static deadline never() { return {}; }

  template <typename Duration>
  static deadline of(const std::chrono::time_point<std::chrono::steady_clock, Duration>& when) {
    return from(representable(when.time_since_epoch()), false);
  }
  template <typename Duration>
  static deadline of(const std::chrono::time_point<std::chrono::system_clock, Duration>& when) {
    return from(representable(when.time_since_epoch()), true);
  }
  // A clock the kernel does not know: as long as it says now.
  template <typename Clock, typename Duration>
  static deadline of(const std::chrono::time_point<Clock, Duration>& when) {
    const auto now = Clock::now();
    const auto left = seconds_of(when.time_since_epoch()) - seconds_of(now.time_since_epoch());
    return is_beyond(left) ? in(left) : in(when - now);
  }
  template <typename Rep, typename Period>
  static deadline in(const std::chrono::duration<Rep, Period>& time) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return from(now + representable(time), false);
  }

  bool passed() const {
    if (!set) return false;
    timespec now{};
    clock_gettime(realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now);
    return now.tv_sec > at.tv_sec || (now.tv_sec == at.tv_sec && now.tv_nsec >= at.tv_nsec);
  }

 private:
  // More is for ever, and less has passed. Twice as much still fits into nanoseconds.
  static constexpr std::chrono::hours beyond{24 * 365 * 140};

  // In a type that no duration overflows.
  template <typename Rep, typename Period>
  static constexpr std::chrono::duration<double> seconds_of(
      const std::chrono::duration<Rep, Period>& time) {
    return std::chrono::duration_cast<std::chrono::duration<double>>(time);
  }
  template <typename Rep, typename Period>
  static constexpr bool is_beyond(const std::chrono::duration<Rep, Period>& time) {
    const auto seconds = seconds_of(time);
    return seconds >= beyond || seconds <= -beyond;
  }
  // Rounded up: a wait may end late, never early.
  template <typename Rep, typename Period>
  static constexpr std::chrono::nanoseconds representable(
      const std::chrono::duration<Rep, Period>& time) {
    if (is_beyond(time)) return time.count() > 0 ? beyond : -beyond;
    return std::chrono::ceil<std::chrono::nanoseconds>(time);
  }

  static deadline from(std::chrono::nanoseconds since_epoch, bool realtime) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
    deadline result;
    result.set = true;
    result.realtime = realtime;
    result.at.tv_sec = static_cast<time_t>(seconds.count());
    result.at.tv_nsec = static_cast<long>((since_epoch - seconds).count());
    // The kernel refuses times before the epoch; they have passed all the same.
    if (result.at.tv_sec < 0) result.at = timespec{};
    return result;
  }
};

inline constexpr std::uint32_t any_waiter = FUTEX_BITSET_MATCH_ANY;

// Returns when woken, when the word is not `expected`, at the deadline, or for nothing; the caller
// looks again. Only wakes with a common bit in `mask` count. Never inlined: under `gordian run` the
// frame of the call must lie below the one that announced the wait.
[[gnu::noinline]] inline void futex_wait(const void* word, std::uint32_t expected,
                                         const deadline& until, std::uint32_t mask = any_waiter) {
  const int saved = errno;
  const int clock = until.realtime ? FUTEX_CLOCK_REALTIME : 0;
  syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE | clock, expected,
          until.set ? &until.at : nullptr, nullptr, mask);
  errno = saved;
}

// The word may be gone already: the kernel only compares the address.
[[gnu::noinline]] inline void futex_wake(const void* word, int count,
                                         std::uint32_t mask = any_waiter) {
  const int saved = errno;
  syscall(SYS_futex, word, FUTEX_WAKE_BITSET_PRIVATE, count, nullptr, nullptr, mask);
  errno = saved;
}

// Guards the books of the parts themselves. Held for a few instructions; no call of the user's is
// ever made under it, so it takes no part in any deadlock and is neither checked nor announced.
class leaf_lock {
 public:
  constexpr leaf_lock() noexcept = default;
  leaf_lock(const leaf_lock&) = delete;
  leaf_lock& operator=(const leaf_lock&) = delete;

  void lock() noexcept {
    if (try_lock()) return;
    while (word_.exchange(2, std::memory_order_acquire) != 0)
      futex_wait(&word_, 2, deadline::never());
  }
  bool try_lock() noexcept {
    std::uint32_t free = 0;
    return word_.compare_exchange_strong(free, 1, std::memory_order_acquire);
  }
  void unlock() noexcept {
    if (word_.exchange(0, std::memory_order_release) == 2) futex_wake(&word_, 1);
  }

 private:
  std::atomic<std::uint32_t> word_{0};
};

class [[nodiscard]] leaf_hold {
 public:
  explicit leaf_hold(leaf_lock& lock) noexcept : lock_(lock) { lock_.lock(); }
  ~leaf_hold() { lock_.unlock(); }
  leaf_hold(const leaf_hold&) = delete;
  leaf_hold& operator=(const leaf_hold&) = delete;

 private:
  leaf_lock& lock_;
};

}  // namespace gordian::detail

#endif
