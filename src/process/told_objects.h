// SPDX-License-Identifier: Apache-2.0
// Which of the object files that a linker put together tell all that they read and write.
//
// With -fsanitize=thread a compiler makes each of them call __tsan_init when it is loaded, however
// little is in it; and memory/prelude.h and the plugin for gcc have written into it whether that is
// all there is to tell.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gordian::process {

// The files, or members of archives as "lib.a(member.o)", that brought code into what a linker
// made: from its map, as GNU ld or lld write it.
std::vector<std::string> code_inputs(std::string_view map);

// Those of `inputs` that do not tell what they read and write, or that cannot be read. What every
// program gets from its compiler (crt1.o, libgcc, ...) is trusted, as libc is.
std::vector<std::string> find_untold(const std::vector<std::string>& inputs);

}  // namespace gordian::process
