// SPDX-License-Identifier: Apache-2.0
// Waits of a process for another one, or for itself: for a child to end, for bytes or room in a
// pipe or a pair of sockets. The system call says which, /proc who has the other end.
//
// Never definite: a signal can end a child, and a descriptor can be on its way to somebody else.
#pragma once

#include "process/decode_waits.h"
#include "process/thread_facts.h"

#include <span>
#include <vector>

namespace gordian::watch {

// Processes not among these for which threads wait, of processes whose threads all wait: only then
// is anybody stuck.
std::vector<int> find_partners(const process::DecodedWaits& decoded,
                               std::span<const process::ProcessFacts> processes);

// Adds such waits to the snapshot, of threads that are stuck with them. Who waits for somebody at
// work stays what it was: in I/O.
void add_process_waits(process::DecodedWaits& decoded,
                       std::span<const process::ProcessFacts> processes);

// Takes them away again from threads that are not stuck after all.
void drop_free_process_waits(model::Snapshot& snapshot);

}  // namespace gordian::watch
