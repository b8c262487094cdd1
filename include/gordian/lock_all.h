// SPDX-License-Identifier: Apache-2.0
// Takes any mix of locks, exclusive and shared, in no order, without deadlock.
//
//   auto locks = gordian::lock_all(from, gordian::shared(rates), to);
//   // all held to the end of the scope
//
// Waits for one lock only while holding none of the others; if another is taken, gives up all and
// waits for that one (as std::lock does). The locks of one call therefore have no order among
// themselves. Those held before the call do: checked mode compares each of them with each lock of
// the call. Works with every lock that has lock(), try_lock() and unlock(), also std's.
#ifndef GORDIAN_LOCK_ALL_H
#define GORDIAN_LOCK_ALL_H

#include <gordian/attended.h>

#include <array>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

namespace gordian {

template <typename Mutex>
struct shared_request {
  Mutex* lock;
};

template <typename Mutex>
shared_request<Mutex> shared(Mutex& lock) {
  return {std::addressof(lock)};
}

namespace detail {

// One lock of the call, its type forgotten.
struct wanted_lock {
  void* lock;
  mode how;
  bool again;  // its holder may take it once more
  void (*take)(void*, mode, const source_location&);
  bool (*try_take)(void*, mode, const source_location&);
  void (*release)(void*, mode);
  void (*check)(void*, mode, const source_location&);
};

template <typename Mutex>
wanted_lock wanted(Mutex& lock, mode how) {
  wanted_lock result{};
  result.lock = std::addressof(lock);
  result.how = how;
  if constexpr (has_identity<Mutex>) {
    result.again = lock_access::identity(lock).kind() == lock_kind::recursive_mutex;
  } else {
    result.again = std::is_same_v<Mutex, std::recursive_mutex> ||
                   std::is_same_v<Mutex, std::recursive_timed_mutex>;
  }
  result.take = [](void* p, mode m, const source_location& where)
                    GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
                      auto& l = *static_cast<Mutex*>(p);
                      if constexpr (requires { l.lock_shared(); }) {
                        if (m == mode::shared) {
                          if constexpr (has_identity<Mutex>)
                            return l.lock_shared(where);
                          else
                            return l.lock_shared();
                        }
                      }
                      if constexpr (has_identity<Mutex>)
                        l.lock(where);
                      else
                        l.lock();
                    };
  result.try_take = [](void* p, mode m, const source_location& where)
                        GORDIAN_NO_THREAD_SAFETY_ANALYSIS -> bool {
    auto& l = *static_cast<Mutex*>(p);
    if constexpr (requires { l.try_lock_shared(); }) {
      if (m == mode::shared) {
        if constexpr (has_identity<Mutex>)
          return l.try_lock_shared(where);
        else
          return l.try_lock_shared();
      }
    }
    if constexpr (has_identity<Mutex>)
      return l.try_lock(where);
    else
      return l.try_lock();
  };
  result.release = [](void* p, mode m) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    auto& l = *static_cast<Mutex*>(p);
    if constexpr (requires { l.unlock_shared(); }) {
      if (m == mode::shared) return l.unlock_shared();
    }
    l.unlock();
  };
  result.check = [](void* p, mode m, const source_location& where) {
    if constexpr (has_identity<Mutex>) {
      auto& l = *static_cast<Mutex*>(p);
      thread_record* me = is_checked() ? current_record() : nullptr;
      if (me == nullptr || me->held.empty()) return;
      const lock_identity& identity = lock_access::identity(l);
      // The holder of a recursive mutex may take it again.
      if (identity.kind() == lock_kind::recursive_mutex && me->find(identity) != nullptr) return;
      check_request(*me, {&identity, m, {where, __builtin_return_address(0)}, false},
                    as_shared(lock_access::word(l)), false);
    }
  };
  return result;
}

template <typename Mutex>
wanted_lock wanted_of(Mutex& lock) {
  return wanted(lock, mode::exclusive);
}
template <typename Mutex>
wanted_lock wanted_of(shared_request<Mutex>& request) {
  static_assert(
      requires(Mutex & m) { m.lock_shared(); },
      "gordian: shared() needs a lock with lock_shared()");
  return wanted(*request.lock, mode::shared);
}

}  // namespace detail

// Holds the locks of one lock_all(). Movable; a moved-from one holds nothing.
template <std::size_t Count>
class [[nodiscard]] held_locks {
 public:
  held_locks(const std::array<detail::wanted_lock, Count>& locks, const source_location& where)
      : locks_(locks) {
    lock(where);
  }
  held_locks(held_locks&& other) noexcept
      : locks_(other.locks_), owns_(std::exchange(other.owns_, false)) {}
  held_locks& operator=(held_locks&& other) noexcept {
    if (this != &other) {
      if (owns_) unlock();
      locks_ = other.locks_;
      owns_ = std::exchange(other.owns_, false);
    }
    return *this;
  }
  ~held_locks() {
    if (owns_) unlock();
  }

  bool owns_lock() const noexcept { return owns_; }
  explicit operator bool() const noexcept { return owns_; }

  // In the reverse of the order given. Only while it owns them.
  void unlock() {
    owns_ = false;
    give_back(0, Count);
  }

  // Again, after unlock().
  void lock(const source_location& where = source_location::current()) {
    reject_doubles();
    for (const auto& wish : locks_) wish.check(wish.lock, wish.how, where);
    for (std::size_t first = 0;;) {
      locks_[first].take(locks_[first].lock, locks_[first].how, where);
      const std::size_t failed = try_others(first, where);
      if (failed == first) break;
      first = failed;
    }
    owns_ = true;
  }

 private:
  void reject_doubles() const {
    for (std::size_t i = 0; i < Count; ++i) {
      for (std::size_t j = i + 1; j < Count; ++j) {
        if (locks_[i].lock == locks_[j].lock && !locks_[i].again &&
            detail::conflicts(locks_[i].how, locks_[j].how)) {
          detail::report(deadlock_error(error_kind::self, true, "lock_all() names one lock twice"));
        }
      }
    }
  }

  // Holding `first`: takes the others by trying. Returns `first`, or the one that was not free, and
  // then holds none.
  std::size_t try_others(std::size_t first, const source_location& where) {
    for (std::size_t i = 1; i < Count; ++i) {
      const std::size_t next = (first + i) % Count;
      if (try_one(first, i, next, where)) continue;
      give_back(first, i);
      return next;
    }
    return first;
  }
  bool try_one(std::size_t first, std::size_t taken, std::size_t next,
               const source_location& where) {
#if GORDIAN_EXCEPTIONS
    try {
      return locks_[next].try_take(locks_[next].lock, locks_[next].how, where);
    } catch (...) {
      give_back(first, taken);
      throw;
    }
#else
    (void)first, (void)taken;
    return locks_[next].try_take(locks_[next].lock, locks_[next].how, where);
#endif
  }
  void give_back(std::size_t first, std::size_t count) {
    for (std::size_t i = count; i-- > 0;) {
      const auto& lock = locks_[(first + i) % Count];
      lock.release(lock.lock, lock.how);
    }
  }
  std::array<detail::wanted_lock, Count> locks_;
  bool owns_ = false;
};

// A class, so that the place of the call can follow the locks.
template <typename... Locks>
class [[nodiscard]] lock_all : public held_locks<sizeof...(Locks)> {
  static_assert(sizeof...(Locks) > 0, "gordian: lock_all() without a lock");

 public:
  explicit lock_all(Locks&&... locks, const source_location& where = source_location::current())
      : held_locks<sizeof...(Locks)>({detail::wanted_of(locks)...}, where) {}
};

template <typename... Locks>
lock_all(Locks&&...) -> lock_all<Locks...>;

}  // namespace gordian

#endif
