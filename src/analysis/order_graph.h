// SPDX-License-Identifier: Apache-2.0
// Classes of locks, and which comes before which. Nodes are numbered as they are named.
#pragma once

#include "model/lock_order.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gordian::analysis {

class OrderGraph {
 public:
  struct Edge {
    uint32_t to = 0;
    size_t line = 0;  // 0: not from the file
  };

  uint32_t node(const std::string& name);
  [[nodiscard]] size_t size() const { return names_.size(); }
  [[nodiscard]] const std::string& name(uint32_t node) const { return names_[node]; }

  void add(uint32_t from, uint32_t to, size_t line);
  // All lines of `rules`, wildcards over the nodes there are. A wildcard says nothing about a pair
  // that it covers in both directions.
  void add(const std::vector<model::OrderRule>& rules);

  [[nodiscard]] bool has(uint32_t from, uint32_t to) const { return lines_.contains({from, to}); }
  // The nodes on a shortest way of one edge or more; empty: there is none. `without`: as if that
  // edge were not there.
  [[nodiscard]] std::vector<uint32_t> way(
      uint32_t from, uint32_t to,
      std::optional<std::pair<uint32_t, uint32_t>> without = std::nullopt) const;
  // The line of an edge that is there.
  [[nodiscard]] size_t line(uint32_t from, uint32_t to) const { return lines_.at({from, to}); }

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, uint32_t> nodes_;
  std::vector<std::vector<uint32_t>> edges_;
  std::map<std::pair<uint32_t, uint32_t>, size_t> lines_;
};

}  // namespace gordian::analysis
