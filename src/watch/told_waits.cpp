// SPDX-License-Identifier: Apache-2.0
#include "watch/told_waits.h"

#include <algorithm>
#include <cstddef>

namespace gordian::watch {

ToldWaits::Key ToldWaits::key_of(const model::Snapshot& snapshot,
                                 const model::FindingThread& thread) {
  const model::Thread& source = snapshot.threads[static_cast<size_t>(thread.id)];
  return {snapshot.processes[static_cast<size_t>(thread.process)].pid, source.uid,
          source.wait ? source.wait->number : 0};
}

bool ToldWaits::has_told(const model::Snapshot& snapshot, const model::Finding& finding) const {
  return std::all_of(
      finding.threads.begin(), finding.threads.end(), [&](const model::FindingThread& thread) {
        return thread.role != model::Role::Knot || told_.contains(key_of(snapshot, thread));
      });
}

bool ToldWaits::tell(const model::Snapshot& snapshot, const model::Finding& finding) {
  const bool is_deadlock = finding.verdict == model::Verdict::Deadlock;
  bool any_new = false;
  for (const model::FindingThread& thread : finding.threads) {
    if (thread.role != model::Role::Knot) continue;
    const auto [known, is_new] = told_.try_emplace(key_of(snapshot, thread), is_deadlock);
    if (!is_new && (known->second || !is_deadlock)) continue;
    any_new = true;
    known->second = is_deadlock;
  }
  return any_new;
}

}  // namespace gordian::watch
