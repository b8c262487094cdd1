// SPDX-License-Identifier: Apache-2.0
#include "report/overview.h"

#include "base/text.h"
#include "report/labels.h"
#include "report/layout.h"

#include <algorithm>
#include <map>

namespace gordian::report {

namespace {

// Two threads do the same if they came the same way; addresses and lines they share anyway.
std::string key_of(const OverviewThread& thread) {
  std::string key = thread.doing;
  for (const model::Frame& frame : thread.stack.frames) {
    key += '\n';
    key += frame.function.empty() ? frame.module : frame.function;
    key += ':' + std::to_string(frame.line);
  }
  return key;
}

std::string label_of(const OverviewThread& thread) {
  const std::string number = thread.tid == 0 ? "" : std::to_string(thread.tid);
  if (thread.name.empty()) return number.empty() ? "a thread without a name" : number;
  const std::string name = '"' + clean(thread.name, 64) + '"';
  return number.empty() ? name : name + " (" + number + ")";
}

}  // namespace

std::string overview_text(const std::vector<OverviewThread>& threads, size_t max_groups,
                          const TextOptions& options) {
  std::map<std::string, size_t> index;
  std::vector<std::vector<const OverviewThread*>> groups;
  for (const OverviewThread& thread : threads) {
    const size_t group = index.try_emplace(key_of(thread), groups.size()).first->second;
    if (group == groups.size()) groups.emplace_back();
    groups[group].push_back(&thread);
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  std::string out;
  const size_t shown = std::min(groups.size(), max_groups);
  for (size_t i = 0; i < shown; ++i) {
    const auto& group = groups[i];
    std::vector<std::string> labels;
    for (const OverviewThread* thread : group) {
      if (labels.size() > 8) break;
      labels.push_back(label_of(*thread));
    }
    if (labels.size() < group.size()) {
      labels.resize(std::min<size_t>(labels.size(), 5));
      labels.push_back(std::to_string(group.size() - labels.size()) + " more");
    }
    const std::string what = clean(group.front()->doing, 200);
    out += wrapped(
        count_of(group.size(), "thread") + ", " + what + ": " + join_words(labels, labels.size()),
        "  ", "      ");
    out += stack_text(group.front()->stack, options);
  }
  if (shown < groups.size()) {
    size_t rest = 0;
    for (size_t i = shown; i < groups.size(); ++i) rest += groups[i].size();
    out += "  ... and " + count_of(rest, "thread") + " with other stacks\n";
  }
  return out;
}

}  // namespace gordian::report
