// SPDX-License-Identifier: Apache-2.0
#include "report/std_text.h"

#include <gtest/gtest.h>
#include <string>

namespace gordian::report {
namespace {

using model::Mode;
using model::ThreadId;
using model::TraceOp;

std::string line_of(TraceOp op, Mode mode, bool by_try = false) {
  std::string text;
  append_std_line({.thread = ThreadId{2}, .object = 7, .op = op, .mode = mode, .by_try = by_try},
                  "a\nplace", text);
  return text;
}

// docs/predict.md has the operations.
TEST(StdText, SaysHowALockIsAskedForHeldAndTried) {
  using enum TraceOp;
  EXPECT_EQ(line_of(Request, Mode::Exclusive), "T2|req(L7)|a place\n");
  EXPECT_EQ(line_of(Request, Mode::Shared), "T2|rreq(L7)|a place\n");
  EXPECT_EQ(line_of(Acquire, Mode::Exclusive), "T2|acq(L7)|a place\n");
  EXPECT_EQ(line_of(Acquire, Mode::Shared), "T2|racq(L7)|a place\n");
  EXPECT_EQ(line_of(Acquire, Mode::Exclusive, true), "T2|tacq(L7)|a place\n");
  EXPECT_EQ(line_of(Acquire, Mode::Shared, true), "T2|tracq(L7)|a place\n");
  EXPECT_EQ(line_of(Release, Mode::Exclusive), "T2|rel(L7)|a place\n");
  EXPECT_EQ(line_of(Release, Mode::Shared), "T2|rrel(L7)|a place\n");
}

}  // namespace
}  // namespace gordian::report
