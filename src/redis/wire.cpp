// SPDX-License-Identifier: Apache-2.0
#include "redis/wire.h"

#include <charconv>

namespace gordian::redis {
namespace {

constexpr char kMagic[2] = {'G', 'd'};
constexpr char kVersion = 1;

void put(Value& value, size_t at, uint64_t number, size_t size) {
  for (size_t i = 0; i < size; ++i)
    value[at + i] = static_cast<char>(static_cast<uint8_t>(number >> (8 * i)));
}

uint64_t get(std::string_view bytes, size_t at, size_t size) {
  uint64_t number = 0;
  for (size_t i = 0; i < size; ++i)
    number |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
  return number;
}

// What is between the first '{' and the next '}', if that is anything.
std::optional<std::string_view> hash_tag(std::string_view key) {
  const size_t open = key.find('{');
  if (open == std::string_view::npos) return std::nullopt;
  const size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return std::nullopt;
  return key.substr(open + 1, close - open - 1);
}

}  // namespace

Value encode(const Identity& identity) {
  Value value{};
  value[0] = kMagic[0];
  value[1] = kMagic[1];
  value[2] = kVersion;
  value[3] = identity.shared ? 1 : 0;
  put(value, 4, identity.thread, 4);
  put(value, 8, identity.incarnation, 8);
  put(value, 16, identity.sequence, 8);
  return value;
}

std::optional<Identity> decode(std::string_view bytes) {
  if (bytes.size() != kValueSize || bytes[0] != kMagic[0] || bytes[1] != kMagic[1] ||
      bytes[2] != kVersion || (bytes[3] != 0 && bytes[3] != 1))
    return std::nullopt;
  return Identity{.shared = bytes[3] == 1,
                  .thread = static_cast<uint32_t>(get(bytes, 4, 4)),
                  .incarnation = get(bytes, 8, 8),
                  .sequence = get(bytes, 16, 8)};
}

bool is_shared(std::string_view value) {
  const std::optional<Identity> identity = decode(value);
  return identity && identity->shared;
}

std::string lock_key(std::string_view prefix, unsigned index, std::string_view name) {
  char digits[12];
  const auto end = std::to_chars(digits, digits + sizeof digits, index).ptr;
  std::string key;
  key.reserve(prefix.size() + name.size() + 14);
  key.append(prefix).append(1, ':').append(digits, end).append(1, ':').append(name);
  return key;
}

std::optional<KeyParts> parse_lock_key(std::string_view prefix, std::string_view key) {
  if (!key.starts_with(prefix) || key.size() <= prefix.size() || key[prefix.size()] != ':')
    return std::nullopt;
  const std::string_view rest = key.substr(prefix.size() + 1);
  const size_t colon = rest.find(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  KeyParts parts{.index = 0, .name = rest.substr(colon + 1)};
  const auto [end, failure] = std::from_chars(rest.data(), rest.data() + colon, parts.index);
  if (failure != std::errc{} || end != rest.data() + colon) return std::nullopt;
  if (colon > 1 && rest[0] == '0') return std::nullopt;  // nobody writes 00
  return parts;
}

std::optional<std::string> side_key(std::string_view kind, std::string_view lock_key) {
  std::string key(kind);
  key += ':';
  if (hash_tag(lock_key)) return key.append(lock_key);
  if (lock_key.find_first_of("{}") != std::string_view::npos) return std::nullopt;
  return key.append(1, '{').append(lock_key).append(1, '}');
}

unsigned slot_of(std::string_view key) {
  if (const auto tag = hash_tag(key)) key = *tag;
  unsigned crc = 0;
  for (const char c : key) {
    crc ^= static_cast<unsigned>(static_cast<uint8_t>(c)) << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1;
  }
  return (crc & 0xffff) % kSlots;
}

}  // namespace gordian::redis
