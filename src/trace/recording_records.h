// SPDX-License-Identifier: Apache-2.0
// The records of a ring, one after the other, out of the words of its blocks.
#pragma once

#include "format/recording.h"
#include "trace/recording_facts.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>

namespace gordian::trace {

// A recording that names a ring beyond is damaged.
inline constexpr uint32_t kMaxRings = 1 << 20;

struct RingRecord {
  format::Event type{};
  uint32_t flags = 0;
  uint32_t slot = 0;
  size_t words = 0;                // of the whole record
  std::span<const uint32_t> body;  // behind the first word; long enough for its type
};

// The first record of `words`, which is at `position` in its ring. Nothing: there is none, or what
// is there is no record (blocks hold whole records, so that is for good).
std::optional<RingRecord> first_record(std::span<const uint32_t> words, uint64_t position);

// The body of a record that has one; it is behind the record's second word.
template <typename Body>
Body body_of(const RingRecord& record) {
  Body body;
  std::memcpy(&body, record.body.data() + 1, sizeof(body));
  return body;
}

// Of a record that is one.
RecordedModule module_of(const RingRecord& record);

// 16 bytes of name.
std::string name_in(std::span<const uint32_t> words);

}  // namespace gordian::trace
