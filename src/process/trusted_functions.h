// SPDX-License-Identifier: Apache-2.0
// Functions of libc and libm that carry nothing from one thread of a program to another, in the
// eyes of `gordian cc`: they neither read nor write memory of the program that another thread may
// look at, or what they keep is their thread's own. What is not listed here needs a hook of
// libgordian_memory.so, or programs that call it are not whole.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gordian::process {

bool is_trusted_function(std::string_view name);

// What the linked object `path` calls of libc and libm that is neither trusted nor a hook of one of
// `libraries`. Of a file that cannot be read: nothing.
std::vector<std::string> find_unfollowed(const std::string& path,
                                         const std::vector<std::string>& libraries);

}  // namespace gordian::process
