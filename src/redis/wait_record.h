// SPDX-License-Identifier: Apache-2.0
// What a client publishes about its threads that wait for locks, and those they hold: the text
// under "<prefix>:waits:<incarnation>". docs/redis-locks.md has its form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::redis {

// One thread that waits for a lock without a time limit; it may hold others.
struct BlockedOwner {
  uint32_t thread = 0;
  uint64_t wait = 0;  // number of this wait within the client
  int priority = 0;
  int64_t since_ms = 0;  // time of day; compared with others only to choose a victim
  std::string thread_name;
  std::string wants;
  std::vector<std::string> holds;
};

struct WaitRecord {
  std::string host;
  int64_t pid = 0;
  uint64_t edition = 0;  // counts publications
  std::vector<BlockedOwner> owners;
};

std::string to_text(const WaitRecord& record);
// Nothing for a text that is not exactly of this form: it may come from anybody.
std::optional<WaitRecord> parse_wait_record(std::string_view text);

std::string waits_key(std::string_view prefix, uint64_t incarnation);
// The incarnation; nothing for any other key.
std::optional<uint64_t> parse_waits_key(std::string_view prefix, std::string_view key);

}  // namespace gordian::redis
