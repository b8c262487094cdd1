// SPDX-License-Identifier: Apache-2.0
#include "trace/recording_records.h"

#include <algorithm>
#include <cstddef>

namespace gordian::trace {

using format::Event;

namespace {

// Fewest words behind the first that a record must have to mean anything.
constexpr size_t least_body(Event type) {
  switch (type) {
    case Event::Acquire:
    case Event::TryFailed:
    case Event::CondWait:
    case Event::Notify:
    case Event::Post:
    case Event::Take:
    case Event::Arrive:
    case Event::Fork:
    case Event::Join:
    case Event::JoinWait:
    case Event::Time:
      return 2;
    case Event::Request:
    case Event::AcquireNext:
    case Event::CondWake:
    case Event::Depart:
    case Event::End:
    case Event::Passed:
      return 1;
    case Event::Lost:
    case Event::ReadFrom:
    case Event::Called:  // its first is its size
    case Event::Described:
      return 3;
    case Event::ThreadEnd:
      return 5;
    case Event::Name:
      return 4;
    case Event::Born:
      return 1 + sizeof(format::BornBody) / 4;
    case Event::Begin:
      return 1 + sizeof(format::BeginBody) / 4;
    case Event::Stack:
      return 1 + sizeof(format::StackBody) / 4;
    case Event::Module:
      return 1 + sizeof(format::ModuleBody) / 4;
    default:
      return 0;
  }
}

}  // namespace

std::optional<RingRecord> first_record(std::span<const uint32_t> words, uint64_t position) {
  if (words.empty()) return std::nullopt;
  const uint32_t head = words[0];
  RingRecord record;
  record.type = static_cast<Event>(head & ((1U << format::kEventTypeBits) - 1));
  record.flags = head >> format::kEventFlagShift & 7;
  record.slot = head >> format::kEventSlotShift;
  record.words = head >> format::kEventSizeShift & 7;
  if (record.type == Event::Pad) {
    record.words = (format::kRingBytes - position % format::kRingBytes) / 4;
  } else if (record.words == format::kSizeFollows) {
    record.words = words.size() > 1 ? words[1] : 0;
  }
  if (record.words == 0 || record.words > words.size()) return std::nullopt;
  record.body = words.subspan(1, record.words - 1);
  if (record.body.size() < least_body(record.type)) return std::nullopt;
  return record;
}

RecordedModule module_of(const RingRecord& record) {
  const auto body = body_of<format::ModuleBody>(record);
  const auto path = std::as_bytes(record.body.subspan(1 + sizeof(body) / 4));
  RecordedModule module;
  module.start = body.start;
  module.end = body.end;
  module.bias = body.bias;
  const size_t id_size = std::min<size_t>(body.build_id_size, sizeof(body.build_id));
  module.build_id.assign(reinterpret_cast<const char*>(body.build_id), id_size);
  module.flags = body.flags;
  module.path.assign(reinterpret_cast<const char*>(path.data()),
                     std::min<size_t>(path.size(), body.path_size));
  return module;
}

std::string name_in(std::span<const uint32_t> words) {
  char name[17] = {};
  std::memcpy(name, words.data(), 16);
  return name;
}

}  // namespace gordian::trace
