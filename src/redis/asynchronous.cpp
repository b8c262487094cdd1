// SPDX-License-Identifier: Apache-2.0
// Requests that no thread waits for, and a client without a thread, which the program's own loop
// turns.
//
// A request belongs to the loop: queued there, given up there, and told to the program with no lock
// held. It is told once, at the latest when the client ends.
#include "redis/client_state.h"
#include "redis/failure.h"

#include <algorithm>

namespace gordian::redis::detail {

struct ClientState::Request {
  std::string name;
  wait_limit limit;
  Kind kind = Kind::Exclusive;
  OnAcquired done;
  std::shared_ptr<Waiter> waiter = std::make_shared<Waiter>();
  // The loop's alone.
  std::shared_ptr<Gate> gate;
  EventLoop::TimerId timer{};
  std::optional<std::stop_callback<std::function<void()>>> on_stop;
};

void ClientState::check_may_wait() const {
  if (loop_thread_ == this_thread_id())
    throw misuse_error(
        "this call waits, and for ever: the calling thread turns the client's loop meanwhile no "
        "more; use async_acquire() or release_async(), or another thread");
}

int ClientState::descriptor() {
  if (!options_.foreign_loop)
    throw misuse_error("the client has a thread of its own: set client_options::foreign_loop");
  return loop_.descriptor();
}

void ClientState::run_ready() {
  if (!options_.foreign_loop)
    throw misuse_error("the client has a thread of its own: set client_options::foreign_loop");
  if (!is_of_this_process())
    throw closed_error("the client belongs to the parent of this process: make one after fork()");
  loop_thread_ = this_thread_id();
  loop_.turn();
  size_t there = 0;
  {
    const std::lock_guard lock(asynchronous_mutex_);
    there = to_tell_.size();
  }
  tell_what_is_there(there);
}

void ClientState::tell_program(std::function<void()> work) {
  if (!options_.foreign_loop) {
    notifier_.call(std::move(work));
    return;
  }
  {
    const std::lock_guard lock(asynchronous_mutex_);
    to_tell_.push_back(std::move(work));
  }
  loop_.post([] {});  // that it is turned
}

// Those that come meanwhile have their own turn: the loop has others to serve.
void ClientState::tell_what_is_there(size_t at_most) {
  for (; at_most > 0; --at_most) {
    std::function<void()> work;
    {
      const std::lock_guard lock(asynchronous_mutex_);
      if (to_tell_.empty()) return;
      work = std::move(to_tell_.front());
      to_tell_.pop_front();
    }
    try {
      work();
    } catch (...) {
      loop_.post([] {});  // the others are not forgotten
      throw;
    }
  }
}

void ClientState::acquire_async(std::string name, const wait_limit& limit, Kind kind,
                                OnAcquired done) {
  check_usable(name);
  if (kind == Kind::Shared) check_has_readers(name);
  {
    const std::lock_guard lock(table_.mutex);
    if (table_.closing) raise({errc::closed, "the client is being destroyed", {}}, name);
  }
  const auto request = std::make_shared<Request>();
  Waiter& waiter = *request->waiter;
  waiter.once = kind == Kind::Once;
  waiter.deadline = limit.deadline;
  waiter.number = ++sequence_;
  waiter.gives_up = true;
  waiter.since = Clock::now();
  // Broken when it is called.
  waiter.on_settled = [this, request] { settled(request); };
  request->name = std::move(name);
  request->limit = limit;
  request->kind = kind;
  request->done = std::move(done);
  {
    const std::lock_guard lock(asynchronous_mutex_);
    requests_.insert(request);
  }
  loop_.post([this, request] { enqueue(request); });
}

void ClientState::enqueue(const std::shared_ptr<Request>& request) {
  const bool shared = request->kind == Kind::Shared;
  std::shared_ptr<Waiter> over;
  bool first = false;
  {
    const std::lock_guard lock(table_.mutex);
    if (table_.closing) return;  // settle_all() tells it
    const std::shared_ptr<Gate> gate =
        table_.find_or_make(request->name, options_.handover_limit, shared);
    request->gate = gate;
    first = !gate->claimed && (shared || (!gate->hold && gate->waiters.empty()));
    if (!first && request->waiter->once) {
      over = LockTable::fail(*gate, request->waiter, {errc::not_acquired, "held", {}});
    } else {
      gate->claimed = gate->claimed || first;
      gate->waiters.push_back(request->waiter);
    }
  }
  if (over) {
    over->wake();
    return;
  }
  if (request->limit.deadline)
    request->timer =
        loop_.at(*request->limit.deadline, [this, request] { give_up(request, errc::deadline); });
  if (request->limit.stop.stop_possible())
    request->on_stop.emplace(request->limit.stop, [this, request] {
      loop_.post([this, request] { give_up(request, errc::cancelled); });
    });
  if (first) start_contending(request->gate, {});
}

void ClientState::give_up(const std::shared_ptr<Request>& request, errc code) {
  std::shared_ptr<Waiter> waiter;
  {
    const std::lock_guard lock(table_.mutex);
    if (request->waiter->state != Waiter::State::Waiting) return;
    waiter = LockTable::fail(*request->gate, request->waiter, {code, {}, {}});
  }
  waiter->wake();
  stop_if_unwanted(request->gate);
}

void ClientState::settled(const std::shared_ptr<Request>& request) {
  // Dropped once the client ends: settle_all() does it then.
  loop_.post([this, request] {
    loop_.cancel(request->timer);
    request->on_stop.reset();
    const std::lock_guard lock(asynchronous_mutex_);
    requests_.erase(request);
  });
  tell_program([request] {
    Waiter& waiter = *request->waiter;
    std::exception_ptr error;
    if (waiter.state != Waiter::State::Granted) {
      try {
        raise(std::move(waiter.failure), request->name);
      } catch (const lock_error&) {
        error = std::current_exception();
      }
    }
    request->done(std::move(waiter.grant), error);
  });
}

// Nobody turns the loop any more.
void ClientState::settle_all() {
  std::unordered_set<std::shared_ptr<Request>> left;
  {
    const std::lock_guard lock(asynchronous_mutex_);
    left.swap(requests_);
  }
  for (const auto& request : left) {
    loop_.cancel(request->timer);
    request->on_stop.reset();
    {
      const std::lock_guard lock(table_.mutex);
      if (request->waiter->state != Waiter::State::Waiting) continue;
      request->waiter->failure = {errc::closed, "the client is being destroyed", {}};
      request->waiter->state = Waiter::State::Failed;
    }
    request->waiter->wake();
  }
}

}  // namespace gordian::redis::detail
