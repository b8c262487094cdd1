// SPDX-License-Identifier: Apache-2.0
#include "analysis/check_order.h"

#include "analysis/order_graph.h"
#include "model/lock_pattern.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace gordian::analysis {

using model::LockOrder;
using model::NestedPair;
using model::OrderFault;
using model::OrderOutcome;
using model::OrderRule;
using model::OrderViolation;
using model::SeenPair;

namespace {

using Pair = std::pair<uint32_t, uint32_t>;

class Checker {
 public:
  Checker(const LockOrder& law, const std::vector<SeenPair>& seen) : law_(law), seen_(seen) {
    for (const SeenPair& pair : seen) {
      graph_.node(pair.held);
      graph_.node(pair.wanted);
    }
    graph_.add(law.order);
    with_run_ = graph_;
    for (size_t i = 0; i < seen.size(); ++i) {
      const Pair pair{graph_.node(seen[i].held), graph_.node(seen[i].wanted)};
      if (!first_.try_emplace(pair, i).second) continue;
      if (is_excepted(seen[i].held, seen[i].wanted)) {
        excepted_.insert(pair);
      } else if (pair.first != pair.second) {
        classes_.push_back(pair);
      } else {
        alone_.push_back(pair.first);
      }
    }
  }

  OrderOutcome check() {
    outcome_.excepted = excepted_.size();
    for (const Pair& pair : classes_) check_classes(pair);
    for (const Pair& pair : added_) {
      // What follows from the other new pairs need not be said.
      if (with_run_.way(pair.first, pair.second, pair).empty())
        outcome_.added.push_back(first_[pair]);
    }
    for (const uint32_t node : alone_) check_instances(node);
    std::sort(outcome_.added.begin(), outcome_.added.end(), [this](size_t a, size_t b) {
      return std::tie(seen_[a].held, seen_[a].wanted) < std::tie(seen_[b].held, seen_[b].wanted);
    });
    return std::move(outcome_);
  }

 private:
  [[nodiscard]] bool is_excepted(const std::string& a, const std::string& b) const {
    return std::any_of(law_.any.begin(), law_.any.end(), [&](const OrderRule& rule) {
      return (model::pattern_matches(rule.before, a) && model::pattern_matches(rule.after, b)) ||
             (model::pattern_matches(rule.before, b) && model::pattern_matches(rule.after, a));
    });
  }

  void check_classes(const Pair& pair) {
    const auto [held, wanted] = pair;
    // A line that is there is the law, whatever wildcards may say.
    const bool is_line = graph_.has(held, wanted);
    const auto against = is_line ? std::vector<uint32_t>{} : graph_.way(wanted, held);
    if (!against.empty()) {
      add_violation(pair, OrderFault::AgainstFile, against);
    } else if (is_line || !graph_.way(held, wanted).empty()) {
      ++outcome_.confirmed;
    } else if (const auto both = with_run_.way(wanted, held); !both.empty()) {
      add_violation(pair, OrderFault::AgainstRun, both);
    } else {
      with_run_.add(held, wanted, 0);
      added_.push_back(pair);
    }
  }

  void add_violation(const Pair& pair, OrderFault fault, const std::vector<uint32_t>& opposite) {
    OrderViolation violation{.seen = first_[pair], .fault = fault, .opposite = {}};
    for (size_t i = 0; i + 1 < opposite.size(); ++i) {
      const Pair step{opposite[i], opposite[i + 1]};
      const auto seen = first_.find(step);
      violation.opposite.push_back(
          {.before = graph_.name(step.first),
           .after = graph_.name(step.second),
           .line = with_run_.line(step.first, step.second),
           .seen = seen == first_.end() ? -1 : static_cast<int64_t>(seen->second)});
    }
    outcome_.violations.push_back(std::move(violation));
  }

  // Locks of one class: by instance, since the class has no order with itself.
  void check_instances(uint32_t node) {
    const std::string& name = graph_.name(node);
    OrderGraph instances;
    std::map<Pair, size_t> first;
    for (size_t i = 0; i < seen_.size(); ++i) {
      const NestedPair& pair = seen_[i].pair;
      if (seen_[i].held != name || seen_[i].wanted != name || pair.may_be_two_locks) continue;
      const auto number = [&](model::ResourceId id) {
        return instances.node(std::to_string(static_cast<uint32_t>(id)));
      };
      const Pair step{number(pair.held), number(pair.wanted)};
      if (!first.try_emplace(step, i).second) continue;
      const std::vector<uint32_t> opposite = instances.way(step.second, step.first);
      if (opposite.empty()) {
        instances.add(step.first, step.second, 0);
        continue;
      }
      OrderViolation violation{.seen = i, .fault = OrderFault::Instances, .opposite = {}};
      for (size_t k = 0; k + 1 < opposite.size(); ++k)
        violation.opposite.push_back(
            {.before = name,
             .after = name,
             .seen = static_cast<int64_t>(first.at({opposite[k], opposite[k + 1]}))});
      outcome_.violations.push_back(std::move(violation));
      return;
    }
    if (graph_.has(node, node)) {
      ++outcome_.confirmed;
    } else {
      outcome_.added.push_back(first_[{node, node}]);
    }
  }

  const LockOrder& law_;
  const std::vector<SeenPair>& seen_;
  OrderGraph graph_;     // the file
  OrderGraph with_run_;  // and what the run added
  std::map<Pair, size_t> first_;
  std::set<Pair> excepted_;
  std::vector<Pair> classes_;  // as they were first seen
  std::vector<Pair> added_;
  std::vector<uint32_t> alone_;
  OrderOutcome outcome_;
};

}  // namespace

OrderOutcome check_order(const LockOrder& law, const std::vector<SeenPair>& seen) {
  return Checker(law, seen).check();
}

std::optional<std::vector<OrderRule>> find_circle(const LockOrder& law) {
  OrderGraph graph;
  graph.add(law.order);
  std::map<size_t, const OrderRule*> by_line;
  for (const OrderRule& rule : law.order) by_line[rule.line] = &rule;
  for (uint32_t node = 0; node < graph.size(); ++node) {
    const std::vector<uint32_t> circle = graph.way(node, node);
    if (circle.empty()) continue;
    std::vector<OrderRule> lines;
    for (size_t i = 0; i + 1 < circle.size(); ++i)
      lines.push_back(*by_line.at(graph.line(circle[i], circle[i + 1])));
    return lines;
  }
  return std::nullopt;
}

}  // namespace gordian::analysis
