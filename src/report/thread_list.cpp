// SPDX-License-Identifier: Apache-2.0
#include "report/thread_list.h"

#include "base/text.h"
#include "report/labels.h"
#include "report/layout.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace gordian::report {
namespace {

// Two threads do the same if they came the same way: the same functions at the same places.
// Addresses say too much.
std::string shape_of(const ListedThread& thread) {
  std::string shape = thread.doing;
  for (const model::Frame& frame : thread.stack.frames) {
    shape += '\n';
    shape += frame.function.empty() ? frame.module : frame.function;
    shape += ':' + std::to_string(frame.line);
  }
  return shape;
}

std::string label_of(const ListedThread& thread) {
  const std::string number = thread.tid == 0 ? "" : std::to_string(thread.tid);
  if (thread.name.empty()) return number.empty() ? "a thread without a name" : number;
  const std::string name = '"' + clean(thread.name, 64) + '"';
  return number.empty() ? name : name + " (" + number + ")";
}

using Group = std::vector<const ListedThread*>;

std::string label_all(const Group& group) {
  constexpr size_t kMaxLabels = 9;
  constexpr size_t kFewLabels = 5;  // where not all have room
  std::vector<std::string> labels;
  const bool all = group.size() <= kMaxLabels;
  for (size_t i = 0; i < (all ? group.size() : kFewLabels); ++i)
    labels.push_back(label_of(*group[i]));
  if (!all) labels.push_back(with_thousands(group.size() - kFewLabels) + " more");
  return join_words(labels, labels.size());
}

}  // namespace

std::string in_call(const std::string& call) {
  for (const std::string_view state : {"running", "asleep", "stopped by a signal"})
    if (call == state) return call;
  return "in " + call;
}

std::string calls_line(const std::vector<ListedThread>& threads) {
  std::map<std::string, size_t> counts;
  for (const ListedThread& thread : threads) ++counts[thread.doing];
  std::vector<std::pair<std::string, size_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> words;
  words.reserve(sorted.size());
  for (const auto& [doing, count] : sorted)
    words.push_back(with_thousands(count) + " " + clean(doing, 80));
  return join_words(words);
}

std::string threads_text(const std::vector<ListedThread>& threads, const TextOptions& options,
                         size_t max_groups) {
  std::map<std::string, size_t> known;
  std::vector<Group> groups;
  for (const ListedThread& thread : threads) {
    const size_t group = known.try_emplace(shape_of(thread), groups.size()).first->second;
    if (group == groups.size()) groups.emplace_back();
    groups[group].push_back(&thread);
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const Group& a, const Group& b) { return a.size() > b.size(); });
  std::string text;
  const size_t shown = std::min(groups.size(), max_groups);
  for (size_t i = 0; i < shown; ++i) {
    const Group& group = groups[i];
    const ListedThread& first = *group.front();
    text += wrapped(
        count_of(group.size(), "thread") + ", " + clean(first.doing, 200) + ": " + label_all(group),
        "  ", "      ");
    if (!first.stack.frames.empty() || !first.stack.note.empty())
      text += stack_text(first.stack, options);
  }
  if (shown < groups.size()) {
    size_t rest = 0;
    for (size_t i = shown; i < groups.size(); ++i) rest += groups[i].size();
    text += "  ... and " + count_of(rest, "thread") + " with other stacks\n";
  }
  return text;
}

}  // namespace gordian::report
