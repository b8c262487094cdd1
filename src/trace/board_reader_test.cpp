// SPDX-License-Identifier: Apache-2.0
#include "trace/board_reader.h"

#include "trace/sample_board.h"

#include <gtest/gtest.h>
#include <random>

namespace gordian::trace {
namespace {

using format::Kind;

Result<BoardReader> open(const SampleBoard& board) {
  return BoardReader::open(bytes_in_memory(board.bytes()));
}

format::LockRecord lock_record(uint32_t id) {
  format::LockRecord record{};
  record.address = record.id = id;
  return record;
}

TEST(BoardReader, ReadsWhatAThreadHoldsAndWaitsFor) {
  SampleBoard board;
  format::Card& card = board.add_thread(100);
  SampleBoard::add_hold(card, 0x10);
  board.set_wait(0, 0x20);

  const auto reader = open(board);

  ASSERT_TRUE(reader);
  const auto copy = reader->read_card(0);
  ASSERT_TRUE(copy);
  ASSERT_EQ(copy->holds.size(), 1U);
  EXPECT_EQ(copy->holds[0].address, 0x10U);
  EXPECT_EQ(reader->read_wait(0)->address, 0x20U);
}

TEST(BoardReader, HoldsBeyondTheCardLieInBlocks) {
  SampleBoard board;
  format::Card& card = board.add_thread(100);
  card.hold_count = format::kInlineHolds + 2;
  card.hold_blocks[0] = 2;
  auto* const blocks =
      reinterpret_cast<format::Hold*>(board.raw().data() + board.header().blocks_offset);
  blocks[format::kHoldBlockHolds + 1].address = 0x77;

  const auto copy = open(board)->read_card(0);

  ASSERT_EQ(copy->holds.size(), 66U);
  EXPECT_EQ(copy->holds[65].address, 0x77U);
}

TEST(BoardReader, ABlockThatCannotBeMakesTheCardInexact) {
  SampleBoard board;
  format::Card& card = board.add_thread(100);
  card.hold_count = format::kInlineHolds + 1;
  card.hold_blocks[0] = 0xffffffff;

  const auto copy = open(board)->read_card(0);

  EXPECT_EQ(copy->holds.size(), 64U);
  EXPECT_NE(copy->flags & format::kCardInexact, 0U);
}

TEST(BoardReader, NamesBothVersionsWhenTheyDiffer) {
  SampleBoard board;
  board.header().version = 9;

  const auto reader = open(board);

  ASSERT_FALSE(reader);
  EXPECT_NE(reader.error().message.find("version 9"), std::string::npos);
}

TEST(BoardReader, RefusesRegionsThatLieOutside) {
  for (uint64_t format::BoardHeader::*const offset :
       {&format::BoardHeader::waits_offset, &format::BoardHeader::cards_offset,
        &format::BoardHeader::blocks_offset, &format::BoardHeader::locks_offset,
        &format::BoardHeader::log_offset}) {
    for (const uint64_t value : {uint64_t{0}, UINT64_MAX - 7, uint64_t{1} << 40}) {
      SampleBoard board;
      board.header().*offset = value;
      EXPECT_FALSE(open(board)) << value;
    }
  }
  SampleBoard board;
  board.header().card_capacity = 0xffffffff;
  EXPECT_FALSE(open(board));
}

TEST(BoardReader, RefusesBytesThatAreNoBoard) {
  const std::vector<std::byte> nothing;
  EXPECT_FALSE(BoardReader::open(bytes_in_memory(nothing)));
  const std::vector<std::byte> zeros(1 << 16);
  EXPECT_FALSE(BoardReader::open(bytes_in_memory(zeros)));
}

TEST(BoardReader, AGeometryThatChangesLaterIsNotFollowed) {
  SampleBoard board;
  board.add_thread(100);
  auto reader = open(board);
  board.header().cards_offset = UINT64_MAX - 4096;
  board.header().cards_used = 0xffffffff;

  ASSERT_TRUE(reader->refresh());

  EXPECT_EQ(reader->cards_used(), 4U);
  EXPECT_EQ(reader->read_card(0)->tid, 100U);
}

TEST(BoardReader, AnUncommittedRecordIsTakenInWhenItIsComplete) {
  SampleBoard board;
  board.add_record(format::RecordType::Lock, lock_record(1), 1);
  const uint64_t late = board.add_record(format::RecordType::Lock, lock_record(2), 1);
  board.add_record(format::RecordType::Lock, lock_record(3), 1);
  board.record_at(late).committed = 0;
  auto reader = open(board);

  EXPECT_EQ(reader->read_log().locks.size(), 2U);
  EXPECT_EQ(reader->read_log().unfinished, 1U);

  board.record_at(late).committed = 1;
  EXPECT_EQ(reader->read_log().locks.size(), 3U);
  EXPECT_EQ(reader->read_log().unfinished, 0U);
}

TEST(BoardReader, UnknownRecordsAreSkipped) {
  SampleBoard board;
  board.add_record(static_cast<format::RecordType>(999), format::LockRecord{}, 1);
  board.add_record(format::RecordType::Lock, lock_record(1), 1);

  auto reader = open(board);
  EXPECT_EQ(reader->read_log().locks.size(), 1U);
  EXPECT_EQ(reader->read_log().damaged, 0U);
}

TEST(BoardReader, SizesAndCountsThatCannotBeAreDamage) {
  SampleBoard board;
  const uint64_t odd = board.add_record(format::RecordType::Lock, format::LockRecord{}, 1);
  board.record_at(odd).size = 0xffffffc0;
  format::ChainRecord long_chain{};
  long_chain.hold_count = 60000;
  format::ModuleRecord long_path{};
  long_path.start = 1;
  long_path.end = 2;
  long_path.path_size = 60000;
  board.add_record(format::RecordType::Chain, long_chain, 1);
  board.add_record(format::RecordType::Module, long_path, 1);
  board.add_record(format::RecordType::Lock, lock_record(1), 1);

  auto reader = open(board);
  const BoardLog& log = reader->read_log();
  EXPECT_EQ(log.locks.size(), 1U);
  EXPECT_TRUE(log.chains.empty());
  EXPECT_TRUE(log.modules.empty());
  EXPECT_EQ(log.damaged, 3U);
}

TEST(BoardReader, ALogThatOverflowedIsReadToItsEnd) {
  SampleBoard board;
  board.add_record(format::RecordType::Lock, lock_record(1), 1);
  board.header().log_used = UINT64_MAX;

  EXPECT_EQ(open(board)->read_log().locks.size(), 1U);
}

// Whatever is written over a board: errors and damage, never a crash (the sanitizers watch).
TEST(BoardReader, SurvivesAnyDamage) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    SampleBoard board;
    format::Card& card = board.add_thread(100);
    SampleBoard::add_hold(card, 0x10);
    board.set_wait(0, 0x20);
    board.add_record(format::RecordType::Chain, format::ChainRecord{}, 1);
    board.add_record(format::RecordType::ThreadEnd, format::ThreadEndRecord{}, 1);
    std::mt19937 random(seed);
    for (int i = 0; i < 20; ++i) {
      const size_t near_start =
          random() % 2 == 0 ? sizeof(format::BoardHeader) : board.raw().size();
      board.raw()[random() % near_start] = static_cast<std::byte>(random());
    }
    auto reader = open(board);
    if (!reader) continue;
    reader->refresh();
    std::vector<format::WaitWord> waits;
    reader->read_waits(waits);
    for (uint32_t i = 0; i < reader->cards_used(); ++i) (void)reader->read_card(i);
    (void)reader->read_locks();
    reader->read_log();
  }
}

}  // namespace
}  // namespace gordian::trace
