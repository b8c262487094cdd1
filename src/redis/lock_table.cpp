// SPDX-License-Identifier: Apache-2.0
#include "redis/lock_table.h"

#include "base/check.h"

#include <algorithm>
#include <pthread.h>

namespace gordian::redis {

void Gate::set_hold(std::shared_ptr<Hold> now) {
  if (now) now->words.owner = now->owner;
  words.hold = now ? reinterpret_cast<uint64_t>(&now->words) : 0;
  hold = std::move(now);
}

std::shared_ptr<Gate> LockTable::find(std::string_view name, bool shared) {
  const Gates& among = shared ? reader_gates : gates;
  const auto found = among.find(std::string(name));
  return found == among.end() ? nullptr : found->second;
}

std::shared_ptr<Gate> LockTable::find_or_make(std::string_view name, unsigned handover_limit,
                                              bool shared) {
  std::shared_ptr<Gate>& gate = (shared ? reader_gates : gates)[std::string(name)];
  if (!gate) {
    gate = std::make_shared<Gate>(std::string(name), shared);
    gate->handover_limit = handover_limit;
  }
  return gate;
}

void LockTable::drop_if_idle(const std::shared_ptr<Gate>& gate) {
  if (gate->claimed || gate->hold || !gate->readers.empty() || !gate->waiters.empty()) return;
  Gates& among = gate->shared ? reader_gates : gates;
  const auto found = among.find(gate->name);
  if (found != among.end() && found->second == gate) among.erase(found);
}

std::vector<std::shared_ptr<Gate>> LockTable::all_gates() const {
  std::vector<std::shared_ptr<Gate>> all;
  for (const Gates* among : {&gates, &reader_gates})
    for (const auto& [name, gate] : *among) all.push_back(gate);
  return all;
}

std::shared_ptr<Hold> LockTable::find_reader(const std::shared_ptr<Gate>& readers, uint32_t owner) {
  if (!readers) return nullptr;
  for (const auto& hold : readers->readers)
    if (hold->owner == owner) return hold;
  return nullptr;
}

std::shared_ptr<Gate> LockTable::take_out(const std::shared_ptr<Hold>& hold) {
  std::shared_ptr<Gate> gate = find(hold->name, hold->shared);
  if (!gate) return nullptr;
  if (!hold->shared) {
    if (gate->hold != hold) return nullptr;
    gate->set_hold(nullptr);
  } else if (std::erase(gate->readers, hold) == 0) {
    return nullptr;
  }
  return gate;
}

void LockTable::renew_at(const std::shared_ptr<Hold>& hold, TimePoint time) {
  renew_never(hold);
  hold->renewal = renewals.emplace(time, hold);
  hold->has_renewal = true;
}

void LockTable::renew_never(const std::shared_ptr<Hold>& hold) {
  if (!hold->has_renewal) return;
  hold->has_renewal = false;
  renewals.erase(hold->renewal);
}

void LockTable::leave(Gate& gate, const std::shared_ptr<Waiter>& waiter) {
  const auto at = std::find(gate.waiters.begin(), gate.waiters.end(), waiter);
  if (at != gate.waiters.end()) gate.waiters.erase(at);
}

std::shared_ptr<Waiter> LockTable::grant_first(Gate& gate, std::shared_ptr<Hold> hold) {
  GORDIAN_CHECK(!gate.waiters.empty());
  std::shared_ptr<Waiter> waiter = std::move(gate.waiters.front());
  gate.waiters.pop_front();
  hold->owner = waiter->owner;
  hold->resource = waiter->resource;
  if (hold->owner == 0) hold->words.kept_elsewhere = 1;
  if (gate.shared)
    gate.readers.push_back(hold);
  else
    gate.set_hold(hold);
  waiter->parker.settle();
  waiter->grant = std::move(hold);
  waiter->state = Waiter::State::Granted;
  return waiter;
}

std::shared_ptr<Waiter> LockTable::fail(Gate& gate, std::shared_ptr<Waiter> waiter,
                                        Failure failure) {
  leave(gate, waiter);
  waiter->parker.settle();
  waiter->failure = std::move(failure);
  waiter->state = Waiter::State::Failed;
  return waiter;
}

namespace {

thread_local uint32_t cached_thread_id = 0;

}  // namespace

uint32_t this_thread_id() {
  if (cached_thread_id == 0) {
    // A forked child has another id, and one thread: the one that called fork().
    [[maybe_unused]] static const int registered =
        pthread_atfork(nullptr, nullptr, [] { cached_thread_id = 0; });
    cached_thread_id = static_cast<uint32_t>(syscall(SYS_gettid));
  }
  return cached_thread_id;
}

}  // namespace gordian::redis
