// SPDX-License-Identifier: Apache-2.0
#include "watch/unseen_waits.h"

#include "process/processor_time.h"
#include "watch/attach.h"

#include <algorithm>
#include <utility>

namespace gordian::watch {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// Programs that end before cost nothing. Between two looks the boards have told what they know.
constexpr milliseconds kShortestPause{1500};
// A thousandth of a core.
constexpr int kShareDivisor = 1000;

}  // namespace

std::vector<model::Finding> UnseenWaits::look(const std::map<int, WatchedProcess*>& processes) {
  const Clock::time_point now = Clock::now();
  for (const auto& [pid, process] : processes) {
    if (!process->is_alive() || process->board() == nullptr) {
      due_.erase(pid);
      seen_.erase(pid);
      continue;
    }
    const auto [due, is_first] = due_.try_emplace(pid, now + kShortestPause);
    if (now < due->second) continue;
    const nanoseconds before = process::own_processor_time();
    std::vector<model::Finding> findings = look_at(pid);
    const nanoseconds cost = process::own_processor_time() - before;
    const bool is_suspect = !seen_[pid].empty();
    due->second = now + (is_suspect ? kShortestPause
                                    : std::max<nanoseconds>(kShortestPause, cost * kShareDivisor));
    return findings;  // one process at a time: the boards must not wait
  }
  return {};
}

void UnseenWaits::note(const model::Finding& finding) { told_.merge(knot_of(finding)); }

UnseenWaits::Knot UnseenWaits::knot_of(const model::Finding& finding) {
  Knot knot;
  for (const model::FindingThread& thread : finding.threads)
    if (thread.role == model::Role::Knot) knot.insert(thread.tid);
  return knot;
}

std::vector<model::Finding> UnseenWaits::look_at(int pid) {
  std::set<Knot>& seen = seen_[pid];
  const std::set<Knot> seen_before = std::exchange(seen, {});
  const auto wants_deadlock = [&](const model::Finding& finding) {
    const Knot knot = knot_of(finding);
    if (std::includes(told_.begin(), told_.end(), knot.begin(), knot.end())) return false;
    seen.insert(knot);
    return seen_before.contains(knot);
  };
  Result<Attachment> attachment = Attachment::open(pid, {.wants_deadlock = wants_deadlock});
  return attachment ? attachment->examine().findings : std::vector<model::Finding>();
}

}  // namespace gordian::watch
