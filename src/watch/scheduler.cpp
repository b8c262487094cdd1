// SPDX-License-Identifier: Apache-2.0
#include "watch/scheduler.h"

#include <algorithm>

namespace gordian::watch {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

bool is_lock(format::Kind kind) {
  switch (kind) {
    case format::Kind::Mutex:
    case format::Kind::RwLock:
    case format::Kind::Spin:
    case format::Kind::Once:
    case format::Kind::Guard:
    case format::Kind::GlibMutex:
    case format::Kind::GlibRecMutex:
    case format::Kind::GlibRwLock:
    case format::Kind::GlibOnce:
    case format::Kind::GlibBit:
    case format::Kind::Custom:
      return true;
    default:
      return false;
  }
}

constexpr uint64_t kUpper = uint64_t{1} << 63;

}  // namespace

Scheduler::Scheduler(const Options& options) : options_(options) {
  // Nobody knows how long the run will be: the points are spread over the powers of two.
  for (uint32_t i = 1; i < options_.depth; ++i) {
    const uint64_t scale = uint64_t{1} << (2 + mix(options_.seed, i, 0, 7) % 12);
    change_points_.push_back(1 + mix(options_.seed, i, 1, 7) % scale);
  }
}

void Scheduler::follow(std::span<const SteeredThread> threads, SteerClock::time_point now) {
  for (const SteeredThread& thread : threads) {
    const auto [at, is_new] = progress_.try_emplace(thread.uid, Progress{thread.moves, now});
    Progress& progress = at->second;
    if (progress.moves != thread.moves) {
      progress.moves = thread.moves;
      progress.since = now;
    }
    if (thread.where == Whereabouts::AtGate && progress.arrival != thread.arrival) {
      progress.arrival = thread.arrival;
      progress.stops += 1;
      progress.redraws = 0;
      account_.arrivals += 1;
    }
  }
}

bool Scheduler::can_be_met(const SteeredThread& thread, std::span<const SteeredThread> threads) {
  if (thread.phase != format::GatePhase::Request || !is_lock(thread.kind)) return true;
  for (const SteeredThread& other : threads) {
    for (const SteeredHold& hold : other.holds) {
      if (hold.address == thread.address && !(hold.shared && thread.shared)) return false;
    }
  }
  return true;
}

bool Scheduler::gathers(const SteeredThread& thread) const {
  return options_.draw == Draw::Targeted && thread.phase == format::GatePhase::Request &&
         !thread.holds.empty();
}

uint64_t Scheduler::priority(const SteeredThread& thread) const {
  const Progress& progress = progress_.at(thread.uid);
  if (options_.draw == Draw::Pct) {
    if (progress.demoted != 0) return ~progress.demoted & (kUpper - 1);
    return mix(options_.seed, thread.uid) | kUpper;
  }
  const uint64_t drawn = mix(options_.seed, thread.uid, progress.stops, progress.redraws);
  return gathers(thread) ? drawn & ~kUpper : drawn | kUpper;
}

void Scheduler::let_go(const SteeredThread& thread, std::span<const SteeredThread> threads,
                       SteerClock::time_point now, Decision& decision) {
  decision.open.push_back(thread.card);
  Progress& progress = progress_.at(thread.uid);
  progress.since = now;
  account_.steps += 1;
  // Load addresses change from run to run, but not within a page.
  account_.schedule =
      mix(account_.schedule, thread.uid, thread.site & 4095, static_cast<uint64_t>(thread.phase));
  for (const SteeredThread& other : threads) {
    if (other.uid != thread.uid && other.where == Whereabouts::AtGate &&
        other.address == thread.address) {
      progress_.at(other.uid).redraws += 1;
    }
  }
  if (std::find(change_points_.begin(), change_points_.end(), account_.steps) !=
      change_points_.end()) {
    progress.demoted = account_.steps;
  }
}

Decision Scheduler::decide(std::span<const SteeredThread> threads, SteerClock::time_point now) {
  follow(threads, now);
  Decision decision;
  std::vector<const SteeredThread*> standing;
  bool somebody_away = false;
  microseconds wait_for{0};
  for (const SteeredThread& thread : threads) {
    if (thread.where == Whereabouts::AtGate) {
      standing.push_back(&thread);
    } else if (thread.where == Whereabouts::Running || thread.where == Whereabouts::Asleep) {
      const milliseconds limit =
          thread.where == Whereabouts::Asleep ? options_.asleep : options_.busy;
      const auto spent = now - progress_.at(thread.uid).since;
      somebody_away = true;
      // Asleep shows only after a while: look again soon.
      if (spent < limit) wait_for = microseconds(1000);
    } else if (thread.where == Whereabouts::TimedWait) {
      somebody_away = true;
    }
  }
  if (wait_for.count() > 0) {
    decision.look_again = wait_for;
    return decision;
  }
  if (standing.empty()) return decision;

  const SteeredThread* next = nullptr;
  for (const SteeredThread* const thread : standing) {
    if (!can_be_met(*thread, threads)) continue;
    if (next == nullptr || priority(*thread) > priority(*next)) next = thread;
  }
  if (next != nullptr) {
    nobody_ = false;
    // The others are at work or asleep: they may be about to come.
    if (somebody_away && gathers(*next) && gathered_ < options_.gatherings) {
      if (now - progress_.at(next->uid).since < options_.gather) {
        decision.look_again = microseconds(5000);
        return decision;
      }
      gathered_ += 1;
    }
    let_go(*next, threads, now, decision);
    decision.look_again = microseconds(1000);
    return decision;
  }
  if (!nobody_) {
    nobody_ = true;
    nobody_since_ = now;
  }
  if (somebody_away && now - nobody_since_ < options_.nobody) {
    decision.look_again = microseconds(2000);
    return decision;
  }
  for (const SteeredThread* const thread : standing) let_go(*thread, threads, now, decision);
  nobody_ = false;
  return decision;
}

}  // namespace gordian::watch
