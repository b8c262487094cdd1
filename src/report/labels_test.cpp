// SPDX-License-Identifier: Apache-2.0
#include "report/labels.h"

#include "report/sample_findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gordian::report {
namespace {

TEST(ShortFunction, DropsParametersAndTemplateArguments) {
  EXPECT_EQ(short_function("main"), "main");
  EXPECT_EQ(short_function("ns::Class<int, std::less<int> >::send(Message const&) const"),
            "ns::Class::send");
  EXPECT_EQ(short_function("void run<Task>(Task&&)"), "run");
  EXPECT_EQ(short_function("(anonymous namespace)::work(int)"), "work");
  EXPECT_EQ(short_function("flush(int) [clone .part.0]"), "flush");
  EXPECT_EQ(short_function("flush.constprop.0"), "flush.constprop.0");
  EXPECT_EQ(short_function("Locker::~Locker()"), "Locker::~Locker");
}

TEST(ShortFunction, KeepsOperators) {
  EXPECT_EQ(short_function("Task::operator()(int) const"), "Task::operator()");
  EXPECT_EQ(short_function("operator<<(Stream&, int)"), "operator<<");
  EXPECT_EQ(short_function("Flag::operator bool() const"), "Flag::operator bool");
}

TEST(ShortFunction, KeepsTheReceiverOfAGoMethod) {
  EXPECT_EQ(short_function("main.(*Store).Compact"), "main.(*Store).Compact");
  EXPECT_EQ(short_function("example.com/x.(*T).run.func1"), "example.com/x.(*T).run.func1");
  EXPECT_EQ(short_function("example.com/x.(*Pool[...]).Get(...)"),
            "example.com/x.(*Pool[...]).Get");
}

TEST(ShortFunction, NamesALambdaByItsFunction) {
  EXPECT_EQ(short_function("main::{lambda()#1}::operator()() const"), "main::{lambda#1}");
  EXPECT_EQ(short_function("operator()"), "{lambda}");
  EXPECT_EQ(short_function("Server::start(int)::{lambda(int, std::pair<int, int>)#2}::operator()"
                           "(int, std::pair<int, int>) const"),
            "Server::start::{lambda#2}");
}

TEST(ShortFunction, SurvivesWhatIsNoFunction) {
  EXPECT_EQ(short_function(""), "");
  EXPECT_EQ(short_function("<<<<"), "<<<<");
  EXPECT_EQ(short_function("(((("), "((((");
  EXPECT_EQ(short_function("{lambda("), "{lambda}");
}

TEST(Clean, CutsInTheMiddleAndKeepsCharactersWhole) {
  EXPECT_EQ(clean("short"), "short");
  EXPECT_EQ(clean("abcdefghijkl", 9), "abcdef...jkl");
  EXPECT_EQ(clean("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", 4), "\xc3\xa4...");
}

TEST(JoinWords, CountsWhatItLeavesOut) {
  EXPECT_EQ(join_words({}), "");
  EXPECT_EQ(join_words({"a"}), "a");
  EXPECT_EQ(join_words({"a", "b", "c"}), "a, b and c");
  EXPECT_EQ(join_words({"a", "b", "c", "d"}, 3), "a, b and 2 more");
}

TEST(WithThousands, GroupsByThree) {
  EXPECT_EQ(with_thousands(0), "0");
  EXPECT_EQ(with_thousands(999), "999");
  EXPECT_EQ(with_thousands(1234567), "1,234,567");
}

TEST(Labels, LocksOfOneNameAreNumbered) {
  model::Finding finding = sample::videoroom();
  finding.resources[1].name = finding.resources[0].name;
  const Labels labels(finding);

  EXPECT_EQ(labels.resource(model::ResourceId(0)), "participant->streams_mutex (L1)");
  EXPECT_EQ(labels.resource(model::ResourceId(1)), "participant->streams_mutex (L2)");
}

TEST(Labels, ThreadsOfManyProcessesCarryThePid) {
  model::Finding finding = sample::videoroom();
  finding.processes.push_back(finding.processes[0]);
  finding.processes[1].id = model::ProcessId(1);
  finding.processes[1].pid = 4800;
  finding.threads[1].process = model::ProcessId(1);
  const Labels labels(finding);

  EXPECT_EQ(labels.thread(model::ThreadId(1)), "\"admin\" (pid 4800)");
}

TEST(Labels, WithoutNamedOwnersTheHolderIsTheOwner) {
  model::Finding finding = sample::videoroom();
  finding.threads[0].wants->owners.clear();
  const Labels labels(finding);

  EXPECT_THAT(labels.owners(finding.threads[0]), testing::ElementsAre(model::ThreadId(1)));
}

}  // namespace
}  // namespace gordian::report
