// SPDX-License-Identifier: Apache-2.0
#include "analysis/lock_cycles.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace gordian::analysis {

namespace {

constexpr uint32_t kNoWay = std::numeric_limits<uint32_t>::max();

class Search {
 public:
  Search(const Adjacency& graph, const CycleLimits& limits,
         const std::function<bool(const std::vector<uint32_t>&)>& visit)
      : graph_(graph), limits_(limits), visit_(visit), on_path_(graph.size(), 0) {}

  bool run() {
    split();
    size_t longest = 0;
    for (const auto& component : components_) longest = std::max(longest, component.size());
    for (size_t length = 2; length <= std::min(longest, limits_.max_length); ++length) {
      for (Start& start : starts_) {
        if (start.done || length < start.shortest) continue;
        if (!search_from(start, static_cast<uint32_t>(length))) return false;
      }
      starts_.erase(std::remove_if(starts_.begin(), starts_.end(),
                                   [](const Start& start) { return start.done; }),
                    starts_.end());
    }
    return starts_.empty() || longest <= limits_.max_length;
  }

 private:
  struct Start {
    uint32_t node;
    uint32_t shortest = 2;  // no cycle from here is shorter
    bool done = false;      // no cycle from here is longer than those seen
  };

  // Only edges inside a strong component can be on a cycle.
  void split() {
    std::vector<uint32_t> all(graph_.size());
    std::iota(all.begin(), all.end(), 0U);
    components_ = strong_components(graph_, all, std::vector<char>(graph_.size(), 1));
    component_of_.resize(graph_.size());
    for (uint32_t i = 0; i < components_.size(); ++i) {
      for (const uint32_t node : components_[i]) component_of_[node] = i;
      if (components_[i].size() < 2) continue;
      for (const uint32_t node : components_[i]) starts_.push_back({node});
    }
    forward_.resize(graph_.size());
    backward_.resize(graph_.size());
    for (const auto& component : components_) {
      if (component.size() < 2) continue;
      for (const uint32_t node : component) {
        for (const uint32_t next : graph_[node]) {
          if (next == node || component_of_[next] != component_of_[node]) continue;
          forward_[node].push_back(next);
        }
        std::sort(forward_[node].begin(), forward_[node].end());
        forward_[node].erase(std::unique(forward_[node].begin(), forward_[node].end()),
                             forward_[node].end());
        for (const uint32_t next : forward_[node]) backward_[next].push_back(node);
      }
    }
    distance_.assign(graph_.size(), kNoWay);
    std::sort(starts_.begin(), starts_.end(),
              [](const Start& a, const Start& b) { return a.node < b.node; });
  }

  // Steps from each node back to `start`, through larger nodes only.
  bool measure(uint32_t start) {
    for (const uint32_t node : components_[component_of_[start]]) distance_[node] = kNoWay;
    distance_[start] = 0;
    std::vector<uint32_t> work{start};
    for (size_t i = 0; i < work.size(); ++i) {
      if (++steps_ > limits_.max_steps) return false;
      for (const uint32_t before : backward_[work[i]]) {
        if (before < start || distance_[before] != kNoWay) continue;
        distance_[before] = distance_[work[i]] + 1;
        work.push_back(before);
      }
    }
    return true;
  }

  bool search_from(Start& start, uint32_t length) {
    if (!measure(start.node)) return false;
    uint32_t shortest = kNoWay;
    for (const uint32_t next : forward_[start.node]) {
      if (next > start.node && distance_[next] != kNoWay) {
        shortest = std::min(shortest, distance_[next] + 1);
      }
    }
    start.shortest = shortest;
    if (shortest == kNoWay) start.done = true;
    if (length < shortest) return true;

    bool cut = false;  // a branch ended for its length alone
    std::vector<uint32_t> path{start.node};
    std::vector<size_t> at{0};
    on_path_[start.node] = 1;
    bool go_on = true;
    while (!path.empty() && go_on) {
      const uint32_t node = path.back();
      if (at.back() == forward_[node].size()) {
        on_path_[node] = 0;
        path.pop_back();
        at.pop_back();
        continue;
      }
      const uint32_t next = forward_[node][at.back()++];
      if (++steps_ > limits_.max_steps) go_on = false;
      if (next == start.node) {
        if (path.size() == length) go_on = go_on && found(path);
        continue;
      }
      if (next < start.node || on_path_[next] || distance_[next] == kNoWay) continue;
      if (path.size() + distance_[next] > length) {
        cut = true;
        continue;
      }
      on_path_[next] = 1;
      path.push_back(next);
      at.push_back(0);
    }
    for (const uint32_t node : path) on_path_[node] = 0;
    if (!cut) start.done = true;
    return go_on;
  }

  bool found(const std::vector<uint32_t>& path) {
    if (++cycles_ > limits_.max_cycles) return false;
    return visit_(path);
  }

  const Adjacency& graph_;
  const CycleLimits& limits_;
  const std::function<bool(const std::vector<uint32_t>&)>& visit_;
  std::vector<std::vector<uint32_t>> components_;
  std::vector<uint32_t> component_of_;
  Adjacency forward_, backward_;
  std::vector<Start> starts_;
  std::vector<uint32_t> distance_;
  std::vector<char> on_path_;
  size_t steps_ = 0;
  size_t cycles_ = 0;
};

}  // namespace

bool for_each_cycle(const Adjacency& graph, const CycleLimits& limits,
                    const std::function<bool(const std::vector<uint32_t>&)>& visit) {
  return Search(graph, limits, visit).run();
}

}  // namespace gordian::analysis
