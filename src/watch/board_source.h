// SPDX-License-Identifier: Apache-2.0
// Where boards come from: a descriptor a program sent us, or the memory of a live process.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "process/core_file.h"
#include "trace/board_reader.h"

#include <cstdint>
#include <memory>

namespace gordian::watch {

// Maps the memfd read-only. Refuses one that could be truncated under us: touching it would then
// kill the judge.
Result<std::unique_ptr<trace::BoardBytes>> map_board(FileDescriptor fd);

// Reads the board through the process's memory (no descriptor: the memfd could not be made).
std::unique_ptr<trace::BoardBytes> board_in_process(int pid, uint64_t address, uint64_t size);

// Finds the board of any process by its mapping, for a judge that was not there at the start.
Result<std::unique_ptr<trace::BoardBytes>> find_board(int pid);

// The same in a core, which must outlive it. Parts of it may not have been written.
Result<std::unique_ptr<trace::BoardBytes>> find_board(const process::CoreFile& core);

}  // namespace gordian::watch
