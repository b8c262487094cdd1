// SPDX-License-Identifier: Apache-2.0
#include "report/timeline_json.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace gordian::report {
namespace {

using Json = nlohmann::json;
using model::TimedEvent;
using model::TimedOp;

// The ends of arrows, as (thread, microseconds), in the order in which they are written.
std::vector<std::pair<int, double>> arrows(const std::vector<TimedEvent>& events) {
  std::string text;
  TimelineJson timeline([&](std::string_view piece) { text += piece; });
  const auto name = [](uint32_t id) { return std::to_string(id); };
  timeline.begin_process(7, "program", {.thread = name, .object = name, .site = name});
  for (const TimedEvent& event : events) timeline.add(event);
  timeline.finish();
  std::vector<std::pair<int, double>> ends;
  const Json parsed = Json::parse(text);
  for (const Json& event : parsed["traceEvents"])
    if (event["ph"] == "s" || event["ph"] == "f")
      ends.emplace_back(event["tid"].get<int>(), event["ts"].get<double>());
  return ends;
}

TimedEvent at(uint64_t time_ns, uint32_t thread, TimedOp op) {
  TimedEvent event;
  event.time_ns = time_ns;
  event.thread = thread;
  event.op = op;
  event.flow = 5;
  return event;
}

TEST(TimelineJson, AReadIsNeverBeforeItsWrite) {
  using Ends = std::vector<std::pair<int, double>>;
  EXPECT_EQ(arrows({at(1000, 1, TimedOp::Wrote), at(3000, 2, TimedOp::Read)}),
            (Ends{{1, 1.0}, {2, 3.0}}));
  EXPECT_EQ(arrows({at(1000, 2, TimedOp::Read), at(3000, 1, TimedOp::Wrote)}),
            (Ends{{1, 3.0}, {2, 3.0}}));
  EXPECT_EQ(arrows({at(3000, 1, TimedOp::Wrote), at(1000, 2, TimedOp::Read)}),
            (Ends{{1, 3.0}, {2, 3.0}}));
  EXPECT_EQ(arrows({at(1000, 2, TimedOp::Read)}), (Ends{{2, 1.0}}));  // of what was not recorded
}

}  // namespace
}  // namespace gordian::report
