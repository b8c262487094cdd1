// SPDX-License-Identifier: Apache-2.0
// gordian::source_location: std::source_location where the compiler and its library have one, else
// (clang 14 and 15) a stand-in with the same members.
#ifndef GORDIAN_SOURCE_LOCATION_H
#define GORDIAN_SOURCE_LOCATION_H

#include <version>
#if defined(__cpp_lib_source_location) && __has_include(<source_location>)
#include <source_location>
#endif
#include <cstdint>

namespace gordian {

// clang 15 takes a default argument of std::source_location::current() for a place in the header:
// https://github.com/llvm/llvm-project/issues/56379
#if defined(__cpp_lib_source_location) && !(defined(__clang__) && __clang_major__ == 15)
using source_location = std::source_location;
#else
class source_location {
 public:
  static constexpr source_location current(const char* file = __builtin_FILE(),
                                           const char* function = __builtin_FUNCTION(),
                                           unsigned line = __builtin_LINE()) noexcept {
    source_location here;
    here.file_ = file;
    here.function_ = function;
    here.line_ = line;
    return here;
  }
  constexpr source_location() noexcept = default;
  constexpr const char* file_name() const noexcept { return file_; }
  constexpr const char* function_name() const noexcept { return function_; }
  constexpr std::uint_least32_t line() const noexcept { return line_; }
  constexpr std::uint_least32_t column() const noexcept { return 0; }

 private:
  const char* file_ = "";
  const char* function_ = "";
  std::uint_least32_t line_ = 0;
};
#endif

}  // namespace gordian

#endif
