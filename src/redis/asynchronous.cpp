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
  std::string name;                // of several: the one that was asked for last
  std::vector<std::string> names;  // of several: all
  wait_limit limit;
  Kind kind = Kind::Exclusive;
  OnAcquired done;
  std::shared_ptr<Waiter> waiter = std::make_shared<Waiter>();
  // The loop's alone.
  std::vector<std::shared_ptr<Hold>> held;  // of several, so far
  size_t going_back = 0;                    // of these
  std::shared_ptr<Gate> gate;
  EventLoop::TimerId timer{};
  std::optional<std::stop_callback<std::function<void()>>> on_stop;
};

void ClientState::check_may_wait() const {
  if (loop_thread_ == this_thread_id())
    throw misuse_error(
        "this call waits, and for ever: the calling thread turns the client's loop meanwhile no "
        "more; use async_acquire(), its kin or release_async(), or another thread");
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
  check_takes_requests(name);
  const std::shared_ptr<Request> request = make_request(std::move(name), limit, kind);
  request->done = std::move(done);
  // Broken when it is called.
  request->waiter->on_settled = [this, request] { settled(request); };
  begin(request);
  loop_.post([this, request] { enqueue(request); });
}

void ClientState::acquire_all_async(std::vector<std::string> names, const wait_limit& limit,
                                    OnAcquired done) {
  for (const std::string& name : names) check_usable(name);
  check_takes_requests({});
  const std::shared_ptr<Request> all = make_request({}, limit, Kind::Exclusive);
  all->names = std::move(names);
  all->done = std::move(done);
  all->waiter->on_settled = [this, all] { settled(all); };
  begin(all);
  loop_.post([this, all] { acquire_next(all); });
}

void ClientState::check_takes_requests(std::string_view name) {
  const std::lock_guard lock(table_.mutex);
  if (table_.closing) raise({errc::closed, "the client is being destroyed", {}}, name);
}

std::shared_ptr<ClientState::Request> ClientState::make_request(std::string name,
                                                                const wait_limit& limit,
                                                                Kind kind) {
  auto request = std::make_shared<Request>();
  Waiter& waiter = *request->waiter;
  waiter.once = kind == Kind::Once;
  waiter.deadline = limit.deadline;
  waiter.number = ++sequence_;
  waiter.gives_up = true;
  waiter.since = Clock::now();
  request->name = std::move(name);
  request->limit = limit;
  request->kind = kind;
  return request;
}

void ClientState::begin(const std::shared_ptr<Request>& request) {
  const std::lock_guard lock(asynchronous_mutex_);
  requests_.insert(request);
}

void ClientState::enqueue(const std::shared_ptr<Request>& request) {
  if (request->kind == Kind::Force) {
    force_for(request);
    return;
  }
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

void ClientState::force_for(const std::shared_ptr<Request>& request) {
  const Value value = new_value(0);
  const TimePoint asked_at = Clock::now();
  request->timer =
      loop_.at(asked_at + options_.command_timeout + options_.connect_timeout, [this, request] {
        fail(request, {errc::transport, "no answer in time", {}});
      });
  try_keys(request->name, value, true, [this, request, value, asked_at](TryOutcome outcome) {
    drop_if_late(outcome, asked_at);
    if (outcome.kind != TryOutcome::Kind::Acquired) {
      if (outcome.may_have_worked()) release_soon(request->name, value);
      fail(request, {errc::transport, outcome.failure, {}});
      return;
    }
    Waiter& waiter = *request->waiter;
    bool is_wanted = false;
    {
      const std::lock_guard lock(table_.mutex);
      // settle_all() tells it if the client ends.
      is_wanted = waiter.state == Waiter::State::Waiting && !table_.closing;
    }
    if (!is_wanted) {
      under_way_ += 1;
      release_at_server(request->name, value, asked_at + options_.validity,
                        [this](Released) { under_way_ -= 1; });
      return;
    }
    std::shared_ptr<Hold> hold = keep_forced(request->name, value, outcome.token, asked_at, waiter);
    if (!hold) return;
    {
      const std::lock_guard lock(table_.mutex);
      waiter.grant = std::move(hold);
      waiter.state = Waiter::State::Granted;
    }
    waiter.wake();
  });
}

// Of several, one after the other: each a request of its own, of which only this one hears.
void ClientState::acquire_next(const std::shared_ptr<Request>& all) {
  Waiter& waiter = *all->waiter;
  if (all->held.size() == all->names.size()) {
    {
      const std::lock_guard lock(table_.mutex);
      if (waiter.state != Waiter::State::Waiting) return;
      waiter.state = Waiter::State::Granted;
    }
    waiter.wake();
    return;
  }
  bool is_closing = false;
  {
    const std::lock_guard lock(table_.mutex);
    is_closing = table_.closing;
  }
  if (is_closing) {
    give_back(all, {errc::closed, "the client is being destroyed", {}});
    return;
  }
  all->name = all->names[all->held.size()];
  const std::shared_ptr<Request> one = make_request(all->name, all->limit, Kind::Exclusive);
  one->waiter->on_settled = [this, all, one] {
    loop_.post([this, all, one] {
      forget(one);
      if (one->waiter->state == Waiter::State::Granted) {
        all->held.push_back(std::move(one->waiter->grant));
        acquire_next(all);
      } else {
        give_back(all, one->waiter->failure);
      }
    });
  };
  begin(one);
  enqueue(one);
}

// It is told once the servers have confirmed it, or had the time in which release() waits for them.
void ClientState::give_back(const std::shared_ptr<Request>& all, const Failure& failure) {
  const auto tell = [this, all, failure] { fail(all, failure); };
  const std::vector<std::shared_ptr<Hold>> held = std::exchange(all->held, {});
  if (held.empty()) {
    tell();
    return;
  }
  all->going_back = held.size();
  all->timer = loop_.at(Clock::now() + options_.command_timeout, tell);
  for (const auto& hold : held)
    release_then(hold, [all, tell] {
      if (--all->going_back == 0) tell();
    });
}

void ClientState::release_then(const std::shared_ptr<Hold>& hold,
                               const std::function<void()>& then) {
  const std::optional<Parting> parting = part_with(hold);
  if (!parting || !parting->gate) {
    then();
    return;
  }
  under_way_ += 1;
  const TimePoint until = hold->expires_at();
  release_at_server(hold->name, hold->value, until, [this, left = *parting, then](Released) {
    under_way_ -= 1;
    let_go(left.gate, left.limit_reached);
    then();
  });
}

void ClientState::fail(const std::shared_ptr<Request>& request, Failure failure) {
  {
    const std::lock_guard lock(table_.mutex);
    if (request->waiter->state != Waiter::State::Waiting) return;
    request->waiter->failure = std::move(failure);
    request->waiter->state = Waiter::State::Failed;
  }
  request->waiter->wake();
}

void ClientState::forget(const std::shared_ptr<Request>& request) {
  loop_.cancel(request->timer);
  request->on_stop.reset();
  const std::lock_guard lock(asynchronous_mutex_);
  requests_.erase(request);
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
  loop_.post([this, request] { forget(request); });
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
    std::vector<std::shared_ptr<Hold>> held;
    if (!error) held = std::move(request->held);
    if (waiter.grant) held.push_back(std::move(waiter.grant));
    request->done(std::move(held), error);
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
    fail(request, {errc::closed, "the client is being destroyed", {}});
  }
}

}  // namespace gordian::redis::detail
