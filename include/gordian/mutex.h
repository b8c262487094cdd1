// SPDX-License-Identifier: Apache-2.0
// gordian::mutex and gordian::timed_mutex: std::mutex and std::timed_mutex with a name, an optional
// level, waits that can be cancelled, and checks that can be switched on.
//
//   enum class level { handles, streams };
//   gordian::mutex streams{"streams", level::streams};
//
//   std::scoped_lock hold(streams);           // as any mutex
//   if (streams.lock(stop)) { ...; streams.unlock(); }   // false: asked to stop, not locked
//
// Cost: unattended (no checks, no watching, not under `gordian run`) one compare-and-swap each to
// lock and to unlock, as std::mutex; 40 bytes. The owner is not kept then.
//
// lock() throws what the error handler throws (deadlock_error), only in checked mode, and leaves
// the mutex as it was. A mutex may be destroyed as soon as nobody holds it or waits for it.
#ifndef GORDIAN_MUTEX_H
#define GORDIAN_MUTEX_H

#include <gordian/attended.h>
#include <gordian/thread_safety.h>

namespace gordian {

class GORDIAN_CAPABILITY("mutex") mutex : private detail::lock_identity {
 public:
  constexpr mutex() noexcept : mutex("") {}
  // The name is kept, not copied: a string literal.
  constexpr explicit mutex(const char* name) noexcept
      : lock_identity(detail::lock_kind::mutex, name) {}
  // Mutexes of one level are taken in the order of their keys, then of their addresses.
  template <detail::level_enum Level>
  constexpr mutex(const char* name, Level level, std::uint64_t key = 0) noexcept
      : lock_identity(detail::lock_kind::mutex, name, level, key) {}
  ~mutex() {
    if (detail::is_attended()) [[unlikely]]
      detail::attended_end(identity(), word_);
  }
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  void lock(const source_location& where = source_location::current())
      GORDIAN_ACQUIRE() GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    if (detail::is_attended()) [[unlikely]] {
      detail::attended_lock(identity(), word_, detail::mode::exclusive, {}, where);
    } else if (!word_.try_take()) {
      detail::wait_for_word(word_, detail::mode::exclusive, {});
    }
  }

  // True: locked (even if a stop was requested meanwhile). False: asked to stop, not locked.
  [[nodiscard]] bool lock(const stop_token& stop,
                          const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return lock_patiently({{}, &stop}, where);
  }

  [[nodiscard]] bool try_lock(const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    if (detail::is_attended()) [[unlikely]] {
      return detail::attended_try_lock(identity(), word_, detail::mode::exclusive, where);
    }
    return word_.try_take();
  }

  void unlock() GORDIAN_RELEASE() GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    if (detail::is_attended()) [[unlikely]] {
      detail::attended_unlock(identity(), word_, detail::mode::exclusive);
    } else {
      word_.release();
    }
  }

  const char* name() const noexcept { return lock_identity::name(); }
  void assert_held(const source_location& where = source_location::current()) const
      GORDIAN_ASSERT_CAPABILITY(this) {
    detail::check_held(identity(), word_.is_held(), where);
  }

 protected:
  bool lock_patiently(const detail::patience& how,
                      const source_location& where) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    if (detail::is_attended()) [[unlikely]] {
      return detail::attended_lock(identity(), word_, detail::mode::exclusive, how, where);
    }
    return word_.try_take() || detail::wait_for_word(word_, detail::mode::exclusive, how);
  }

 private:
  friend struct detail::lock_access;
  const detail::lock_identity& identity() const { return *this; }

  detail::exclusive_word word_;
};

static_assert(sizeof(mutex) <= 40, "no larger than std::mutex");

// A wait with a deadline is neither an order nor a deadlock: it ends by itself.
class GORDIAN_CAPABILITY("mutex") timed_mutex : public mutex {
 public:
  using mutex::mutex;

  template <typename Rep, typename Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& time,
                                  const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return try_lock(where) || lock_patiently({detail::deadline::in(time), nullptr}, where);
  }
  template <typename Clock, typename Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& when,
                                    const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return lock_patiently({detail::deadline::of(when), nullptr}, where);
  }
  // Until locked, the deadline, or a stop: whichever comes first.
  template <typename Clock, typename Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& when,
                                    const stop_token& stop,
                                    const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return lock_patiently({detail::deadline::of(when), &stop}, where);
  }
  template <typename Rep, typename Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& time,
                                  const stop_token& stop,
                                  const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return lock_patiently({detail::deadline::in(time), &stop}, where);
  }
};

}  // namespace gordian

#endif
