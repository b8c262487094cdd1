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
// took: what a thread posts under several holds of one deferred runs after the last of them, in
// whichever thread. What threads post under one lock runs in the order in which they had it. A call
// may hold() and post() again: what it posts runs after it. If one thread is running calls, others
// that release the lock leave theirs to it. A call that throws does not keep the rest from running;
// then the first exception leaves run() or unlock(), and one that would leave the guard's
// destructor ends the program. A deferred must outlive its calls: one that may destroy the object
// they belong to is for a strand.
#ifndef GORDIAN_DEFERRED_H
#define GORDIAN_DEFERRED_H

#include <gordian/attended.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

// One for all libraries of the program, also of those that hide their symbols.
#pragma GCC visibility push(default)

namespace gordian {
namespace detail {

// Calls in order, run by one thread at a time.
class call_queue {
 public:
  void add(std::function<void()> call) {
    const leaf_hold hold(lock_);
    calls_.push_back(std::move(call));
  }

  // Adds calls that must not run before let_go(): their lock is about to be released, and whoever
  // has it next comes after them. Nobody waits for that: run() returns where it meets them, and
  // who lets them go runs them.
  std::uint64_t add_kept(std::vector<std::function<void()>>& calls) {
    const leaf_hold hold(lock_);
    const std::uint64_t first = taken_ + calls_.size();
    kept_.reserve(kept_.size() + 1);
    calls_.insert(calls_.end(), std::make_move_iterator(calls.begin()),
                  std::make_move_iterator(calls.end()));
    kept_.push_back(first);
    return first;
  }
  void let_go(std::uint64_t first) noexcept {
    const leaf_hold hold(lock_);
    kept_.erase(std::find(kept_.begin(), kept_.end(), first));
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
    if (running_ || !has_next()) return false;
    running_ = true;
    runner_.store(&this_thread_is_ending, std::memory_order_relaxed);
    return true;
  }
  bool next(std::function<void()>& call) {
    const leaf_hold hold(lock_);
    if (!has_next()) {
      running_ = false;
      runner_.store(nullptr, std::memory_order_relaxed);
      return false;
    }
    call = std::move(calls_.front());
    calls_.pop_front();
    ++taken_;
    return true;
  }
  bool has_next() const {
    return !calls_.empty() && std::find(kept_.begin(), kept_.end(), taken_) == kept_.end();
  }

  mutable leaf_lock lock_;
  std::deque<std::function<void()>> calls_;
  std::uint64_t taken_ = 0;          // how many have left it: the number of the first one in it
  std::vector<std::uint64_t> kept_;  // numbers of the first calls of those that are not let go yet
  bool running_ = false;
  std::atomic<const bool*> runner_{nullptr};  // a thread-local's address names the thread
};

// Where the calling thread stands under hold(). What it posts there waits in the outermost one of
// the queue: nobody else comes to it before the locks are released.
struct hold_scope {
  const call_queue* queue;
  hold_scope* outer = nullptr;
  std::vector<std::function<void()>> calls{};
};
inline constinit thread_local hold_scope* innermost_hold = nullptr;

inline hold_scope* outermost_hold(const call_queue& queue) {
  hold_scope* found = nullptr;
  for (hold_scope* scope = innermost_hold; scope != nullptr; scope = scope->outer) {
    if (scope->queue == &queue) found = scope;
  }
  return found;
}

}  // namespace detail

class deferred {
 public:
  deferred() = default;
  deferred(const deferred&) = delete;
  deferred& operator=(const deferred&) = delete;

  // Any thread, with or without the lock. Without, it runs at the next release or run().
  void post(std::function<void()> call) {
    if (detail::hold_scope* scope = detail::outermost_hold(calls_)) {
      scope->calls.push_back(std::move(call));
    } else {
      calls_.add(std::move(call));
    }
  }

  // Runs what is there, for those who do not use hold(). Call it with no lock held.
  void run() { calls_.run(); }

  // Locks; unlocks and runs the calls at its end. Of one thread, as the lock is.
  template <typename Mutex>
  class [[nodiscard]] guard {
   public:
    guard(deferred& queue, Mutex& lock,
          const source_location& where) GORDIAN_NO_THREAD_SAFETY_ANALYSIS : queue_(queue.calls_),
                                                                            lock_(lock) {
      if constexpr (detail::has_identity<Mutex>)
        lock_.lock(where);
      else
        lock_.lock();
      scope_.outer = std::exchange(detail::innermost_hold, &scope_);
    }
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;
    ~guard() {
      if (owns_) unlock();
    }
    void unlock() GORDIAN_NO_THREAD_SAFETY_ANALYSIS {
      owns_ = false;
      take_out();
      detail::hold_scope* const outer = detail::outermost_hold(queue_);
      outer != nullptr ? unlock_into(*outer) : unlock_into(queue_);
      if (outer == nullptr) queue_.run();
    }
    bool owns_lock() const noexcept { return owns_; }

   private:
    // Unlocks, also when there is no memory for the calls.
    struct unlocking {
      Mutex& lock;
      ~unlocking() noexcept(false) GORDIAN_NO_THREAD_SAFETY_ANALYSIS { lock.unlock(); }
    };
    struct letting_go {
      detail::call_queue& queue;
      std::optional<std::uint64_t> first{};
      ~letting_go() {
        if (first) queue.let_go(*first);
      }
    };

    void unlock_into(detail::call_queue& queue) {
      letting_go after{queue};
      const unlocking now{lock_};
      if (!scope_.calls.empty()) after.first = queue.add_kept(scope_.calls);
    }
    void unlock_into(detail::hold_scope& outer) {
      const unlocking now{lock_};
      outer.calls.insert(outer.calls.end(), std::make_move_iterator(scope_.calls.begin()),
                         std::make_move_iterator(scope_.calls.end()));
    }
    void take_out() noexcept {
      detail::hold_scope** at = &detail::innermost_hold;
      while (*at != nullptr && *at != &scope_) at = &(*at)->outer;
      if (*at != nullptr) *at = scope_.outer;
    }

    detail::call_queue& queue_;
    Mutex& lock_;
    detail::hold_scope scope_{&queue_};
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

#pragma GCC visibility pop

#endif
