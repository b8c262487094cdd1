// SPDX-License-Identifier: Apache-2.0
#include "oracle.h"

namespace generated {
namespace {

bool exists(const ActorState& actor) { return actor.started != 0; }

bool will_announce(const Plan& plan, const State& state, int actor, int condition) {
  if (actor >= static_cast<int>(plan.actions.size()) || state.actors[actor].finished != 0)
    return false;
  const auto& actions = plan.actions[actor];
  for (size_t i = state.actors[actor].position; i < actions.size(); ++i) {
    if (actions[i].act == Act::Announce && actions[i].lock == condition) return true;
  }
  return false;
}

// Whether `actor` could go on if exactly `free` could run.
bool can_go_on(const Plan& plan, const State& state, int actor, const std::set<int>& free,
               bool by_ownership) {
  const ActorState& self = state.actors[actor];
  if (self.finished != 0) return false;  // it is gone, and helps nobody
  const auto want = static_cast<Want>(self.want.load());
  if (want == Want::Nothing) return true;
  int object = self.object;

  if (want == Want::Join) return state.actors[object].finished != 0 || free.count(object) != 0;

  if (want == Want::Condition) {
    if (state.announced[object] == 0) {
      for (const int other : free) {
        if (by_ownership || will_announce(plan, state, other, object)) return true;
      }
      return false;
    }
    object += kMaxLocks;  // it was announced: now its mutex is wanted
  }
  const bool is_semaphore = object < kMaxLocks && plan.locks[object] == LockKind::Semaphore;
  if (is_semaphore && by_ownership && !free.empty()) return true;
  const bool is_recursive = object < kMaxLocks && plan.locks[object] == LockKind::Recursive;
  for (int other = 0; other < kActors; ++other) {
    if (!exists(state.actors[other])) continue;
    if (other == actor && is_recursive) continue;
    const bool excludes =
        state.actors[other].exclusive[object] != 0 ||
        (want != Want::SharedLock && object < kMaxLocks && state.actors[other].shared[object] != 0);
    if (excludes && free.count(other) == 0) return false;
  }
  return true;
}

std::set<int> solve(const Plan& plan, const State& state, bool by_ownership) {
  std::set<int> free;
  for (bool grew = true; grew;) {
    grew = false;
    for (int actor = 0; actor < kActors; ++actor) {
      if (!exists(state.actors[actor]) || free.count(actor) != 0) continue;
      if (!can_go_on(plan, state, actor, free, by_ownership)) continue;
      free.insert(actor);
      grew = true;
    }
  }
  std::set<int> stuck;
  for (int actor = 0; actor < kActors; ++actor) {
    const ActorState& one = state.actors[actor];
    if (exists(one) && one.finished == 0 && free.count(actor) == 0) stuck.insert(actor);
  }
  return stuck;
}

}  // namespace

std::set<int> find_stuck(const Plan& plan, const State& state) { return solve(plan, state, false); }

std::set<int> find_stuck_by_ownership(const Plan& plan, const State& state) {
  return solve(plan, state, true);
}

}  // namespace generated
