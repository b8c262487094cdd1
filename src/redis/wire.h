// SPDX-License-Identifier: Apache-2.0
// What stands on the server: names of keys and the 24 bytes of a lock's value. docs/redis-locks.md
// is its prose; other implementations contend for the same keys, so a change here is a new format.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gordian::redis {

inline constexpr size_t kValueSize = 24;
inline constexpr size_t kMaxNameSize = 512;

using Value = std::array<char, kValueSize>;

inline std::string_view view(const Value& value) { return {value.data(), value.size()}; }

// Who made a value of ours. Little-endian on the wire:
//   0  2  'G' 'd'
//   2  1  version, 1
//   3  1  1: held by readers together, else 0
//   4  4  kernel thread id of the owner (a hint: a lock may have gone on to another thread)
//   8  8  incarnation of the client, random
//  16  8  number of the acquisition
struct Identity {
  bool shared = false;
  uint32_t thread = 0;
  uint64_t incarnation = 0;
  uint64_t sequence = 0;
  bool operator==(const Identity&) const = default;
};

Value encode(const Identity& identity);
// Nothing for the value of a foreign holder.
std::optional<Identity> decode(std::string_view bytes);

// Whether a value of ours is a reader's.
bool is_shared(std::string_view value);

// "<prefix>:<index>:<name>"
std::string lock_key(std::string_view prefix, unsigned index, std::string_view name);

struct KeyParts {
  unsigned index;
  std::string_view name;
};
// The parts of a key below this prefix; nothing for any other key, whatever it looks like.
std::optional<KeyParts> parse_lock_key(std::string_view prefix, std::string_view key);

// A key beside the lock's, in the same slot of a cluster: "<kind>:{<lock key>}", or
// "<kind>:<lock key>" where that has a hash tag already. Nothing where neither can be (a brace that
// makes no tag).
std::optional<std::string> side_key(std::string_view kind, std::string_view lock_key);

// The slot of a cluster a key lives in: CRC16 (XMODEM) of the hash tag or the whole key.
unsigned slot_of(std::string_view key);

inline constexpr unsigned kSlots = 16384;

}  // namespace gordian::redis
