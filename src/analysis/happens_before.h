// SPDX-License-Identifier: Apache-2.0
// Did one event of a history certainly come before another: thread starts, joins, signals,
// barriers.
#pragma once

#include "model/finding.h"
#include "model/history.h"

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace gordian::analysis {

class HappensBefore {
 public:
  // Posts of a semaphore order nothing where it is used as a lock: the next run may take it the
  // other way round. Such a pattern is judged without them.
  explicit HappensBefore(const model::History& history, bool with_semaphores = true);

  // Why everything `from` did in its segment came before everything `to` did in its segment, or
  // None. The way is described by its strongest step: join, then start, barrier, signal.
  //
  // The first question about a segment walks the whole order once, later ones are a look-up.
  model::ReasonCode order(model::ThreadId from, uint32_t from_segment, model::ThreadId to,
                          uint32_t to_segment);

 private:
  struct Edge {
    uint32_t from_segment, to, to_segment;
    uint8_t way;  // bit 1 << rank of the reason
  };
  struct Reached {
    std::vector<uint32_t> segment;  // by thread: first segment known to come later
    std::vector<uint8_t> way;
  };
  const Reached& reach(uint32_t thread, uint32_t segment);

  std::vector<std::vector<Edge>> edges_;  // by source thread
  std::map<std::pair<uint32_t, uint32_t>, Reached> known_;
};

}  // namespace gordian::analysis
