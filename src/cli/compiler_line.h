// SPDX-License-Identifier: Apache-2.0
// A command line of gcc or clang, as far as `gordian cc` must understand it: what it compiles, and
// whether it links.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace gordian::cli {

struct CompilerLine {
  // An input that is compiled, by its place in the arguments, and what -x says of it.
  struct Source {
    size_t at = 0;
    std::string language;
  };
  std::vector<Source> sources;
  size_t inputs = 0;         // sources, objects and libraries
  bool links = true;         // no -c, -S, -E ...
  bool is_compiled = false;  // an object of each source: -c, and nothing that stops before
  bool is_static = false;    // makes an executable that loads nothing
  bool is_partial = false;   // -r: makes an object of objects
  bool has_map = false;      // writes a map of its own
  std::string output;        // of -o; empty: the compiler chooses

  // The objects that -c makes of its sources.
  [[nodiscard]] std::vector<std::string> compiled_objects(
      const std::vector<std::string>& args) const;
  // Compiles its source number `index` alone, to `object`.
  [[nodiscard]] std::vector<std::string> compile_one(const std::vector<std::string>& args,
                                                     size_t index, const std::string& object) const;
  // Links, with `objects` in the places of the sources.
  [[nodiscard]] std::vector<std::string> link_objects(
      const std::vector<std::string>& args, const std::vector<std::string>& objects) const;
};

// `args` without the compiler itself. Of files of arguments (@FILE) it looks at what is inside, but
// compiles no source named there.
CompilerLine parse_compiler_line(const std::vector<std::string>& args);

}  // namespace gordian::cli
