// SPDX-License-Identifier: Apache-2.0
// Who has a file lock. Such locks are on no card and in no memory: the kernel alone knows who has
// them, also through inherited descriptors.
#pragma once

#include "model/snapshot.h"
#include "watch/case.h"

#include <cstddef>

namespace gordian::watch {

// A file lock belongs to a process, and one of its threads stands for all: one that waits for
// something else than the end of another, since that tells most.
void add_file_lock_hold(model::Snapshot& snapshot, size_t process, model::ResourceId lock,
                        bool exclusive);

// Gives the file locks that threads of the case wait for to the watched processes that have them.
void add_file_lock_holders(Case& current);

}  // namespace gordian::watch
