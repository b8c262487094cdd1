// SPDX-License-Identifier: Apache-2.0
// gordian::strand: runs calls one at a time, in order, so that state only they touch needs no lock,
// and a call that leads back to the same state is queued instead of blocking.
//
//   gordian::strand io;
//   io.dispatch([&] { state.receive(); });   // runs now, or after the call that is running
//
// A strand has no thread: dispatch() runs calls in the calling thread if nobody else is running
// any, and then those that were added meanwhile. With an executor, post() hands that work over to
// it. Nobody ever waits in a strand. Exceptions as in deferred.h: the rest runs, then the first one
// leaves the dispatch() that ran the calls.
#ifndef GORDIAN_STRAND_H
#define GORDIAN_STRAND_H

#include <gordian/deferred.h>

#include <functional>
#include <memory>
#include <utility>

namespace gordian {

class strand {
 public:
  // Runs the function it is given, later, once, in any thread.
  using executor = std::function<void(std::function<void()>)>;

  strand() : state_(std::make_shared<detail::call_queue>()) {}
  explicit strand(executor where) : strand() { executor_ = std::move(where); }
  strand(const strand&) = delete;
  strand& operator=(const strand&) = delete;

  // Runs it before returning, if no call of the strand is running anywhere. Inside one: after it.
  void dispatch(std::function<void()> call) {
    // The calls may destroy the strand.
    const std::shared_ptr<detail::call_queue> state = state_;
    state->add(std::move(call));
    state->run();
  }

  // Never runs it before returning, if there is an executor; without one, like dispatch().
  void post(std::function<void()> call) {
    if (!executor_) return dispatch(std::move(call));
    state_->add(std::move(call));
    executor_([state = state_] { state->run(); });
  }

  bool running_in_this_thread() const noexcept { return state_->is_running_here(); }
  // Nothing runs or waits to run.
  bool idle() const { return state_->is_idle(); }

 private:
  std::shared_ptr<detail::call_queue> state_;
  executor executor_;
};

}  // namespace gordian

#endif
