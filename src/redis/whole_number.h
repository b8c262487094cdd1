// SPDX-License-Identifier: Apache-2.0
// Numbers in what servers, users and other clients write.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace gordian::redis {

// What `text` is from its first to its last byte; nullopt: no number, or none that fits.
template <typename Number>
std::optional<Number> whole_number(std::string_view text, int base = 10) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [behind, failure] = std::from_chars(text.data(), end, number, base);
  if (failure != std::errc{} || behind != end) return std::nullopt;
  return number;
}

}  // namespace gordian::redis
