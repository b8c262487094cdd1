// SPDX-License-Identifier: Apache-2.0
// What happens to a backtrace between a terminal and a bug report, undone: mail quoting and
// encoding, code fences, HTML entities, colours, carriage returns, comments, gdb's pager, and what
// journals, containers and build servers put before each line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gordian::dump {

// The same text, line by line cleaned. Never longer than the original.
std::string clean_paste(std::string_view pasted);

// Reads a text from left to right. The small grammar of all the formats is made of these.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  bool skip(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  void skip_blanks() {
    while (!rest_.empty() && is_blank(rest_.front())) rest_.remove_prefix(1);
  }
  std::optional<int64_t> number();               // decimal, up to 18 digits
  std::optional<uint64_t> address();             // 0x...
  std::string_view until(std::string_view end);  // the rest if `end` does not come
  [[nodiscard]] std::string_view rest() const { return rest_; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

  static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

 private:
  std::string_view rest_;
};

// 0x... at the start of the text; nothing if it is no address.
std::optional<uint64_t> parse_hex(std::string_view text);

// Calls `use` for every 0x... in the text.
template <typename Use>
void each_address(std::string_view text, const Use& use) {
  for (size_t at = text.find("0x"); at != std::string_view::npos; at = text.find("0x", at + 2)) {
    if (const auto address = parse_hex(text.substr(at, 20))) use(*address);
  }
}

// The next line of `text` without its newline, which is removed from `text`.
std::string_view take_line(std::string_view& text);

}  // namespace gordian::dump
