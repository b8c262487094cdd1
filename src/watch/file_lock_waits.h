// SPDX-License-Identifier: Apache-2.0
// Waits for locks on files, of processes without a board: the system call says which descriptor,
// the kernel's table who is in the way.
#pragma once

#include "process/decode_waits.h"
#include "process/thread_facts.h"

#include <span>
#include <vector>

namespace gordian::watch {

// Processes that hold what threads of these wait for, and are not among them.
std::vector<int> find_file_lock_holders(std::span<const process::ProcessFacts> processes);

// Adds the waits and their holders to the snapshot.
void add_file_lock_waits(process::DecodedWaits& decoded,
                         std::span<const process::ProcessFacts> processes);

}  // namespace gordian::watch
