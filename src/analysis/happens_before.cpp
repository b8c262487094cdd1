// SPDX-License-Identifier: Apache-2.0
#include "analysis/happens_before.h"

#include <limits>

namespace gordian::analysis {

using model::ReasonCode;
using model::ResourceKind;

namespace {

constexpr uint32_t kNever = std::numeric_limits<uint32_t>::max();
constexpr ReasonCode kReasons[] = {ReasonCode::OrderedByJoin, ReasonCode::OrderedByFork,
                                   ReasonCode::OrderedByBarrier, ReasonCode::OrderedBySignal};

uint8_t way_of(const model::History& history, const model::HappensBefore& edge) {
  if (edge.kind == ResourceKind::Barrier) return 1U << 2;
  if (edge.kind != ResourceKind::Thread) return 1U << 3;
  const model::HistoryThread& from = history.threads[static_cast<uint32_t>(edge.from)];
  const model::HistoryThread& to = history.threads[static_cast<uint32_t>(edge.to)];
  const bool is_start =
      from.process == to.process && to.parent_uid == from.uid && edge.to_segment <= 1;
  return is_start ? 1U << 1 : 1U << 0;
}

}  // namespace

HappensBefore::HappensBefore(const model::History& history, bool with_semaphores)
    : edges_(history.threads.size()) {
  for (const model::HappensBefore& edge : history.order) {
    if (edge.kind == ResourceKind::Semaphore && !with_semaphores) continue;
    edges_[static_cast<uint32_t>(edge.from)].push_back({edge.from_segment,
                                                        static_cast<uint32_t>(edge.to),
                                                        edge.to_segment, way_of(history, edge)});
  }
}

const HappensBefore::Reached& HappensBefore::reach(uint32_t thread, uint32_t segment) {
  const auto [place, is_new] = known_.try_emplace({thread, segment});
  Reached& reached = place->second;
  if (!is_new) return reached;
  reached.segment.assign(edges_.size(), kNever);
  reached.way.assign(edges_.size(), 0);
  reached.segment[thread] = segment;
  std::vector<uint32_t> work{thread};
  while (!work.empty()) {
    const uint32_t from = work.back();
    work.pop_back();
    for (const Edge& edge : edges_[from]) {
      if (reached.segment[from] > edge.from_segment) continue;
      if (edge.to_segment >= reached.segment[edge.to]) continue;
      reached.segment[edge.to] = edge.to_segment;
      reached.way[edge.to] = reached.way[from] | edge.way;
      work.push_back(edge.to);
    }
  }
  return reached;
}

ReasonCode HappensBefore::order(model::ThreadId from, uint32_t from_segment, model::ThreadId to,
                                uint32_t to_segment) {
  if (from == to) return ReasonCode::None;
  const Reached& reached = reach(static_cast<uint32_t>(from), from_segment);
  if (reached.segment[static_cast<uint32_t>(to)] > to_segment) return ReasonCode::None;
  const uint8_t way = reached.way[static_cast<uint32_t>(to)];
  for (unsigned rank = 0; rank < std::size(kReasons); ++rank) {
    if (way >> rank & 1) return kReasons[rank];
  }
  return ReasonCode::None;
}

}  // namespace gordian::analysis
