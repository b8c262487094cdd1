// SPDX-License-Identifier: Apache-2.0
// Which waits have been told of in a finding, so that none is told twice. A stall that turns out to
// be a deadlock is told once more.
#pragma once

#include "model/finding.h"
#include "model/snapshot.h"

#include <cstdint>
#include <map>
#include <tuple>

namespace gordian::watch {

class ToldWaits {
 public:
  // Whether every thread of the knot has been told of with this very wait.
  [[nodiscard]] bool has_told(const model::Snapshot& snapshot, const model::Finding& finding) const;

  // Notes the finding as told; false: there was nothing new in it.
  bool tell(const model::Snapshot& snapshot, const model::Finding& finding);

 private:
  using Key = std::tuple<int, uint32_t, uint64_t>;  // pid, card uid, wait number
  static Key key_of(const model::Snapshot& snapshot, const model::FindingThread& thread);

  std::map<Key, bool> told_;  // -> as a deadlock
};

}  // namespace gordian::watch
