// SPDX-License-Identifier: Apache-2.0
// The whole way is tested in tests/explain; here is what the snapshot promises.
#include "dump/reading.h"

#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace gordian::dump {
namespace {

std::string waiter(int number, const std::string& mutex, const std::string& function) {
  return "Thread " + std::to_string(number) + " (Thread 0x7f0" + std::to_string(number) +
         "00 (LWP " + std::to_string(100 + number) +
         ")):\n#0  __lll_lock_wait () at l.S:1\n#1  0x1 in pthread_mutex_lock (mutex=" + mutex +
         ") at m.c:1\n#2  0x1 in " + function + " () at sides.c:" + std::to_string(number) +
         "\n#3  0x1 in start_thread () at p.c:1\n#4  0x1 in clone () at c.S:1\n\n";
}

Reading read(const std::string& text) {
  std::vector<Dump> dumps = read_dumps(text);
  return Reading(dumps.empty() ? Dump() : std::move(dumps.front()));
}

const std::string kA = "0x55d0", kB = "0x66e0";

TEST(Reading, HoldsThatAreInferredAreNeverDefinite) {
  const Reading reading = read(waiter(1, kA, "left") + waiter(2, kB, "right"));
  const model::Snapshot& snapshot = reading.snapshot();
  ASSERT_EQ(snapshot.threads.size(), 2u);
  for (const model::Thread& thread : snapshot.threads) {
    ASSERT_EQ(thread.holds.size(), 1u);
    EXPECT_FALSE(thread.holds[0].definite);
    ASSERT_TRUE(thread.wait);
    EXPECT_FALSE(thread.wait->definite);
    EXPECT_NE(thread.wait->resource, thread.holds[0].resource);
  }
}

TEST(Reading, ASectionBehindTheNextTitleIsOfNoThreadBefore) {
  const std::vector<Dump> dumps = read_dumps(
      "\"a\" #1 prio=5 tid=0x1 nid=0x2 runnable\n\tat x.Y.z(Y.java:1)\n\nFull thread dump\n"
      "Found one Java-level deadlock:\nwaiting to lock monitor 0x1 (object 0x2, a T),\n");
  ASSERT_EQ(dumps.size(), 1u);
  EXPECT_TRUE(dumps[0].threads[0].monitors.empty());
}

TEST(Reading, PrintedOwnersAre) {
  const Reading reading = read(
      waiter(1, kA, "left") + waiter(2, kB, "right") +
      "(gdb) p *(pthread_mutex_t*)0x55d0\n$1 = {__data = {__lock = 2, __owner = 102, __kind = 0}}\n"
      "(gdb) p ((pthread_mutex_t*)0x66e0)->__data.__owner\n$2 = 101\n");
  for (const model::Thread& thread : reading.snapshot().threads) {
    ASSERT_EQ(thread.holds.size(), 1u);
    EXPECT_TRUE(thread.holds[0].definite);
    EXPECT_TRUE(thread.wait->definite);
  }
}

TEST(Reading, ALockAtWhoseDoorsThreadsStandIsNotTheirsIfSomebodyElseCouldHaveIt) {
  const std::string idle =
      "Thread 3 (Thread 0x7f0300 (LWP 103)):\n#0  0x1 in poll () at p.c:1\n"
      "#1  0x1 in loop () at loop.c:1\n#2  0x1 in start_thread () at p.c:1\n\n";
  const std::string knot = waiter(1, kA, "left") + waiter(2, kB, "right");
  const std::string hole = waiter(1, kA, "left") + waiter(4, kB, "right");
  for (const std::string& text : {knot + idle, hole}) {
    const Reading reading = read(text);
    for (const model::Thread& thread : reading.snapshot().threads)
      EXPECT_TRUE(thread.holds.empty()) << text;
  }
}

TEST(Reading, AJoinedThreadWithAnIdExists) {
  const auto joiner = [](const std::string& expected) {
    return "Thread 1 (Thread 0x7f0100 (LWP 101)):\n#0  __futex_abstimed_wait_common64 (expected=" +
           expected +
           ", futex_word=0x7f0990) at f.c:1\n#1  0x1 in __pthread_clockjoin_ex "
           "(threadid=139) at j.c:1\n#2  0x1 in stop () at stop.c:1\n";
  };
  const auto is_gone = [](const Reading& reading) {
    for (const model::Resource& resource : reading.snapshot().resources)
      if (resource.kind == model::ResourceKind::Thread) return resource.owner_gone;
    return false;
  };
  EXPECT_TRUE(is_gone(read(joiner("4294967295") + waiter(2, kA, "left"))));
  EXPECT_FALSE(is_gone(read(joiner("555") + waiter(2, kA, "left"))));
}

TEST(Reading, OneWaiterHoldsNothing) {
  const Reading reading = read(waiter(1, kA, "left"));
  ASSERT_EQ(reading.snapshot().threads.size(), 1u);
  EXPECT_TRUE(reading.snapshot().threads[0].holds.empty());
  ASSERT_EQ(reading.open_questions().size(), 1u);
  EXPECT_NE(reading.open_questions()[0].find("0x55d0"), std::string::npos);
}

TEST(Reading, TheOrderInTheTextDoesNotMatter) {
  const Reading one = read(waiter(1, kA, "left") + waiter(2, kB, "right"));
  const Reading other = read(waiter(2, kB, "right") + waiter(1, kA, "left"));
  ASSERT_EQ(one.snapshot().threads.size(), other.snapshot().threads.size());
  for (size_t i = 0; i < one.snapshot().threads.size(); ++i)
    EXPECT_EQ(one.snapshot().threads[i].tid, other.snapshot().threads[i].tid);
}

TEST(Reading, AnEmptyDumpIsAnEmptySnapshot) {
  const Reading reading{Dump()};
  EXPECT_TRUE(reading.snapshot().threads.empty());
  EXPECT_TRUE(reading.threads().empty());
}

}  // namespace
}  // namespace gordian::dump
