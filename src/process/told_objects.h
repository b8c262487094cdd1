// SPDX-License-Identifier: Apache-2.0
// Which of the object files that a linker put together tell all that they read and write.
//
// With -fsanitize=thread a compiler makes each of them call __tsan_init when it is loaded, however
// little is in it; and our plugin for gcc has written into it whether that is all there is to tell
// (of clang nothing says so). But `ld -r` makes one object of several, and those that tell
// nothing leave no trace in it. So `gordian cc` seals what it has made: a number for the code that
// is in it, in room that the plugin makes. It fits no longer once a linker has added code.
#pragma once

#include "base/result.h"

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::process {

// The names of the sections of an ELF file that are executed, if there is something in them.
std::set<std::string> find_code_sections(const std::string& path);

// The files, or members of archives as "lib.a(member.o)", that brought something into the
// `sections` of what a linker made: from its map, as GNU ld, gold or lld write it. What the linker
// has made itself is not among them.
std::vector<std::string> code_inputs(std::string_view map, const std::set<std::string>& sections);

// Says that all code that is in the object now is of those that made it: of a compiler, or of a
// linker whose inputs were looked at. Does nothing to a file that has no room for it.
Result<void> seal_object(const std::string& path);

// Those of `inputs` that do not tell what they read and write, or that cannot be read. What every
// program gets from its compiler (crt1.o, libgcc, ...) is trusted, as libc is, if it lies in one of
// the compiler's `folders`.
std::vector<std::string> find_untold(const std::vector<std::string>& inputs,
                                     const std::vector<std::string>& folders);

}  // namespace gordian::process
