// SPDX-License-Identifier: Apache-2.0
// A graph that stays free of circles: the lock order seen so far. Not meant for direct use.
//
// Nodes keep a topological order. An edge that agrees with it costs a look-up; one that does not
// makes only the nodes between its ends move (Pearce and Kelly, "A dynamic topological sort
// algorithm for directed acyclic graphs", 2006). An edge that would close a circle is refused, and
// the way back is returned. Not thread-safe: the owner locks.
#ifndef GORDIAN_ORDER_GRAPH_H
#define GORDIAN_ORDER_GRAPH_H

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace gordian::detail {

// Evidence is what is kept about an edge: where it was first seen.
template <typename Evidence>
class order_graph {
 public:
  using id = std::uint32_t;

  struct step {
    id from;
    id to;
    const Evidence* evidence;
  };

  // Empty: the edge is there (now or before). Else the path to -> ... -> from that forbids it.
  std::vector<step> add(id from, id to, const Evidence& evidence) {
    if (from == to) return {step{from, to, nullptr}};
    node& source = find(from);
    node& target = find(to);
    if (source.out.count(to) != 0) return {};
    if (target.rank < source.rank) {
      const std::uint64_t low = target.rank;
      const std::uint64_t high = source.rank;
      std::unordered_map<id, id> reached_from;
      std::vector<id> forward = reach(
          to, &node::next, [&](const node& n) { return n.rank <= high; }, reached_from);
      if (reached_from.count(from) != 0) return path(to, from, reached_from);
      std::unordered_map<id, id> ignored;
      std::vector<id> backward = reach(
          from, &node::in, [&](const node& n) { return n.rank >= low; }, ignored);
      reorder(backward, forward);
    }
    source.out.emplace(to, evidence);
    source.next.insert(to);
    target.in.insert(from);
    return {};
  }

  bool has_edge(id from, id to) const {
    const auto found = nodes_.find(from);
    return found != nodes_.end() && found->second.out.count(to) != 0;
  }

  // The lock is gone, and with it every order that led over it.
  void remove(id which) {
    const auto found = nodes_.find(which);
    if (found == nodes_.end()) return;
    for (id other : found->second.next) nodes_.at(other).in.erase(which);
    for (id other : found->second.in) {
      nodes_.at(other).out.erase(which);
      nodes_.at(other).next.erase(which);
    }
    nodes_.erase(found);
  }

  void clear() { nodes_.clear(); }
  std::size_t size() const { return nodes_.size(); }

 private:
  struct node {
    std::uint64_t rank = 0;
    std::unordered_map<id, Evidence> out;
    std::unordered_set<id> next;  // the keys of `out`
    std::unordered_set<id> in;
  };

  node& find(id which) {
    const auto [place, added] = nodes_.try_emplace(which);
    if (added) place->second.rank = ++last_rank_;
    return place->second;
  }

  template <typename Within>
  std::vector<id> reach(id start, std::unordered_set<id> node::*edges, Within within,
                        std::unordered_map<id, id>& reached_from) {
    std::vector<id> found{start};
    reached_from.emplace(start, start);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const id here = found[i];
      for (id other : nodes_.at(here).*edges) {
        if (within(nodes_.at(other)) && reached_from.emplace(other, here).second) {
          found.push_back(other);
        }
      }
    }
    return found;
  }

  std::vector<step> path(id start, id end, const std::unordered_map<id, id>& reached_from) {
    std::vector<step> steps;
    for (id here = end; here != start;) {
      const id before = reached_from.at(here);
      steps.push_back({before, here, &nodes_.at(before).out.at(here)});
      here = before;
    }
    std::reverse(steps.begin(), steps.end());
    return steps;
  }

  // What leads to the new edge's source goes before what its target leads to, on the same ranks.
  void reorder(std::vector<id>& backward, std::vector<id>& forward) {
    const auto by_rank = [this](id a, id b) { return nodes_.at(a).rank < nodes_.at(b).rank; };
    std::sort(backward.begin(), backward.end(), by_rank);
    std::sort(forward.begin(), forward.end(), by_rank);
    std::vector<id> order = std::move(backward);
    order.insert(order.end(), forward.begin(), forward.end());
    std::vector<std::uint64_t> ranks;
    ranks.reserve(order.size());
    for (id which : order) ranks.push_back(nodes_.at(which).rank);
    std::sort(ranks.begin(), ranks.end());
    for (std::size_t i = 0; i < order.size(); ++i) nodes_.at(order[i]).rank = ranks[i];
  }

  std::unordered_map<id, node> nodes_;
  std::uint64_t last_rank_ = 0;
};

}  // namespace gordian::detail

#endif
