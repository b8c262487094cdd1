// SPDX-License-Identifier: Apache-2.0
#include "trace/recording_timeline.h"

#include "trace/sample_recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <utility>
#include <vector>

namespace gordian::trace {
namespace {

using format::Event;
using model::TimedEvent;
using model::TimedOp;
using testing::ElementsAre;
using testing::Pair;

constexpr uint32_t kA = 7, kB = 9;  // slots

// The acquisitions of a single ring: object and place.
std::vector<std::pair<uint32_t, uint32_t>> taken_in(const SampleRing& ring) {
  const std::string bytes = sample_recording({&ring, 1});
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
  ring.begin(1).acquire(kA, 1, 5).release(kA).acquire(kB, 1, 6).release(kB);
  ring.record(Event::AcquireAgain, kA, {}).release(kA);
  ring.record(Event::AcquireNext, kA, {8}).release(kA).record(Event::AcquireAgain, kA, {});

  EXPECT_THAT(taken_in(ring),
              ElementsAre(Pair(kA, 5), Pair(kB, 6), Pair(kA, 5), Pair(kA, 8), Pair(kA, 8)));
}

TEST(RecordingTimeline, BehindALossThePlaceOfTheLastAcquisitionIsNotKnown) {
  SampleRing ring;
  ring.begin(1).acquire(kA, 1, 5).release(kA).record(Event::Lost, 0, {1, 0, 1});
  ring.record(Event::AcquireAgain, kA, {});

  EXPECT_THAT(taken_in(ring), ElementsAre(Pair(kA, 5), Pair(kA, 0)));
}

}  // namespace
}  // namespace gordian::trace
