// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace gordian {
namespace {

struct CodePoint {
  uint32_t value;
  size_t size;  // in bytes; 0: not UTF-8 at this place
};

// Decodes the character at the start of `text`, which is not empty. Overlong forms, surrogates and
// values past U+10FFFF are not UTF-8.
CodePoint decode(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  size_t size = 0;
  uint32_t least = 0;
  if ((lead & 0xe0) == 0xc0) {
    size = 2, least = 0x80;
  } else if ((lead & 0xf0) == 0xe0) {
    size = 3, least = 0x800;
  } else if ((lead & 0xf8) == 0xf0) {
    size = 4, least = 0x10000;
  }
  if (size == 0 || text.size() < size) return {0, 0};
  uint32_t value = lead & (0xff >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {0, 0};
    value = value << 6 | (byte(i) & 0x3f);
  }
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < least || value > 0x10ffff || surrogate) return {0, 0};
  return {value, size};
}

bool is_acted_on(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) ||  // C0, delete, C1
         c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069) ||  // direction of writing
         c == 0x2028 || c == 0x2029 ||
         c == 0xfeff;  // line and paragraph separator, byte order mark
}

void append_escaped(std::string& out, uint32_t c) {
  if (c == '\n') {
    out += "\\n";
  } else if (c == '\t') {
    out += "\\t";
  } else if (c == '\r') {
    out += "\\r";
  } else {
    std::array<char, 16> buffer{};
    std::snprintf(buffer.data(), buffer.size(), c < 0x100 ? "\\x%02x" : "\\u{%04x}", c);
    out += buffer.data();
  }
}

struct Unit {
  std::string_view name;
  double nanoseconds;
};
constexpr std::array<Unit, 9> kUnits{{
    {"ns", 1},
    {"us", 1e3},
    {"µs", 1e3},
    {"ms", 1e6},
    {"s", 1e9},
    {"", 1e9},
    {"m", 60e9},
    {"min", 60e9},
    {"h", 3600e9},
}};

}  // namespace

std::string escape_for_terminal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = decode(text);
    if (c.size == 0) {
      append_escaped(out, static_cast<unsigned char>(text[0]));
      text.remove_prefix(1);
      continue;
    }
    if (is_acted_on(c.value)) {
      append_escaped(out, c.value);
    } else {
      out += text.substr(0, c.size);
    }
    text.remove_prefix(c.size);
  }
  return out;
}

std::string to_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = decode(text);
    if (c.size == 0) {
      out += "\xef\xbf\xbd";
      text.remove_prefix(1);
    } else {
      out += text.substr(0, c.size);
      text.remove_prefix(c.size);
    }
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\r";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string dot_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char sign : text) {
    if (sign == '"' || sign == '\\') out += '\\';
    out += sign;
  }
  return out + "\"";
}

std::string count_of(uint64_t count, std::string_view noun) {
  std::string text = std::to_string(count);
  text += ' ';
  text += noun;
  if (count != 1) text += 's';
  return text;
}

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  const auto fault = [&](std::string_view what) {
    return Error("\"" + std::string(text) + "\" " + std::string(what),
                 "write a number and a unit, as in 500ms, 30s, 2m; without a unit it is seconds");
  };
  double number = 0;
  const char* const end = text.data() + text.size();
  // from_chars would also take "inf", "nan" and "-1".
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0])) == 0)
    return fault("is not a duration");
  const auto [rest, status] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (status != std::errc{}) return fault("is not a duration");
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  for (const Unit& known : kUnits) {
    if (known.name != unit) continue;
    const double nanoseconds = std::round(number * known.nanoseconds);
    // 100 years: below what a time point can hold when it is added to now.
    if (nanoseconds > 100.0 * 365 * 24 * 3600e9) return fault("is too long");
    return std::chrono::nanoseconds(static_cast<int64_t>(nanoseconds));
  }
  return fault("has a unit nobody knows");
}

std::string to_text(std::chrono::nanoseconds duration) {
  const double ns = static_cast<double>(duration.count());
  const auto number = [](double value, const char* unit) {
    std::array<char, 48> buffer{};
    std::snprintf(buffer.data(), buffer.size(), value < 9.95 ? "%.1f %s" : "%.0f %s", value, unit);
    return std::string(buffer.data());
  };
  const auto pair = [](int64_t big, const char* unit, int64_t small, const char* small_unit) {
    std::string text = std::to_string(big) + " " + unit;
    if (small != 0) text += " " + std::to_string(small) + " " + small_unit;
    return text;
  };
  if (ns < 0) return "-" + to_text(-duration);
  if (ns < 1e3) return std::to_string(duration.count()) + " ns";
  if (ns < 999.5e3) return number(ns / 1e3, "us");
  if (ns < 999.5e6) return number(ns / 1e6, "ms");
  if (ns < 59.5e9) return number(ns / 1e9, "s");
  const auto seconds = std::chrono::round<std::chrono::seconds>(duration).count();
  if (seconds < 3600) return pair(seconds / 60, "min", seconds % 60, "s");
  return pair(seconds / 3600, "h", seconds / 60 % 60, "min");
}

}  // namespace gordian
