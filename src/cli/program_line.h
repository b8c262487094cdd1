// SPDX-License-Identifier: Apache-2.0
// The command line of commands that start a program: options of ours, then everything its own.
#pragma once

#include "cli/command.h"

#include <cstddef>
#include <initializer_list>
#include <string_view>

namespace gordian::cli {

// Where the program's part begins: behind "--", else the first word that is no option of ours.
// `with_value` names our options that take the next word. Without a program: args.size().
size_t find_program(const Args& args, std::initializer_list<std::string_view> with_value);

// The part before it, without "--".
Args own_part(const Args& args, size_t program);

}  // namespace gordian::cli
