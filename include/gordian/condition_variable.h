// SPDX-License-Identifier: Apache-2.0
// gordian::condition_variable: std::condition_variable_any on one word of our own, so that a wait
// can end by a stop token, a deadline, or both, at once and without polling. Works with every lock.
//
//   std::unique_lock lock(m);
//   if (!ready.wait(lock, stop, [&] { return !queue.empty(); })) return;   // asked to stop
//
// A name, if it has one, is for the reports of `gordian run`.
//
// Taking the lock again after a wait is a request like any other: in checked mode it may throw, and
// then the lock is not held.
#ifndef GORDIAN_CONDITION_VARIABLE_H
#define GORDIAN_CONDITION_VARIABLE_H

#include <gordian/attended.h>

#include <condition_variable>

namespace gordian {

class condition_variable : private detail::lock_identity {
 public:
  constexpr condition_variable() noexcept : condition_variable("") {}
  // The name is kept, not copied: a string literal.
  constexpr explicit condition_variable(const char* name) noexcept
      : lock_identity(detail::lock_kind::condition, name) {}
  condition_variable(const condition_variable&) = delete;
  condition_variable& operator=(const condition_variable&) = delete;

  void notify_one() noexcept { notify(1); }
  void notify_all() noexcept { notify(INT_MAX); }

  template <typename Lock>
  void wait(Lock& lock) {
    wait_once(lock, {});
  }
  template <typename Lock, typename Predicate>
  void wait(Lock& lock, Predicate predicate) {
    while (!predicate()) wait_once(lock, {});
  }

  // Returns predicate(): false only after a stop.
  template <typename Lock, typename Predicate>
  bool wait(Lock& lock, const stop_token& stop, Predicate predicate) {
    return wait_patiently(lock, {{}, &stop}, predicate);
  }

  template <typename Lock, typename Clock, typename Duration>
  std::cv_status wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& when) {
    wait_once(lock, {detail::deadline::of(when), nullptr});
    return Clock::now() < when ? std::cv_status::no_timeout : std::cv_status::timeout;
  }
  template <typename Lock, typename Rep, typename Period>
  std::cv_status wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& time) {
    const detail::deadline until = detail::deadline::in(time);
    wait_once(lock, {until, nullptr});
    return until.passed() ? std::cv_status::timeout : std::cv_status::no_timeout;
  }
  template <typename Lock, typename Clock, typename Duration, typename Predicate>
  bool wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& when,
                  Predicate predicate) {
    return wait_patiently(lock, {detail::deadline::of(when), nullptr}, predicate);
  }
  template <typename Lock, typename Rep, typename Period, typename Predicate>
  bool wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& time, Predicate predicate) {
    return wait_patiently(lock, {detail::deadline::in(time), nullptr}, predicate);
  }
  template <typename Lock, typename Clock, typename Duration, typename Predicate>
  bool wait_until(Lock& lock, const stop_token& stop,
                  const std::chrono::time_point<Clock, Duration>& when, Predicate predicate) {
    return wait_patiently(lock, {detail::deadline::of(when), &stop}, predicate);
  }
  template <typename Lock, typename Rep, typename Period, typename Predicate>
  bool wait_for(Lock& lock, const stop_token& stop, const std::chrono::duration<Rep, Period>& time,
                Predicate predicate) {
    return wait_patiently(lock, {detail::deadline::in(time), &stop}, predicate);
  }

 private:
  // No waiter touches the word after it woke, so it may be destroyed once all were notified.
  void notify(int count) noexcept {
    if (detail::is_announced()) [[unlikely]] {
      detail::announce_name(identity(), {});
      detail::announce_signal(&identity(), count != 1);
    }
    // ORDER: release pairs with the acquire of wait_once(): a stop that woke all is seen there.
    turn_.fetch_add(1, std::memory_order_release);
    detail::futex_wake(&turn_, count);
  }

  struct wake_all {
    condition_variable* self;
    void operator()() const noexcept { self->notify_all(); }
  };

  template <typename Lock>
  void wait_once(Lock& lock, const detail::patience& how) {
    // Under the lock: whoever changes what is waited for does so later, and then changes the word.
    // ORDER: acquire, see notify().
    const std::uint32_t turn = turn_.load(std::memory_order_acquire);
    lock.unlock();
    if (!how.is_over()) sleep(turn, how);
    lock.lock();
  }

  template <typename Lock, typename Predicate>
  bool wait_patiently(Lock& lock, const detail::patience& how, Predicate& predicate) {
    const stop_callback<wake_all> on_stop(how.token(), wake_all{this});
    while (!predicate()) {
      if (how.is_over()) return predicate();
      wait_once(lock, how);
    }
    return true;
  }

  void sleep(std::uint32_t turn, const detail::patience& how) {
    if (detail::is_announced()) [[unlikely]] {
      detail::announce_name(identity(), {});
      detail::announced_sleep(&identity(), how.is_limited(), &turn_, turn, how.until);
    } else {
      detail::futex_wait(&turn_, turn, how.until);
    }
  }

  const detail::lock_identity& identity() const { return *this; }

  std::atomic<std::uint32_t> turn_{0};
};

}  // namespace gordian

#endif
