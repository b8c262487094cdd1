// SPDX-License-Identifier: Apache-2.0
// A history as a graph of "holding this, a thread asked for that".
//
// Nodes are resources, and classes of threads: who joins a thread waits for all it (or a sibling)
// still asks for. A step is one edge at one place in the program: same locks, sites and modes. Its
// requests are the threads that took it.
#pragma once

#include "analysis/components.h"
#include "model/history.h"

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

namespace gordian::analysis {

struct Request {
  uint32_t thread = 0;
  std::optional<uint32_t> segment;      // unknown: ordered with nothing
  const model::Chain* chain = nullptr;  // where it was logged; null: known from a signal only
  model::ResourceId wanted{};
  model::Mode mode = model::Mode::Exclusive;
  uint64_t site = 0;
  bool gives_up = false;    // a try, or timed
  bool for_signal = false;  // of a signaller, for a lock it holds when it signals
  model::Publication publication = model::Publication::Published;
  std::optional<uint32_t> joined;
  std::vector<model::ChainHold>
      held;  // outermost first, without the mutex a condition wait releases
};

struct Step {
  uint32_t from = 0, to = 0;  // nodes
  int held_at = -1;           // index of `from` in held; -1: it is not a lock (see find_hazards.h)
  std::vector<uint32_t> requests;  // one for each thread and segment
};

class HazardGraph {
 public:
  HazardGraph(const model::History& history, const std::vector<uint64_t>& trampolines);

  [[nodiscard]] const std::vector<Request>& requests() const { return requests_; }
  [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }
  // The steps of an edge; empty if there is none.
  [[nodiscard]] const std::vector<uint32_t>& steps_between(uint32_t from, uint32_t to) const;
  [[nodiscard]] const Adjacency& edges() const { return edges_; }

  [[nodiscard]] bool is_thread(uint32_t node) const { return node >= history_.resources.size(); }
  [[nodiscard]] const model::Resource& resource(uint32_t node) const {
    return history_.resources[node];
  }

  // Every way in which a condition or semaphore was seen to be signalled.
  using Signals = std::vector<const model::Signal*>;
  [[nodiscard]] const Signals& signals_of(uint32_t node) const;

 private:
  void find_siblings(const std::vector<uint64_t>& trampolines);
  void add_chains();
  void add_holds_as_requests(uint32_t request);
  void add_signallers();
  void add_requests_before_signals();
  [[nodiscard]] bool is_used_as_lock(uint32_t object) const;
  void add_barriers();
  void add_step(uint32_t from, int held_at, uint32_t request);
  [[nodiscard]] uint32_t wanted_node(const Request& request) const;
  [[nodiscard]] uint32_t class_node(uint32_t thread) const;

  const model::History& history_;
  std::vector<uint32_t> class_of_;  // by thread: the smallest sibling
  std::vector<char> class_is_joined_;
  std::map<uint32_t, Signals> signals_;  // by object
  std::vector<Request> requests_;
  std::vector<Step> steps_;
  std::map<std::pair<uint32_t, uint32_t>, std::vector<uint32_t>> between_;
  using StepKey = std::tuple<uint32_t, uint32_t, std::vector<uint64_t>>;
  std::map<StepKey, uint32_t> step_at_;
  Adjacency edges_;
};

}  // namespace gordian::analysis
