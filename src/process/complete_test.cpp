// SPDX-License-Identifier: Apache-2.0
#include "process/complete.h"

#include "process/blocked_child.h"
#include "process/modules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace counting_house {

struct Room {
  int id = 0;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
};

pthread_mutex_t rooms_mutex = PTHREAD_MUTEX_INITIALIZER;

[[gnu::noinline]] void enter(gordian::process::ChildFacts& facts, Room* room) {
  gordian::process::block_on(facts, room->mutex);
  asm volatile("" ::"r"(room) : "memory");
}

}  // namespace counting_house

namespace gordian::process {
namespace {

using ::testing::HasSubstr;

void enter_a_room(ChildFacts& facts) { counting_house::enter(facts, new counting_house::Room); }

// One thread that holds a room's mutex and wants it again, as the child really does.
model::Finding finding_of(const BlockedChild& child) {
  model::Finding finding;
  finding.processes.resize(1);
  finding.processes[0].pid = child.pid();
  finding.resources.resize(1);
  finding.resources[0].address = child.facts().address;
  model::FindingThread thread;
  thread.tid = child.pid();
  model::FindingHold hold;
  hold.site = child.facts().site;
  hold.frame = child.facts().frame;
  thread.holds.push_back(hold);
  model::FindingWant want;
  want.site = child.facts().site;
  want.frame = child.facts().frame;
  want.registers = child.facts().registers;
  want.has_registers = true;
  thread.wants = want;
  finding.threads.push_back(thread);
  return finding;
}

class Complete : public ::testing::Test {
 protected:
  Complete()
      : child_(enter_a_room),
        view_(child_.pid(), read_modules(child_.pid()).value_or(std::vector<Module>())),
        completer_([this](const model::Process&) { return &view_; }) {}

  static bool has_function(const model::Stack& stack, const std::string& name) {
    for (const model::Frame& frame : stack.frames)
      if (frame.function == name) return true;
    return false;
  }

  BlockedChild child_;
  ProcessView view_;
  FindingCompleter completer_;
};

TEST_F(Complete, FillsStacksOfWaitAndHold) {
  model::Finding finding = finding_of(child_);
  completer_.complete(finding);

  const model::FindingThread& thread = finding.threads[0];
  EXPECT_TRUE(has_function(thread.wants->stack, "counting_house::enter"));
  EXPECT_TRUE(thread.wants->stack.complete) << thread.wants->stack.note;
  ASSERT_FALSE(thread.holds[0].stack.frames.empty());
  EXPECT_EQ(thread.holds[0].stack.frames[0].pc, child_.facts().site);
  EXPECT_EQ(thread.holds[0].stack.frames[0].function, "counting_house::enter");
}

TEST_F(Complete, NamesTheLock) {
  model::Finding finding = finding_of(child_);
  completer_.complete(finding);
  if (finding.threads[0].wants->stack.frames.back().file.empty() &&
      finding.threads[0].holds[0].stack.frames[0].line == 0)
    GTEST_SKIP() << "built without debug information";
  EXPECT_EQ(finding.resources[0].name, "room->mutex");
  EXPECT_EQ(finding.resources[0].class_name, "Room");
}

TEST_F(Complete, UnwindsASliceOfAProcessThatHasGone) {
  model::Finding finding = finding_of(child_);
  model::FindingWant& want = *finding.threads[0].wants;
  want.stack_slice.resize(1024);
  ASSERT_TRUE(view_.memory()->read(want.registers.rsp, want.stack_slice));
  view_.set_gone();

  completer_.complete(finding);

  EXPECT_TRUE(has_function(want.stack, "counting_house::enter"));
  EXPECT_EQ(finding.threads[0].holds[0].stack.frames[0].function, "counting_house::enter");
}

TEST_F(Complete, ABorrowedSliceNamesTheLockAtItsPlace) {
  model::Finding finding = finding_of(child_);
  model::FindingWant& want = *finding.threads[0].wants;
  want.stack_slice.resize(1024);
  ASSERT_TRUE(view_.memory()->read(want.registers.rsp, want.stack_slice));
  finding.resources[0].address = 0x1234000;  // another room's
  want.slice_address = child_.facts().address;

  completer_.complete(finding);
  if (want.stack.frames.back().file.empty() &&
      finding.threads[0].holds[0].stack.frames[0].line == 0)
    GTEST_SKIP() << "built without debug information";
  EXPECT_EQ(finding.resources[0].name, "room->mutex");
}

TEST_F(Complete, WithoutRegistersTheKernelIsAsked) {
  model::Finding finding = finding_of(child_);
  finding.threads[0].wants->has_registers = false;
  completer_.complete(finding);
  EXPECT_FALSE(finding.threads[0].wants->stack.frames.empty());
}

TEST_F(Complete, OnlyOneVictimOfAGroupIsUnwound) {
  model::Finding finding = finding_of(child_);
  for (int i = 0; i < 2; ++i) {
    model::FindingThread victim = finding.threads[0];
    victim.role = model::Role::Victim;
    finding.threads.push_back(victim);
  }
  completer_.complete(finding);

  EXPECT_GT(finding.threads[1].wants->stack.frames.size(), 2u);
  EXPECT_THAT(finding.threads[2].wants->stack.note, HasSubstr("only the call site"));
  EXPECT_TRUE(has_function(finding.threads[2].wants->stack, "counting_house::enter"));
}

TEST_F(Complete, AnUnknownProcessCostsOnlyTheWords) {
  model::Finding finding = finding_of(child_);
  FindingCompleter([](const model::Process&) { return nullptr; }).complete(finding);
  EXPECT_TRUE(finding.threads[0].wants->stack.frames.empty());
  EXPECT_EQ(finding.resources[0].name, "");
}

TEST_F(Complete, TheHeadlineKnowsStatics) {
  model::Finding finding = finding_of(child_);
  finding.resources[0].address = reinterpret_cast<uint64_t>(&counting_house::rooms_mutex);
  completer_.name_statics(finding);
  EXPECT_EQ(finding.resources[0].name, "counting_house::rooms_mutex");
  completer_.complete(finding);
  EXPECT_EQ(finding.resources[0].name, "counting_house::rooms_mutex");
}

TEST_F(Complete, HostileNumbersAreSurvived) {
  for (const uint64_t odd : {uint64_t{0}, uint64_t{1}, UINT64_MAX, UINT64_MAX - 7}) {
    model::Finding finding = finding_of(child_);
    finding.resources[0].address = odd;
    finding.resources[0].birth_site = odd;
    finding.threads[0].holds[0].site = odd;
    finding.threads[0].holds[0].frame = odd;
    finding.threads[0].wants->registers.rsp = odd;
    completer_.complete(finding);
    finding.threads[0].wants->registers = child_.facts().registers;
    finding.threads[0].wants->registers.rip = odd;
    completer_.complete(finding);
  }
}

}  // namespace
}  // namespace gordian::process
