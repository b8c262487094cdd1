// SPDX-License-Identifier: Apache-2.0
#include "report/json.h"

#include "report/sample_findings.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

namespace gordian::report {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

Json parsed(const Report& report) { return Json::parse(to_json(report)); }

std::vector<std::string> keys(const Json& object) {
  std::vector<std::string> result;
  for (const auto& [key, value] : object.items()) result.push_back(key);
  return result;  // sorted: nlohmann::json keeps them so
}

TEST(Json, AnEmptyReportHasEveryField) {
  const Json json = parsed(Report{});

  EXPECT_EQ(json["schema"], 1);
  EXPECT_THAT(keys(json),
              ElementsAre("command", "dropped", "findings", "gordian", "host", "processes", "run",
                          "schema", "suppressed", "unused_suppressions"));
  EXPECT_TRUE(json["findings"].is_array());
  EXPECT_TRUE(json["suppressed"].is_array());
}

TEST(Json, AProcessTellsHowItEnded) {
  Report report = sample::report_of({});
  report.processes.push_back({4800, "/usr/bin/sleep", {"sleep", "1"}, std::nullopt, ""});

  const Json processes = parsed(report)["processes"];

  EXPECT_EQ(processes[0]["exit"], Json({{"signal", 9}}));
  EXPECT_EQ(processes[1]["exit"], Json({{"code", 0}}));
  EXPECT_TRUE(processes[2]["exit"].is_null());
  EXPECT_THAT(keys(processes[2]), ElementsAre("argv", "exe", "exit", "pid"));
}

TEST(Json, AFindingHasTheFieldsOfTheSchema) {
  const Json finding = parsed(sample::report_of({sample::videoroom()}))["findings"][0];

  EXPECT_THAT(keys(finding), ElementsAre("advice", "assumptions", "fingerprint", "kind", "reason",
                                         "resources", "summary", "threads", "verdict"));
  EXPECT_EQ(finding["verdict"], "deadlock");
  EXPECT_EQ(finding["kind"], "lock-order");
  EXPECT_EQ(finding["summary"],
            "DEADLOCK: 2 threads, 2 locks: \"http-worker\" and \"admin\" (pid 4711, janus)");
  EXPECT_EQ(finding["assumptions"][0], "Only the thread that holds a lock releases it.");
  EXPECT_EQ(finding["fingerprint"].get<std::string>().size(), 16U);
}

TEST(Json, HoldsAndWantsPointToResources) {
  const Json finding = parsed(sample::report_of({sample::replication()}))["findings"][0];
  const Json& holder = finding["threads"][0];
  const Json& reader = finding["threads"][1];

  EXPECT_EQ(holder["role"], "knot");
  EXPECT_EQ(finding["threads"][2]["role"], "victim");
  EXPECT_EQ(holder["holds"][0]["resource"], "L1");
  EXPECT_EQ(holder["holds"][0]["mode"], "exclusive");
  EXPECT_EQ(reader["wants"]["resource"], "L1");
  EXPECT_EQ(reader["wants"]["mode"], "shared");
  EXPECT_EQ(reader["wants"]["owners"][0], holder["tid"]);
  EXPECT_EQ(reader["wants"]["site"], "Server::WorkConcurrencyGuard() (server.cc:1698)");
  EXPECT_EQ(reader["wants"]["stack"][1]["function"], "Server::WorkConcurrencyGuard()");
  EXPECT_EQ(finding["resources"][0], Json({{"id", "L1"},
                                           {"kind", "rwlock"},
                                           {"name", "Server::works_concurrency_rw_lock_"},
                                           {"class", ""},
                                           {"address", "0x7f0000001000"},
                                           {"generation", 1}}));
  EXPECT_EQ(finding["resources"][1]["kind"], "thread");
}

TEST(Json, AThreadThatWantsNothingSaysNull) {
  const Json finding = parsed(sample::report_of({sample::held_at_exit()}))["findings"][0];

  EXPECT_EQ(finding["kind"], "held-at-exit");
  EXPECT_TRUE(finding["threads"][0]["wants"].is_null());
}

TEST(Json, ReasonsAreSentences) {
  const Json findings =
      parsed(sample::report_of({sample::stall(), sample::refuted_by_gate()}))["findings"];

  EXPECT_EQ(findings[0]["verdict"], "stall");
  EXPECT_EQ(findings[0]["reason"], "thread \"metrics\" can still run and could wake them.");
  EXPECT_EQ(findings[1]["verdict"], "refuted");
  EXPECT_THAT(findings[1]["reason"].get<std::string>(), HasSubstr("rooms_mutex"));
}

TEST(Json, TheSuppressedAreListedWithTheirReason) {
  Report report = sample::report_of({});
  report.suppressed.push_back({sample::videoroom(), "lock:handle*", "known:3", "upstream 12"});

  const Json item = parsed(report)["suppressed"][0];

  EXPECT_THAT(keys(item),
              ElementsAre("fingerprint", "kind", "reason", "rule", "summary", "verdict", "where"));
  EXPECT_EQ(item["rule"], "lock:handle*");
}

TEST(Json, BytesThatAreNotUtf8NeverThrow) {
  Report report = sample::report_of({sample::hostile()});
  report.host = "\xff\xfe";
  report.processes[0].argv = {"\xc3\x28", std::string("\0", 1)};

  const Json json = parsed(report);

  EXPECT_EQ(json["host"], "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(Json, EveryFieldIsDocumented) {
  Report report = sample::report_of({sample::replication(), sample::three_cycle()});
  report.suppressed.push_back({sample::videoroom(), "lock:handle*", "known:3", "upstream 12"});
  report.processes[0].unwatched = "it is statically linked";
  std::ifstream file(std::filesystem::path(__FILE__).parent_path() / "../../docs/json.md");
  std::stringstream text;
  text << file.rdbuf();
  const std::string documentation = text.str();

  std::set<std::string> names;
  const std::function<void(const Json&)> collect = [&](const Json& json) {
    for (const auto& [key, value] : json.items()) {
      if (json.is_object()) names.insert(key);
      if (value.is_structured()) collect(value);
    }
  };
  collect(parsed(report));

  for (const std::string& name : names)
    EXPECT_THAT(documentation, HasSubstr("`" + name + "`")) << "docs/json.md does not explain it";
}

}  // namespace
}  // namespace gordian::report
