// SPDX-License-Identifier: Apache-2.0
#include "trace/recording_scan.h"

#include "trace/recording_records.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace gordian::trace {

using format::Event;

namespace {

constexpr uint32_t kUsed = 1U << 31;
constexpr uint32_t kTypeMask = (1U << format::kEventTypeBits) - 1;

}  // namespace

bool RecordingScan::feed(std::span<const std::byte> blocks) {
  while (!out_.needs_order && blocks.size() >= sizeof(format::BlockHeader)) {
    format::BlockHeader header;
    std::memcpy(&header, blocks.data(), sizeof(header));
    blocks = blocks.subspan(sizeof(header));
    if (header.ring >= kMaxRings || header.bytes % 4 != 0 || header.bytes > blocks.size()) {
      out_.needs_order = true;
      break;
    }
    if (header.ring >= rings_.size()) rings_.resize(header.ring + 1);
    Ring& ring = rings_[header.ring];
    words_.resize(header.bytes / 4);
    if (header.bytes > 0) std::memcpy(words_.data(), blocks.data(), header.bytes);
    blocks = blocks.subspan(header.bytes);
    out_.needs_order = header.position != ring.position || !scan(ring, words_);
  }
  return !out_.needs_order;
}

bool RecordingScan::scan(Ring& ring, std::span<const uint32_t> words) {
  const uint64_t begin = ring.position;
  size_t at = 0;
  while (at < words.size()) {
    const uint32_t head = words[at];
    const uint32_t slot = head >> format::kEventSlotShift;
    size_t size = head >> format::kEventSizeShift & 7;
    const auto type = static_cast<Event>(head & kTypeMask);
    if (type == Event::Release && size == 1) {
      ++out_.events;
      if (!release(ring, slot)) return false;
    } else if ((type == Event::AcquireAgain && size == 1) ||
               (type == Event::AcquireNext && size == 2) || (type == Event::Acquire && size == 3)) {
      if (!ring.has_thread || words.size() - at < size) return false;
      ++out_.events;
      if (!acquire(ring, slot, (head >> format::kEventFlagShift & format::kEventGivesUp) != 0))
        return false;
    } else if (!other(ring, words.subspan(at), begin + at * 4, size)) {
      return false;
    }
    at += size;
  }
  ring.position = begin + words.size() * 4;
  return true;
}

uint32_t& RecordingScan::use_of(uint32_t slot) {
  if (slot >= used_.size()) used_.resize(slot + 1 + slot / 2);
  return used_[slot];
}

bool RecordingScan::acquire(Ring& ring, uint32_t slot, bool gives_up) {
  use_of(slot) |= kUsed;
  ++out_.acquisitions;
  if (ring.held_count > 0) {
    if (ring.held_count == kMaxHeld) return false;
    for (uint32_t i = 0; i < ring.held_count; ++i)
      if (ring.held[i] == slot) return false;
    ++out_.nested;
    if (!gives_up) nest(ring, slot);
  }
  ring.held[ring.held_count++] = slot;
  return true;
}

bool RecordingScan::release(Ring& ring, uint32_t slot) {
  for (uint32_t i = ring.held_count; i > 0; --i) {
    if (ring.held[i - 1] != slot) continue;
    std::copy(ring.held.begin() + i, ring.held.begin() + ring.held_count,
              ring.held.begin() + i - 1);
    --ring.held_count;
    return true;
  }
  return false;
}

void RecordingScan::nest(const Ring& ring, uint32_t wanted) {
  for (uint32_t i = 0; i < ring.held_count; ++i) {
    const uint64_t pair = uint64_t{ring.held[i]} << 32 | wanted;
    uint64_t& cached = cache_[(pair * 0x9E3779B97F4A7C15U) >> 52];
    if (cached == pair) continue;
    cached = pair;
    nestings_.insert(pair);
  }
}
static_assert(format::kMaxSlots <= UINT32_MAX);

// Everything but the commonest. `size`: words of the record.
bool RecordingScan::other(Ring& ring, std::span<const uint32_t> words, uint64_t position,
                          size_t& size) {
  const std::optional<RingRecord> record = first_record(words, position);
  if (!record) return false;
  size = record->words;
  switch (record->type) {
    case Event::Begin: {
      const auto body = body_of<format::BeginBody>(*record);
      threads_.insert(body.uid);
      ring.has_thread = true;
      ring.held_count = 0;
      ring.asks = 0;
      return true;
    }
    case Event::Acquire:
    case Event::AcquireNext:
    case Event::AcquireAgain:
      ++out_.events;
      return ring.has_thread &&
             acquire(ring, record->slot, (record->flags & format::kEventGivesUp) != 0);
    case Event::Release:
      ++out_.events;
      return release(ring, record->slot);
    case Event::Request:
      ring.asks = (record->flags & format::kEventGivesUp) != 0 ? 0 : record->slot;
      return true;
    case Event::WaitEnd:
      ring.asks = 0;
      return true;
    case Event::Born:
      ++use_of(record->slot);
      return true;
    case Event::Fork:
      ++out_.events;
      threads_.insert(record->body[0]);
      return true;
    case Event::Join:
      ++out_.events;
      threads_.insert(record->body[0]);
      return ring.held_count == 0;
    case Event::Module:
      out_.modules.push_back(module_of(*record));
      return true;
    case Event::Lost:
      return false;
    default:
      return true;
  }
}

RunSketch RecordingScan::finish() {
  for (const Ring& ring : rings_) {
    if (ring.asks == 0) continue;
    nest(ring, ring.asks);
    const bool is_held = std::any_of(rings_.begin(), rings_.end(), [&](const Ring& other) {
      const auto end = other.held.begin() + other.held_count;
      return std::find(other.held.begin(), end, ring.asks) != end;
    });
    out_.events += is_held ? 1 : 0;
  }
  for (const uint64_t pair : nestings_)
    out_.nestings.emplace_back(static_cast<uint32_t>(pair >> 32), static_cast<uint32_t>(pair));
  out_.threads = static_cast<uint32_t>(threads_.size());
  for (const uint32_t used : used_)
    if ((used & kUsed) != 0) out_.used_locks += std::max(used & ~kUsed, 1U);
  return std::move(out_);
}

}  // namespace gordian::trace
