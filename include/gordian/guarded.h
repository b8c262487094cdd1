// SPDX-License-Identifier: Apache-2.0
// gordian::guarded: data that cannot be reached without its lock.
//
//   gordian::guarded<room_list> rooms{"rooms"};           // name (and level, key) go to the mutex
//   rooms.lock()->insert(room);                           // locked to the end of the statement
//   auto view = rooms.lock();                             // locked to the end of the scope
//   std::shared_ptr<const room_list> now = rooms.snapshot();   // takes no lock, waits for nobody
//
// snapshot() is for queries that hold other locks and must not take one more: it returns the data
// as they were when last unlocked by a writer. The price: once the program calls snapshot() of a
// type anywhere, every writer of that type copies the data when it unlocks. Programs that never
// call it pay nothing. If that copy throws, the exception leaves unlock(), unlocked, and the
// snapshot stays what it was; one that would leave the guard's destructor ends the program.
#ifndef GORDIAN_GUARDED_H
#define GORDIAN_GUARDED_H

#include <gordian/mutex.h>

#include <memory>
#include <type_traits>
#include <utility>

// One for all libraries of the program, also of those that hide their symbols.
#pragma GCC visibility push(default)

namespace gordian {
namespace detail {

// True in programs in which snapshot() of this type is compiled: naming `mark` is what makes the
// compiler emit it, and its initialiser runs before main.
template <typename Guarded>
struct snapshots_of {
  static inline constinit std::atomic<bool> wanted{false};
  static inline const bool mark = (wanted.store(true), true);
};

}  // namespace detail

template <typename T, typename Mutex = mutex>
class guarded {
 public:
  guarded() : guarded(std::in_place) {}
  explicit guarded(T value) : guarded(std::in_place, std::move(value)) {}
  explicit guarded(const char* name) : mutex_(name) { publish(); }
  template <detail::level_enum Level>
  guarded(const char* name, Level level, std::uint64_t key = 0) : mutex_(name, level, key) {
    publish();
  }
  template <typename... Arguments>
  explicit guarded(std::in_place_t, Arguments&&... arguments)
      : value_(std::forward<Arguments>(arguments)...) {
    publish();
  }
  guarded(const guarded&) = delete;
  guarded& operator=(const guarded&) = delete;

  // The lock held, and the way to the data. Not to be kept beyond the scope.
  template <typename Value, bool Shared>
  class [[nodiscard]] view {
   public:
    view(view&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    view(const view&) = delete;
    view& operator=(const view&) = delete;
    ~view() { unlock(); }

    Value& operator*() const noexcept { return owner_->value_; }
    Value* operator->() const noexcept { return &owner_->value_; }
    explicit operator bool() const noexcept { return owner_ != nullptr; }

    void unlock() GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
      Owner* owner = std::exchange(owner_, nullptr);
      if (owner == nullptr) return;
      if constexpr (Shared) {
        owner->mutex_.unlock_shared();
      } else {
        const unlocking now{&owner->mutex_};
        if constexpr (!std::is_const_v<Value>) owner->publish();
      }
    }

   private:
    friend class guarded;
    using Owner = std::conditional_t<std::is_const_v<Value>, const guarded, guarded>;
    explicit view(Owner* owner) noexcept : owner_(owner) {}
    Owner* owner_;
  };
  using writer = view<T, false>;
  using reader = view<const T, false>;
  using shared_reader = view<const T, true>;

  writer lock(const source_location& where = source_location::current()) {
    take(mutex_, where);
    return writer(prepared());
  }
  reader lock(const source_location& where = source_location::current()) const {
    take(mutex_, where);
    return reader(this);
  }
  // Empty if it is taken.
  writer try_lock(const source_location& where = source_location::current()) {
    if constexpr (detail::has_identity<Mutex>) {
      return writer(mutex_.try_lock(where) ? prepared() : nullptr);
    } else {
      return writer(mutex_.try_lock() ? prepared() : nullptr);
    }
  }
  // Empty if asked to stop first.
  writer lock(const stop_token& stop, const source_location& where = source_location::current()) {
    return writer(mutex_.lock(stop, where) ? prepared() : nullptr);
  }
  shared_reader lock_shared(
      const source_location& where = source_location::current()) const requires requires(Mutex& m) {
    m.lock_shared();
  }
  {
    if constexpr (detail::has_identity<Mutex>) {
      mutex_.lock_shared(where);
    } else {
      mutex_.lock_shared();
    }
    return shared_reader(this);
  }

  // Runs function(data) under the lock.
  template <typename Function>
  decltype(auto) with(Function&& function,
                      const source_location& where = source_location::current()) {
    const writer held = lock(where);
    return std::forward<Function>(function)(*held);
  }

  // The data as they were at the last unlock of a writer; of the beginning if there was none.
  std::shared_ptr<const T> snapshot() const {
    static_assert(std::is_copy_constructible_v<T>, "gordian: snapshot() copies the data");
    (void)detail::snapshots_of<guarded>::mark;
    if (std::shared_ptr<const T> last = published()) return last;
    // Made before `mark` was, and no writer came since: nobody holds the lock to write.
    take(mutex_, source_location::current());
    const reader held(this);
    publish();
    return published();
  }

 private:
  // Unlocks at its end, also when a copy of the data throws.
  struct unlocking {
    Mutex* mutex;
    ~unlocking() GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
      if (mutex != nullptr) mutex->unlock();
    }
  };

  template <typename M>
  static void take(M& m, const source_location& where) GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
    if constexpr (detail::has_identity<M>)
      m.lock(where);
    else
      m.lock();
  }

  std::shared_ptr<const T> published() const {
    const detail::leaf_hold hold(published_lock_);
    return published_;
  }

  // For a writer, before it changes anything: see snapshot().
  guarded* prepared() {
    if constexpr (std::is_copy_constructible_v<T>) {
      if (detail::snapshots_of<guarded>::wanted.load(std::memory_order_relaxed) && !published()) {
        unlocking failed{&mutex_};
        publish();
        failed.mutex = nullptr;
      }
    }
    return this;
  }

  // Under mutex_, or before anybody else knows *this.
  void publish() const {
    if constexpr (std::is_copy_constructible_v<T>) {
      if (!detail::snapshots_of<guarded>::wanted.load(std::memory_order_relaxed)) return;
      std::shared_ptr<const T> next = std::make_shared<const T>(value_);
      const detail::leaf_hold hold(published_lock_);
      next.swap(published_);
    }
  }

  mutable Mutex mutex_;
  T value_{};
  mutable detail::leaf_lock published_lock_;  // of the pointer alone
  mutable std::shared_ptr<const T> published_;
};

}  // namespace gordian

#pragma GCC visibility pop

#endif
