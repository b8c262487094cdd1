// SPDX-License-Identifier: Apache-2.0
#include "process/hold_sites.h"

#include "process/taken_locks.h"

#include <algorithm>
#include <vector>

namespace gordian::process {

void find_hold_sites(const ProcessFacts& facts, const RegisterSet& registers,
                     const model::Finding& finding, model::FindingThread& thread) {
  const bool is_open = std::any_of(thread.holds.begin(), thread.holds.end(),
                                   [](const model::FindingHold& hold) { return hold.site == 0; });
  if (!is_open) return;
  const UnwoundStack stack = unwind(*facts.symbols, registers, *facts.memory);
  const std::vector<TakenLock> taken = TakenLocks(*facts.symbols, *facts.memory).find(stack);
  for (model::FindingHold& hold : thread.holds) {
    if (hold.site != 0) continue;
    const auto resource =
        std::find_if(finding.resources.begin(), finding.resources.end(),
                     [&](const model::Resource& one) { return one.id == hold.resource; });
    if (resource == finding.resources.end()) continue;
    for (const TakenLock& lock : taken) {
      if (lock.address != resource->address || lock.doubtful) continue;
      hold.site = lock.site;
      hold.frame = stack.frames[lock.frame].sp;
      break;
    }
  }
}

}  // namespace gordian::process
