// SPDX-License-Identifier: Apache-2.0
// Which function a call instruction calls. Stripped libraries and tail calls leave frames without a
// name, but the caller's code still says whom it called: `call sem_wait@plt`.
#pragma once

#include "process/debug_info.h"
#include "process/memory.h"
#include "process/symbols.h"

#include <cstdint>
#include <optional>
#include <string>

namespace gordian::process {

// The symbol behind the call that returns to `return_address`: a direct call, also through the PLT,
// or one through a slot of the GOT. Nullopt: an indirect call, or no call at all.
std::optional<std::string> called_function(const Symbols& symbols, const MemoryReader& memory,
                                           uint64_t return_address);

// Whether the code at `pc` is a nameless half of `function`, of the same module: one that the named
// half jumps to. (What it calls would be a helper of many.)
bool is_half_of(const Symbols& symbols, const MemoryReader& memory, const ElfSymbol& function,
                uint64_t pc);

// The address it goes to, PLT stubs followed.
std::optional<uint64_t> call_target(const MemoryReader& memory, uint64_t return_address);

}  // namespace gordian::process
