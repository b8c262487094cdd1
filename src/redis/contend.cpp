// SPDX-License-Identifier: Apache-2.0
// The I/O thread's part: contending for the locks somebody in this client waits for.
#include "base/text.h"
#include "redis/client_state.h"

#include <algorithm>

namespace gordian::redis {

TryOutcome read_try(const redisReply* reply) {
  TryOutcome outcome;
  if (reply == nullptr) return outcome;
  if (reply->type == REDIS_REPLY_INTEGER) {
    outcome.kind = TryOutcome::Kind::Acquired;
    outcome.token = static_cast<uint64_t>(reply->integer);
    return outcome;
  }
  const redisReply* const holder = element(reply, 0);
  const redisReply* const left = element(reply, 1);
  if (holder != nullptr && holder->type == REDIS_REPLY_STRING && left != nullptr &&
      left->type == REDIS_REPLY_INTEGER) {
    outcome.kind = TryOutcome::Kind::Refused;
    outcome.holder = text_of(holder);
    outcome.holder_left =
        std::chrono::milliseconds(std::clamp<long long>(left->integer, -1, 1LL << 40));
    return outcome;
  }
  outcome.kind = TryOutcome::Kind::Error;
  outcome.failure = is_error(reply) ? "the server says: " + std::string(text_of(reply))
                                    : "the server gave an answer of another kind";
  // Redis and Valkey name the script's line; what fails before it does not.
  outcome.is_partial =
      is_error(reply) && text_of(reply).find("user_script") != std::string_view::npos;
  return outcome;
}

namespace detail {
namespace {

// However long the holder may keep it, and whatever the server should have pushed: look again.
constexpr auto kLongestWait = std::chrono::milliseconds(1000);
// Time for others to come first, after a row of handovers.
constexpr auto kPoliteWait = std::chrono::microseconds(300);
constexpr unsigned kLateAnswersInARow = 2;

// The lock whose writer's key this is; any other key as it is.
std::string_view lock_of_writer(std::string_view key) {
  constexpr std::string_view kWriter = "writer:";
  if (!key.starts_with(kWriter)) return key;
  key.remove_prefix(kWriter.size());
  if (key.starts_with('{') && key.ends_with('}')) key = key.substr(1, key.size() - 2);
  return key;
}

}  // namespace

// One try for all keys of a lock.
struct ClientState::Try {
  std::string name;
  Value value{};
  bool force = false;
  OnTried on_tried;
  unsigned asked = 0;
  unsigned answered = 0;
  unsigned acquired = 0;
  unsigned failed = 0;
  bool decided = false;
  uint64_t least_token = UINT64_MAX;
  bool raising = false;  // enough keys are ours, their counters are not yet equal
  unsigned raised = 0;
  unsigned not_raised = 0;
  TryOutcome outcome;
  EventLoop::TimerId timer{};
};

void ClientState::try_keys(std::string name, const Value& value, bool force, OnTried on_tried) {
  const auto attempt = std::make_shared<Try>();
  attempt->name = std::move(name);
  attempt->value = value;
  attempt->force = force;
  attempt->on_tried = std::move(on_tried);
  under_way_ += 1;
  ask_more_keys(attempt);
}

// Key by key, so that of many contenders the first at key 0 gets all of them; keys of one server go
// together. A server that does not answer in retry_interval is not waited for.
void ClientState::ask_more_keys(const std::shared_ptr<Try>& attempt) {
  loop_.cancel(attempt->timer);
  const bool all = attempt->decided;
  const unsigned first = attempt->asked;
  while (attempt->asked < keys_ &&
         (all || servers_->on_one_server(attempt->name, attempt->asked, first))) {
    const unsigned index = attempt->asked++;
    servers_->run(
        index, acquire_call(index, attempt->name, attempt->value, attempt->force),
        [this, attempt, index](const redisReply* reply) { key_answered(attempt, index, reply); });
  }
  if (attempt->asked < keys_ && !attempt->decided)
    attempt->timer = loop_.at(Clock::now() + options_.retry_interval, [this, attempt] {
      attempt->timer = {};
      ask_more_keys(attempt);
    });
}

void ClientState::key_answered(const std::shared_ptr<Try>& attempt, unsigned index,
                               const redisReply* reply) {
  TryOutcome outcome = read_try(reply);
  if (outcome.kind == TryOutcome::Kind::Unknown)
    outcome.failure = servers_->last_failure(attempt->name, index);
  attempt->answered += 1;
  if (attempt->decided) {
    // Given up meanwhile: what it still got goes back.
    if (attempt->outcome.kind != TryOutcome::Kind::Acquired &&
        outcome.kind == TryOutcome::Kind::Acquired)
      servers_->run(index, release_call(index, attempt->name, attempt->value),
                    [](const redisReply*) {});
    return;
  }
  switch (outcome.kind) {
    case TryOutcome::Kind::Acquired:
      attempt->acquired += 1;
      if (attempt->raising) return;
      attempt->outcome.token = std::max(attempt->outcome.token, outcome.token);
      attempt->least_token = std::min(attempt->least_token, outcome.token);
      break;
    case TryOutcome::Kind::Refused:
      if (attempt->raising) return;
      attempt->outcome.holder = outcome.holder;
      attempt->outcome.holder_left = outcome.holder_left;
      decide(attempt, TryOutcome::Kind::Refused);
      return;
    default:
      if (attempt->raising) return;
      attempt->failed += 1;
      attempt->outcome.failure = outcome.failure;
      attempt->outcome.is_partial |= outcome.is_partial;
      if (attempt->failed > keys_ - majority_) {
        decide(attempt, outcome.kind);
        return;
      }
  }
  if (attempt->acquired >= majority_) {
    if (options_.fencing && attempt->least_token != attempt->outcome.token) {
      raise_counters(attempt);
    } else {
      decide(attempt, TryOutcome::Kind::Acquired);
    }
  } else if (attempt->answered == attempt->asked) {
    ask_more_keys(attempt);
  }
}

// The largest of the counters is the token; the next holder may see only the others. So as many of
// them as every majority shares one with are brought up to it first. (Equal ones are.)
void ClientState::raise_counters(const std::shared_ptr<Try>& attempt) {
  attempt->raising = true;
  loop_.cancel(attempt->timer);
  for (unsigned index = 0; index < keys_; ++index) {
    std::optional<std::string> counter =
        side_key("fence", lock_key(options_.key_prefix, index, attempt->name));
    servers_->run(index,
                  {.script = &kRaise,
                   .keys = {std::move(*counter)},
                   .arguments = {std::to_string(attempt->outcome.token),
                                 std::to_string(options_.fencing_lifetime.count())}},
                  [this, attempt](const redisReply* reply) {
                    if (attempt->decided) return;
                    (is_integer(reply, 1) ? attempt->raised : attempt->not_raised) += 1;
                    if (attempt->raised >= majority_) {
                      decide(attempt, TryOutcome::Kind::Acquired);
                    } else if (attempt->not_raised > keys_ - majority_) {
                      attempt->outcome.failure = "the fencing counters cannot be raised";
                      decide(attempt, TryOutcome::Kind::Unknown);
                    }
                  });
  }
}

void ClientState::decide(const std::shared_ptr<Try>& attempt, TryOutcome::Kind kind) {
  attempt->decided = true;
  attempt->outcome.kind = kind;
  loop_.cancel(attempt->timer);
  if (kind == TryOutcome::Kind::Acquired) {
    ask_more_keys(attempt);  // the rest, whatever comes of it
  } else if (keys_ > 1) {
    // A part of a lock would keep everybody out. On the same connection as the tries, so after
    // them.
    for (unsigned index = 0; index < attempt->asked; ++index) {
      under_way_ += 1;
      servers_->run(index, release_call(index, attempt->name, attempt->value),
                    [this](const redisReply*) { under_way_ -= 1; });
    }
  }
  attempt->on_tried(attempt->outcome);
  under_way_ -= 1;
}

void ClientState::start_contending(const std::shared_ptr<Gate>& gate, const TryOutcome& first) {
  Gate::Contention& contention = gate->contention;
  contention.active = true;
  contention.failures = 0;
  contention.since = Clock::now();
  if (first.kind == TryOutcome::Kind::Refused) {
    contention.value.reset();
    refused(gate, first);
  } else if (std::exchange(contention.polite, false)) {
    contention.was_polite = true;
    contend_at(gate, Clock::now() + kPoliteWait);
  } else {
    contend(gate);
  }
}

void ClientState::contend_at(const std::shared_ptr<Gate>& gate, TimePoint time) {
  loop_.cancel(gate->contention.timer);
  gate->contention.timer = loop_.at(time, [this, gate] {
    gate->contention.timer = {};
    contend(gate);
  });
}

void ClientState::contend(const std::shared_ptr<Gate>& gate) {
  Gate::Contention& contention = gate->contention;
  // Not active: perhaps a thread was refused by a server that has told the end of it already, and
  // its word to start here is still on its way.
  if (!contention.active || contention.in_flight) {
    contention.again = true;
    return;
  }
  loop_.cancel(contention.timer);
  std::optional<uint32_t> owner;
  {
    const std::lock_guard lock(table_.mutex);
    if (!gate->waiters.empty()) owner = gate->waiters.front()->owner;
  }
  if (!owner) {
    stop_contending(gate);
    return;
  }
  if (!contention.value) contention.value = new_value(*owner, gate->shared);
  contention.in_flight = true;
  contention.again = false;
  const Value value = *contention.value;
  const TimePoint asked_at = Clock::now();
  try_keys(gate->name, value, false, [this, gate, value, asked_at](const TryOutcome& outcome) {
    contended(gate, value, asked_at, outcome);
  });
}

void ClientState::contended(const std::shared_ptr<Gate>& gate, const Value& value,
                            TimePoint asked_at, TryOutcome outcome) {
  Gate::Contention& contention = gate->contention;
  contention.in_flight = false;
  drop_if_late(outcome, asked_at);
  switch (outcome.kind) {
    case TryOutcome::Kind::Acquired:
      grant(gate, value, asked_at, outcome.token);
      return;
    case TryOutcome::Kind::Refused:
      contention.ambiguous = false;
      contention.value.reset();
      refused(gate, outcome);
      stop_if_unwanted(gate);
      return;
    case TryOutcome::Kind::Unknown:
    case TryOutcome::Kind::Error:
      contention.ambiguous |= outcome.may_have_worked();
      break;
  }
  failed(gate, outcome);
  stop_if_unwanted(gate);
}

void ClientState::grant(const std::shared_ptr<Gate>& gate, const Value& value, TimePoint asked_at,
                        uint64_t token) {
  Gate::Contention& contention = gate->contention;
  contention.value.reset();
  contention.ambiguous = false;
  contention.active = false;
  contention.holder.clear();
  no_writer_waits(gate);
  // Nobody else wanted it while we stood back: longer rows cost nobody anything.
  if (std::exchange(contention.was_polite, false))
    gate->handover_limit = std::min(gate->handover_limit * 2, kMostHandovers);
  const std::shared_ptr<Hold> hold = make_hold(gate->name, value, token, asked_at);
  std::shared_ptr<Waiter> waiter;
  bool more_readers = false;
  std::shared_ptr<Hold> former;
  {
    const std::lock_guard lock(table_.mutex);
    former = gate->hold;
  }
  if (former) lose(former, "the key was free");
  {
    const std::lock_guard lock(table_.mutex);
    if (!gate->waiters.empty()) {
      waiter = LockTable::grant_first(*gate, hold);
      more_readers = gate->shared && !gate->waiters.empty();
      gate->claimed = more_readers;
      table_.renew_at(hold, asked_at + options_.extend_interval);
    }
  }
  if (waiter) {
    waiter->wake();
    if (more_readers) start_contending(gate, {});
    return;
  }
  // All have given up meanwhile.
  release_unwanted(gate, value, asked_at + options_.validity);
}

void ClientState::refused(const std::shared_ptr<Gate>& gate, const TryOutcome& outcome) {
  Gate::Contention& contention = gate->contention;
  contention.failures = 0;
  if (std::exchange(contention.was_polite, false)) gate->handover_limit = options_.handover_limit;
  contention.holder = outcome.holder;
  std::vector<std::shared_ptr<Waiter>> over;
  bool somebody_waits = false;
  {
    const std::lock_guard lock(table_.mutex);
    const auto waiters = gate->waiters;
    for (const auto& waiter : waiters)
      if (waiter->once)
        over.push_back(LockTable::fail(*gate, waiter, {errc::not_acquired, "held", {}}));
    somebody_waits = !gate->waiters.empty();
  }
  for (const auto& waiter : over) waiter->wake();
  if (somebody_waits && !gate->shared && is_shared(outcome.holder)) say_that_a_writer_waits(gate);
  if (contention.again) {
    contend(gate);
    return;
  }
  auto wait = std::chrono::duration_cast<std::chrono::microseconds>(kLongestWait);
  if (!servers_->all_track(gate->name, keys_)) wait = options_.retry_interval;
  // A crashed holder's key ends then, whether or not the server gets round to telling us. A little
  // apart from the others who know the same.
  const auto apart = std::chrono::microseconds(1000 + (incarnation_ ^ ++sequence_ * 7919) % 2000);
  if (outcome.holder_left.count() >= 0)
    wait = std::min<std::chrono::microseconds>(wait, outcome.holder_left + apart);
  // Two contenders that each got a part of the keys meet again at once, unless they part.
  if (keys_ > 1) wait = std::max(wait, apart);
  contend_at(gate, Clock::now() + wait);
}

void ClientState::failed(const std::shared_ptr<Gate>& gate, const TryOutcome& outcome) {
  Gate::Contention& contention = gate->contention;
  contention.failures += 1;
  contention.last_failure = outcome.failure;
  const bool is_definite =
      outcome.kind == TryOutcome::Kind::Error || servers_->is_unreachable(gate->name, keys_);
  if (options_.on_transport_error == transport_policy::fail &&
      (is_definite || contention.failures >= kLateAnswersInARow)) {
    std::vector<std::shared_ptr<Waiter>> over;
    {
      const std::lock_guard lock(table_.mutex);
      while (!gate->waiters.empty())
        over.push_back(
            LockTable::fail(*gate, gate->waiters.front(), {errc::transport, outcome.failure, {}}));
    }
    for (const auto& waiter : over) waiter->wake();
    stop_contending(gate);
    return;
  }
  contend_at(gate, Clock::now() + options_.retry_interval * std::min(contention.failures, 10U));
}

void ClientState::stop_if_unwanted(const std::shared_ptr<Gate>& gate) {
  if (!gate->contention.active || gate->contention.in_flight) return;
  {
    const std::lock_guard lock(table_.mutex);
    if (!gate->waiters.empty()) return;
  }
  stop_contending(gate);
}

// The client ends: nobody waits any more.
void ClientState::stop_all_contending() {
  std::vector<std::shared_ptr<Gate>> gates;
  {
    const std::lock_guard lock(table_.mutex);
    gates = table_.all_gates();
  }
  for (const auto& gate : gates) stop_if_unwanted(gate);
}

void ClientState::stop_contending(const std::shared_ptr<Gate>& gate) {
  Gate::Contention& contention = gate->contention;
  loop_.cancel(contention.timer);
  contention.active = false;
  contention.holder.clear();
  no_writer_waits(gate);
  const std::optional<Value> value = std::exchange(contention.value, std::nullopt);
  if (std::exchange(contention.ambiguous, false) && value) {
    // A try whose outcome is not known may have left it locked for nobody.
    release_unwanted(gate, *value, Clock::now() + options_.validity);
    return;
  }
  let_go(gate, false);
}

void ClientState::deadlocked(uint32_t thread, uint64_t wait, bool is_victim,
                             const std::vector<deadlock_member>& cycle) {
  if (options_.on_deadlock) tell_program([call = options_.on_deadlock, cycle] { call(cycle); });
  if (!is_victim || options_.deadlocks != deadlock_mode::raise) return;
  std::string what = "deadlock of " + std::to_string(cycle.size()) + " threads:";
  for (const deadlock_member& member : cycle) {
    what += " thread " + std::to_string(member.thread) + " of process " +
            std::to_string(member.pid) + " on " + escape_for_terminal(member.host) + " wants \"" +
            escape_for_terminal(member.wants) + "\";";
    for (const std::string& wait : member.local_waits) what += " (" + wait + ")";
  }
  what += " each is held by the next";
  std::shared_ptr<Waiter> victim;
  std::shared_ptr<Gate> its_gate;
  {
    const std::lock_guard lock(table_.mutex);
    its_gate = table_.find(cycle.front().wants);
    if (!its_gate) return;
    for (const auto& waiter : its_gate->waiters)
      if (waiter->owner == thread && waiter->number == wait) victim = waiter;
    if (!victim) return;
    victim = LockTable::fail(*its_gate, victim, {errc::deadlock, what, cycle});
  }
  victim->wake();
  stop_if_unwanted(its_gate);
}

void ClientState::changed(std::optional<std::string_view> key) {
  std::vector<std::shared_ptr<Gate>> gates;
  std::vector<std::shared_ptr<Hold>> holds;
  {
    const std::lock_guard lock(table_.mutex);
    if (!key) {
      gates = table_.all_gates();
    } else if (const auto parts = parse_lock_key(options_.key_prefix, lock_of_writer(*key));
               parts && parts->index < keys_) {
      for (const bool shared : {false, true})
        if (auto gate = table_.find(parts->name, shared)) gates.push_back(std::move(gate));
    }
    for (const auto& gate : gates) {
      if (gate->hold) holds.push_back(gate->hold);
      holds.insert(holds.end(), gate->readers.begin(), gate->readers.end());
    }
  }
  for (const auto& gate : gates) contend(gate);
  for (const auto& hold : holds) verify(hold);
}

}  // namespace detail
}  // namespace gordian::redis
