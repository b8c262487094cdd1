// SPDX-License-Identifier: Apache-2.0
// Recordings built by hand, for tests: records into rings, rings into chunks.
#pragma once

#include "format/board.h"
#include "format/recording.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::trace {

class SampleRing {
 public:
  using Event = format::Event;

  template <typename Body>
  SampleRing& body(Event type, uint32_t slot, const Body& body) {
    constexpr uint32_t kWords = 2 + sizeof(Body) / 4;
    words_.push_back(format::event_head(type, format::kSizeFollows, 0, slot));
    words_.push_back(kWords);
    words_.resize(words_.size() + sizeof(Body) / 4);
    std::memcpy(words_.data() + words_.size() - sizeof(Body) / 4, &body, sizeof(Body));
    return *this;
  }
  SampleRing& record(Event type, uint32_t slot, std::vector<uint32_t> words, uint32_t flags = 0) {
    words_.push_back(
        format::event_head(type, static_cast<uint32_t>(words.size()) + 1, flags, slot));
    words_.insert(words_.end(), words.begin(), words.end());
    return *this;
  }
  // One that says its size.
  SampleRing& sized(Event type, uint32_t slot, std::vector<uint32_t> words) {
    words_.push_back(format::event_head(type, format::kSizeFollows, 0, slot));
    words_.push_back(static_cast<uint32_t>(words.size()) + 2);
    words_.insert(words_.end(), words.begin(), words.end());
    return *this;
  }
  SampleRing& begin(uint32_t uid, uint32_t parent = 0) {
    return body(Event::Begin, 0,
                format::BeginBody{.uid = uid,
                                  .parent_uid = parent,
                                  .tid = 1000 + uid,
                                  .flags = 0,
                                  .start_routine = 0,
                                  .create_site = 0,
                                  .time_ns = 0});
  }
  SampleRing& end(uint32_t uid) {
    return record(Event::ThreadEnd, 0, {uid, 0x74616874, 0, 0, 0});  // "that"
  }
  // By its initialisation, with ticket 1.
  SampleRing& born(uint32_t slot, format::Kind kind, uint16_t type, uint32_t creator) {
    return body(Event::Born, slot,
                format::BornBody{.ticket = 1,
                                 .kind = static_cast<uint8_t>(kind),
                                 .flags = format::kLockBornByInit,
                                 .type = type,
                                 .address = 0x1000,
                                 .birth_site = 0,
                                 .creator_uid = creator,
                                 .reserved = 0});
  }
  SampleRing& acquire(uint32_t slot, uint32_t ticket, uint32_t stack = 0, uint32_t flags = 0) {
    return record(Event::Acquire, slot, {ticket, stack}, flags);
  }
  SampleRing& release(uint32_t slot) { return record(Event::Release, slot, {}); }

  [[nodiscard]] const std::vector<uint32_t>& words() const { return words_; }

 private:
  std::vector<uint32_t> words_;
};

inline void append_bytes(std::string& to, const void* bytes, size_t size) {
  to.append(static_cast<const char*>(bytes), size);
}

inline std::string sample_header(uint32_t version = format::kRecordingVersion) {
  format::RecordingFileHeader header{};
  header.magic = format::kRecordingMagic;
  header.version = version;
  header.header_size = sizeof(header);
  header.byte_order = format::kByteOrderMark;
  header.word_size = sizeof(void*);
  header.clock = format::kClockMonotonic;
  std::string text;
  append_bytes(text, &header, sizeof(header));
  return text;
}

// Not compressed: a reader takes it either way.
inline std::string sample_chunk(format::ChunkType type, std::string_view payload) {
  format::ChunkHeader header{.magic = format::kChunkMagic,
                             .type = type,
                             .compressed = 0,
                             .process = 0,
                             .stored_size = static_cast<uint32_t>(payload.size()),
                             .raw_size = static_cast<uint32_t>(payload.size()),
                             .committed = 0};
  header.committed = format::check_of(header);
  std::string text;
  append_bytes(text, &header, sizeof(header));
  return text.append(payload);
}

// The ring's words from `from` on, as its block.
inline std::string sample_block(uint32_t ring, const SampleRing& words, size_t from = 0,
                                size_t to = SIZE_MAX) {
  to = to < words.words().size() ? to : words.words().size();
  const format::BlockHeader header{
      .ring = ring, .bytes = static_cast<uint32_t>((to - from) * 4), .position = from * 4};
  std::string text;
  append_bytes(text, &header, sizeof(header));
  append_bytes(text, words.words().data() + from, (to - from) * 4);
  return text;
}

// A file of one process whose rings were emptied once, in the order given.
inline std::string sample_recording(std::span<const SampleRing> rings) {
  const format::ProcessBody about{.pid = 4242, .parent_pid = 1, .blocks = 0, .path_size = 4};
  std::string process;
  append_bytes(process, &about, sizeof(about));
  process += "/bin";
  std::string blocks;
  for (uint32_t i = 0; i < rings.size(); ++i) blocks += sample_block(i, rings[i]);
  return sample_header() + sample_chunk(format::ChunkType::Process, process) +
         sample_chunk(format::ChunkType::Records, blocks);
}

}  // namespace gordian::trace
