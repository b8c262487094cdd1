// SPDX-License-Identifier: Apache-2.0
// Can the steps of a cycle really be taken by different threads at the same time?
#pragma once

#include "analysis/happens_before.h"
#include "analysis/hazard_graph.h"
#include "model/finding.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace gordian::analysis {

struct Actor {
  uint32_t request = 0;
  uint32_t thread = 0;  // who would do it: the request's thread, or the joined one it stands for
};

struct Match {
  model::Verdict verdict = model::Verdict::Refuted;
  model::Reason reason;
  bool weak = false;
  std::vector<Actor> actors;  // one a step; with Refuted, an example of who took it
};

class HazardMatcher {
 public:
  HazardMatcher(const model::History& history, const HazardGraph& graph)
      : history_(history),
        graph_(graph),
        happens_before_(history),
        without_semaphores_(history, false) {}

  // `steps` is a cycle: each asks for what the next one holds. Empty if the tries were used up.
  std::optional<Match> match(const std::vector<uint32_t>& steps);

 private:
  struct Attempt {
    const std::vector<uint32_t>& steps;
    size_t first = 0;  // position that is tried first: nobody joins its thread
    std::vector<Actor> actors;
    HappensBefore* happens_before = nullptr;
    size_t tries = 0;
    model::Reason order;  // the first order that stood in the way
  };

  [[nodiscard]] std::optional<model::Reason> refuted_by_locks(
      const std::vector<uint32_t>& steps) const;
  [[nodiscard]] std::optional<model::Reason> gate(const Step& a, const Step& b) const;
  bool assign(Attempt& attempt, size_t done);
  [[nodiscard]] std::optional<Actor> actor_for(const Attempt& attempt, size_t done,
                                               uint32_t request) const;
  bool fits(Attempt& attempt, size_t done, const Actor& actor);
  model::ReasonCode order_between(HappensBefore& happens_before, const Actor& a,
                                  const Actor& b) const;
  [[nodiscard]] std::optional<model::Reason> other_signaller(
      const std::vector<uint32_t>& steps, const std::vector<Actor>& actors) const;
  [[nodiscard]] bool uses_semaphore_as_lock(const std::vector<uint32_t>& steps) const;
  void grade(const std::vector<uint32_t>& steps, Match& match) const;

  [[nodiscard]] const Step& step(uint32_t index) const { return graph_.steps()[index]; }
  [[nodiscard]] const Request& request_of(const Step& step) const {
    return graph_.requests()[step.requests[0]];
  }
  [[nodiscard]] const Request& request_of(const Actor& actor) const {
    return graph_.requests()[actor.request];
  }

  const model::History& history_;
  const HazardGraph& graph_;
  HappensBefore happens_before_;
  HappensBefore without_semaphores_;
  size_t tries_left_ = 5'000'000;
};

}  // namespace gordian::analysis
