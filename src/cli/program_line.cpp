// SPDX-License-Identifier: Apache-2.0
#include "cli/program_line.h"

#include <algorithm>

namespace gordian::cli {

size_t find_program(const Args& args, std::initializer_list<std::string_view> with_value) {
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--") return i + 1;
    if (!args[i].starts_with("-") || args[i] == "-") return i;
    if (std::find(with_value.begin(), with_value.end(), args[i]) != with_value.end()) ++i;
  }
  return args.size();
}

Args own_part(const Args& args, size_t program) {
  Args own(args.begin(), args.begin() + static_cast<ptrdiff_t>(std::min(program, args.size())));
  if (!own.empty() && own.back() == "--") own.pop_back();
  return own;
}

}  // namespace gordian::cli
