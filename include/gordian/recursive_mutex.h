// SPDX-License-Identifier: Apache-2.0
// gordian::recursive_mutex and gordian::recursive_timed_mutex: the thread that holds it may take it
// again, and gives it up with its last unlock(). The order of locks counts the first lock() only.
#ifndef GORDIAN_RECURSIVE_MUTEX_H
#define GORDIAN_RECURSIVE_MUTEX_H

#include <gordian/attended.h>
#include <gordian/thread_safety.h>

// One for all libraries of the program, also of those that hide their symbols.
#pragma GCC visibility push(default)

namespace gordian {
namespace detail {

// Its address names the thread while it lives.
inline constinit thread_local char thread_marker = 0;

}  // namespace detail

class GORDIAN_CAPABILITY("mutex") recursive_mutex : private detail::lock_identity {
 public:
  constexpr recursive_mutex() noexcept : recursive_mutex("") {}
  constexpr explicit recursive_mutex(const char* name) noexcept
      : lock_identity(detail::lock_kind::recursive_mutex, name) {}
  template <detail::level_enum Level>
  constexpr recursive_mutex(const char* name, Level level, std::uint64_t key = 0) noexcept
      : lock_identity(detail::lock_kind::recursive_mutex, name, level, key) {}
  ~recursive_mutex() {
    if (detail::is_attended()) [[unlikely]]
      detail::attended_end(identity(), word_);
  }
  recursive_mutex(const recursive_mutex&) = delete;
  recursive_mutex& operator=(const recursive_mutex&) = delete;

  void lock(const source_location& where = source_location::current())
      GORDIAN_ACQUIRE() GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    take({}, where);
  }
  [[nodiscard]] bool lock(const stop_token& stop,
                          const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return take({{}, &stop}, where);
  }
  [[nodiscard]] bool try_lock(const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    if (enter_again()) return true;
    const bool taken = detail::is_attended()
                           ? detail::attended_try_lock(identity(), word_, mode::exclusive, where)
                           : word_.try_take();
    if (taken) begin();
    return taken;
  }
  void unlock() GORDIAN_RELEASE() GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    if (is_mine()) {
      if (--depth_ != 0) return;
      holder_.store(nullptr, std::memory_order_relaxed);
    }
    if (detail::is_attended()) [[unlikely]] {
      detail::attended_unlock(identity(), word_, mode::exclusive);
    } else {
      word_.release();
    }
  }

  const char* name() const noexcept { return lock_identity::name(); }
  void assert_held(const source_location& where = source_location::current()) const
      GORDIAN_ASSERT_CAPABILITY(this) {
    detail::check_held(identity(), is_mine(), where);
  }

 protected:
  bool take(const detail::patience& how, const source_location& where) {
    if (enter_again()) return true;
    const bool taken = detail::is_attended()
                           ? detail::attended_lock(identity(), word_, mode::exclusive, how, where)
                           : word_.try_take() || detail::wait_for_word(word_, mode::exclusive, how);
    if (taken) begin();
    return taken;
  }

 private:
  using mode = detail::mode;

  friend struct detail::lock_access;
  const detail::lock_identity& identity() const { return *this; }
  // Relaxed: only this thread ever writes its own marker here.
  bool is_mine() const noexcept {
    return holder_.load(std::memory_order_relaxed) == &detail::thread_marker;
  }
  bool enter_again() noexcept {
    if (!is_mine()) return false;
    ++depth_;
    return true;
  }
  void begin() noexcept {
    holder_.store(&detail::thread_marker, std::memory_order_relaxed);
    depth_ = 1;
  }

  detail::exclusive_word word_;
  std::uint32_t depth_ = 0;  // written by the holder
  std::atomic<const char*> holder_{nullptr};
};

class GORDIAN_CAPABILITY("mutex") recursive_timed_mutex : public recursive_mutex {
 public:
  using recursive_mutex::recursive_mutex;

  template <typename Rep, typename Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& time,
                                  const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return take({detail::deadline::in(time), nullptr}, where);
  }
  template <typename Clock, typename Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& when,
                                    const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return take({detail::deadline::of(when), nullptr}, where);
  }
  template <typename Clock, typename Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& when,
                                    const stop_token& stop,
                                    const source_location& where = source_location::current())
      GORDIAN_TRY_ACQUIRE(true) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    return take({detail::deadline::of(when), &stop}, where);
  }
};

}  // namespace gordian

#pragma GCC visibility pop

#endif
