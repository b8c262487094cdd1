// SPDX-License-Identifier: Apache-2.0
// Locks inside libc that no public type describes: those of streams (FILE) and of malloc's arenas.
//
// Both are recognised by the bytes around them, and checked: a stream by its magic and its pointer
// back to the lock, an arena by its bins, of which the empty ones point to themselves. Layouts are
// those of glibc 2.27 to 2.41 on x86-64.
#pragma once

#include "process/memory.h"
#include "process/symbols.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gordian::process {

// The stream that fopen() made with this lock behind it.
std::optional<uint64_t> find_stream(const MemoryReader& memory, uint64_t lock);
// "stdout" if the lock is that of a standard stream.
std::optional<std::string> find_standard_stream(const Symbols& symbols, const MemoryReader& memory,
                                                uint64_t lock);

// The stream with this lock, of either kind.
std::optional<uint64_t> find_any_stream(const Symbols& symbols, const MemoryReader& memory,
                                        uint64_t lock);

bool is_malloc_arena(const MemoryReader& memory, uint64_t address);

// malloc, free, and all that take an arena's lock.
bool is_malloc_function(std::string_view plain_name);

// "stdout's lock", "the lock of the stream on /var/log/server.log", "malloc's main arena"; empty:
// none of these, or a stream that only the program has a name for. `pid` 0: nobody to ask for its
// files.
std::string libc_lock_name(const Symbols& symbols, const MemoryReader& memory, uint64_t address,
                           int pid);

}  // namespace gordian::process
