// SPDX-License-Identifier: Apache-2.0
#include "trace/lock_rules.h"

#include <algorithm>

namespace gordian::trace {

using model::Mode;

std::vector<LockRules::Reader>* LockRules::find_readers(const Lock& lock) {
  return lock.readers == kNobody ? nullptr : &readers_[lock.readers];
}

LockRules::Reader* LockRules::find_reader(const Lock& lock, uint32_t thread) {
  std::vector<Reader>* const readers = find_readers(lock);
  if (readers == nullptr) return nullptr;
  for (Reader& reader : *readers)
    if (reader.thread == thread) return &reader;
  return nullptr;
}

LockStep LockRules::acquire_slowly(uint32_t thread, Lock& lock, Mode mode) {
  Reader* const own = find_reader(lock, thread);
  if (lock.owner != kNobody && lock.owner != thread) return LockStep::Illegal;
  if (mode == Mode::Exclusive) {
    if (lock.owner == thread) {
      ++lock.depth;
      return LockStep::Again;
    }
    const std::vector<Reader>* const readers = find_readers(lock);
    const size_t others = readers == nullptr ? 0 : readers->size() - (own != nullptr ? 1 : 0);
    if (others > 0) return LockStep::Illegal;
    lock.owner = thread;
    lock.depth = 1;
    return own != nullptr ? LockStep::Upgrade : LockStep::Changes;
  }
  if (own != nullptr) {
    ++own->depth;
    return LockStep::Again;
  }
  if (lock.readers == kNobody) {
    lock.readers = static_cast<uint32_t>(readers_.size());
    readers_.emplace_back();
  }
  readers_[lock.readers].push_back({thread, 1});
  return lock.owner == thread ? LockStep::Again : LockStep::Changes;
}

LockStep LockRules::release_slowly(uint32_t thread, Lock& lock, Mode mode) {
  Reader* const own = find_reader(lock, thread);
  const bool owns = lock.owner == thread;
  if (!owns && own == nullptr) return LockStep::Illegal;
  const bool gives_back_exclusive = owns && (mode == Mode::Exclusive || own == nullptr);
  if (gives_back_exclusive) {
    if (--lock.depth > 0) return LockStep::Again;
    lock.owner = kNobody;
    return own == nullptr ? LockStep::Changes : LockStep::Downgrade;
  }
  if (--own->depth > 0) return LockStep::Again;
  std::vector<Reader>& readers = readers_[lock.readers];
  *own = readers.back();
  readers.pop_back();
  return owns ? LockStep::Again : LockStep::Changes;
}

bool LockRules::give_up(uint32_t thread, uint32_t lock) {
  Lock& state = at(lock);
  if (state.owner != thread || find_reader(state, thread) != nullptr) return false;
  given_up_[static_cast<uint64_t>(thread) << 32 | lock] = state.depth;
  state.owner = kNobody;
  return true;
}

uint32_t LockRules::holder(uint32_t lock) const {
  if (lock >= locks_.size()) return kNobody;
  const Lock& state = locks_[lock];
  if (state.owner != kNobody) return state.owner;
  if (state.readers == kNobody || readers_[state.readers].empty()) return kNobody;
  return readers_[state.readers].front().thread;
}

}  // namespace gordian::trace
