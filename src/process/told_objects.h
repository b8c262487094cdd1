// SPDX-License-Identifier: Apache-2.0
// Which of the object files that a linker put together were compiled with -fsanitize=thread.
//
// A compiler makes each such file call __tsan_init when it is loaded, however little is in it.
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
