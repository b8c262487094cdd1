// SPDX-License-Identifier: Apache-2.0
// Text that people read: foreign strings made harmless, numbers with their words.
#pragma once

#include "base/result.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gordian {

// Symbol names, thread names and paths come from the watched program and may be hostile. What a
// terminal would act on (control characters, also the 8-bit ones, bidirectional overrides) and what
// is not UTF-8 become \n, \t, \x1b or \u{202e}; the rest stays. Never longer than 8 times the
// input.
std::string escape_for_terminal(std::string_view text);

// The same text with every invalid byte replaced by U+FFFD: what JSON needs.
std::string to_valid_utf8(std::string_view text);

// Without the blanks and line ends around it.
std::string_view trimmed(std::string_view text);

// What lies between the separators; what is empty is left out. Views into `text`.
std::vector<std::string_view> split(std::string_view text, char separator);

// The last part of a path.
std::string_view base_name(std::string_view path);

// In quotes, for a file of Graphviz. `text` is escaped for terminals already.
std::string dot_quoted(std::string_view text);

// "1 thread", "2 threads", "0 threads".
std::string count_of(uint64_t count, std::string_view noun);

// "500ms", "30s", "1.5s", "2m", "1h", "200us", "10ns"; a bare number is seconds.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

// For reading, two or three digits: "850 ns", "12 us", "3.2 s", "4 min 5 s", "2 h 10 min".
std::string to_text(std::chrono::nanoseconds duration);

}  // namespace gordian
