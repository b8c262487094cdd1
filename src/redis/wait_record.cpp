// SPDX-License-Identifier: Apache-2.0
#include "redis/wait_record.h"

#include "redis/whole_number.h"
#include "redis/wire.h"

#include <charconv>

namespace gordian::redis {
namespace {

constexpr std::string_view kHead = "gordian-waits 1";
constexpr size_t kMaxText = 1 << 20;

// Names are any bytes: hex, so that spaces and line ends separate.
std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "x";
  for (const char c : bytes) {
    text += kDigits[static_cast<uint8_t>(c) >> 4];
    text += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return text;
}

bool from_hex(std::string_view text, std::string& bytes) {
  if (!text.starts_with("x") || text.size() % 2 == 0 || text.size() > 2 * kMaxNameSize + 1)
    return false;
  for (size_t i = 1; i < text.size(); i += 2) {
    uint8_t byte = 0;
    const char* const end = text.data() + i + 2;
    if (std::from_chars(text.data() + i, end, byte, 16).ptr != end) return false;
    bytes += static_cast<char>(byte);
  }
  return true;
}

std::string_view take_word(std::string_view& line) {
  const size_t space = line.find(' ');
  const std::string_view word = line.substr(0, space);
  line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  return word;
}

template <typename Number>
bool take_number(std::string_view& line, Number& number) {
  const auto found = whole_number<Number>(take_word(line));
  if (found) number = *found;
  return found.has_value();
}

}  // namespace

std::string to_text(const WaitRecord& record) {
  std::string text(kHead);
  text.append(1, ' ').append(to_hex(record.host)).append(1, ' ').append(std::to_string(record.pid));
  text.append(1, ' ').append(std::to_string(record.edition)).append(1, '\n');
  for (const BlockedOwner& owner : record.owners) {
    text += std::to_string(owner.thread) + ' ' + std::to_string(owner.wait) + ' ' +
            std::to_string(owner.priority) + ' ' + std::to_string(owner.since_ms) + ' ' +
            to_hex(owner.thread_name) + ' ' + to_hex(owner.wants);
    for (const std::string& name : owner.holds) text += ' ' + to_hex(name);
    text += '\n';
  }
  return text;
}

std::optional<WaitRecord> parse_wait_record(std::string_view text) {
  if (text.size() > kMaxText || !text.starts_with(kHead)) return std::nullopt;
  text.remove_prefix(kHead.size());
  WaitRecord record;
  bool is_first = true;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (is_first) {
      is_first = false;
      if (!take_word(line).empty() || !from_hex(take_word(line), record.host) ||
          !take_number(line, record.pid) || !take_number(line, record.edition) || !line.empty())
        return std::nullopt;
      continue;
    }
    BlockedOwner owner;
    if (!take_number(line, owner.thread) || !take_number(line, owner.wait) ||
        !take_number(line, owner.priority) || !take_number(line, owner.since_ms) ||
        !from_hex(take_word(line), owner.thread_name) || !from_hex(take_word(line), owner.wants))
      return std::nullopt;
    while (!line.empty())
      if (!from_hex(take_word(line), owner.holds.emplace_back())) return std::nullopt;
    record.owners.push_back(std::move(owner));
  }
  if (is_first) return std::nullopt;
  return record;
}

std::string waits_key(std::string_view prefix, uint64_t incarnation) {
  char digits[17] = {};
  const auto end = std::to_chars(digits, digits + 16, incarnation, 16).ptr;
  return std::string(prefix) + ":waits:" + std::string(digits, end);
}

std::optional<uint64_t> parse_waits_key(std::string_view prefix, std::string_view key) {
  constexpr std::string_view kWaits = ":waits:";
  if (!key.starts_with(prefix)) return std::nullopt;
  key.remove_prefix(prefix.size());
  if (!key.starts_with(kWaits)) return std::nullopt;
  key.remove_prefix(kWaits.size());
  uint64_t incarnation = 0;
  const char* const end = key.data() + key.size();
  const auto [at, failure] = std::from_chars(key.data(), end, incarnation, 16);
  if (key.empty() || failure != std::errc{} || at != end) return std::nullopt;
  return incarnation;
}

}  // namespace gordian::redis
