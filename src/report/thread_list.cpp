// SPDX-License-Identifier: Apache-2.0
#include "report/thread_list.h"

#include "base/text.h"
#include "report/labels.h"
#include "report/layout.h"
#include "report/words.h"

#include <algorithm>
#include <map>
#include <utility>

namespace gordian::report {
namespace {

std::string in_call(const std::string& call) {
  return call == "running" || call == "asleep" ? call : "in " + clean(call, 80);
}

// The same functions at the same places: addresses say too much.
std::string shape_of(const ListedThread& thread, const TextOptions& options) {
  return thread.call + "\n" + stack_text(thread.stack, options);
}

}  // namespace

std::string calls_line(const std::vector<ListedThread>& threads) {
  std::map<std::string, size_t> counts;
  for (const ListedThread& thread : threads) ++counts[thread.call];
  std::vector<std::pair<std::string, size_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> words;
  words.reserve(sorted.size());
  for (const auto& [call, count] : sorted)
    words.push_back(with_thousands(count) + " " + in_call(call));
  return join_words(words);
}

std::string threads_text(const std::vector<ListedThread>& threads, const TextOptions& options) {
  constexpr size_t kMaxNames = 8;
  std::vector<std::pair<std::string, std::vector<const ListedThread*>>> groups;
  std::map<std::string, size_t> known;
  for (const ListedThread& thread : threads) {
    const std::string shape = shape_of(thread, options);
    const auto [place, is_new] = known.try_emplace(shape, groups.size());
    if (is_new) groups.push_back({shape, {}});
    groups[place->second].second.push_back(&thread);
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
  std::string text;
  for (const auto& [shape, members] : groups) {
    std::vector<std::string> names;
    for (const ListedThread* member : members) {
      if (names.size() == kMaxNames) {
        names.push_back(with_thousands(members.size() - kMaxNames) + " more");
        break;
      }
      const std::string tid = std::to_string(member->tid);
      names.push_back(member->name.empty() ? "thread " + tid
                                           : "\"" + clean(member->name, 32) + "\" (" + tid + ")");
    }
    const ListedThread& first = *members.front();
    text += "\n  " + wrapped(join_words(names) + ", " + in_call(first.call), "", "  ");
    if (!first.stack.frames.empty() || !first.stack.note.empty())
      text += stack_text(first.stack, options);
  }
  return text;
}

}  // namespace gordian::report
