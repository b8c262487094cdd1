// SPDX-License-Identifier: Apache-2.0
// Names of a text become small numbers, in the order in which they are met.
//
// Nearly every name in a trace is a letter and a number (T12, L5, V4294967302), or the number
// alone: that is its own key, and no text is hashed or compared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace gordian::trace {

class NameTable {
 public:
  static constexpr uint64_t kHashed = 1ULL << 63;

  // Equal for equal texts. Without kHashed it says the whole text: at most one character that is no
  // digit, then up to 16 digits without a leading zero.
  static uint64_t key_of(std::string_view text);
  static constexpr uint64_t key_of(char prefix, uint64_t number) {
    return static_cast<uint64_t>(static_cast<unsigned char>(prefix)) << 55 | number;
  }

  // `text` must outlive the table; it is kept when it is new.
  uint32_t id_of(uint64_t key, std::string_view text) {
    if (key == last_key_ && (key & kHashed) == 0) return last_id_;
    const uint32_t id = look_up(key, text);
    last_key_ = key;
    last_id_ = id;
    return id;
  }

  void rename(uint32_t id, std::string_view text) { names_[id] = text; }
  [[nodiscard]] std::string_view name(uint32_t id) const { return names_[id]; }
  [[nodiscard]] uint32_t size() const { return static_cast<uint32_t>(names_.size()); }

 private:
  struct Slot {
    uint64_t key = 0;
    uint32_t id_plus_one = 0;
  };

  uint32_t look_up(uint64_t key, std::string_view text);
  void grow();

  std::vector<Slot> slots_ = std::vector<Slot>(64);
  std::vector<std::string_view> names_;
  uint64_t last_key_ = kHashed;
  uint32_t last_id_ = 0;
};

}  // namespace gordian::trace
