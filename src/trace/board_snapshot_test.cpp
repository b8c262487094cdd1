// SPDX-License-Identifier: Apache-2.0
#include "trace/board_snapshot.h"

#include "trace/sample_board.h"

#include <gtest/gtest.h>

namespace gordian::trace {
namespace {

using format::Kind;

struct OneBoard {
  explicit OneBoard(const SampleBoard& sample)
      : reader(*BoardReader::open(bytes_in_memory(sample.bytes()))) {}
  ProcessBoard source() {
    ProcessBoard board;
    board.process.pid = 42;
    board.board = &reader;
    return board;
  }
  BoardReader reader;
};

TEST(BoardSnapshot, TwoCardsThatNameOneAddressMeanOneLock) {
  SampleBoard sample;
  SampleBoard::add_hold(sample.add_thread(100), 0x10);
  sample.add_thread(101);
  sample.set_wait(1, 0x10);
  OneBoard one(sample);

  const std::vector<ProcessBoard> boards{one.source()};
  const model::Snapshot snapshot = read_snapshot(boards).snapshot;

  ASSERT_EQ(snapshot.threads.size(), 2U);
  ASSERT_EQ(snapshot.resources.size(), 1U);
  EXPECT_EQ(snapshot.threads[0].holds[0].resource, snapshot.threads[1].wait->resource);
  EXPECT_EQ(snapshot.threads[0].activity, model::Activity::Running);
  EXPECT_EQ(snapshot.threads[1].activity, model::Activity::Waiting);
  EXPECT_FALSE(snapshot.threads[1].wait->definite);
}

TEST(BoardSnapshot, ADescriptionSaysWhatAnAnnouncedLockIsAndNothingOfOthers) {
  using format::Described;
  model::Resource announced, glibc;
  announced.kind = model::ResourceKind::Custom;
  glibc.kind = model::ResourceKind::Mutex;
  const format::DescriptionRecord gate{
      .header = {}, .lock = 1, .what = Described::Gate, .level = 3};
  apply_description(gate, announced);
  apply_description(gate, glibc);
  EXPECT_EQ(announced.kind, model::ResourceKind::Gate);
  EXPECT_EQ(announced.level, 3);
  EXPECT_EQ(glibc.kind, model::ResourceKind::Mutex);

  model::Resource other;
  other.kind = model::ResourceKind::Custom;
  apply_description({.header = {}, .lock = 1, .what = static_cast<Described>(99), .level = 70000},
                    other);
  EXPECT_EQ(other.kind, model::ResourceKind::Custom);
  EXPECT_EQ(other.level, -1);

  model::Resource signal;
  signal.kind = model::ResourceKind::Condition;
  apply_description({.header = {}, .lock = 1, .what = Described::Queue, .level = -1}, signal);
  EXPECT_EQ(signal.kind, model::ResourceKind::Queue);
}

// A fiber may unlock on another thread.
TEST(BoardSnapshot, ALockTakenOnAForeignStackIsNotSurelyTheThreads) {
  SampleBoard sample;
  format::Card& card = sample.add_thread(100);
  card.stack_low = 0x7000;
  card.stack_high = 0x8000;
  SampleBoard::add_hold(card, 0x10);
  card.holds[0].frame = 0x7f00;
  SampleBoard::add_hold(card, 0x20);
  card.holds[1].frame = 0x5f00;
  OneBoard one(sample);
  const std::vector<ProcessBoard> boards{one.source()};

  const std::vector<model::Hold> holds = read_snapshot(boards).snapshot.threads[0].holds;

  ASSERT_EQ(holds.size(), 2U);
  EXPECT_TRUE(holds[0].definite);
  EXPECT_FALSE(holds[1].definite);
}

TEST(BoardSnapshot, AConditionWaitHasGivenUpItsMutex) {
  SampleBoard sample;
  SampleBoard::add_hold(sample.add_thread(100), 0x10, Kind::Mutex, format::kSuspended);
  sample.set_wait(0, 0x20, Kind::Condition, 0x10);
  OneBoard one(sample);
  const std::vector<ProcessBoard> boards{one.source()};

  EXPECT_TRUE(read_snapshot(boards).snapshot.threads[0].holds.empty());

  // Signalled: it wants the mutex back.
  const model::Snapshot second =
      read_snapshot(boards, [](size_t, uint32_t, const format::WaitWord&) {
        return true;
      }).snapshot;
  EXPECT_EQ(second.resources[static_cast<size_t>(second.threads[0].wait->resource)].kind,
            model::ResourceKind::Mutex);
}

TEST(BoardSnapshot, ACancelledConditionWaitHasItsMutexAgain) {
  SampleBoard sample;
  SampleBoard::add_hold(sample.add_thread(100), 0x10, Kind::Mutex, format::kSuspended);
  OneBoard one(sample);
  const std::vector<ProcessBoard> boards{one.source()};

  EXPECT_EQ(read_snapshot(boards).snapshot.threads[0].holds.size(), 1U);
}

TEST(BoardSnapshot, ASemaphoreMayBePostedByAHandlerAConditionMayNot) {
  SampleBoard sample;
  sample.add_thread(100);
  sample.add_thread(101);
  sample.set_wait(0, 0x10, Kind::Semaphore);
  sample.set_wait(1, 0x20, Kind::Condition);
  OneBoard one(sample);
  std::vector<ProcessBoard> boards{one.source()};

  for (const bool handles : {false, true}) {
    boards[0].process.handles_signals = handles;
    for (const model::Resource& resource : read_snapshot(boards).snapshot.resources) {
      const bool expected = handles && resource.kind == model::ResourceKind::Semaphore;
      EXPECT_EQ(resource.posts_from_handler_possible, expected);
    }
  }
}

TEST(BoardSnapshot, AJoinNamesTheJoinedThread) {
  SampleBoard sample;
  sample.add_thread(100);
  sample.add_thread(101);
  sample.set_wait(0, 0x7f00, Kind::Join, 101);
  OneBoard one(sample);
  const std::vector<ProcessBoard> boards{one.source()};

  const model::Snapshot snapshot = read_snapshot(boards).snapshot;

  ASSERT_EQ(snapshot.resources.size(), 1U);
  EXPECT_TRUE(snapshot.resources[0].joined_known);
  EXPECT_EQ(snapshot.resources[0].joined, snapshot.threads[1].id);
}

TEST(BoardSnapshot, SharedMemoryIsOneResourceInTwoProcesses) {
  SampleBoard first;
  SampleBoard::add_hold(first.add_thread(100), 0x1000, Kind::Mutex, format::kShared);
  SampleBoard second;
  second.add_thread(200);
  second.set_wait(0, 0x2000);
  second.wait(0).flags = format::kShared;
  OneBoard a(first);
  OneBoard b(second);
  std::vector<ProcessBoard> boards{a.source(), b.source()};
  for (ProcessBoard& board : boards) {
    board.shared_identity = [](uint64_t address) { return SharedIdentity{1, 2, address & 0xfff}; };
  }

  const model::Snapshot snapshot = read_snapshot(boards).snapshot;

  EXPECT_EQ(snapshot.resources.size(), 1U);
  EXPECT_TRUE(snapshot.resources[0].process_shared);
}

TEST(BoardSnapshot, TheWaitOfACardThatChangedHandsIsNone) {
  SampleBoard sample;
  sample.add_thread(100);
  sample.set_wait(0, 0x10);
  sample.wait(0).tid = 99;
  OneBoard one(sample);
  const std::vector<ProcessBoard> boards{one.source()};

  EXPECT_FALSE(read_snapshot(boards).snapshot.threads[0].wait);
}

}  // namespace
}  // namespace gordian::trace
