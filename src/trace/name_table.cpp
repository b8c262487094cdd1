// SPDX-License-Identifier: Apache-2.0
#include "trace/name_table.h"

#include <cstring>

namespace gordian::trace {

namespace {

constexpr size_t kMaxDigits = 16;  // below 2^55

uint64_t mixed(uint64_t value) {
  value ^= value >> 32;
  value *= 0xd6e8feb86659fd93;
  value ^= value >> 32;
  return value;
}

uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0x9e3779b97f4a7c15 ^ text.size();
  while (text.size() >= 8) {
    uint64_t word = 0;
    std::memcpy(&word, text.data(), 8);
    hash = mixed(hash ^ word) + 0x9e3779b97f4a7c15;
    text.remove_prefix(8);
  }
  uint64_t word = 0;
  if (!text.empty()) std::memcpy(&word, text.data(), text.size());
  return mixed(hash ^ word);
}

}  // namespace

uint64_t NameTable::key_of(std::string_view text) {
  std::string_view digits = text;
  char prefix = 0;
  if (!digits.empty() && (digits[0] < '0' || digits[0] > '9')) {
    prefix = digits[0];
    digits.remove_prefix(1);
  }
  const bool has_odd_prefix = digits.size() != text.size() && prefix == 0;
  const bool is_number = !has_odd_prefix && !digits.empty() && digits.size() <= kMaxDigits &&
                         (digits[0] != '0' || digits.size() == 1) &&
                         digits.find_first_not_of("0123456789") == std::string_view::npos;
  if (!is_number) return hash_of(text) | kHashed;
  uint64_t number = 0;
  for (const char c : digits) number = number * 10 + static_cast<uint64_t>(c - '0');
  return key_of(prefix, number);
}

uint32_t NameTable::look_up(uint64_t key, std::string_view text) {
  const size_t mask = slots_.size() - 1;
  size_t at = mixed(key) & mask;
  while (slots_[at].id_plus_one != 0) {
    const uint32_t id = slots_[at].id_plus_one - 1;
    if (slots_[at].key == key && ((key & kHashed) == 0 || names_[id] == text)) return id;
    at = (at + 1) & mask;
  }
  const auto id = static_cast<uint32_t>(names_.size());
  names_.push_back(text);
  slots_[at] = {key, id + 1};
  if (names_.size() * 2 > slots_.size()) grow();
  return id;
}

void NameTable::grow() {
  std::vector<Slot> old(slots_.size() * 4);
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.id_plus_one == 0) continue;
    size_t at = mixed(slot.key) & mask;
    while (slots_[at].id_plus_one != 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

}  // namespace gordian::trace
