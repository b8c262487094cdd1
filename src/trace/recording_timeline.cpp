// SPDX-License-Identifier: Apache-2.0
#include "trace/recording_timeline.h"

#include "trace/recording_records.h"

#include <algorithm>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gordian::trace {

using format::Event;
using model::TimedEvent;
using model::TimedOp;

namespace {

constexpr size_t kMaxUntimed = 1 << 20;  // events between two readings of the clock

class Timeline {
 public:
  Timeline(const std::vector<ReadPositions>& read_from,
           const std::function<void(const TimedEvent&)>& sink)
      : read_from_(read_from), sink_(sink) {}

  void feed(std::span<const std::byte> blocks) {
    std::vector<uint32_t> words;
    while (blocks.size() >= sizeof(format::BlockHeader)) {
      format::BlockHeader header;
      std::memcpy(&header, blocks.data(), sizeof(header));
      blocks = blocks.subspan(sizeof(header));
      const size_t bytes = std::min<size_t>(header.bytes, blocks.size());
      words.resize(bytes / 4);
      if (!words.empty()) std::memcpy(words.data(), blocks.data(), words.size() * 4);
      blocks = blocks.subspan(bytes);
      if (header.ring >= kMaxRings) continue;
      if (header.ring >= rings_.size()) rings_.resize(header.ring + 1);
      // Behind a gap nobody knows where its thread took a lock last.
      Ring& ring = rings_[header.ring];
      if (header.position != ring.position) ring.taken_at.clear();
      ring.position = header.position + bytes;
      std::span<const uint32_t> left(words);
      uint64_t position = header.position;
      while (const std::optional<RingRecord> record = first_record(left, position)) {
        add(ring, *record);
        left = left.subspan(record->words);
        position += record->words * 4;
        reach(header.ring, position);
      }
    }
  }

  void finish() {
    for (Ring& ring : rings_) flush(ring, ring.time_ns);
  }

 private:
  struct Ring {
    uint32_t uid = 0;
    uint64_t time_ns = 0;
    std::vector<TimedEvent> untimed;
    size_t reached = 0;                               // of its read positions
    uint64_t position = 0;                            // of its next block
    std::unordered_map<uint32_t, uint32_t> taken_at;  // by slot: the stack of its last acquisition
  };

  static uint64_t flow_of(uint32_t ring, uint64_t position) {
    return uint64_t{ring} << 44 | (position >> 2 & ((uint64_t{1} << 44) - 1));
  }

  // What others read of the ring up to here.
  void reach(uint32_t id, uint64_t position) {
    if (id >= read_from_.size()) return;
    Ring& ring = rings_[id];
    const ReadPositions& read = read_from_[id];
    for (; ring.reached < read.size() && read[ring.reached] <= position; ++ring.reached)
      put_flow(ring, TimedOp::Wrote, flow_of(id, read[ring.reached]));
  }

  void put_flow(Ring& ring, TimedOp op, uint64_t flow) {
    put(ring, op, {}, 0);
    if (!ring.untimed.empty()) ring.untimed.back().flow = flow;
  }

  // What happened since the clock was read before is spread evenly up to now.
  void flush(Ring& ring, uint64_t now_ns) {
    const uint64_t span = now_ns > ring.time_ns ? now_ns - ring.time_ns : 0;
    const uint64_t count = ring.untimed.size();
    for (uint64_t i = 0; i < count; ++i) {
      ring.untimed[i].time_ns = ring.time_ns + span / (count + 1) * (i + 1);
      sink_(ring.untimed[i]);
    }
    ring.untimed.clear();
    ring.time_ns = std::max(ring.time_ns, now_ns);
  }

  void put(Ring& ring, TimedOp op, const RingRecord& record, uint32_t site) {
    if (ring.uid == 0) return;
    if (ring.untimed.size() >= kMaxUntimed) flush(ring, ring.time_ns);
    ring.untimed.push_back({.time_ns = 0,
                            .thread = ring.uid,
                            .object = record.slot,
                            .other = 0,
                            .site = site,
                            .op = op,
                            .shared = (record.flags & format::kEventShared) != 0});
  }

  void take(Ring& ring, const RingRecord& record, uint32_t stack) {
    ring.taken_at[record.slot] = stack;
    put(ring, TimedOp::Acquire, record, stack);
  }

  void add(Ring& ring, const RingRecord& record) {
    switch (record.type) {
      case Event::Begin: {
        const auto body = body_of<format::BeginBody>(record);
        flush(ring, ring.time_ns);
        ring.uid = body.uid;
        ring.time_ns = std::max(ring.time_ns, body.time_ns);
        put(ring, TimedOp::Begin, record, 0);
        break;
      }
      case Event::Time:
        flush(ring, record.body[0] | static_cast<uint64_t>(record.body[1]) << 32);
        break;
      case Event::Lost:
        ring.uid = record.body[2];
        break;
      case Event::Acquire:
        take(ring, record, record.body[1]);
        break;
      case Event::AcquireNext:
        take(ring, record, record.body[0]);
        break;
      case Event::AcquireAgain:
        take(ring, record, ring.taken_at[record.slot]);
        break;
      case Event::Release:
        put(ring, TimedOp::Release, record, 0);
        break;
      case Event::Request:
        put(ring, TimedOp::Ask, record, record.body[0]);
        break;
      case Event::JoinWait:
        put(ring, TimedOp::AskJoin, record, record.body[1]);
        if (!ring.untimed.empty()) ring.untimed.back().other = record.body[0];
        break;
      case Event::WaitEnd:
        put(ring, TimedOp::Answer, record, 0);
        break;
      case Event::CondWait:
        put(ring, TimedOp::Wait, record, record.body[1]);
        break;
      case Event::CondWake:
        put(ring, TimedOp::Wake, record, 0);
        break;
      case Event::Notify:
      case Event::Post:
        put(ring, TimedOp::Signal, record, record.body[1]);
        break;
      case Event::TryFailed:
        put(ring, TimedOp::TryFailed, record, record.body[1]);
        break;
      case Event::ReadFrom:
        put_flow(ring, TimedOp::Read,
                 flow_of(record.body[0], uint64_t{record.body[2]} << 32 | record.body[1]));
        break;
      case Event::ThreadEnd:
        put(ring, TimedOp::End, record, 0);
        flush(ring, ring.time_ns);
        break;
      default:
        break;
    }
  }

  const std::vector<ReadPositions>& read_from_;
  const std::function<void(const TimedEvent&)>& sink_;
  std::vector<Ring> rings_;
};

}  // namespace

void read_timeline(const RecordingFile& file, uint32_t process,
                   const std::vector<ReadPositions>& read_from,
                   const std::function<void(const TimedEvent&)>& sink) {
  Timeline timeline(read_from, sink);
  std::vector<std::byte> bytes;
  for (const RecordingFile::Chunk& chunk : file.chunks()) {
    if (chunk.process != process || chunk.type != format::ChunkType::Records) continue;
    if (RecordingFile::unpack(chunk, bytes)) timeline.feed(bytes);
  }
  timeline.finish();
}

}  // namespace gordian::trace
