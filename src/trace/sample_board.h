// SPDX-License-Identifier: Apache-2.0
// A board in memory, for tests: written as the runtime writes one.
#pragma once

#include "format/board.h"

#include <cstring>
#include <span>
#include <vector>

namespace gordian::trace {

class SampleBoard {
 public:
  explicit SampleBoard(uint32_t cards = 4) : bytes_(0) {
    using format::BoardHeader;
    BoardHeader header{};
    header.magic = format::kBoardMagic;
    header.version = format::kBoardVersion;
    header.header_size = 4096;
    header.word_size = 8;
    header.card_capacity = cards;
    header.waits_offset = 4096;
    header.cards_offset = header.waits_offset + cards * sizeof(format::WaitWord);
    header.block_capacity = 2;
    header.blocks_offset = header.cards_offset + cards * sizeof(format::Card);
    header.lock_capacity = 64;
    header.locks_offset = header.blocks_offset +
                          header.block_capacity * format::kHoldBlockHolds * sizeof(format::Hold);
    header.log_offset = header.locks_offset + header.lock_capacity * sizeof(format::LockEntry);
    header.log_size = 64 << 10;
    header.board_size = header.log_offset + header.log_size;
    bytes_.resize(header.board_size);
    this->header() = header;
  }

  std::span<const std::byte> bytes() const { return bytes_; }
  std::vector<std::byte>& raw() { return bytes_; }
  format::BoardHeader& header() { return *reinterpret_cast<format::BoardHeader*>(bytes_.data()); }
  format::WaitWord& wait(uint32_t card) {
    return reinterpret_cast<format::WaitWord*>(bytes_.data() + header().waits_offset)[card];
  }
  format::Card& card(uint32_t card) {
    return reinterpret_cast<format::Card*>(bytes_.data() + header().cards_offset)[card];
  }

  // A live thread; its uid is its tid.
  format::Card& add_thread(uint32_t tid) {
    format::Card& card = this->card(header().cards_used++);
    card.state = format::CardState::Live;
    card.tid = card.uid = tid;
    wait(header().cards_used - 1).tid = tid;
    return card;
  }
  static void add_hold(format::Card& card, uint64_t address,
                       format::Kind kind = format::Kind::Mutex, uint8_t flags = 0) {
    card.holds[card.hold_count++] = {.address = address,
                                     .site = 0,
                                     .frame = 0,
                                     .kind = kind,
                                     .flags = flags,
                                     .count = 1,
                                     .generation = 0};
  }
  void set_wait(uint32_t card, uint64_t address, format::Kind kind = format::Kind::Mutex,
                uint64_t object = 0) {
    format::WaitWord& word = wait(card);
    word.number |= 1;
    word.address = address;
    word.object = object;
    word.kind = kind;
  }

  // Appends a record with `extra` bytes behind its fixed part; returns where it begins.
  template <typename Record>
  uint64_t add_record(format::RecordType type, Record record, uint32_t uid,
                      std::span<const std::byte> extra = {}) {
    const uint64_t at = header().log_used;
    const uint64_t size = (sizeof(record) + extra.size() + 63) / 64 * 64;
    record.header = {.magic = format::kRecordMagic,
                     .type = type,
                     .committed = 1,
                     .size = static_cast<uint32_t>(size),
                     .uid = uid};
    std::byte* const to = bytes_.data() + header().log_offset + at;
    std::memcpy(to, &record, sizeof(record));
    if (!extra.empty()) std::memcpy(to + sizeof(record), extra.data(), extra.size());
    header().log_used += size;
    return at;
  }
  format::RecordHeader& record_at(uint64_t offset) {
    return *reinterpret_cast<format::RecordHeader*>(bytes_.data() + header().log_offset + offset);
  }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace gordian::trace
