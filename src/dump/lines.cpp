// SPDX-License-Identifier: Apache-2.0
#include "dump/lines.h"

#include "base/text.h"

#include <cctype>

namespace gordian::dump {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "> > text": the marks of a quoted mail.
std::string_view without_quoting(std::string_view line) {
  for (;;) {
    const size_t start = line.find_first_not_of(" \t");
    if (start == std::string_view::npos || line[start] != '>') return line;
    line.remove_prefix(start + 1);
  }
}

// "Nov 20 10:00:00 host program[12]: text", as the journal prints a core dump's stacks.
std::string_view without_journal_prefix(std::string_view line) {
  constexpr size_t kLongest = 120;
  const size_t end = line.substr(0, kLongest).find("]: ");
  if (end == std::string_view::npos || line.size() < 16) return line;
  size_t digits = end;
  while (digits > 0 && is_digit(line[digits - 1])) --digits;
  if (digits == end || digits == 0 || line[digits - 1] != '[') return line;
  const size_t clock = line.substr(0, digits).find(':');
  if (clock == std::string_view::npos || clock == 0 || !is_digit(line[clock - 1])) return line;
  return line.substr(end + 3);
}

bool is_shape(std::string_view text, std::string_view shape) {
  if (text.size() < shape.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] == '0' ? !is_digit(text[i]) : text[i] != shape[i]) return false;
  return true;
}

// "2026-01-02T10:11:12.123Z text", "[2026-01-02 10:11:12,123] text", and the number of its test
// that ctest puts behind it: "44: ".
std::string_view without_timestamp(std::string_view line) {
  std::string_view rest = line;
  const bool is_bracketed = rest.starts_with('[');
  if (is_bracketed) rest.remove_prefix(1);
  if (!is_shape(rest, "0000-00-00T00:00:00") && !is_shape(rest, "0000-00-00 00:00:00")) return line;
  rest.remove_prefix(19);
  while (!rest.empty() && (is_digit(rest[0]) || rest[0] == '.' || rest[0] == ','))
    rest.remove_prefix(1);
  if (rest.starts_with('Z')) rest.remove_prefix(1);
  if (is_shape(rest, "+00:00") || is_shape(rest, "-00:00")) rest.remove_prefix(6);
  if (is_bracketed && rest.starts_with(']')) rest.remove_prefix(1);
  if (!rest.empty() && !Cursor::is_blank(rest[0])) return line;
  Cursor behind(trimmed(rest));
  if (behind.number() && behind.skip(": ")) return behind.rest();
  return rest;
}

// "server-1  | text": which container says it.
std::string_view without_container(std::string_view line) {
  constexpr size_t kLongest = 80;
  const size_t bar = line.substr(0, kLongest).find('|');
  if (bar == std::string_view::npos) return line;
  const std::string_view behind = line.substr(bar + 1);
  if (!behind.empty() && !Cursor::is_blank(behind[0])) return line;
  for (const char c : trimmed(line.substr(0, bar)))
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '_' && c != '.')
      return line;
  return behind;
}

// The mark of a comment in source text.
std::string_view without_comment(std::string_view line) {
  for (const std::string_view mark : {"// ", "# "})
    if (line.starts_with(mark)) return line.substr(mark.size());
  return line;
}

// What gdb asked when the screen was full. Its answer, or the next line, may follow.
std::string_view without_pager(std::string_view line) {
  for (const std::string_view question :
       {"--Type <RET> for more, q to quit, c to continue without paging--",
        "---Type <return> to continue, or q <return> to quit---"}) {
    if (!line.starts_with(question)) continue;
    line.remove_prefix(question.size());
    return line == "c" ? line.substr(1) : line;
  }
  return line;
}

// Several may have been put before one another.
std::string_view without_prefixes(std::string_view line) {
  constexpr int kMost = 8;
  for (int i = 0; i < kMost; ++i) {
    const size_t before = line.size();
    line = without_journal_prefix(without_quoting(line));
    const std::string_view text = trimmed(line);
    for (const auto remove :
         {without_timestamp, without_container, without_comment, without_pager}) {
      const std::string_view rest = remove(text);
      if (rest.size() == text.size()) continue;
      line = rest;
      break;
    }
    if (line.size() == before) break;
  }
  return line;
}

bool is_quoted_printable(std::string_view text) {
  return text.find("=3D") != std::string_view::npos &&
         (text.find("=\n") != std::string_view::npos ||
          text.find("=\r\n") != std::string_view::npos);
}

// A mail as it travels: "=3D" for "=", and lines that go on behind a "=" at their end.
std::string decode_quoted_printable(std::string_view text) {
  const auto digit = [](char c) {
    return is_digit(c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    if (rest.starts_with("=\n")) {
      i += 1;
    } else if (rest.starts_with("=\r\n")) {
      i += 2;
    } else if (rest.size() > 2 && rest[0] == '=' && digit(rest[1]) >= 0 && digit(rest[2]) >= 0) {
      out += static_cast<char>(digit(rest[1]) * 16 + digit(rest[2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Length of the terminal's colour sequence at the start of `text`; 0: none.
size_t escape_length(std::string_view text) {
  if (text.size() < 2 || text[0] != '\x1b' || text[1] != '[') return 0;
  size_t i = 2;
  while (i < text.size() && i < 32 && (is_digit(text[i]) || text[i] == ';' || text[i] == '?')) ++i;
  return i < text.size() ? i + 1 : 0;
}

// What the entity at the start of `text` stands for, and its length.
std::pair<char, size_t> entity(std::string_view text) {
  if (text.starts_with("&lt;")) return {'<', 4};
  if (text.starts_with("&gt;")) return {'>', 4};
  if (text.starts_with("&amp;")) return {'&', 5};
  if (text.starts_with("&quot;")) return {'"', 6};
  if (text.starts_with("&#39;")) return {'\'', 5};
  if (text.starts_with("&nbsp;")) return {' ', 6};
  return {'\0', 0};
}

void append_clean(std::string& out, std::string_view line) {
  for (size_t i = 0; i < line.size();) {
    const std::string_view rest = line.substr(i);
    if (const size_t length = escape_length(rest); length > 0) {
      i += length;
    } else if (const auto [plain, size] = entity(rest); size > 0) {
      out += plain;
      i += size;
    } else if (rest.starts_with("\xc2\xa0")) {  // no-break space
      out += ' ';
      i += 2;
    } else if (rest.starts_with("\xe2\x80\x9c") || rest.starts_with("\xe2\x80\x9d")) {
      out += '"';
      i += 3;
    } else if (line[i] == '\0' || rest.starts_with("\\#") || rest.starts_with("\\_") ||
               rest.starts_with("\\*")) {  // what Markdown was told to leave alone
      ++i;
    } else {
      out += line[i++];
    }
  }
}

}  // namespace

std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

std::string clean_paste(std::string_view pasted) {
  if (pasted.starts_with("\xef\xbb\xbf")) pasted.remove_prefix(3);
  std::string decoded;
  if (is_quoted_printable(pasted)) pasted = decoded = decode_quoted_printable(pasted);
  std::string out;
  out.reserve(pasted.size());
  while (!pasted.empty()) {
    std::string_view line = take_line(pasted);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
      line.remove_suffix(1);
    // Quoted or escaped, then quoted: one look at the plain line is enough for both.
    const size_t start = out.size();
    append_clean(out, line);
    const std::string_view plain(out.data() + start, out.size() - start);
    const std::string_view inner = without_prefixes(plain);
    const bool is_fence = trimmed(inner).starts_with("```") || trimmed(inner).starts_with("~~~");
    const size_t prefix = static_cast<size_t>(inner.data() - plain.data());
    out.erase(start, is_fence ? plain.size() : prefix);
    out += '\n';
  }
  return out;
}

std::optional<int64_t> Cursor::number() {
  size_t size = 0;
  int64_t value = 0;
  while (size < rest_.size() && is_digit(rest_[size])) {
    if (size >= 18) return std::nullopt;
    value = value * 10 + (rest_[size++] - '0');
  }
  if (size == 0) return std::nullopt;
  rest_.remove_prefix(size);
  return value;
}

std::optional<uint64_t> Cursor::address() {
  const std::optional<uint64_t> value = parse_hex(rest_);
  if (!value) return std::nullopt;
  rest_.remove_prefix(2);
  while (!rest_.empty() && std::isxdigit(static_cast<unsigned char>(rest_.front())) != 0)
    rest_.remove_prefix(1);
  return value;
}

std::string_view Cursor::until(std::string_view end) {
  const size_t at = rest_.find(end);
  const std::string_view found = rest_.substr(0, at);
  rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at + end.size());
  return found;
}

std::optional<uint64_t> parse_hex(std::string_view text) {
  if (!text.starts_with("0x")) return std::nullopt;
  uint64_t value = 0;
  size_t size = 2;
  for (; size < text.size() && size < 19; ++size) {
    const auto c = static_cast<unsigned char>(text[size]);
    if (std::isxdigit(c) == 0) break;
    value = value * 16 + static_cast<uint64_t>(
                             is_digit(static_cast<char>(c)) ? c - '0' : std::tolower(c) - 'a' + 10);
  }
  if (size == 2 || size == 19) return std::nullopt;
  return value;
}

}  // namespace gordian::dump
