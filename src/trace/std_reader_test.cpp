// SPDX-License-Identifier: Apache-2.0
#include "trace/std_reader.h"

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace gordian::trace {
namespace {

using model::Mode;
using model::ThreadId;
using model::TraceEvent;
using model::TraceOp;
using ::testing::HasSubstr;

struct Reading {
  std::vector<TraceEvent> events;
  std::string fault;  // empty: read to the end
  model::TraceSize size;
};

Reading read(StdReader& reader, Detail detail) {
  Reading out;
  const Result<void> result = reader.read(detail, [&](std::span<const TraceEvent> events) {
    out.events.insert(out.events.end(), events.begin(), events.end());
  });
  if (!result) out.fault = result.error().message;
  out.size = reader.size();
  return out;
}

Reading read(const std::string& text, Detail detail = Detail::Memory) {
  StdReader reader = StdReader::over(text, "x.std");
  return read(reader, detail);
}

TEST(StdReader, ReadsEveryOperation) {
  const Reading reading = read(
      "T0|fork(T1)|1\nT1|begin(0)|0\nT1|req(L0)|2\nT1|acq(L0)|2\nT1|r(V0)|3\nT1|w(V1)|4\n"
      "T1|rel(L0)|5\nT1|racq(L1)|6\nT1|rrel(L1)|7\nT1|tacq(L2)|8\nT1|rel(L2)|9\nT1|wait(L0)|10\n"
      "T0|notify(L0)|11\nT0|notifyAll(L0)|12\nT0|branch(0)|0\nT1|end(0)|0\nT0|join(T1)|13\n");

  ASSERT_EQ(reading.fault, "");
  std::vector<TraceOp> ops;
  for (const TraceEvent& event : reading.events) ops.push_back(event.op);
  using enum TraceOp;
  EXPECT_EQ(ops, (std::vector<TraceOp>{Fork, Request, Acquire, Read, Write, Release, Acquire,
                                       Release, Acquire, Release, Wait, Notify, NotifyAll, Join}));
  EXPECT_EQ(reading.events[6].mode, Mode::Shared);
  EXPECT_TRUE(reading.events[8].by_try);
  EXPECT_EQ(reading.events[2].line, 4U);
  EXPECT_EQ(reading.size.events, 17U);
  EXPECT_EQ(reading.size.threads, 2U);
  EXPECT_EQ(reading.size.locks, 3U);
  EXPECT_EQ(reading.size.variables, 2U);
  EXPECT_TRUE(reading.size.has_memory);
}

TEST(StdReader, TakesANumberForTheThreadOfThatNumber) {
  StdReader reader = StdReader::over("T1|fork(10)|1\nT10|acq(a)|2\nT1|join(10)|3\n", "x.std");
  const Reading reading = read(reader, Detail::Memory);

  ASSERT_EQ(reading.fault, "");
  EXPECT_EQ(reading.size.threads, 2U);
  EXPECT_EQ(reader.thread_name(ThreadId{1}), "T10");
  EXPECT_EQ(reading.events[0].object, 1U);
}

TEST(StdReader, KeepsNamesApart) {
  StdReader reader = StdReader::over(
      "T1|acq(1)|1\nT01|acq(01)|1\nmain thread|acq(com.x.Y@1f[3])|Y.java:3\n"
      "T1|acq(12345678901234567890)|\n",
      "x.std");
  const Reading reading = read(reader, Detail::Memory);

  ASSERT_EQ(reading.fault, "");
  EXPECT_EQ(reading.size.threads, 3U);
  EXPECT_EQ(reading.size.locks, 4U);
  EXPECT_EQ(reader.thread_name(ThreadId{2}), "main thread");
  EXPECT_EQ(reader.lock_name(2), "com.x.Y@1f[3]");
  EXPECT_EQ(reader.site_name(reading.events[2].site), "Y.java:3");
  EXPECT_EQ(reader.site_name(reading.events[3].site), "");
}

TEST(StdReader, TheMarkSomeEditorsBeginATextWithIsNoPartOfAName) {
  StdReader reader = StdReader::over("\xef\xbb\xbfT1|acq(a)|1\nT1|rel(a)|2\n", "x.std");
  const Reading reading = read(reader, Detail::Memory);

  ASSERT_EQ(reading.fault, "");
  EXPECT_EQ(reading.size.threads, 1U);
  EXPECT_EQ(reader.thread_name(ThreadId{0}), "T1");
}

// The remarks of an exported trace hold in a copy with other line ends too: nothing is proved of a
// trace that says itself that it is not complete.
TEST(StdReader, RemarksOnMemoryHoldWithEitherLineEnd) {
  for (const std::string end : {"\n", "\r\n"}) {
    EXPECT_TRUE(read("# memory: partial" + end + "T|w(x)|1" + end).size.has_partial_memory);
    EXPECT_TRUE(read("# memory: reads-from" + end + "T|w(x)|1" + end).size.has_reads_from_only);
  }
}

// Also where the last lines are read, which are a copy.
TEST(StdReader, ProgressNeverGoesBackNorPastTheEnd) {
  std::string text;
  for (int i = 0; i < 4 * 65536; ++i) text += "\n";
  StdReader reader = StdReader::over(text, "x.std");
  std::vector<uint64_t> told;
  const auto tell = [&](uint64_t done, uint64_t all) {
    EXPECT_EQ(all, text.size());
    told.push_back(done);
  };
  ASSERT_TRUE(reader.read(
      Detail::Memory, [](std::span<const TraceEvent>) {}, tell));
  ASSERT_EQ(told.size(), 4U);
  for (uint64_t i = 0; i < 4; ++i) EXPECT_EQ(told[i], (i + 1) * 65536 - 1);
}

TEST(StdReader, LeavesOutWhatIsReentrant) {
  const Reading reading = read("T|acq(a)|1\nT|acq(a)|2\nT|rel(a)|3\nT|rel(a)|4\nU|acq(a)|5");

  ASSERT_EQ(reading.fault, "");
  ASSERT_EQ(reading.events.size(), 3U);
  EXPECT_EQ(reading.events[1].line, 4U);
}

TEST(StdReader, TriesOfReadersAndJoinersAreTries) {
  const Reading reading = read(
      "T|fork(U)|1\nT|tracq(a)|2\nU|racq(a)|3\nT|rrel(a)|4\nU|rrel(a)|5\nT|tjoin(U)|6\nT|fork(V)|"
      "7\n"
      "T|join(V)|8\n");

  ASSERT_EQ(reading.fault, "");
  ASSERT_EQ(reading.events.size(), 8U);
  EXPECT_EQ(reading.events[1].mode, Mode::Shared);
  EXPECT_TRUE(reading.events[1].by_try);
  EXPECT_FALSE(reading.events[2].by_try);
  EXPECT_EQ(reading.events[5].op, TraceOp::Join);
  EXPECT_TRUE(reading.events[5].by_try);
  EXPECT_FALSE(reading.events[6].by_try);
  EXPECT_FALSE(reading.events[7].by_try);
}

TEST(StdReader, ARequestMayBeForSharing) {
  const Reading reading = read("T|rreq(a)|1\nU|req(a)|2\n");
  ASSERT_EQ(reading.fault, "");
  ASSERT_EQ(reading.events.size(), 2U);
  for (const TraceEvent& event : reading.events) EXPECT_EQ(event.op, TraceOp::Request);
  EXPECT_EQ(reading.events[0].mode, Mode::Shared);
  EXPECT_EQ(reading.events[1].mode, Mode::Exclusive);
}

TEST(StdReader, ReadersShareAndAnotherModeIsOneEvent) {
  EXPECT_EQ(read("T|racq(a)|1\nU|racq(a)|2\nT|rrel(a)|3\nU|rel(a)|4\n").fault, "");
  const Reading upgrade = read("T|racq(a)|1\nT|acq(a)|2\nT|rel(a)|3\nU|racq(a)|4\nT|rrel(a)|5\n");
  ASSERT_EQ(upgrade.fault, "");
  ASSERT_EQ(upgrade.events.size(), 5U);
  for (const size_t i : {1U, 2U}) {
    EXPECT_EQ(upgrade.events[i].op, TraceOp::Exchange);
    EXPECT_EQ(upgrade.events[i].mode, i == 1 ? Mode::Exclusive : Mode::Shared);
    EXPECT_TRUE(upgrade.events[i].by_try);
  }
}

TEST(StdReader, AcceptsLegalOddities) {
  for (const char* const text :
       {"", "\n\n", "# only a comment", "T|acq(a)|1", "T|req(a)|1\n",
        "T|begin(0)|0\nT|begin(0)|0\n", "T|acq(a)|1\r\nT|rel(a)|2\r\n",
        "T|fork(U)|1\nT|join(U)|2\n", "T|end(0)|0\nT|acq(a)|1\n", "# x\n\nT|acq(a)|\n",
        "T|acq(a)|1\nT|wait(a)|1\nU|acq(a)|1\nU|rel(a)|1\nT|acq(a)|1\n",
        "U|begin(0)|0\nU|branch(0)|0\nT|fork(U)|1\nU|acq(a)|1\n",
        "U|acq(a)|1\nT|join(U)|1\nU|branch(0)|0\nU|end(0)|0\nV|join(U)|1\n",
        "T|fork(U)|1\nV|w(x)|1\nT|join(U)|1\nV|w(x)|1\n"})
    EXPECT_EQ(read(text).fault, "") << text;
}

TEST(StdReader, NamesLineAndRuleOfWhatIsMalformed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"T|acq(a)|1\nU|rel(a)|2\n",
       "x.std:2: lock a is released by U, which does not hold it; T does"},
      {"T|rel(a)|2", "x.std:1: lock a is released by T, which does not hold it"},
      {"T|acq(a)|1\nT|rel(a)|2\nT|rel(a)|3\n", "x.std:3: lock a is released"},
      {"T|acq(a)|1\nU|acq(a)|2\n", "x.std:2: lock a is acquired by U while T holds it"},
      {"T|racq(a)|1\nU|acq(a)|2\n", "x.std:2: lock a is acquired by U while T holds it"},
      {"T|acq(a)|1\nU|racq(a)|2\n", "x.std:2: lock a is acquired by U while T holds it"},
      {"T|racq(a)|1\nU|racq(a)|2\nT|acq(a)|3\n", "x.std:3: lock a is acquired by T while"},
      {"T|grab(a)|1\n", "x.std:1: unknown operation \"grab\""},
      {"T|fork(T)|1\n", "x.std:1: thread T forks itself"},
      {"T7|join(7)|1\n", "x.std:1: thread T7 joins itself"},
      {"T|join(U)|1\n# x\nU|acq(a)|2\n", "x.std:3: thread U acts after it was joined"},
      {"U|w(a)|1\nT|join(U)|1\nU|w(a)|2\n", "x.std:3: thread U acts after it was joined"},
      {"T|join(U)|1\nU|fork(V)|2\n", "x.std:2: thread U acts after it was joined"},
      {"T|join(U)|1\nU|tacq(a)|2\n", "x.std:2: thread U acts after it was joined"},
      {"T|join(U)|1\nU|notify(a)|2\n", "x.std:2: thread U acts after it was joined"},
      {"T|join(7)|1\nT7|r(a)|2\n", "x.std:2: thread T7 acts after it was joined"},
      {"T|fork(U)|1\nU|w(a)|1\nT|join(U)|1\nT|fork(U)|1\nU|w(a)|1\n",
       "x.std:5: thread U acts after it was joined"},
      {"U|req(a)|1\nT|fork(U)|2\n", "x.std:2: thread U is forked after it has acted"},
      {"T7|racq(a)|1\nT|fork(7)|2\n", "x.std:2: thread T7 is forked after it has acted"},
      {"T|w(a)*|1\n", "x.std:1: not an event"},
      {"# fine\nnonsense\n", "x.std:2: not an event: \"nonsense\""},
      {"T|acq(a)\n", "x.std:1: not an event"},
      {"|acq(a)|1\n", "x.std:1: not an event"},
      {"T|acq()|1\n", "x.std:1: not an event"},
      {"T|w()|1\n", "x.std:1: not an event"},
      {"T\x01|acq(a)|1\n", "x.std:1: not an event"},
      {"T|r\n", "x.std:1: not an event"},
      {"T|r(", "x.std:1: not an event"},
      {"T", "x.std:1: not an event"},
      {std::string("T|acq(a\0b)|1\n", 13), "x.std:1: not an event"},
      {std::string("T|acq(\0001)|1\n", 12), "x.std:1: not an event"},
  };
  for (const auto& [text, rule] : cases)
    for (const Detail detail : {Detail::Locks, Detail::Memory})
      EXPECT_THAT(read(text, detail).fault, HasSubstr(rule)) << text;
}

TEST(StdReader, EveryCutGivesAnAnswer) {
  const std::string text =
      "T0|fork(T1)|1\nT1|racq(L1)|2\nT1|r(V1)|3\nT1|notifyAll(L1)|4\nT1|rrel(L1)|5\n";
  for (size_t size = 0; size <= text.size(); ++size) {
    const Reading reading = read(text.substr(0, size));
    EXPECT_LE(reading.events.size(), 5U);
  }
}

TEST(StdReader, IdsAreTheSameInEveryReading) {
  StdReader reader = StdReader::over("T1|w(x)|9\nT2|acq(b)|8\nT2|acq(a)|7\n", "x.std");
  const Reading first = read(reader, Detail::Locks);
  const Reading second = read(reader, Detail::Memory);

  ASSERT_EQ(first.events.size(), 2U);
  ASSERT_EQ(second.events.size(), 3U);
  EXPECT_EQ(first.events[1].thread, second.events[2].thread);
  EXPECT_EQ(first.events[1].object, second.events[2].object);
  EXPECT_EQ(reader.site_name(second.events[2].site), "7");
  EXPECT_TRUE(first.size.has_memory);
}

TEST(StdReader, JudgesThreadsAnewInEveryReading) {
  StdReader reader = StdReader::over("T|fork(U)|1\nU|w(x)|2\nT|join(U)|3\n", "x.std");
  EXPECT_EQ(read(reader, Detail::Locks).fault, "");
  EXPECT_EQ(read(reader, Detail::Memory).fault, "");
}

std::string number(uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

// Events are location, argument, operation, thread.
std::string binary(const std::vector<std::array<uint64_t, 4>>& events, uint64_t threads = 2) {
  std::string out = number(threads, 2) + number(1, 4) + number(1, 4) + number(events.size(), 8);
  for (const auto& [location, argument, op, thread] : events)
    out += number(location << 48 | argument << 14 | op << 10 | thread, 8);
  return out;
}

TEST(StdReader, WhoBeginsOrEndsHasNotActed) {
  const std::string bytes = binary({{7, 0, 6, 5}, {8, 0, 7, 6}, {9, 3, 3, 0}, {9, 3, 3, 1}});
  for (const std::string& text :
       {std::string("T5|begin(0)|1\nT6|end(0)|1\nT0|w(x)|2\nT1|w(x)|3\n"), bytes}) {
    StdReader reader = StdReader::over(text, "x.std");
    for (const Detail detail : {Detail::Locks, Detail::Memory}) {
      const Reading reading = read(reader, detail);

      ASSERT_EQ(reading.fault, "");
      EXPECT_EQ(reading.events.size(), detail == Detail::Locks ? 0U : 2U);
      EXPECT_EQ(reading.size.acts, (std::vector<char>{0, 0, 1, 1}));
      EXPECT_EQ(reader.thread_name(ThreadId{reading.size.first_actor}), "T0");
    }
  }
}

TEST(StdReader, ReadsTheBinaryForm) {
  StdReader reader = [] {
    static const std::string bytes =
        binary({{7, 1, 4, 0}, {8, 5, 0, 1}, {9, 3, 3, 1}, {10, 5, 1, 1}, {11, 1, 5, 0}});
    return StdReader::over(bytes, "x.bin");
  }();
  const Reading reading = read(reader, Detail::Memory);

  ASSERT_EQ(reading.fault, "");
  ASSERT_EQ(reading.events.size(), 5U);
  EXPECT_EQ(reading.events[1].op, TraceOp::Acquire);
  EXPECT_EQ(reader.thread_name(reading.events[1].thread), "T1");
  EXPECT_EQ(reader.lock_name(reading.events[1].object), "L5");
  EXPECT_EQ(reader.site_name(reading.events[1].site), "8");
  EXPECT_EQ(reading.events[4].op, TraceOp::Join);
}

// 1,024 of them: all that ten bits can name.
TEST(StdReader, ABinaryFormMayNameEveryThread) {
  const Reading reading = read(binary({{1, 5, 0, 1023}}, 1024));
  ASSERT_EQ(reading.fault, "");
  EXPECT_EQ(reading.events.size(), 1U);
}

TEST(StdReader, RefusesAMalformedBinaryForm) {
  EXPECT_THAT(read(binary({{1, 5, 0, 1}}).substr(0, 20)).fault,
              HasSubstr("x.std:0: the header promises"));
  EXPECT_THAT(read(std::string(4, '\0')).fault, HasSubstr("the header is cut off"));
  EXPECT_THAT(read(binary({{1, 5, 12, 1}})).fault, HasSubstr("x.std:1: unknown operation 12"));
  EXPECT_THAT(read(binary({{1, 5, 0, 1}, {1, 5, 0, 2}})).fault,
              HasSubstr("x.std:2: lock L5 is acquired by T2 while T1 holds it"));
  EXPECT_THAT(read(binary({{1, 5, 1, 1}})).fault, HasSubstr("x.std:1: lock L5 is released by T1"));
  EXPECT_THAT(read(binary({{1, 1, 5, 0}, {1, 0, 7, 1}, {1, 5, 0, 1}})).fault,
              HasSubstr("x.std:3: thread T1 acts after it was joined"));
  EXPECT_THAT(read(binary({{1, 0, 6, 1}, {1, 0, 8, 1}, {1, 1, 4, 0}})).fault,
              HasSubstr("x.std:3: thread T1 is forked after it has acted"));
}

}  // namespace
}  // namespace gordian::trace
