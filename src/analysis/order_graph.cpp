// SPDX-License-Identifier: Apache-2.0
#include "analysis/order_graph.h"

#include "model/lock_pattern.h"

#include <algorithm>
#include <deque>

namespace gordian::analysis {

uint32_t OrderGraph::node(const std::string& name) {
  const auto [it, is_new] = nodes_.try_emplace(name, static_cast<uint32_t>(names_.size()));
  if (is_new) {
    names_.push_back(name);
    edges_.emplace_back();
  }
  return it->second;
}

void OrderGraph::add(uint32_t from, uint32_t to, size_t line) {
  if (lines_.try_emplace({from, to}, line).second) edges_[from].push_back(to);
}

void OrderGraph::add(const std::vector<model::OrderRule>& rules) {
  for (const model::OrderRule& rule : rules)
    for (const std::string& side : {rule.before, rule.after})
      if (!model::is_wildcard(side)) node(model::name_of_pattern(side));

  const auto matches = [this](const std::string& pattern) {
    std::vector<uint32_t> nodes;
    if (!model::is_wildcard(pattern)) {
      nodes.push_back(nodes_.at(model::name_of_pattern(pattern)));
      return nodes;
    }
    for (uint32_t i = 0; i < names_.size(); ++i)
      if (model::pattern_matches(pattern, names_[i])) nodes.push_back(i);
    return nodes;
  };
  for (const model::OrderRule& rule : rules) {
    const std::vector<uint32_t> before = matches(rule.before);
    const std::vector<uint32_t> after = matches(rule.after);
    const bool is_plain = !model::is_wildcard(rule.before) && !model::is_wildcard(rule.after);
    std::vector<char> is_before(names_.size());
    std::vector<char> is_after(names_.size());
    for (const uint32_t node : before) is_before[node] = 1;
    for (const uint32_t node : after) is_after[node] = 1;
    for (const uint32_t from : before)
      for (const uint32_t to : after)
        if (is_plain || (from != to && (is_after[from] == 0 || is_before[to] == 0)))
          add(from, to, rule.line);
  }
}

std::vector<uint32_t> OrderGraph::way(uint32_t from, uint32_t to,
                                      std::optional<std::pair<uint32_t, uint32_t>> without) const {
  constexpr uint32_t kUnseen = UINT32_MAX;
  std::vector<uint32_t> came_from(names_.size(), kUnseen);
  std::deque<uint32_t> next{from};
  while (!next.empty()) {
    const uint32_t at = next.front();
    next.pop_front();
    for (const uint32_t neighbour : edges_[at]) {
      if (came_from[neighbour] != kUnseen || neighbour == at) continue;
      if (without && *without == std::pair(at, neighbour)) continue;
      came_from[neighbour] = at;
      if (neighbour == to) {
        std::vector<uint32_t> nodes{to};
        for (uint32_t back = at;; back = came_from[back]) {
          nodes.push_back(back);
          if (back == from) break;
        }
        std::reverse(nodes.begin(), nodes.end());
        return nodes;
      }
      if (neighbour != from) next.push_back(neighbour);
    }
  }
  return {};
}

}  // namespace gordian::analysis
