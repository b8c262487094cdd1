// SPDX-License-Identifier: Apache-2.0
// gordian::shared_mutex and gordian::shared_timed_mutex: many readers or one writer.
//
//   gordian::shared_mutex guard{"guard", level::guard};
//   std::shared_lock read(guard);
//   if (guard.lock_shared(stop)) { ...; guard.unlock_shared(); }   // false: asked to stop
//
// Fairness: a waiting writer keeps new readers out, and when a writer leaves, the readers that
// waited go before the next writer. So neither side starves; and so a thread must not share twice
// (a writer that comes between the two waits for the first share, and the second waits for the
// writer): checked mode says so. An upgrade (write while reading) is an error too.
#ifndef GORDIAN_SHARED_MUTEX_H
#define GORDIAN_SHARED_MUTEX_H

#include <gordian/attended.h>
#include <gordian/thread_safety.h>

namespace gordian {

class GORDIAN_CAPABILITY("shared_mutex") shared_mutex : private detail::lock_identity {
 public:
  constexpr shared_mutex() noexcept : shared_mutex("") {}
  constexpr explicit shared_mutex(const char* name) noexcept
      : lock_identity(detail::lock_kind::shared_mutex, name) {}
  template <detail::level_enum Level>
  constexpr shared_mutex(const char* name, Level level, std::uint64_t key = 0) noexcept
      : lock_identity(detail::lock_kind::shared_mutex, name, level, key) {}
  ~shared_mutex() {
    if (detail::is_attended()) [[unlikely]]
      detail::attended_end(identity(), word_);
  }
  shared_mutex(const shared_mutex&) = delete;
  shared_mutex& operator=(const shared_mutex&) = delete;

  void lock(const source_location& where = source_location::current())
      GORDIAN_ACQUIRE() GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    take(detail::mode::exclusive, {}, where);
  }
  [[nodiscard]] bool lock(const stop_token& stop,
                          const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return take(detail::mode::exclusive, {{}, &stop}, where);
  }
  [[nodiscard]] bool try_lock(const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return try_take(detail::mode::exclusive, where);
  }
  void unlock() GORDIAN_RELEASE() GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    release(detail::mode::exclusive);
  }

  void lock_shared(const source_location& where = source_location::current())
      GORDIAN_ACQUIRE_SHARED() GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    take(detail::mode::shared, {}, where);
  }
  [[nodiscard]] bool lock_shared(const stop_token& stop,
                                 const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE_SHARED(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return take(detail::mode::shared, {{}, &stop}, where);
  }
  [[nodiscard]] bool try_lock_shared(const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE_SHARED(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return try_take(detail::mode::shared, where);
  }
  void unlock_shared() GORDIAN_RELEASE_SHARED() GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    release(detail::mode::shared);
  }

  const char* name() const noexcept { return lock_identity::name(); }
  // Held by this thread in either way.
  void assert_held(const source_location& where = source_location::current()) const
      GORDIAN_ASSERT_SHARED_CAPABILITY(this) {
    detail::check_held(identity(), word_.is_held(), where);
  }

 protected:
  bool take(detail::mode how, const detail::patience& patience, const source_location& where) {
    if (detail::is_attended()) [[unlikely]] {
      return detail::attended_lock(identity(), word_, how, patience, where);
    }
    return word_.try_take(how) || detail::wait_for_word(word_, how, patience);
  }

 private:
  friend struct detail::lock_access;
  const detail::lock_identity& identity() const { return *this; }

  bool try_take(detail::mode how, const source_location& where) {
    if (detail::is_attended()) [[unlikely]] {
      return detail::attended_try_lock(identity(), word_, how, where);
    }
    return word_.try_take(how);
  }
  void release(detail::mode how) {
    if (detail::is_attended()) [[unlikely]] {
      detail::attended_unlock(identity(), word_, how);
    } else {
      word_.release(how);
    }
  }

  detail::shared_word word_;
};

class GORDIAN_CAPABILITY("shared_mutex") shared_timed_mutex : public shared_mutex {
 public:
  using shared_mutex::shared_mutex;

  template <typename Rep, typename Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& time,
                                  const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return take(detail::mode::exclusive, {detail::deadline::in(time), nullptr}, where);
  }
  template <typename Clock, typename Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& when,
                                    const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return take(detail::mode::exclusive, {detail::deadline::of(when), nullptr}, where);
  }
  template <typename Clock, typename Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& when,
                                    const stop_token& stop,
                                    const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return take(detail::mode::exclusive, {detail::deadline::of(when), &stop}, where);
  }
  template <typename Rep, typename Period>
  [[nodiscard]] bool try_lock_shared_for(const std::chrono::duration<Rep, Period>& time,
                                         const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE_SHARED(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return take(detail::mode::shared, {detail::deadline::in(time), nullptr}, where);
  }
  template <typename Clock, typename Duration>
  [[nodiscard]] bool try_lock_shared_until(
      const std::chrono::time_point<Clock, Duration>& when,
      const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE_SHARED(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return take(detail::mode::shared, {detail::deadline::of(when), nullptr}, where);
  }
  template <typename Clock, typename Duration>
  [[nodiscard]] bool try_lock_shared_until(
      const std::chrono::time_point<Clock, Duration>& when, const stop_token& stop,
      const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE_SHARED(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return take(detail::mode::shared, {detail::deadline::of(when), &stop}, where);
  }
};

}  // namespace gordian

#endif
