// SPDX-License-Identifier: Apache-2.0
// Abstract deadlock patterns: circles of requests of distinct threads for distinct resources, each
// wanting what the next one holds (or joining the next one's thread), with no lock that excludes
// two of them from being there at once.
//
// The graph of requests is never built: who holds a lock is looked up while a circle grows. Circles
// are found in the order of their length. There may be exponentially many, so the search is
// bounded, and says whether it was.
#pragma once

#include "analysis/predict_index.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace gordian::analysis {

class PatternSearch {
 public:
  // request[i] wants what request[i + 1] has; the last one what the first has.
  using Pattern = std::vector<uint32_t>;
  // False stops the search.
  using Visit = std::function<bool(const Pattern&)>;

  PatternSearch(const TraceIndex& index, uint64_t max_work);

  void run(const Visit& visit);
  [[nodiscard]] bool was_cut() const { return was_cut_; }
  [[nodiscard]] uint64_t work() const { return work_; }  // steps, against max_work

  // The requests that want a lock exclusively: a reader may have to queue behind one of them, and
  // then waits for the readers that hold the lock. Patterns may contain such steps.
  [[nodiscard]] const std::vector<uint32_t>& writers(uint32_t lock) const { return writers_[lock]; }

 private:
  struct HeldLock {
    uint32_t lock = 0;
    bool shared = false;
  };
  struct Node {
    std::vector<HeldLock> held;
    uint32_t wanted = 0;  // resource: a lock, or lock_count + a thread
    uint32_t thread = 0;
    bool shared = false;
    bool alive = false;
  };
  struct Use {
    uint32_t exclusive = 0;
    uint32_t shared = 0;
  };
  static constexpr uint32_t kFar = UINT32_MAX / 2;

  void build_nodes();
  void build_resources();
  [[nodiscard]] bool provides(const Node& node, const Node& asker) const;
  [[nodiscard]] const std::vector<uint32_t>& providers(const Node& asker) const {
    return providers_[asker.wanted];
  }
  bool measure(const Node& start);
  void circles_from(uint32_t start, uint32_t length, const Visit& visit);
  [[nodiscard]] bool fits(const Node& node) const;
  void enter(uint32_t node, int by);

  const TraceIndex& index_;
  uint64_t max_work_;
  uint64_t work_ = 0;
  bool was_cut_ = false;
  bool stopped_ = false;
  std::vector<Node> nodes_;
  std::vector<std::vector<uint32_t>> writers_;    // by lock, if it is ever held shared
  std::vector<std::vector<uint32_t>> providers_;  // by resource: requests that have it, by id
  std::vector<std::vector<uint32_t>> before_;     // by resource: from which ones one gets here
  std::vector<uint32_t> distance_;                // by resource: requests until the start has it
  std::vector<uint32_t> measured_;
  std::vector<char> thread_used_;
  std::vector<char> wanted_used_;
  std::vector<Use> held_;  // by lock, by those in the path
  Pattern path_;
  uint32_t next_length_ = kFar;
};

}  // namespace gordian::analysis
