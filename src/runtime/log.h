// SPDX-License-Identifier: Apache-2.0
// Appending to the board's log. Lock-free: a record is reserved by one addition and counts once its
// `committed` is stored; a thread that dies in between leaves a gap that readers skip.
#pragma once

#include "format/board.h"
#include "runtime/board.h"

namespace gordian::runtime {

// Room for a record of `size` bytes, header filled in, the rest zero; null when the log is full.
inline void* begin_record(format::RecordType type, uint64_t size, uint32_t uid) {
  const uint64_t rounded = (size + format::kRecordAlign - 1) & ~uint64_t{format::kRecordAlign - 1};
  const uint64_t at = __atomic_fetch_add(&board.header->log_used, rounded, __ATOMIC_RELAXED);
  if (at + rounded > board.log_size) return nullptr;
  auto* header = reinterpret_cast<format::RecordHeader*>(board.log + at);
  header->type = type;
  header->size = static_cast<uint32_t>(rounded);
  header->uid = uid;
  header->magic = format::kRecordMagic;
  return header;
}

template <typename Record>
Record* begin_record(format::RecordType type, uint32_t uid, uint64_t extra = 0) {
  return static_cast<Record*>(begin_record(type, sizeof(Record) + extra, uid));
}

template <typename Record>
void commit(Record* record) {
  // ORDER: pairs with the reader's acquire of `committed`: who sees it sees the whole record.
  __atomic_store_n(&record->header.committed, uint16_t{1}, __ATOMIC_RELEASE);
}

inline uint32_t log_offset_of(const void* record) {
  return static_cast<uint32_t>((static_cast<const uint8_t*>(record) - board.log) /
                               format::kRecordAlign);
}

// Null: there is none.
template <typename Record>
const Record* record_at(uint32_t log_offset) {
  if (log_offset == 0) return nullptr;
  return reinterpret_cast<const Record*>(board.log + uint64_t{log_offset} * format::kRecordAlign);
}

}  // namespace gordian::runtime
