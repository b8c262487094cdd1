// SPDX-License-Identifier: Apache-2.0
#include "trace/recording_reader.h"

#include "trace/lock_rules.h"
#include "trace/sample_recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

namespace gordian::trace {
namespace {

using format::Event;
using model::TraceEvent;
using model::TraceOp;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr uint32_t kA = 7, kB = 9;  // slots

std::string shown(const TraceEvent& event) {
  const char* const words[] = {"req",  "acq",  "rel",  "exchange", "r",        "w",
                               "fork", "join", "wait", "note",     "notifyAll"};
  return std::to_string(static_cast<uint32_t>(event.thread)) + words[static_cast<int>(event.op)] +
         std::to_string(event.object);
}

// The single run of a recording, read once for its facts and once for its events.
struct Read {
  explicit Read(const std::string& bytes) {
    Result<RecordingFile> file = RecordingFile::over(bytes, "test");
    if (!file) return;
    runs = runs_of(std::move(*file));
    if (runs.empty()) return;
    runs[0].read(Detail::Locks, [](std::span<const TraceEvent>) {});
    runs[0].read(Detail::Sites, [&](std::span<const TraceEvent> part) {
      for (const TraceEvent& event : part) {
        events.push_back(event);
        texts.push_back(shown(event));
      }
    });
  }
  std::vector<RecordingRun> runs;
  std::vector<TraceEvent> events;
  std::vector<std::string> texts;
};

Read read(std::vector<SampleRing> rings) { return Read(sample_recording(rings)); }

// What a reading with memory makes of the rings.
std::vector<std::string> read_with_memory(const std::vector<SampleRing>& rings) {
  const std::string bytes = sample_recording(rings);
  Read first(bytes);
  std::vector<std::string> texts;
  first.runs[0].read(Detail::Memory, [&](std::span<const TraceEvent> part) {
    for (const TraceEvent& event : part) texts.push_back(shown(event));
  });
  return texts;
}

constexpr uint32_t kBeginBytes = 8 + sizeof(format::BeginBody);
constexpr uint32_t kAcquireBytes = 12;

TEST(RecordingReader, WhoReadsComesAfterTheWritersSegment) {
  SampleRing reader, writer;
  reader.begin(1).record(Event::ReadFrom, 0, {1, kBeginBytes + kAcquireBytes, 0});
  reader.acquire(kB, 1).release(kB);
  writer.begin(2).acquire(kA, 1).release(kA);

  EXPECT_THAT(read_with_memory({reader, writer}),
              ElementsAre("1acq0", "1w0", "1rel0", "0r0", "0acq1", "0rel1"));
}

TEST(RecordingReader, TheWriterMayBeAThreadThatHadTheRingBefore) {
  SampleRing ring;
  ring.begin(1).acquire(kA, 1).release(kA).end(1).begin(2);
  ring.record(Event::ReadFrom, 0, {0, kBeginBytes + kAcquireBytes, 0}).acquire(kB, 1);

  EXPECT_THAT(read_with_memory({ring}), ElementsAre("0acq0", "0w0", "0rel0", "1r0", "1acq1"));
}

TEST(RecordingReader, WhatWasReadFromASegmentThatIsNotThereIsLeftOut) {
  SampleRing reader, writer;
  reader.begin(1).record(Event::ReadFrom, 0, {1, 1 << 20, 0}).acquire(kB, 1);
  writer.begin(2).acquire(kA, 1);

  EXPECT_THAT(read_with_memory({reader, writer}), ElementsAre("1acq0"));
}

TEST(RecordingReader, TicketsOrderTheSectionsOfALock) {
  SampleRing later, sooner;
  later.begin(1).acquire(kA, 2).release(kA);
  sooner.begin(2).acquire(kA, 1).release(kA);

  EXPECT_THAT(read({later, sooner}).texts, ElementsAre("1acq0", "1rel0", "0acq0", "0rel0"));
}

TEST(RecordingReader, AnAcquisitionWithoutTicketComesBehindTheLastOfItsRing) {
  SampleRing again, other;
  again.begin(1).acquire(kA, 2).release(kA).record(Event::AcquireNext, kA, {5}).release(kA);
  other.begin(2).acquire(kA, 1).release(kA).acquire(kA, 4);

  EXPECT_THAT(read({again, other}).texts,
              ElementsAre("1acq0", "1rel0", "0acq0", "0rel0", "0acq0", "0rel0", "1acq0"));
}

TEST(RecordingReader, AnAcquisitionWithoutStackHasThatOfTheLastOne) {
  SampleRing again, other;
  again.begin(1).acquire(kA, 2, 7).release(kA).record(Event::AcquireAgain, kA, {}).release(kA);
  again.record(Event::AcquireNext, kA, {5}).release(kA).record(Event::AcquireAgain, kA, {});
  other.begin(2).acquire(kA, 1, 9).release(kA);
  const Read run = read({again, other});

  EXPECT_THAT(run.texts, ElementsAre("1acq0", "1rel0", "0acq0", "0rel0", "0acq0", "0rel0", "0acq0",
                                     "0rel0", "0acq0"));
  EXPECT_THAT((std::vector{run.events[0].site, run.events[2].site, run.events[4].site,
                           run.events[6].site, run.events[8].site}),
              ElementsAre(9, 7, 7, 5, 5));
}

TEST(RecordingReader, AWriterComesBehindAllReadersBeforeIt) {
  SampleRing writer, reader, other;
  writer.begin(1).acquire(kA, 3).release(kA);
  reader.begin(2).acquire(kA, 1, 0, format::kEventShared).release(kA);
  other.begin(3).acquire(kA, 2, 0, format::kEventShared).release(kA);
  const Read run = read({writer, reader, other});

  EXPECT_THAT(run.texts, ElementsAre("1acq0", "1rel0", "2acq0", "2rel0", "0acq0", "0rel0"));
  EXPECT_EQ(run.events[0].mode, model::Mode::Shared);
  EXPECT_EQ(run.events[4].mode, model::Mode::Exclusive);
}

TEST(RecordingReader, AThreadBeginsBehindItsCreationAndIsJoinedBehindItsEnd) {
  SampleRing child, parent;
  child.begin(2, 1).acquire(kA, 1).release(kA).end(2);
  parent.begin(1)
      .acquire(kB, 1)
      .release(kB)
      .record(Event::Fork, 0, {2, 0})
      .record(Event::Join, 0, {2, 0})
      .acquire(kB, 2);
  const Read run = read({child, parent});

  EXPECT_THAT(run.texts,
              ElementsAre("1acq0", "1rel0", "1fork0", "0acq1", "0rel1", "1join0", "1acq0"));
  EXPECT_EQ(run.runs[0].facts().threads[0].name, "that");
}

TEST(RecordingReader, ASectionAfterTheEndOfALockIsOfAnotherLock) {
  SampleRing ring;
  ring.begin(1).acquire(kA, 1).release(kA).record(Event::End, kA, {2}).acquire(kA, 3).release(kA);

  EXPECT_THAT(read({ring}).texts, ElementsAre("0acq0", "0rel0", "0acq1", "0rel1"));
}

// "db": its bytes as a word.
constexpr uint32_t kDb = 'd' | 'b' << 8;

TEST(RecordingReader, ALockIsCalledWhatTheProgramCallsIt) {
  SampleRing ring;
  format::BornBody born{};
  born.ticket = 1;
  ring.begin(1).body(Event::Born, kA, born);
  ring.record(Event::Described, kA, {1, static_cast<uint32_t>(format::Described::Gate), 3});
  ring.acquire(kA, 2).sized(Event::Called, kA, {2, 2, kDb}).release(kA);

  const Read seen = read({ring});
  ASSERT_THAT(seen.runs[0].facts().locks, SizeIs(1));
  const RecordedLock& lock = seen.runs[0].facts().locks[0];
  EXPECT_EQ(lock.name, "db");
  EXPECT_EQ(lock.what, format::Described::Gate);
  EXPECT_EQ(lock.level, 3);
}

TEST(RecordingReader, ANameEndsWithItsObject) {
  SampleRing ring;
  ring.begin(1).sized(Event::Called, kA, {0, 2, kDb}).acquire(kA, 1).release(kA);
  ring.record(Event::End, kA, {2});
  format::BornBody next{};
  next.ticket = 3;
  ring.body(Event::Born, kA, next).acquire(kA, 4);
  ring.sized(Event::Called, kA, {1, 2, kDb});  // it was late

  const Read seen = read({ring});
  ASSERT_THAT(seen.runs[0].facts().locks, SizeIs(2));
  EXPECT_EQ(seen.runs[0].facts().locks[0].name, "db");
  EXPECT_EQ(seen.runs[0].facts().locks[1].name, "");
}

TEST(RecordingReader, ANameIsNoLongerThanItsRecord) {
  SampleRing ring;
  ring.begin(1).acquire(kA, 1).sized(Event::Called, kA, {1, 4000, kDb});

  const Read seen = read({ring});
  ASSERT_THAT(seen.runs[0].facts().locks, SizeIs(1));
  EXPECT_THAT(seen.runs[0].facts().locks[0].name, SizeIs(4));
}

TEST(RecordingReader, AWokenThreadComesBehindWhoeverMayHaveWokenIt) {
  SampleRing waiter, signaller;
  waiter.begin(1)
      .acquire(kA, 1)
      .record(Event::CondWait, kB, {1, 0})
      .release(kA)
      .record(Event::CondWake, kB, {3})
      .acquire(kA, 3)
      .release(kA);
  signaller.begin(2).acquire(kA, 2).record(Event::Notify, kB, {2, 0}).release(kA);

  EXPECT_THAT(read({waiter, signaller}).texts,
              ElementsAre("0acq0", "0rel0", "1acq0", "1w0", "1rel0", "0r0", "0acq0", "0rel0"));
}

TEST(RecordingReader, AWaitWhoseTimeIsUpComesBehindNobody) {
  SampleRing waiter, signaller;
  waiter.begin(1)
      .record(Event::CondWait, kB, {1, 0})
      .record(Event::CondWake, kB, {3}, format::kEventTimed);
  signaller.begin(2).record(Event::Notify, kB, {2, 0});

  EXPECT_THAT(read({waiter, signaller}).texts, ElementsAre("1w0"));
}

TEST(RecordingReader, TheSecondTakeOfASemaphoreComesBehindTheSecondPost) {
  SampleRing taker, poster;
  taker.begin(1).record(Event::Take, kA, {3, 0}).record(Event::Take, kA, {4, 0});
  poster.begin(2).record(Event::Post, kA, {1, 0}).record(Event::Post, kA, {2, 0});

  EXPECT_THAT(read({taker, poster}).texts, ElementsAre("1w0", "1w1", "0r0", "0r1"));
}

TEST(RecordingReader, TakesUpToTheFirstValueNeedNoPost) {
  SampleRing ring;
  ring.begin(1)
      .born(kA, format::Kind::Semaphore, 1, 1)
      .record(Event::Take, kA, {2, 0})
      .record(Event::Post, kA, {3, 0})
      .record(Event::Take, kA, {4, 0});

  EXPECT_THAT(read({ring}).texts, ElementsAre("0w0", "0r0"));
}

TEST(RecordingReader, WhoLeavesABarrierComesBehindAllWhoArrived) {
  SampleRing first, second;
  first.begin(1)
      .born(kA, format::Kind::Barrier, 2, 1)
      .record(Event::Arrive, kA, {2, 0})
      .record(Event::Depart, kA, {4, 0});
  second.begin(2).record(Event::Arrive, kA, {3, 0}).record(Event::Depart, kA, {5, 0});

  EXPECT_THAT(read({first, second}).texts, ElementsAre("0w0", "1w1", "0r0", "0r1", "1r0", "1r1"));
}

TEST(RecordingReader, AFailedTryComesBehindTheAcquisitionItMet) {
  SampleRing holder, tries;
  holder.begin(1).acquire(kA, 1).release(kA).acquire(kA, 2).release(kA);
  tries.begin(2).record(Event::TryFailed, kA, {1, 0}, format::kEventTry);

  const Read run = read({holder, tries});
  EXPECT_THAT(run.texts, ElementsAre("0acq0", "0w0", "0rel0", "0acq0", "0rel0", "1r0"));
}

TEST(RecordingReader, AFailedTryOfASemaphoreComesBehindAllWhoTookOne) {
  SampleRing first, second, tries;
  first.begin(1).born(kA, format::Kind::Semaphore, 2, 1).record(Event::Take, kA, {2, 0});
  second.begin(2).record(Event::Take, kA, {3, 0});
  tries.begin(3).record(Event::TryFailed, kA, {3, 0}, format::kEventTry);

  EXPECT_THAT(read({first, second, tries}).texts, ElementsAre("0w0", "1r0", "1w1", "2r1"));
}

// Its birth is told by whoever holds it.
TEST(RecordingReader, ALockMayBeAskedForAndTriedBeforeItsBirthIsTold) {
  SampleRing tries, holder, next;
  tries.begin(1).record(Event::TryFailed, kA, {0, 0}, format::kEventTry);
  tries.record(Event::Request, kA, {0}).record(Event::WaitEnd, kA, {}).acquire(kA, 3).release(kA);
  holder.begin(2).born(kA, format::Kind::Mutex, 0, 2).acquire(kA, 2).release(kA);
  next.begin(3).acquire(kA, 4);

  const Read run = read({tries, holder, next});
  EXPECT_THAT(run.texts, ElementsAre("1acq0", "1rel0", "0acq0", "0rel0", "2acq0"));
  EXPECT_EQ(run.runs[0].facts().left_out, 0U);
  ASSERT_THAT(run.runs[0].facts().locks, SizeIs(1));
  EXPECT_EQ(run.runs[0].facts().locks[0].address, 0x1000U);
}

// A thread for which there was no ring has ended when it was joined; only then is it known that
// nothing else is missing.
TEST(RecordingReader, WhoeverJoinedAThreadOfWhichNothingIsRecordedGoesOn) {
  SampleRing parent;
  parent.begin(1).record(Event::Fork, 0, {2, 0}).record(Event::Join, 0, {2, 0}).acquire(kA, 1);
  for (const uint64_t dropped : {0, 1}) {
    const format::ProcessEndBody body{
        .lost = 0, .dropped_objects = 0, .waited = 0, .memory = 0, .dropped_threads = dropped};
    std::string end;
    append_bytes(end, &body, sizeof(body));
    const Read run(sample_recording(std::vector{parent}) +
                   sample_chunk(format::ChunkType::ProcessEnd, end));
    if (dropped == 0) {
      EXPECT_THAT(run.texts, ElementsAre("0fork1"));
    } else {
      EXPECT_THAT(run.texts, ElementsAre("0fork1", "0join1", "0acq0"));
    }
    EXPECT_EQ(run.runs[0].facts().dropped_threads, dropped);
  }
}

// As the first reading says.
bool has_other_orders(const std::vector<SampleRing>& rings) {
  const std::string bytes = sample_recording(rings);
  Result<RecordingFile> file = RecordingFile::over(bytes, "test");
  RecordingRun run = std::move(runs_of(std::move(*file)).front());
  run.read(Detail::Locks, [](std::span<const TraceEvent>) {});
  return run.size().has_other_orders;
}

TEST(RecordingReader, TheFirstReadingTellsWhetherThereAreOrdersButOfLocks) {
  SampleRing holder, poster, taker, tries;
  holder.begin(1).acquire(kA, 1).release(kA).record(Event::Fork, 0, {2, 0});
  poster.begin(2).record(Event::Post, kB, {1, 0});
  taker.begin(3).record(Event::Take, kB, {2, 0});
  tries.begin(4).record(Event::TryFailed, kA, {1, 0}, format::kEventTry);
  EXPECT_FALSE(has_other_orders({holder}));
  EXPECT_FALSE(has_other_orders({holder, poster}));  // for which nobody waits
  EXPECT_TRUE(has_other_orders({holder, poster, taker}));
  EXPECT_TRUE(has_other_orders({holder, tries}));

  SampleRing giver;
  giver.begin(2).release(kA);
  SampleRing keeper;
  keeper.begin(1).acquire(kA, 1);
  EXPECT_TRUE(has_other_orders({keeper, giver}));  // one that is a semaphore
}

TEST(RecordingReader, WhatWouldHaveGivenUpIsATry) {
  SampleRing ring, asking;
  ring.begin(1).acquire(kA, 1, 0, format::kEventTimed).release(kA);
  ring.record(Event::Fork, 0, {2, 0}).record(Event::Join, 0, {2, 0}, format::kEventTimed);
  ring.acquire(kB, 1);
  asking.begin(2, 1).end(2);
  SampleRing waiting;
  waiting.begin(3).record(Event::Request, kB, {0}, format::kEventTimed);

  const Read run = read({ring, asking, waiting});
  for (const TraceEvent& event : run.events) {
    const bool waits = (event.op == TraceOp::Acquire && event.object == 0) ||
                       event.op == TraceOp::Join || event.op == TraceOp::Request;
    EXPECT_TRUE(!waits || event.by_try);
  }
}

TEST(RecordingReader, ALockReleasedByAnotherThreadIsHeldByNobody) {
  SampleRing taker, giver;
  taker.begin(1).acquire(kA, 1).acquire(kB, 1).release(kB);
  giver.begin(2).release(kA).acquire(kA, 2);
  const Read run = read({taker, giver});

  EXPECT_TRUE(run.runs[0].facts().unruly.contains(kA));
  EXPECT_EQ(std::count(run.texts.begin(), run.texts.end(), "0acq0"), 0);
}

TEST(RecordingReader, ARobustMutexIsFreeOnceItsOwnerHasEnded) {
  SampleRing owner, next;
  owner.begin(1).born(kA, format::Kind::Mutex, 16, 1).acquire(kA, 2).end(1);
  next.begin(2).acquire(kA, 3);

  EXPECT_THAT(read({owner, next}).texts, ElementsAre("0acq0", "0rel0", "1acq0"));
}

// The kernel gives it back before whoever joins the thread goes on.
TEST(RecordingReader, ARobustMutexIsFreeBeforeItsOwnerIsJoined) {
  SampleRing owner, joiner;
  owner.begin(2, 1).born(kA, format::Kind::Mutex, 16, 2).acquire(kA, 2).end(2);
  joiner.begin(1).record(Event::Fork, 0, {2, 0}).record(Event::Join, 0, {2, 0}).acquire(kA, 3);

  EXPECT_THAT(read({owner, joiner}).texts,
              ElementsAre("1fork0", "0acq0", "0rel0", "1join0", "1acq0"));
}

// It left its wait in a way that no hook saw, as by pthread_exit in a signal handler.
TEST(RecordingReader, AThreadThatHasEndedAsksForNothing) {
  SampleRing holder, asker;
  holder.begin(1).acquire(kA, 1).record(Event::Fork, 0, {2, 0}).record(Event::Join, 0, {2, 0});
  asker.begin(2, 1).record(Event::Request, kA, {0}).end(2);

  EXPECT_THAT(read({holder, asker}).texts, ElementsAre("0acq0", "0fork1", "0join1"));
}

TEST(RecordingReader, NothingBehindALossIsUsedNorWhatDependsOnIt) {
  SampleRing losing, other;
  losing.begin(1).acquire(kA, 1).release(kA).record(Event::Lost, 0, {1, 0, 1}).acquire(kA, 3);
  other.begin(2).acquire(kB, 1).release(kB).acquire(kA, 4).release(kA);  // ticket 2 is lost
  const Read run = read({losing, other});

  EXPECT_THAT(run.texts, ElementsAre("0acq0", "0rel0", "1acq1", "1rel1"));
  EXPECT_GT(run.runs[0].facts().left_out, 0U);
}

TEST(RecordingReader, ARequestThatWasNeverGrantedIsTheThreadsLastEvent) {
  SampleRing holder, waiter;
  holder.begin(1).acquire(kA, 1);
  waiter.begin(2).acquire(kB, 1).record(Event::Request, kA, {5});
  const Read run = read({holder, waiter});

  EXPECT_THAT(run.texts, ElementsAre("0acq0", "1acq1", "1req0"));
  EXPECT_EQ(run.events.back().site, 5U);
}

TEST(RecordingReader, UnknownRecordsAndChunksAreSkipped) {
  SampleRing ring;
  ring.begin(1)
      .record(static_cast<Event>(63), kA, {1, 2, 3})
      .acquire(kA, 1)
      .body(static_cast<Event>(62), 0, format::BeginBody{})
      .release(kA);
  std::string bytes = sample_recording(std::vector{ring});
  bytes.insert(sizeof(format::RecordingFileHeader),
               sample_chunk(static_cast<format::ChunkType>(999), "something new"));

  EXPECT_THAT(Read(bytes).texts, ElementsAre("0acq0", "0rel0"));
}

TEST(RecordingReader, ANewerVersionIsRefusedWithBothVersionsNamed) {
  const std::string bytes = sample_header(format::kRecordingVersion + 1);
  const Result<RecordingFile> file = RecordingFile::over(bytes, "new.grec");

  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message,
              testing::AllOf(HasSubstr("version " + std::to_string(format::kRecordingVersion + 1)),
                             HasSubstr("version " + std::to_string(format::kRecordingVersion))));
}

TEST(RecordingReader, AnOlderVersionIsRead) {
  EXPECT_TRUE(RecordingFile::over(sample_header(1), "old.grec"));
  EXPECT_FALSE(RecordingFile::over(sample_header(0), "none.grec"));
}

TEST(RecordingReader, ABlockThatDoesNotContinueItsRingEndsIt) {
  SampleRing ring;
  ring.begin(1).acquire(kA, 1).release(kA);
  const size_t half = ring.words().size() - 1;
  const std::string bytes =
      sample_header() + sample_chunk(format::ChunkType::Records, sample_block(0, ring, 0, half)) +
      sample_chunk(format::ChunkType::Records, sample_block(0, ring, half + 1));

  EXPECT_THAT(Read(bytes).texts, ElementsAre("0acq0"));
}

// A recording of random sections, as a program could have made it.
std::vector<SampleRing> random_rings(std::mt19937& random, size_t sections) {
  std::vector<SampleRing> rings(4);
  for (uint32_t i = 0; i < rings.size(); ++i) rings[i].begin(i + 1);
  uint32_t tickets[3] = {};
  for (size_t i = 0; i < sections; ++i) {
    SampleRing& ring = rings[random() % rings.size()];
    const uint32_t outer = random() % 3;
    const uint32_t inner = (outer + 1 + random() % 2) % 3;
    ring.acquire(outer + 1, ++tickets[outer]);
    if (random() % 2 == 0) ring.acquire(inner + 1, ++tickets[inner]).release(inner + 1);
    ring.release(outer + 1);
  }
  return rings;
}

// Whether nobody takes what another holds.
bool is_legal(const std::vector<TraceEvent>& events) {
  LockRules rules;
  for (const TraceEvent& event : events) {
    const auto thread = static_cast<uint32_t>(event.thread);
    if (event.op == TraceOp::Acquire &&
        rules.acquire(thread, event.object, event.mode) != LockStep::Changes)
      return false;
    if (event.op == TraceOp::Release &&
        rules.release(thread, event.object, event.mode) != LockStep::Changes)
      return false;
  }
  return true;
}

TEST(RecordingReader, AnyOrderOfTheRingsGivesALegalOrderOfAllEvents) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::vector<SampleRing> rings = random_rings(random, 60);
    const size_t events = read(rings).events.size();
    std::shuffle(rings.begin(), rings.end(), random);
    const Read shuffled = read(rings);

    EXPECT_GE(events, 120U);
    EXPECT_THAT(shuffled.events, SizeIs(events));
    EXPECT_TRUE(is_legal(shuffled.events));
  }
}

TEST(RecordingReader, AFileCutAnywhereGivesALegalBeginning) {
  std::mt19937 random(7);
  const std::vector<SampleRing> rings = random_rings(random, 12);
  std::string bytes = sample_header();
  for (size_t from = 0; from < 60; from += 20)
    for (uint32_t i = 0; i < rings.size(); ++i)
      if (from < rings[i].words().size())
        bytes += sample_chunk(format::ChunkType::Records,
                              sample_block(i, rings[i], from == 0 ? 0 : from, from + 20));
  size_t last = 0;
  for (size_t size = 0; size <= bytes.size(); ++size) {
    const Read run(bytes.substr(0, size));
    ASSERT_TRUE(is_legal(run.events)) << "cut at " << size;
    ASSERT_GE(run.events.size(), last) << "cut at " << size;
    last = run.events.size();
  }
  EXPECT_GT(last, 0U);
}

TEST(RecordingReader, DamageAnywhereIsSurvived) {
  std::mt19937 random(11);
  const std::string whole = sample_recording(random_rings(random, 12));
  for (int i = 0; i < 1000; ++i) {
    std::string bytes = whole;
    for (int change = 0; change < 3; ++change)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    const Read run(bytes);
    ASSERT_TRUE(is_legal(run.events)) << "round " << i;
  }
}

}  // namespace
}  // namespace gordian::trace
