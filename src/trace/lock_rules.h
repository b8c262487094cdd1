// SPDX-License-Identifier: Apache-2.0
// Whether a trace takes and gives back its locks as locks can be taken and given back; and which of
// the events change who holds what.
#pragma once

#include "model/resource.h"

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace gordian::trace {

enum class LockStep : uint8_t {
  Changes,    // now held, or free again
  Again,      // re-entrant: changes nothing
  Upgrade,    // held shared by this thread alone, now exclusively
  Downgrade,  // was held exclusively, now shared
  Illegal,
};

class LockRules {
 public:
  LockStep acquire(uint32_t thread, uint32_t lock, model::Mode mode);
  LockStep release(uint32_t thread, uint32_t lock, model::Mode mode);

  // A wait whose monitor is still held gives it up as a whole; the next acquisition by this thread
  // brings it back as it was. Whether there was anything to give up.
  bool give_up(uint32_t thread, uint32_t lock);

  // Some thread that holds it, for messages; kNobody if nobody does.
  [[nodiscard]] uint32_t holder(uint32_t lock) const;
  static constexpr uint32_t kNobody = UINT32_MAX;

 private:
  struct Reader {
    uint32_t thread = 0;
    uint32_t depth = 0;
  };
  struct Lock {
    uint32_t owner = kNobody;
    uint32_t depth = 0;
    uint32_t readers = kNobody;  // index into readers_
  };

  Lock& at(uint32_t lock) {
    if (lock >= locks_.size()) locks_.resize(lock + 1 + lock / 2);
    return locks_[lock];
  }
  std::vector<Reader>* find_readers(const Lock& lock);
  Reader* find_reader(const Lock& lock, uint32_t thread);
  LockStep acquire_slowly(uint32_t thread, Lock& lock, model::Mode mode);
  LockStep release_slowly(uint32_t thread, Lock& lock, model::Mode mode);

  std::vector<Lock> locks_;
  std::vector<std::vector<Reader>> readers_;
  std::unordered_map<uint64_t, uint32_t> given_up_;  // (thread, lock) -> depth
};

inline LockStep LockRules::acquire(uint32_t thread, uint32_t lock, model::Mode mode) {
  Lock& state = at(lock);
  if (mode == model::Mode::Exclusive && state.owner == kNobody && state.readers == kNobody &&
      given_up_.empty()) [[likely]] {
    state.owner = thread;
    state.depth = 1;
    return LockStep::Changes;
  }
  if (!given_up_.empty() && mode == model::Mode::Exclusive && state.owner == kNobody) {
    const auto it = given_up_.find(static_cast<uint64_t>(thread) << 32 | lock);
    if (it != given_up_.end()) {
      const uint32_t depth = it->second;
      const LockStep step = acquire_slowly(thread, state, mode);
      if (step == LockStep::Changes) {
        state.depth = depth;
        given_up_.erase(it);
      }
      return step;
    }
  }
  return acquire_slowly(thread, state, mode);
}

inline LockStep LockRules::release(uint32_t thread, uint32_t lock, model::Mode mode) {
  Lock& state = at(lock);
  if (state.owner == thread && state.readers == kNobody) [[likely]] {
    if (--state.depth > 0) return LockStep::Again;
    state.owner = kNobody;
    return LockStep::Changes;
  }
  return release_slowly(thread, state, mode);
}

}  // namespace gordian::trace
