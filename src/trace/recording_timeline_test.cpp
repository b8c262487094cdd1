// SPDX-License-Identifier: Apache-2.0
#include "trace/recording_timeline.h"

#include "trace/sample_recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace gordian::trace {
namespace {

using format::Event;
using model::TimedEvent;
using model::TimedOp;
using testing::ElementsAre;
using testing::Pair;

constexpr uint32_t kOne = 7, kTwo = 9;  // slots

// The acquisitions: object and place.
std::vector<std::pair<uint32_t, uint32_t>> taken_in(const std::string& bytes) {
  const Result<RecordingFile> file = RecordingFile::over(bytes, "test");
  std::vector<std::pair<uint32_t, uint32_t>> taken;
  if (!file) return taken;
  read_timeline(*file, 0, {}, [&](const TimedEvent& event) {
    if (event.op == TimedOp::Acquire) taken.emplace_back(event.object, event.site);
  });
  return taken;
}

TEST(RecordingTimeline, AnAcquisitionWithoutStackHasThatOfItsRingsLast) {
  SampleRing ring;
  ring.begin(1).acquire(kOne, 1, 5).release(kOne).acquire(kTwo, 1, 6).release(kTwo);
  ring.record(Event::AcquireAgain, kOne, {}).release(kOne);
  ring.record(Event::AcquireNext, kOne, {8}).release(kOne).record(Event::AcquireAgain, kOne, {});

  EXPECT_THAT(
      taken_in(sample_recording({&ring, 1})),
      ElementsAre(Pair(kOne, 5), Pair(kTwo, 6), Pair(kOne, 5), Pair(kOne, 8), Pair(kOne, 8)));
}

// An acquisition that was lost is none that another leans on.
TEST(RecordingTimeline, ALossTakesNoPlacesAway) {
  SampleRing ring;
  ring.begin(1).acquire(kOne, 1, 5).release(kOne).record(Event::Lost, 0, {1, 0, 1});
  ring.record(Event::AcquireAgain, kOne, {});

  EXPECT_THAT(taken_in(sample_recording({&ring, 1})), ElementsAre(Pair(kOne, 5), Pair(kOne, 5)));
}

TEST(RecordingTimeline, BehindAGapThePlaceOfTheLastAcquisitionIsNotKnown) {
  SampleRing ring;
  ring.begin(1).acquire(kOne, 1, 5).release(kOne);
  const size_t gap = ring.words().size();
  ring.record(Event::AcquireNext, kOne, {8}).release(kOne);
  const size_t behind = ring.words().size();
  ring.record(Event::AcquireAgain, kOne, {}).release(kOne).record(Event::AcquireNext, kOne, {5});
  const std::string bytes =
      sample_header() + sample_chunk(format::ChunkType::Records,
                                     sample_block(0, ring, 0, gap) + sample_block(0, ring, behind));

  EXPECT_THAT(taken_in(bytes), ElementsAre(Pair(kOne, 5), Pair(kOne, 0), Pair(kOne, 5)));
}

}  // namespace
}  // namespace gordian::trace
