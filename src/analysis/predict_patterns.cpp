// SPDX-License-Identifier: Apache-2.0
#include "analysis/predict_patterns.h"

#include "analysis/components.h"

#include <algorithm>
#include <numeric>

namespace gordian::analysis {

using model::Mode;

PatternSearch::PatternSearch(const TraceIndex& index, uint64_t max_work)
    : index_(index), max_work_(max_work) {
  build_nodes();
  build_resources();
}

void PatternSearch::build_nodes() {
  for (const TraceRequest& request : index_.requests()) {
    Node node;
    node.thread = request.thread;
    node.wanted = request.is_join ? index_.lock_count() + request.wanted : request.wanted;
    node.shared = request.mode == Mode::Shared && !request.is_join;
    for (uint32_t cell = request.held; cell != 0; cell = index_.held(cell).outer)
      node.held.push_back({index_.held(cell).lock, index_.held(cell).mode == Mode::Shared});
    nodes_.push_back(std::move(node));
  }
  std::vector<char> is_read(index_.lock_count());
  for (const Node& node : nodes_)
    if (node.shared) is_read[node.wanted] = 1;
  writers_.resize(index_.lock_count());
  for (uint32_t id = 0; id < nodes_.size(); ++id) {
    const Node& node = nodes_[id];
    if (!node.shared && node.wanted < is_read.size() && is_read[node.wanted] != 0)
      writers_[node.wanted].push_back(id);
  }
}

// Keeps what is in a strong component of the graph "who wants this may have to wait for that".
void PatternSearch::build_resources() {
  const size_t count = index_.lock_count() + index_.threads().size();
  std::vector<char> is_joined(index_.threads().size());
  for (const Node& node : nodes_)
    if (node.wanted >= index_.lock_count()) is_joined[node.wanted - index_.lock_count()] = 1;

  const auto for_each_had = [&](const Node& node, const auto& visit) {
    for (const HeldLock& held : node.held) visit(held.lock);
    if (is_joined[node.thread] != 0) visit(index_.lock_count() + node.thread);
  };
  Adjacency graph(count);
  for (const Node& node : nodes_)
    for_each_had(node, [&](uint32_t had) { graph[had].push_back(node.wanted); });
  for (std::vector<uint32_t>& next : graph) {
    std::sort(next.begin(), next.end());
    next.erase(std::unique(next.begin(), next.end()), next.end());
  }
  std::vector<uint32_t> roots(count);
  std::iota(roots.begin(), roots.end(), 0U);
  std::vector<uint32_t> component(count);
  uint32_t number = 0;
  for (const auto& members : strong_components(graph, roots, std::vector<char>(count, 1))) {
    ++number;
    if (members.size() < 2) continue;
    for (const uint32_t member : members) component[member] = number;
  }

  providers_.resize(count);
  before_.resize(count);
  for (uint32_t id = 0; id < nodes_.size(); ++id) {
    Node& node = nodes_[id];
    const uint32_t own = component[node.wanted];
    if (own == 0) continue;
    for_each_had(node, [&](uint32_t had) {
      if (component[had] != own) return;
      node.alive = true;
      providers_[had].push_back(id);
      before_[node.wanted].push_back(had);
    });
  }
  for (std::vector<uint32_t>& list : before_) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
  distance_.resize(count, kFar);
  thread_used_.resize(index_.threads().size());
  wanted_used_.resize(count);
  held_.resize(index_.lock_count());
}

// How many more requests it takes at least from each resource until `start` is asked for what it
// has.
bool PatternSearch::measure(const Node& start) {
  for (const uint32_t resource : measured_) distance_[resource] = kFar;
  measured_.clear();
  const auto reach = [&](uint32_t resource, uint32_t distance) {
    if (distance_[resource] <= distance) return;
    distance_[resource] = distance;
    measured_.push_back(resource);
  };
  for (const HeldLock& held : start.held) reach(held.lock, 0);
  reach(index_.lock_count() + start.thread, 0);
  for (size_t i = 0; i < measured_.size(); ++i) {
    const uint32_t resource = measured_[i];
    work_ += before_[resource].size() + 1;
    if (work_ > max_work_) return false;
    for (const uint32_t had : before_[resource]) reach(had, distance_[resource] + 1);
  }
  return distance_[start.wanted] < kFar;
}

bool PatternSearch::provides(const Node& node, const Node& asker) const {
  if (asker.wanted >= index_.lock_count()) return node.thread == asker.wanted - index_.lock_count();
  return std::any_of(node.held.begin(), node.held.end(), [&](const HeldLock& held) {
    return held.lock == asker.wanted &&
           !(held.shared && asker.shared && writers_[held.lock].empty());
  });
}

bool PatternSearch::fits(const Node& node) const {
  if (thread_used_[node.thread] != 0 || wanted_used_[node.wanted] != 0) return false;
  return std::none_of(node.held.begin(), node.held.end(), [&](const HeldLock& held) {
    const Use& use = held_[held.lock];
    return use.exclusive > 0 || (use.shared > 0 && !held.shared);
  });
}

void PatternSearch::enter(uint32_t id, int by) {
  const Node& node = nodes_[id];
  thread_used_[node.thread] = by > 0 ? 1 : 0;
  wanted_used_[node.wanted] = by > 0 ? 1 : 0;
  for (const HeldLock& held : node.held) {
    uint32_t& count = held.shared ? held_[held.lock].shared : held_[held.lock].exclusive;
    count += static_cast<uint32_t>(by);
  }
  if (by > 0) {
    path_.push_back(id);
  } else {
    path_.pop_back();
  }
}

// Depth first, without recursion: a circle may have a thousand members.
void PatternSearch::circles_from(uint32_t start, uint32_t length, const Visit& visit) {
  std::vector<size_t> next = {0};
  enter(start, 1);
  while (!next.empty()) {
    const Node& top = nodes_[path_.back()];
    const std::vector<uint32_t>& candidates = providers(top);
    if (next.back() == 0) {
      // Only later requests than the start: each circle is found once.
      next.back() = static_cast<size_t>(
          std::upper_bound(candidates.begin(), candidates.end(), start) - candidates.begin());
    }
    bool went_on = false;
    while (!stopped_ && next.back() < candidates.size() && path_.size() < length) {
      if (++work_ > max_work_) {
        was_cut_ = stopped_ = true;
        break;
      }
      const uint32_t id = candidates[next.back()++];
      const Node& node = nodes_[id];
      if (!fits(node) || !provides(node, top)) continue;
      const uint32_t shortest = static_cast<uint32_t>(path_.size()) + 1 + distance_[node.wanted];
      if (shortest > length) {
        if (shortest < kFar) next_length_ = std::min(next_length_, shortest);
        continue;
      }
      if (provides(nodes_[start], node)) {
        if (path_.size() + 1 != length) continue;
        path_.push_back(id);
        stopped_ = stopped_ || !visit(path_);
        path_.pop_back();
        continue;
      }
      if (path_.size() + 1 == length) {
        next_length_ = std::min(next_length_, length + 1);
        continue;
      }
      enter(id, 1);
      next.push_back(0);
      went_on = true;
      break;
    }
    if (went_on) continue;
    next.pop_back();
    enter(path_.back(), -1);
  }
}

void PatternSearch::run(const Visit& visit) {
  for (uint32_t length = 2; length < kFar && !stopped_; length = next_length_) {
    next_length_ = kFar;
    for (uint32_t start = 0; start < nodes_.size() && !stopped_ && work_ <= max_work_; ++start) {
      if (!nodes_[start].alive || !measure(nodes_[start])) continue;
      const uint32_t shortest = 1 + distance_[nodes_[start].wanted];
      if (shortest > length) {
        next_length_ = std::min(next_length_, shortest);
        continue;
      }
      circles_from(start, length, visit);
    }
    if (work_ > max_work_) was_cut_ = stopped_ = true;
  }
}

}  // namespace gordian::analysis
