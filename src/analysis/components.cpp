// SPDX-License-Identifier: Apache-2.0
#include "analysis/components.h"

#include <algorithm>
#include <utility>

namespace gordian::analysis {

std::vector<std::vector<uint32_t>> strong_components(const Adjacency& graph,
                                                     const std::vector<uint32_t>& roots,
                                                     const std::vector<char>& allowed) {
  constexpr uint32_t kUnseen = 0;
  std::vector<uint32_t> index(graph.size(), kUnseen);
  std::vector<uint32_t> low(graph.size(), 0);
  std::vector<char> open(graph.size(), 0);
  std::vector<uint32_t> pending;                  // nodes whose component is not closed yet
  std::vector<std::pair<uint32_t, size_t>> path;  // node, next successor to look at
  std::vector<std::vector<uint32_t>> components;
  uint32_t last = 0;

  const auto enter = [&](uint32_t node) {
    index[node] = low[node] = ++last;
    open[node] = 1;
    pending.push_back(node);
    path.emplace_back(node, 0);
  };
  for (const uint32_t root : roots) {
    if (!allowed[root] || index[root] != kUnseen) continue;
    enter(root);
    while (!path.empty()) {
      const uint32_t node = path.back().first;
      if (path.back().second < graph[node].size()) {
        const uint32_t next = graph[node][path.back().second++];
        if (!allowed[next]) continue;
        if (index[next] == kUnseen) {
          enter(next);
        } else if (open[next]) {
          low[node] = std::min(low[node], index[next]);
        }
        continue;
      }
      path.pop_back();
      if (!path.empty()) low[path.back().first] = std::min(low[path.back().first], low[node]);
      if (low[node] != index[node]) continue;
      std::vector<uint32_t> component;
      uint32_t member;
      do {
        member = pending.back();
        pending.pop_back();
        open[member] = 0;
        component.push_back(member);
      } while (member != node);
      std::sort(component.begin(), component.end());
      components.push_back(std::move(component));
    }
  }
  return components;
}

}  // namespace gordian::analysis
