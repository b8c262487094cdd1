// SPDX-License-Identifier: Apache-2.0
#include "watch/director.h"

#include <algorithm>

namespace gordian::watch {
namespace {

using std::chrono::microseconds;

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
    : plan_(std::move(plan)), options_(options), came_(plan_.roles.size()) {}

std::optional<std::vector<CodePlace>> Director::places() const {
  std::vector<CodePlace> places;
  for (const SteerRole& role : plan_.roles) {
    places.push_back(role.request);
    places.insert(places.end(), role.holds.begin(), role.holds.end());
  }
  return places;
}

std::vector<size_t> Director::roles_of(const SteeredThread& thread) const {
  std::vector<size_t> roles;
  size_t at = 0;
  for (size_t role = 0; role < plan_.roles.size(); ++role) {
    const size_t holds = plan_.roles[role].holds.size();
    bool plays = at < sites_.size() && sites_[at] != 0 && sites_[at] == thread.site;
    for (size_t i = 1; plays && i <= holds; ++i) {
      plays = std::any_of(thread.holds.begin(), thread.holds.end(),
                          [&](const SteeredHold& hold) { return hold.site == sites_[at + i]; });
    }
    if (plays) roles.push_back(role);
    at += 1 + holds;
  }
  return roles;
}

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
  if (cast.size() == plan_.roles.size()) return leads_to(*cast.back(), *cast.front());
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
  if (came_[role] <= skip) return true;
  return mix(options_.seed, thread.uid, thread.arrival, 2) % 4 == 0;
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
    std::vector<size_t> roles = roles_of(thread);
    if (!roles.empty()) came_[roles.front()] += 1;
    if (roles.empty() || is_let_by(thread, roles.front())) {
      decision.open.push_back(thread.card);
      continue;
    }
    stays_[thread.uid] = {.arrival = thread.arrival, .since = now, .roles = std::move(roles)};
    moved_ = now;
  }
  if (stays_.empty()) return decision;

  std::set<size_t> stage;
  for (const auto& [uid, stay] : stays_) stage.insert(stay.roles.begin(), stay.roles.end());
  if (stage.size() > together_.size()) together_ = stage;

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

  bool others_wait = true;
  for (const SteeredThread& thread : threads) {
    if (stays_.contains(thread.uid)) continue;
    uint64_t& moves = moves_[thread.uid];
    if (moves != thread.moves) moved_ = now;
    moves = thread.moves;
    others_wait = others_wait && thread.where == Whereabouts::Waiting;
  }
  const SteeredThread* longest = nullptr;
  for (const SteeredThread& thread : threads) {
    const auto stay = stays_.find(thread.uid);
    if (stay == stays_.end()) continue;
    if (longest == nullptr || stay->second.since < stays_[longest->uid].since) longest = &thread;
  }
  if (longest != nullptr) {
    const bool late = now - stays_[longest->uid].since > options_.patience;
    const bool stuck = others_wait && now - moved_ > options_.grace;
    if (late || stuck) {
      (late ? released_late_ : released_stuck_) += 1;
      release(*longest);
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
  for (size_t role = 0; role < came_.size(); ++role) {
    if (came_[role] > 0 || together_.contains(role)) continue;
    const SteerRole& missing = plan_.roles[role];
    account.diverged =
        "no thread came to " + missing.request.words +
        (missing.holds.empty() ? "" : " with what \"" + missing.thread + "\" holds there");
    return account;
  }
  account.diverged = "its threads never stood there at the same time";
  if (released_stuck_ > 0)
    account.diverged += "; nobody else could go on while one was held";
  else if (released_late_ > 0)
    account.diverged += "; one was held too long";
  return account;
}

}  // namespace gordian::watch
