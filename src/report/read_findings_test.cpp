// SPDX-License-Identifier: Apache-2.0
#include "report/read_findings.h"

#include "report/json.h"
#include "report/sample_findings.h"

#include <gtest/gtest.h>
#include <random>

namespace gordian::report {
namespace {

TEST(ReadFindings, ReadsBackWhatWasWritten) {
  Report report;
  report.findings = {sample::videoroom(), sample::replication()};
  for (model::Finding& finding : report.findings) finding.fingerprint = "0123456789abcdef";

  const Result<std::vector<model::Finding>> read = read_findings(to_json(report));

  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ((*read)[i].verdict, report.findings[i].verdict);
    EXPECT_EQ((*read)[i].kind, report.findings[i].kind);
    EXPECT_EQ((*read)[i].fingerprint, "0123456789abcdef");
    EXPECT_EQ((*read)[i].threads.size(), report.findings[i].threads.size());
    EXPECT_EQ((*read)[i].resources.size(), report.findings[i].resources.size());
  }
}

TEST(ReadFindings, AnOffsetNamesTheFrameOfItsModule) {
  const Result<std::vector<model::Finding>> read = read_findings(R"({"schema": 1, "findings": [{
    "threads": [{"name": "left", "role": "knot", "holds": [], "wants": {
      "resource": "L1", "at": {"module": "/bin/b", "offset": "0x10"},
      "stack": [{"module": "/bin/a", "offset": "0x10"}, {"module": "/bin/b", "offset": "0x10"}]}}]
  }]})");

  ASSERT_TRUE(read);
  const model::FindingWant& want = *read->front().threads.front().wants;
  EXPECT_EQ(want.site, 0x10U);
  EXPECT_NE(want.stack.frames[0].pc, want.site);
  EXPECT_EQ(want.stack.frames[1].pc, want.site);
}

TEST(ReadFindings, RefusesWhatIsNoReport) {
  for (const char* const text :
       {"", "{", "[]", "{}", "{\"findings\": []}", "null", "{\"schema\": 2, \"findings\": []}"}) {
    EXPECT_FALSE(read_findings(text)) << text;
  }
}

TEST(ReadFindings, SurvivesFieldsOfAnyType) {
  Report report;
  report.findings = {sample::replication()};
  const std::string good = to_json(report);
  std::mt19937 random(4711);
  const std::string bytes = "{}[]\":,0x1nul-";
  for (int i = 0; i < 200; ++i) {
    std::string bad = good;
    for (int k = 0; k < 3; ++k) bad[random() % bad.size()] = bytes[random() % bytes.size()];
    const Result<std::vector<model::Finding>> read = read_findings(bad);
    if (read) {
      EXPECT_LE(read->size(), 1U);
    }
  }
}

}  // namespace
}  // namespace gordian::report
