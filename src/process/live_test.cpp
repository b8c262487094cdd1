// SPDX-License-Identifier: Apache-2.0
#include "process/live.h"

#include "process/blocked_child.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <latch>
#include <string>
#include <sys/syscall.h>
#include <thread>
#include <vector>

namespace gordian::process {
namespace {

void wait_for_ever(ChildFacts& facts) {
  prctl(PR_SET_NAME, "a\nname (x)");
  signal(SIGTERM, [](int) {});
  signal(SIGSEGV, [](int) {});
  block_on(facts, facts.mutex);
}

TEST(Live, ABlockedThreadShowsItsFutexAndDoesNotMove) {
  const BlockedChild child(wait_for_ever);
  const std::optional<ThreadReading> first = read_thread(child.pid(), child.pid());
  const std::optional<ThreadReading> second = read_thread(child.pid(), child.pid());

  ASSERT_TRUE(first && second);
  EXPECT_TRUE(first->same_moment(*second));
  EXPECT_EQ(first->state, 'S');
  EXPECT_EQ(first->comm, "a\nname (x)");
  EXPECT_EQ(first->syscall, SYS_futex);
  EXPECT_EQ(futex_address(*first), child.facts().address);
  EXPECT_GT(first->switches(), 0u);
  EXPECT_NE(first->sp, 0u);
  EXPECT_NE(first->pc, 0u);
}

TEST(Live, ABriefReadingSaysWhereItSleepsAndNotIfItRan) {
  const BlockedChild child(wait_for_ever);
  const Result<TaskDirectory> tasks = TaskDirectory::open(child.pid());
  ASSERT_TRUE(tasks);
  const std::optional<ThreadReading> brief = tasks->read_brief(child.pid());
  const std::optional<ThreadReading> whole = tasks->read(child.pid());

  ASSERT_TRUE(brief && whole);
  EXPECT_TRUE(brief->is_brief);
  EXPECT_EQ(futex_address(*brief), child.facts().address);
  EXPECT_TRUE(brief->same_call(*whole));
  EXPECT_FALSE(brief->same_moment(*whole));
  EXPECT_FALSE(brief->same_moment(*brief));
}

TEST(Live, WhoRunsIsNotReadInBrief) {
  const Result<TaskDirectory> tasks = TaskDirectory::open(getpid());
  ASSERT_TRUE(tasks);
  const std::optional<ThreadReading> reading = tasks->read_brief(getpid());
  ASSERT_TRUE(reading);
  EXPECT_EQ(reading->is_brief, reading->in_syscall());
  EXPECT_EQ(reading->comm.empty(), reading->is_brief);
}

TEST(Live, TheCallerItselfIsOnACpuOrReadable) {
  const std::optional<ThreadReading> reading = read_thread(getpid(), getpid());
  ASSERT_TRUE(reading);
  EXPECT_EQ(reading->tid, getpid());
  EXPECT_TRUE(reading->on_cpu || reading->syscall >= 0);
}

TEST(Live, TheProcessorTimeOfABlockedProcessStandsStill) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "TSan has a thread of its own in every process, and that one runs";
#endif
  const BlockedChild child(wait_for_ever);
  const auto first = read_processor_time(child.pid());
  ASSERT_TRUE(first);
  EXPECT_GT(*first, std::chrono::nanoseconds(0));
  EXPECT_EQ(read_processor_time(child.pid()), first);
}

TEST(Live, TheProcessorTimeOfARunningProcessDoesNotStandStill) {
  const auto first = read_processor_time(getpid());
  ASSERT_TRUE(first);
  EXPECT_GT(read_processor_time(getpid()), first);
}

TEST(Live, AThreadOfTheDirectoryShowsItsStateWhateverItsName) {
  const BlockedChild child(wait_for_ever);
  const Result<TaskDirectory> others = TaskDirectory::open(child.pid());
  const Result<TaskDirectory> own = TaskDirectory::open(getpid());
  ASSERT_TRUE(others && own);
  const auto schedule = others->read_schedule(child.pid());

  EXPECT_EQ(others->read_state(child.pid()), 'S');
  EXPECT_EQ(own->read_state(getpid()), 'R');
  EXPECT_EQ(others->read_state(1 << 30), '?');
  ASSERT_TRUE(schedule);
  EXPECT_GT(schedule->ran.count(), 0);
  EXPECT_EQ(others->read_schedule(child.pid())->ran, schedule->ran);
}

TEST(Live, WhatHasGoneIsAbsent) {
  int gone = 0;
  {
    const BlockedChild child(wait_for_ever);
    gone = child.pid();
  }
  EXPECT_FALSE(read_thread(gone, gone));
  EXPECT_FALSE(read_processor_time(gone));
  EXPECT_TRUE(list_threads(gone).empty());
  EXPECT_FALSE(read_status(gone));
  EXPECT_FALSE(read_maps(gone));
  EXPECT_EQ(read_exe(gone), "");
  EXPECT_TRUE(read_argv(gone).empty());
  EXPECT_TRUE(list_children(gone).empty());
}

TEST(Live, ChildrenOfAProcessWithMoreThreadsThanThereAreProcesses) {
  constexpr size_t kMostThreads = 2000;
  const size_t count = list_processes().size() + 50;
  if (count > kMostThreads) GTEST_SKIP() << "too many processes here";
  const BlockedChild child(wait_for_ever);
  std::latch over(1);
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < count; ++i) threads.emplace_back([&over] { over.wait(); });
  EXPECT_THAT(list_children(getpid()), ::testing::Contains(child.pid()));
  EXPECT_THAT(list_children(child.pid()), ::testing::IsEmpty());
  over.count_down();
}

TEST(Live, KnowsChildrenSignalsAndArguments) {
  const BlockedChild child(wait_for_ever);
  EXPECT_THAT(list_children(getpid()), ::testing::Contains(child.pid()));
  EXPECT_THAT(list_descendants(getpid()), ::testing::Contains(child.pid()));
  // TSan has a thread of its own in every process.
  EXPECT_THAT(list_threads(child.pid()), ::testing::Contains(child.pid()));
  EXPECT_EQ(read_exe(child.pid()), read_exe(getpid()));
  EXPECT_EQ(read_argv(child.pid()), read_argv(getpid()));
  const std::optional<ProcessStatus> status = read_status(child.pid());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->parent, getpid());
  EXPECT_EQ(status->inner_pid, child.pid());
  EXPECT_NE(status->caught_signals & (uint64_t{1} << (SIGSEGV - 1)), 0u);
  EXPECT_NE(helpful_signals(status->caught_signals) & (uint64_t{1} << (SIGTERM - 1)), 0u);
  EXPECT_EQ(helpful_signals(status->caught_signals) & (uint64_t{1} << (SIGSEGV - 1)), 0u);
}

TEST(Live, FaultSignalsAndThoseOfGlibcDoNotHelp) {
  const auto bit = [](int signal) { return uint64_t{1} << (signal - 1); };
  EXPECT_EQ(helpful_signals(bit(SIGSEGV) | bit(SIGABRT) | bit(32) | bit(33)), 0u);
  EXPECT_EQ(helpful_signals(bit(SIGUSR1) | bit(SIGBUS)), bit(SIGUSR1));
}

TEST(ParseMaps, ReadsPathsWithBlanksAndDeletedFiles) {
  const std::vector<Mapping> maps = parse_maps(
      "00400000-00452000 r-xp 00001000 08:02 173521      /usr/bin/my server\n"
      "7f0000000000-7f0000001000 rw-s 00000000 00:01 99 /memfd:gordian-board (deleted)\n"
      "7f0000001000-7f0000003000 rw-p 00000000 00:00 0\n"
      "7f0000005000-7f0000007000 rw-p 00000000 00:00 0\n"
      "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 [stack]\n"
      "7ffc00030000-7ffc00031000 rw-p 00000000 00:00 0\n");
  ASSERT_EQ(maps.size(), 4u);  // anonymous memory only right behind a name
  EXPECT_EQ(maps[0].path, "/usr/bin/my server");
  EXPECT_EQ(maps[0].offset, 0x1000u);
  EXPECT_EQ(maps[0].inode, 173521u);
  EXPECT_EQ(maps[0].device, uint64_t{8} << 32 | 2);
  EXPECT_TRUE(maps[0].executable && !maps[0].writable);
  EXPECT_EQ(maps[1].path, "/memfd:gordian-board");
  EXPECT_TRUE(maps[1].deleted && maps[1].shared);
  EXPECT_EQ(maps[2].start, 0x7f0000001000u);
  EXPECT_EQ(maps[2].path, "");
  EXPECT_EQ(maps[3].path, "[stack]");
}

TEST(ParseMaps, SkipsWhatIsNoMapping) {
  EXPECT_TRUE(parse_maps("").empty());
  EXPECT_TRUE(parse_maps("\n\nnonsense\n-\n12\n12-\n12-10 rw-p 0 0:0 0\n").empty());
  EXPECT_EQ(parse_maps("zz\n1000-2000 r--p 0 0:0 0 /f").size(), 1u);
}

}  // namespace
}  // namespace gordian::process
