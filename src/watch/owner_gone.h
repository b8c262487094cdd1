// SPDX-License-Identifier: Apache-2.0
// Whether the owner of a lock exists no longer, so that nobody will ever release it.
#pragma once

#include "format/board.h"
#include "watch/watched_process.h"

#include <cstdint>
#include <map>
#include <utility>

namespace gordian::watch {

// `owner` is the tid that the lock of this process names. A lock that processes share may name a
// thread of another pid namespace, where the number says nothing to us: that one has not gone.
bool owner_has_gone(WatchedProcess& process, uint32_t owner, bool shared);

// How often locks of one process are still held by threads that ended with them.
class LeftLocks {
 public:
  explicit LeftLocks(trace::BoardReader& board);

  // Whether all the holders that the object counts are such threads. What no card shows may be held
  // by a thread that has none, or lost the record: then never.
  [[nodiscard]] bool are_all(format::Kind kind, uint64_t address, uint32_t holders) const;

 private:
  bool trustworthy_;
  std::map<std::pair<format::Kind, uint64_t>, uint32_t> left_;
};

}  // namespace gordian::watch
