// SPDX-License-Identifier: Apache-2.0
// A process that was started with our library has a board: it knows who holds a lock that does not
// name its holder, and where each lock was taken. The process's own memory knows the rest better.
#pragma once

#include "process/core_file.h"
#include "process/decode_waits.h"

#include <cstddef>

namespace gordian::watch {

// Adds what the board of that process says of waits and locks in the snapshot; nothing, if it has
// no board. To be called while the readings that the snapshot is made of can still be checked.
void merge_board(process::DecodedWaits& decoded, size_t process, int pid);

// The same of the only process in a core.
void merge_board(process::DecodedWaits& decoded, const process::CoreFile& core);

}  // namespace gordian::watch
