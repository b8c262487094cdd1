// SPDX-License-Identifier: Apache-2.0
#include "report/text.h"

#include "report/labels.h"
#include "report/sample_findings.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>

namespace gordian::report {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::filesystem::path golden_folder() {
  return std::filesystem::path(__FILE__).parent_path() / "../../tests/golden/report";
}

// Compares with the checked-in text; tools/update-golden writes it instead.
void expect_golden(const std::string& name, const std::string& actual) {
  const std::filesystem::path path = golden_folder() / name;
  if (std::getenv("GORDIAN_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << actual;
    return;
  }
  std::ifstream file(path);
  std::stringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(actual, expected.str()) << "if this is how it shall read: tools/update-golden";
}

TEST(Headline, NamesVerdictThreadsLocksAndProgram) {
  EXPECT_EQ(headline(sample::videoroom()),
            "DEADLOCK: 2 threads, 2 locks: \"http-worker\" and \"admin\" (pid 4711, janus)\n");
}

TEST(Headline, CountsJoinsApartFromLocks) {
  EXPECT_EQ(headline(sample::replication()),
            "DEADLOCK: 2 threads, 1 lock, 1 join: \"worker-1\" and \"master-repl\" (pid 4711, "
            "kvrocks)\n");
}

TEST(Headline, CountsThreadsOfOneName) {
  EXPECT_EQ(headline(sample::three_cycle()),
            "POSSIBLE DEADLOCK: 3 threads, 3 locks: 3 x \"teller\" (pid 4711, bank)\n");
}

model::Witness witness_of(const model::Finding& finding) {
  const model::ThreadId first = finding.threads[0].id, second = finding.threads[1].id;
  const auto main = model::ThreadId{1000};
  return {.steps = {{main, "main", 1, 2}, {first, "worker", 3, 3}, {second, "worker", 7, 9}},
          .stops = {{first, 4}, {second, 10}}};
}

TEST(Text, TellsAScheduleByTheEventsOfARecording) {
  model::Finding finding = sample::videoroom();
  finding.witness = witness_of(finding);
  EXPECT_THAT(to_text(finding), HasSubstr("How it comes to this, by the events of the recording\n"
                                          "  1. \"main\" runs its events 1 to 2\n"
                                          "  2. \"http-worker\" runs event 3\n"
                                          "  3. \"admin\" runs its events 7 to 9\n"
                                          "  Then each waits for the next: \"http-worker\" before "
                                          "event 4 and \"admin\" before event 10\n"));
}

TEST(Text, TellsAScheduleByTheLinesOfATrace) {
  model::Finding finding = sample::videoroom();
  finding.witness = witness_of(finding);
  finding.processes.clear();
  EXPECT_THAT(to_text(finding), HasSubstr("How it comes to this, by the lines of the trace\n"
                                          "  1. \"main\" runs its lines 1 to 2\n"
                                          "  2. \"http-worker\" runs line 3\n"));
}

TEST(Text, TellsThreadsOfOneNameApartInASchedule) {
  model::Finding finding = sample::videoroom();
  finding.witness = witness_of(finding);
  for (model::FindingThread& thread : finding.threads) thread.name = "worker";
  for (model::WitnessStep& step : finding.witness->steps) step.thread_name = "worker";
  EXPECT_THAT(to_text(finding), HasSubstr("  1. another \"worker\" runs its events 1 to 2\n"
                                          "  2. \"worker\" (T1) runs event 3\n"
                                          "  3. \"worker\" (T2) runs its events 7 to 9\n"));
}

TEST(Headline, NeedsNeitherNamesNorStacks) {
  model::Finding finding = sample::videoroom();
  for (auto& thread : finding.threads) {
    thread.name.clear();
    thread.holds.clear();
    thread.wants->stack.frames.clear();
  }
  for (auto& resource : finding.resources) resource.name.clear();
  finding.processes.clear();

  EXPECT_EQ(headline(finding), "DEADLOCK: 2 threads, 2 locks: T1 and T2\n");
}

TEST(Headline, AnEmptyFindingIsStillALine) {
  EXPECT_EQ(headline(model::Finding{}), "POSSIBLE DEADLOCK: 0 threads: \n");
}

TEST(Golden, Videoroom) { expect_golden("videoroom.txt", to_text(sample::videoroom())); }
TEST(Golden, SelfLock) { expect_golden("self_lock.txt", to_text(sample::self_lock())); }
TEST(Golden, TwoJoiners) { expect_golden("two_joiners.txt", to_text(sample::two_joiners())); }
TEST(Golden, Replication) { expect_golden("replication.txt", to_text(sample::replication())); }
TEST(Golden, RedisLock) { expect_golden("redis_lock.txt", to_text(sample::redis_lock())); }
TEST(Golden, Stall) { expect_golden("stall.txt", to_text(sample::stall())); }
TEST(Golden, ThreeCycle) { expect_golden("three_cycle.txt", to_text(sample::three_cycle())); }
TEST(Golden, RefutedByGate) {
  expect_golden("refuted_by_gate.txt", to_text(sample::refuted_by_gate()));
}
TEST(Golden, HeldAtExit) { expect_golden("held_at_exit.txt", to_text(sample::held_at_exit())); }
TEST(Golden, Orphan) { expect_golden("orphan.txt", to_text(sample::orphan())); }

TEST(Text, SaysWhoHoldsAndWants) {
  const std::string text = to_text(sample::videoroom());

  EXPECT_THAT(text, HasSubstr("thread \"http-worker\" holds participant->streams_mutex, wants "
                              "handle->mutex\n"));
  EXPECT_THAT(text, HasSubstr("thread \"admin\" holds handle->mutex, wants "
                              "participant->streams_mutex\n"));
}

TEST(Text, ShowsAddressesInTheDetailsOnly) {
  const std::string text = to_text(sample::videoroom());

  EXPECT_GT(text.find("0x7f"), text.find("Details"));
}

TEST(Text, IsColouredOnlyWhenAsked) {
  EXPECT_THAT(to_text(sample::videoroom()), Not(HasSubstr("\x1b")));
  EXPECT_THAT(to_text(sample::videoroom(), {.color = true}), HasSubstr("\x1b[1;31m"));
}

TEST(Text, ShowsFilesRelativeToTheFolder) {
  const TextOptions options{.folder = "/src/janus"};

  EXPECT_THAT(to_text(sample::videoroom(), options), HasSubstr("  src/plugins/videoroom.c:812\n"));
  EXPECT_THAT(to_text(sample::videoroom(), {.folder = "/src/jan"}),
              HasSubstr("  /src/janus/src/plugins/videoroom.c:812\n"));
}

TEST(Text, BeginsWithTheThreadThatHoldsTheOthersUp) {
  model::Finding finding = sample::replication();
  std::swap(finding.threads[0], finding.threads[1]);

  const std::string text = to_text(finding);

  EXPECT_LT(text.find("thread \"worker-1\" holds"), text.find("thread \"master-repl\" holds"));
}

TEST(Text, HostileNamesDoNotReachTheTerminal) {
  const std::string text = to_text(sample::hostile());

  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    EXPECT_TRUE(byte == '\n' || (byte >= 0x20 && byte < 0x7f)) << "byte " << int{byte};
  }
  EXPECT_LT(text.size(), 20000U);
}

TEST(Text, IsBoundedHoweverManyThreadsAreStuck) {
  sample::Builder b(model::Verdict::Deadlock, model::FindingKind::LockOrder, "/usr/bin/p");
  constexpr size_t kThreads = 1000;
  for (size_t i = 0; i < kThreads; ++i) {
    b.lock(model::ResourceKind::Mutex, "lock" + std::to_string(i));
    b.thread("philosopher");
  }
  for (size_t i = 0; i < kThreads; ++i) {
    const sample::Frames deep(i < 40 ? 300 : 1, sample::frame("recurse", "r.c", 1));
    b.holds(model::ThreadId(i), model::ResourceId(i), deep);
    b.wants(model::ThreadId(i), model::ResourceId((i + 1) % kThreads), deep,
            {model::ThreadId((i + 1) % kThreads)});
  }

  const std::string text = to_text(b.get());

  EXPECT_LT(text.size(), 200000U);
  EXPECT_THAT(text, HasSubstr("more threads of the knot"));
}

TEST(Text, DanglingIdsAreSaidNotFollowed) {
  model::Finding finding = sample::videoroom();
  finding.resources.clear();
  finding.threads[0].wants->owners = {model::ThreadId(77)};

  EXPECT_THAT(to_text(finding), HasSubstr("an unknown lock"));
}

TEST(FindingsText, HidesTheRefutedUnlessAsked) {
  const Report report = sample::report_of({sample::refuted_by_gate(), sample::three_cycle()});

  EXPECT_THAT(findings_text(report), Not(HasSubstr("REFUTED")));
  EXPECT_THAT(findings_text(report, {.show_refuted = true}), HasSubstr("REFUTED"));
}

TEST(FindingsText, PutsTheWeakOnesLast) {
  model::Finding weak = sample::three_cycle();
  weak.rank_last = true;
  const Report report = sample::report_of({sample::held_at_exit(), weak, sample::videoroom()});

  const std::string text = findings_text(report);

  EXPECT_THAT(text, StartsWith("DEADLOCK"));
  EXPECT_LT(text.find("HELD AT EXIT"), text.find("POSSIBLE DEADLOCK"));
}

TEST(Closing, SaysWhatWasFoundAndWatched) {
  EXPECT_EQ(closing(sample::report_of({sample::three_cycle(), sample::refuted_by_gate()})),
            "gordian: found 1 possible deadlock; 1 pattern refuted (--refuted shows why)\n"
            "gordian: watched 4 threads, 12 locks, 34,567 acquisitions, 210 of them with another "
            "lock held (6 nested pairs), longest wait 1.2 ms; judging took 3.0 ms of 2.1 s\n");
}

TEST(Closing, SaysWhatWasDropped) {
  Report report = sample::report_of({});
  report.dropped.threads = 1;
  report.dropped.chains = 2000;

  const std::string text = closing(report);

  EXPECT_THAT(text, HasSubstr("gordian: 1 thread not watched"));
  EXPECT_THAT(text, HasSubstr("gordian: 2,000 lock orders not recorded"));
  EXPECT_THAT(text, testing::Not(HasSubstr("ended early")));
  EXPECT_THAT(text, HasSubstr("gordian: nothing found"));
}

TEST(Closing, SaysThatThereMayBeMore) {
  Report report = sample::report_of({});
  report.dropped.searches = 1;
  EXPECT_THAT(closing(report), HasSubstr("search for possible deadlocks was ended early"));
}

}  // namespace
}  // namespace gordian::report
