// SPDX-License-Identifier: Apache-2.0
// Patterns of lock classes: `*` is any text, a backslash takes the next sign as itself. C++ names
// have stars of their own (`Slot<int*>::mutex`), so names are escaped when they are written.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gordian::model {

inline bool is_wildcard(std::string_view pattern) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '*') return true;
    if (pattern[i] == '\\') ++i;
  }
  return false;
}

// The one name that a pattern without wildcard matches.
inline std::string name_of_pattern(std::string_view pattern) {
  std::string name;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    name += pattern[i];
  }
  return name;
}

inline std::string pattern_of_name(std::string_view name) {
  std::string pattern;
  for (const char sign : name) {
    if (sign == '*' || sign == '\\') pattern += '\\';
    pattern += sign;
  }
  return pattern;
}

// The whole name must match. O(pattern * name).
inline bool pattern_matches(std::string_view pattern, std::string_view name) {
  size_t p = 0;
  size_t n = 0;
  size_t star = std::string_view::npos;  // behind the last star, and what it has taken so far
  size_t taken = 0;
  while (n < name.size()) {
    const bool escaped = p + 1 < pattern.size() && pattern[p] == '\\';
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      taken = n;
    } else if (p < pattern.size() && pattern[p + (escaped ? 1 : 0)] == name[n]) {
      p += escaped ? 2 : 1;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star;
      n = ++taken;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace gordian::model
