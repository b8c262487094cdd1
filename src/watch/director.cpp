// SPDX-License-Identifier: Apache-2.0
#include "watch/director.h"

#include <algorithm>
#include <utility>

namespace gordian::watch {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr uint32_t kMostImpatient = 4;    // a sixteenth of the patience
constexpr uint32_t kMostPassing = 1'000;  // for whom others wait longer

// In glibc a thread's pthread_t is the address of its descriptor.
bool is_join_of(const SteeredThread& from, const SteeredThread& to) {
  return from.kind == format::Kind::Join &&
         (from.object != 0 ? from.object == to.uid : from.address == to.pthread);
}

// Who will give it nobody can tell beforehand.
bool is_signal(format::Kind kind) {
  switch (kind) {
    case format::Kind::Condition:
    case format::Kind::Semaphore:
    case format::Kind::Barrier:
    case format::Kind::GlibCond:
    case format::Kind::GlibQueue:
    case format::Kind::Future:
    case format::Kind::Futex:
    case format::Kind::Signal:
      return true;
    default:
      return false;
  }
}

}  // namespace

Director::Director(SteerPlan plan, Options options)
    : roles_(std::move(plan)), options_(options), in_vain_(roles_.role_count()) {}

bool Director::leads_to(const SteeredThread& from, const SteeredThread& to) const {
  if (is_signal(from.kind)) return true;
  if (from.kind == format::Kind::Join) return is_join_of(from, to);
  return std::any_of(to.holds.begin(), to.holds.end(), [&](const SteeredHold& hold) {
    return hold.address == from.address && !(hold.shared && from.shared);
  });
}

// Finds an actor for each role, all different, so that each leads to the next.
bool Director::close(std::span<const SteeredThread> threads,
                     std::vector<const SteeredThread*>& cast) const {
  if (cast.size() == roles_.role_count()) return leads_to(*cast.back(), *cast.front());
  for (const SteeredThread& thread : threads) {
    const auto stay = stays_.find(thread.uid);
    if (stay == stays_.end() || thread.where != Whereabouts::AtGate) continue;
    const std::vector<size_t>& roles = stay->second.roles;
    if (std::find(roles.begin(), roles.end(), cast.size()) == roles.end()) continue;
    if (std::find(cast.begin(), cast.end(), &thread) != cast.end()) continue;
    if (!cast.empty() && !leads_to(*cast.back(), thread)) continue;
    cast.push_back(&thread);
    if (close(threads, cast)) return true;
    cast.pop_back();
  }
  return false;
}

// Seed 0 holds whoever comes. Others let some pass, so that later comers get their turn.
bool Director::is_let_by(const SteeredThread& thread, size_t role) const {
  if (options_.seed == 0) return false;
  const uint64_t skip = mix(options_.seed, role, 1) % 4;
  if (roles_.came(role) <= skip) return true;
  return mix(options_.seed, thread.uid, thread.arrival, 2) % 4 == 0;
}

bool Director::is_one_more(std::span<const SteeredThread> threads, const SteeredThread& thread,
                           const std::vector<size_t>& roles) const {
  if (!options_.one_of_each) return false;
  return std::any_of(threads.begin(), threads.end(), [&](const SteeredThread& other) {
    const auto stay = stays_.find(other.uid);
    return stay != stays_.end() && stay->second.roles == roles && other.address == thread.address;
  });
}

std::vector<uint32_t> Director::waiting_for(std::span<const SteeredThread> threads,
                                            const SteeredThread& thread) const {
  const size_t count = roles_.role_count();
  const auto plays = [&](const SteeredThread& other, size_t role) {
    const auto stay = stays_.find(other.uid);
    return stay != stays_.end() && other.uid != thread.uid &&
           std::count(stay->second.roles.begin(), stay->second.roles.end(), role) > 0;
  };
  std::vector<uint32_t> waiting;
  for (const size_t role : stays_.at(thread.uid).roles) {
    bool has_next = false;
    bool leads_on = false;
    std::vector<uint32_t> before;
    for (const SteeredThread& other : threads) {
      if (plays(other, (role + 1) % count)) {
        has_next = true;
        leads_on = leads_on || leads_to(thread, other);
      }
      if (plays(other, (role + count - 1) % count) && leads_to(other, thread))
        before.push_back(other.uid);
    }
    if (leads_on) return {};
    if (has_next) waiting.insert(waiting.end(), before.begin(), before.end());
  }
  return waiting;
}

milliseconds Director::patience_with(const Stay& stay) const {
  uint32_t vain = 0;
  for (const size_t role : stay.roles) vain = std::max(vain, in_vain_[role]);
  return options_.patience / (1 << std::min(vain, kMostImpatient));
}

Decision Director::decide(std::span<const SteeredThread> threads, SteerClock::time_point now) {
  Decision decision;
  std::erase_if(stays_, [&](const auto& stay) {
    return std::none_of(threads.begin(), threads.end(), [&](const SteeredThread& thread) {
      return thread.uid == stay.first && thread.where == Whereabouts::AtGate &&
             thread.arrival == stay.second.arrival;
    });
  });
  for (const SteeredThread& thread : threads) {
    if (thread.where != Whereabouts::AtGate || stays_.contains(thread.uid)) continue;
    arrivals_ += 1;
    std::vector<size_t> roles = roles_.arrive(thread);
    if (roles.empty() || is_let_by(thread, roles.front()) || is_one_more(threads, thread, roles)) {
      decision.open.push_back(thread.card);
      continue;
    }
    stays_[thread.uid] = {.arrival = thread.arrival, .since = now, .roles = std::move(roles)};
    moved_ = now;
  }
  if (stays_.empty()) return decision;

  std::vector<std::vector<size_t>> stage;
  for (const auto& [uid, stay] : stays_) stage.push_back(stay.roles);
  roles_.stand(stage);

  const auto release = [&](const SteeredThread& thread) {
    decision.open.push_back(thread.card);
    schedule_ = mix(schedule_, thread.uid, thread.arrival);
    stays_.erase(thread.uid);
  };
  std::vector<const SteeredThread*> cast;
  if (close(threads, cast)) {
    closed_ += 1;
    for (const SteeredThread* const thread : cast) release(*thread);
    return decision;
  }

  for (const SteeredThread& thread : threads) {
    const auto stay = stays_.find(thread.uid);
    if (stay == stays_.end() || now - stay->second.since < options_.passing) continue;
    const std::vector<uint32_t> waiting = waiting_for(threads, thread);
    if (waiting.empty()) continue;
    // They wait for more than the clock.
    if (++passed_ < kMostPassing) {
      for (const uint32_t uid : waiting) stays_.at(uid).since = now;
    }
    release(thread);
    moved_ = now;
  }

  bool others_wait = true;
  for (const SteeredThread& thread : threads) {
    if (stays_.contains(thread.uid)) continue;
    uint64_t& moves = moves_[thread.uid];
    if (moves != thread.moves) moved_ = now;
    moves = thread.moves;
    others_wait = others_wait && thread.where == Whereabouts::Waiting;
  }
  const SteeredThread* first = nullptr;
  SteerClock::time_point end{};
  for (const SteeredThread& thread : threads) {
    const auto stay = stays_.find(thread.uid);
    if (stay == stays_.end()) continue;
    const SteerClock::time_point own = stay->second.since + patience_with(stay->second);
    if (first != nullptr && own >= end) continue;
    first = &thread;
    end = own;
  }
  if (first != nullptr) {
    const bool late = now > end;
    const bool stuck = others_wait && now - moved_ > options_.grace;
    if (late || stuck) {
      (late ? released_late_ : released_stuck_) += 1;
      if (late) {
        for (const size_t role : stays_[first->uid].roles) in_vain_[role] += 1;
      }
      release(*first);
      moved_ = now;
    }
  }
  decision.look_again = microseconds(10'000);
  return decision;
}

SteerAccount Director::account() const {
  SteerAccount account{.arrivals = arrivals_,
                       .steps = closed_ + released_late_ + released_stuck_,
                       .schedule = schedule_,
                       .closed = closed_ > 0};
  if (closed_ > 0) {
    account.diverged = "all of its threads stood before their last request, and went on";
    return account;
  }
  account.diverged = roles_.divergence();
  if (released_stuck_ > 0)
    account.diverged += "; nobody else could go on while one was held";
  else if (released_late_ > 0)
    account.diverged += "; one was held too long";
  return account;
}

}  // namespace gordian::watch
