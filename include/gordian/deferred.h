// SPDX-License-Identifier: Apache-2.0
// gordian::deferred: calls made while a lock is held run after it is released.
//
//   gordian::mutex m_{"connection"};
//   gordian::deferred later_;
//
//   void receive() {
//     auto lock = later_.hold(m_);
//     later_.post([this] { on_message_(); });   // user code: never under m_
//   }                                           // unlocks, then runs it
//
// Promises: calls run in the order they were posted, one at a time, never under a lock that hold()
// took. A call may hold() and post() again: what it posts runs after it. If one thread is running
// calls, others that release the lock leave theirs to it. A call that throws does not keep the rest
// from running; then the first exception leaves run() or unlock(), and one that would leave the
// guard's destructor ends the program.
#ifndef GORDIAN_DEFERRED_H
#define GORDIAN_DEFERRED_H

#include <gordian/attended.h>

#include <deque>
#include <exception>
#include <functional>
#include <utility>

namespace gordian {
namespace detail {

// Calls in order, run by one thread at a time.
class call_queue {
 public:
  void add(std::function<void()> call) {
    const leaf_hold hold(lock_);
    calls_.push_back(std::move(call));
  }

  // Runs what is there and what is added meanwhile. Returns at once if somebody, perhaps this
  // thread further out, is running calls: they will come to these.
  void run() {
    failure first;
    std::function<void()> call;
    if (!begin()) return;
    while (next(call)) {
      run_one(call, first);
      call = nullptr;
    }
    first.rethrow();
  }

  bool is_running_here() const noexcept {
    return runner_.load(std::memory_order_relaxed) == &this_thread_is_ending;
  }
  bool is_idle() const {
    const leaf_hold hold(lock_);
    return !running_ && calls_.empty();
  }

 private:
  struct failure {
#if GORDIAN_EXCEPTIONS
    std::exception_ptr error;
    void rethrow() const {
      if (error) std::rethrow_exception(error);
    }
#else
    void rethrow() const {}
#endif
  };

  static void run_one(std::function<void()>& call, failure& first) {
#if GORDIAN_EXCEPTIONS
    try {
      call();
    } catch (...) {
      if (!first.error) first.error = std::current_exception();
    }
#else
    (void)first;
    call();
#endif
  }

  bool begin() {
    const leaf_hold hold(lock_);
    if (running_ || calls_.empty()) return false;
    running_ = true;
    runner_.store(&this_thread_is_ending, std::memory_order_relaxed);
    return true;
  }
  bool next(std::function<void()>& call) {
    const leaf_hold hold(lock_);
    if (calls_.empty()) {
      running_ = false;
      runner_.store(nullptr, std::memory_order_relaxed);
      return false;
    }
    call = std::move(calls_.front());
    calls_.pop_front();
    return true;
  }

  mutable leaf_lock lock_;
  std::deque<std::function<void()>> calls_;
  bool running_ = false;
  std::atomic<const bool*> runner_{nullptr};  // a thread-local's address names the thread
};

}  // namespace detail

class deferred {
 public:
  deferred() = default;
  deferred(const deferred&) = delete;
  deferred& operator=(const deferred&) = delete;

  // Any thread, with or without the lock. Without, it runs at the next release or run().
  void post(std::function<void()> call) { calls_.add(std::move(call)); }

  // Runs what is there, for those who do not use hold(). Call it with no lock held.
  void run() { calls_.run(); }

  // Locks; unlocks and runs the calls at its end.
  template <typename Mutex>
  class [[nodiscard]] guard {
   public:
    guard(deferred& queue, Mutex& lock,
          const source_location& where) GORDIAN_NO_THREAD_SAFETY_ANALYSIS : queue_(queue),
                                                                            lock_(lock) {
      if constexpr (detail::has_identity<Mutex>)
        lock_.lock(where);
      else
        lock_.lock();
    }
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;
    ~guard() {
      if (owns_) unlock();
    }
    void unlock() GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
      owns_ = false;
      lock_.unlock();
      queue_.run();
    }
    bool owns_lock() const noexcept { return owns_; }

   private:
    deferred& queue_;
    Mutex& lock_;
    bool owns_ = true;
  };

  template <typename Mutex>
  guard<Mutex> hold(Mutex& lock, const source_location& where = source_location::current()) {
    return {*this, lock, where};
  }

 private:
  detail::call_queue calls_;
};

}  // namespace gordian

#endif
