// SPDX-License-Identifier: Apache-2.0
#include "analysis/join_predictions.h"

#include <gtest/gtest.h>

namespace gordian::analysis {
namespace {

using model::Finding;
using model::ReasonCode;
using model::Verdict;

Finding finding(const char* fingerprint, Verdict verdict, const char* source = "") {
  Finding one;
  one.fingerprint = fingerprint;
  one.verdict = verdict;
  one.source = source;
  return one;
}

TEST(JoinPredictions, TheSameBugIsTakenFromTheRecording) {
  const auto joined = join_predictions({finding("a", Verdict::Possible)},
                                       {finding("a", Verdict::Proved, "recording")}, true);

  ASSERT_EQ(joined.size(), 1U);
  EXPECT_EQ(joined[0].verdict, Verdict::Proved);
  EXPECT_EQ(joined[0].source, "recording");
}

TEST(JoinPredictions, WhatOnlyOneOfThemKnowsStays) {
  const auto joined =
      join_predictions({finding("a", Verdict::Possible)}, {finding("b", Verdict::Possible)}, true);

  EXPECT_EQ(joined.size(), 2U);
}

TEST(JoinPredictions, AWholeRecordingRefutes) {
  const auto joined =
      join_predictions({finding("a", Verdict::Possible)}, {finding("a", Verdict::Refuted)}, true);

  ASSERT_EQ(joined.size(), 1U);
  EXPECT_EQ(joined[0].verdict, Verdict::Refuted);
}

TEST(JoinPredictions, ARecordingThatLostSomethingDoesNot) {
  const auto joined =
      join_predictions({finding("a", Verdict::Possible)}, {finding("a", Verdict::Refuted)}, false);

  ASSERT_EQ(joined.size(), 1U);
  EXPECT_EQ(joined[0].verdict, Verdict::Possible);
}

TEST(JoinPredictions, WhatPredictionsDoNotLookForIsNotRefutedByThem) {
  Finding hazard = finding("a", Verdict::Possible);
  hazard.kind = model::FindingKind::Condition;
  const auto joined = join_predictions({hazard}, {finding("a", Verdict::Refuted)}, true);

  ASSERT_EQ(joined.size(), 1U);
  EXPECT_EQ(joined[0].verdict, Verdict::Possible);
}

TEST(JoinPredictions, OneOfSeveralThatIsNotRefutedKeepsThePattern) {
  const auto joined =
      join_predictions({finding("a", Verdict::Possible)},
                       {finding("a", Verdict::Refuted), finding("a", Verdict::Possible)}, true);

  ASSERT_EQ(joined.size(), 2U);
  EXPECT_EQ(joined[1].verdict, Verdict::Possible);
}

TEST(JoinPredictions, WhatTheProgramExcusesStaysRefuted) {
  Finding excused = finding("a", Verdict::Refuted);
  excused.reason.code = ReasonCode::Annotated;
  const auto joined = join_predictions({excused}, {finding("a", Verdict::Possible)}, true);

  ASSERT_EQ(joined.size(), 1U);
  EXPECT_EQ(joined[0].verdict, Verdict::Refuted);
}

}  // namespace
}  // namespace gordian::analysis
