// SPDX-License-Identifier: Apache-2.0
// gordian::worker: a thread that anybody may stop, any number of times, at once, from its own
// callbacks and under locks.
//
//   gordian::worker clock{"clock", [this](gordian::stop_token stop) {
//     while (queue_.pop(stop)) ...          // cancellable waits end at once when asked to stop
//   }};
//   clock.stop();   // returns when the thread is done; at once when called by the thread itself
//
// Asking to stop and waiting for the end are one call, but the thread never waits for itself, and
// any number of stoppers all return (two joins of one std::thread do not). In checked mode,
// stopping under a lock that the worker takes without a token is an error: before it hangs, if both
// were seen; and for certain, at the moment it would. Locks that the worker takes by its token do
// not count: the stop ends that wait.
//
// An exception that leaves the function ends the program, as with std::thread; so does the error of
// a stop that the destructor makes. A child of fork() has none of its parent's threads: there a
// worker must be left alone.
#ifndef GORDIAN_WORKER_H
#define GORDIAN_WORKER_H

#include <gordian/attended.h>

#include <cstring>
#include <memory>
#include <pthread.h>
#include <thread>
#include <type_traits>
#include <utility>

// One for all libraries of the program, also of those that hide their symbols.
#pragma GCC visibility push(default)

namespace gordian {
namespace detail {

// Happens once. Waits are short, for another thread of ours: neither checked nor announced.
class once_flag {
 public:
  void set() noexcept {
    word_.store(1, std::memory_order_release);
    futex_wake(&word_, INT_MAX);
  }
  void wait() const noexcept {
    while (word_.load(std::memory_order_acquire) == 0) futex_wait(&word_, 0, deadline::never());
  }
  bool is_set() const noexcept { return word_.load(std::memory_order_acquire) != 0; }

 private:
  std::atomic<std::uint32_t> word_{0};
};

// Lives as long as the thread or the worker, whichever is longer: a worker may be destroyed by its
// own callback.
class worker_state {
 public:
  explicit worker_state(const char* name) : identity_(lock_kind::worker, name) {
    running_.try_take();
  }

  template <typename Function>
  static void start(const std::shared_ptr<worker_state>& state, Function function) {
    state->thread_ = std::thread([keep = state, function = std::move(function)]() mutable {
      keep->begin();
      if constexpr (std::is_invocable_v<Function&, stop_token>) {
        function(keep->stop_.get_token());
      } else {
        function();
      }
      keep->end();
    });
    state->started_.set();
  }

  void stop(const source_location& where) {
    const bool must_not_wait = is_current_thread() || is_asked_here();
    ask();
    if (must_not_wait) return;
    wait_for_end(where);
    if (!joined_.exchange(true)) {
      started_.wait();  // a stopper may come before the constructor has returned
      thread_.join();
      gone_.set();
    } else {
      gone_.wait();
    }
  }

  void abandon() noexcept {
    if (joined_.exchange(true)) return;
    started_.wait();
    thread_.detach();
    gone_.set();
  }

  // Runs the callbacks of the token, in this thread.
  void ask() {
    const asking here{this, std::exchange(asking_here, &here)};
    stop_.request_stop();
    asking_here = here.outer;
  }
  stop_token token() const noexcept { return stop_.get_token(); }
  bool is_current_thread() const noexcept { return this_worker == &identity_; }
  // In a callback of the token. The thread may have to wait for that to return, to sign it off.
  bool is_asked_here() const noexcept {
    for (const asking* one = asking_here; one != nullptr; one = one->outer) {
      if (one->whom == this) return true;
    }
    return false;
  }
  bool has_ended() const noexcept { return ended_.is_set(); }
  const char* name() const noexcept { return identity_.name(); }

 private:
  struct asking {
    const worker_state* whom;
    const asking* outer;
  };
  inline static constinit thread_local const asking* asking_here = nullptr;

  // To be a worker is to hold its identity; to wait for its end is to want it.
  [[gnu::noinline]] void begin() {
    this_worker = this_running_worker = &identity_;
    name_thread();
    if (!is_attended()) return;
    current_record();
    if (is_announced()) {
      const gordian_place place = GORDIAN_PLACE_();
      announce_name(identity_, place);
      announce_taken(identity_, mode::exclusive, false, place);
    }
  }

  // For debuggers, top and reports. The kernel keeps 15 bytes.
  void name_thread() const noexcept {
    char text[16] = {};
    if (name() == nullptr || *name() == '\0') return;
    std::strncpy(text, name(), sizeof text - 1);
    pthread_setname_np(pthread_self(), text);
  }

  void end() {
    if (thread_record* me = is_attended() ? current_record() : nullptr; me != nullptr) {
      if (held_lock* self = me->find(identity_); self != nullptr) {
        me->held.erase(me->held.begin() + (self - me->held.data()));
      }
    }
    this_running_worker = nullptr;
    if (is_announced()) announce_released(identity_);
    ended_.set();
    running_.release();
  }

  [[gnu::noinline]] void wait_for_end(const source_location& where) {
    thread_record* me = is_attended() ? current_record() : nullptr;
    if (me == nullptr) {
      ended_.wait();
      return;
    }
    const call_site site{where, __builtin_return_address(0)};
    if (is_checked() && !me->held.empty()) {
      check_request(*me, {&identity_, mode::exclusive, site, false}, nullptr, false);
    }
    if (is_announced()) {
      const gordian_place place = GORDIAN_PLACE_();
      announce_approach(identity_, &identity_, mode::exclusive, place);
      if (has_ended()) return;
      announce_wait(identity_, mode::exclusive, false, place);
    } else if (has_ended()) {
      return;
    }
    const abandon_at_exit abandon{identity_};
    wait_registered(*me, identity_, running_, mode::exclusive, {}, site);
    running_.release();
  }
  struct abandon_at_exit {
    const lock_identity& identity;
    ~abandon_at_exit() {
      if (is_announced()) announce_abandoned(identity);
    }
  };

  lock_identity identity_;
  exclusive_word running_;  // held by the thread until its function has returned
  stop_source stop_;
  std::thread thread_;
  once_flag started_;
  once_flag ended_;
  once_flag gone_;
  std::atomic<bool> joined_{false};
};

}  // namespace detail

class worker {
 public:
  worker() noexcept = default;  // no thread: stop() returns

  // function(stop_token), or function(). The name is kept, not copied: a string literal.
  template <typename Function>
  worker(const char* name, Function function)
      : state_(std::make_shared<detail::worker_state>(name)) {
    detail::worker_state::start(state_, std::move(function));
  }

  worker(worker&&) noexcept = default;
  // Stops the thread it had.
  worker& operator=(worker&& other) {
    const worker old(std::move(*this));
    state_ = std::move(other.state_);
    return *this;
  }
  // Stops. Destroyed by its own thread, or by a callback of its token, it lets the thread run to
  // its end alone.
  ~worker() {
    if (!state_) return;
    if (state_->is_current_thread() || state_->is_asked_here()) {
      state_->ask();
      state_->abandon();
    } else {
      state_->stop(source_location::current());
    }
  }

  // Asks to stop, and returns when the function has returned and the thread is gone. Called by the
  // worker's own thread, or by a callback of its token, it only asks. Safe from any thread, again
  // and again.
  void stop(const source_location& where = source_location::current()) {
    // A copy: the thread may destroy *this meanwhile.
    if (const std::shared_ptr<detail::worker_state> state = state_) state->stop(where);
  }

  // Asks only, and never blocks.
  void request_stop() noexcept {
    // A copy, as in stop().
    if (const std::shared_ptr<detail::worker_state> state = state_) state->ask();
  }
  stop_token get_stop_token() const noexcept { return state_ ? state_->token() : stop_token(); }
  bool is_current_thread() const noexcept { return state_ && state_->is_current_thread(); }
  // False once the function has returned.
  bool running() const noexcept { return state_ && !state_->has_ended(); }
  const char* name() const noexcept { return state_ ? state_->name() : ""; }

 private:
  std::shared_ptr<detail::worker_state> state_;
};

}  // namespace gordian

#pragma GCC visibility pop

#endif
