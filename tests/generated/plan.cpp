// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <algorithm>
#include <random>

namespace generated {
namespace {

class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed * 0x9e3779b97f4a7c15 + 1) {}
  int below(int count) { return static_cast<int>(engine_() % static_cast<unsigned>(count)); }
  int between(int low, int high) { return low + below(high - low + 1); }
  bool chance(int percent) { return below(100) < percent; }

 private:
  std::mt19937_64 engine_;
};

struct Held {
  int lock;
  int action;
  bool shared;
  bool sure;  // not by a try or a timed request
};

// May a thread that holds `held` ask for `lock` in this way? Out are requests that glibc answers
// with an error instead of a wait, and most of those that hang by themselves.
bool is_allowed(const std::vector<Held>& held, LockKind kind, int lock, bool shared, Dice& dice) {
  const auto same =
      std::find_if(held.begin(), held.end(), [&](const Held& h) { return h.lock == lock; });
  if (same == held.end()) return true;
  switch (kind) {
    case LockKind::Recursive:
      return true;
    case LockKind::RwLock:
      return same->shared && (shared || dice.chance(20));
    default:
      return dice.chance(8);
  }
}

std::vector<Action> make_actions(const Plan& plan, int self, Dice& dice, bool ordered) {
  std::vector<Action> actions;
  std::vector<Held> held;
  const int lock_count = static_cast<int>(plan.locks.size());
  const int wanted = dice.between(4, 12);
  const auto add = [&](Action action) {
    actions.push_back(action);
    return static_cast<int>(actions.size()) - 1;
  };

  std::vector<int> to_join;
  for (int i = 0; i < static_cast<int>(plan.joiner.size()); ++i) {
    if (plan.joiner[i] == self) to_join.push_back(i);
  }
  while (static_cast<int>(actions.size()) < wanted || !to_join.empty()) {
    if (!to_join.empty() && dice.chance(15)) {
      add({.act = Act::Join, .lock = to_join.back()});
      to_join.pop_back();
      continue;
    }
    if (dice.chance(15)) {
      add({.act = Act::Yield, .lock = dice.between(1, 20)});
      continue;
    }
    if (!held.empty() && (held.size() == 3 || dice.chance(35))) {
      const int which = dice.chance(70) ? static_cast<int>(held.size()) - 1
                                        : dice.below(static_cast<int>(held.size()));
      add({.act = Act::Unlock, .lock = held[which].lock, .of = held[which].action});
      held.erase(held.begin() + which);
      continue;
    }
    int lock = dice.below(lock_count);
    if (ordered && !held.empty()) {
      int highest = 0;
      for (const Held& one : held) highest = std::max(highest, one.lock);
      if (highest + 1 >= lock_count) continue;
      lock = dice.between(highest + 1, lock_count - 1);
    }
    if (plan.locks[lock] == LockKind::Condition) {
      add({.act = dice.chance(60) ? Act::Announce : Act::Await, .lock = lock});
      continue;
    }
    const bool shared = plan.locks[lock] == LockKind::RwLock && dice.chance(60);
    const How how = dice.chance(12)                                        ? How::Try
                    : dice.chance(8) && plan.locks[lock] != LockKind::Spin ? How::Timed
                                                                           : How::Blocking;
    if (!is_allowed(held, plan.locks[lock], lock, shared, dice)) continue;
    const int at = add({.act = Act::Lock, .how = how, .shared = shared, .lock = lock});
    held.push_back({lock, at, shared, how == How::Blocking});
    // Give the others time to take something too: without this a run of a few microseconds
    // would hardly ever hang.
    if (held.size() == 1 && dice.chance(60))
      add({.act = Act::Yield, .lock = dice.between(20, 200)});
  }
  while (!held.empty()) {
    if (dice.chance(3)) return actions;  // ends with locks held
    add({.act = Act::Unlock, .lock = held.back().lock, .of = held.back().action});
    held.pop_back();
  }
  return actions;
}

}  // namespace

Plan make_plan(uint64_t seed) {
  Dice dice(seed);
  Plan plan;
  plan.seed = seed;
  plan.two_processes = dice.chance(25);
  const int threads = dice.between(2, kMaxThreads);
  const int locks = dice.between(2, kMaxLocks);
  const bool conditions = dice.chance(30);
  for (int i = 0; i < locks; ++i) {
    const int roll = dice.below(100);
    plan.locks.push_back(roll < 40                  ? LockKind::Mutex
                         : roll < 50                ? LockKind::Recursive
                         : roll < 70                ? LockKind::RwLock
                         : roll < 82                ? LockKind::Semaphore
                         : roll < 90 || !conditions ? LockKind::Spin
                                                    : LockKind::Condition);
  }
  for (int i = 0; i < threads; ++i) {
    plan.process_of.push_back(plan.two_processes ? i % kProcesses : 0);
    plan.joiner.push_back(-1);
  }
  for (int i = 0; i < threads; ++i) {
    if (!dice.chance(25)) continue;
    const int by = dice.below(threads);
    if (plan.process_of[by] != plan.process_of[i]) continue;
    // A ring of joins would be joined by no main thread, and so not keep the program from its end.
    int last = by;
    while (last != i && plan.joiner[last] >= 0) last = plan.joiner[last];
    if (last != i) plan.joiner[i] = by;
  }
  const bool ordered = dice.chance(40);  // takes locks in one order: hangs only by other means
  for (int i = 0; i < threads; ++i) plan.actions.push_back(make_actions(plan, i, dice, ordered));
  return plan;
}

}  // namespace generated
