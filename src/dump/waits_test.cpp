// SPDX-License-Identifier: Apache-2.0
#include "dump/waits.h"

#include "dump/dump.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace gordian::dump {
namespace {

using model::Mode;
using model::ResourceKind;

// What the one thread of the text waits for. The text lives as long as the program: views.
WaitFact wait_of(const std::string& text) {
  static std::vector<Dump> dumps;
  dumps = read_dumps(text);
  if (dumps.empty() || dumps.front().threads.empty()) return {};
  return recognise_wait(dumps.front().threads.front());
}

TEST(Waits, AMutexByItsArgument) {
  const WaitFact wait = wait_of(
      "#0  __lll_lock_wait () at lowlevellock.S:135\n"
      "#1  0x10 in __GI___pthread_mutex_lock (mutex=0x55d0 <rooms_mutex>) at lock.c:61\n"
      "#2  0x20 in work () at a.c:1\n");
  EXPECT_EQ(wait.posture, Posture::Blocked);
  EXPECT_EQ(wait.kind, ResourceKind::Mutex);
  EXPECT_EQ(wait.address, 0x55d0u);
  EXPECT_EQ(wait.symbol, "rooms_mutex");
  EXPECT_EQ(wait.site, 2u);
}

TEST(Waits, ATimeLimitEndsAWait) {
  EXPECT_TRUE(
      wait_of("#0  __pthread_mutex_clocklock_common (mutex=0x55d0, abstime=0x7f10) at t.c:1\n"
              "#1  0x1 in f ()\n")
          .timed);
  EXPECT_FALSE(wait_of("#0  __pthread_rwlock_rdlock_full64 (abstime=0x0, rwlock=0x55d0) at t.c:1\n"
                       "#1  0x1 in f ()\n")
                   .timed);
}

TEST(Waits, AConditionThatTakesItsMutexAgainWantsTheMutex) {
  const WaitFact signal = wait_of(
      "#0  futex_wait (futex_word=0x5510) at f.h:1\n"
      "#1  0x1 in ___pthread_cond_wait (cond=0x5500, mutex=0x5540) at c.c:1\n#2  0x1 in f ()\n");
  EXPECT_EQ(signal.kind, ResourceKind::Condition);
  EXPECT_EQ(signal.posture, Posture::Waiting);
  EXPECT_EQ(signal.companion, 0x5540u);
  const WaitFact mutex = wait_of(
      "#0  __lll_lock_wait (futex=0x5540) at l.c:1\n"
      "#1  0x1 in __pthread_mutex_cond_lock (mutex=0x5540) at m.c:1\n"
      "#2  0x1 in ___pthread_cond_wait (cond=0x5500, mutex=0x5540) at c.c:1\n#3  0x1 in f ()\n");
  EXPECT_EQ(mutex.kind, ResourceKind::Mutex);
  EXPECT_EQ(mutex.posture, Posture::Blocked);
  EXPECT_EQ(mutex.address, 0x5540u);
}

TEST(Waits, ReadersAndWriters) {
  const WaitFact wait = wait_of(
      "#0  0x1 in pthread_rwlock_rdlock () from /lib/libpthread.so.0\n"
      "#1  0x1 in std::__shared_mutex_pthread::lock_shared (this=0x55d0) at shared_mutex:1\n"
      "#2  0x1 in f ()\n");
  EXPECT_EQ(wait.kind, ResourceKind::RwLock);
  EXPECT_EQ(wait.mode, Mode::Shared);
  EXPECT_EQ(wait.address, 0x55d0u);
}

TEST(Waits, AJoinKnowsItsThreadByNumber) {
  const WaitFact wait = wait_of(
      "#0  futex_abstimed_wait (expected=4711, futex_word=0x7f10002d0) at f.c:1\n"
      "#1  0x1 in __pthread_clockjoin_ex (threadid=34091302912, abstime=0x0) at j.c:1\n"
      "#2  0x1 in std::thread::join() ()\n#3  0x1 in main ()\n");
  EXPECT_EQ(wait.kind, ResourceKind::Thread);
  EXPECT_EQ(wait.joined, 34091302912u);
  EXPECT_EQ(wait.joined_tid, 4711);
}

TEST(Waits, GlibHasLocksOfItsOwn) {
  const WaitFact wait = wait_of(
      "#0  syscall () at syscall.S:38\n#1  0x1 in g_mutex_lock () from /lib/libglib-2.0.so.0\n"
      "#2  0x1 in room_lock (room=0x55d0) at r.c:1\n");
  EXPECT_EQ(wait.kind, ResourceKind::GlibMutex);
  EXPECT_EQ(wait.posture, Posture::Blocked);
}

TEST(Waits, PythonsInterpreterLockIsNoTimedCondition) {
  const WaitFact wait = wait_of(
      "#0  futex_abstimed_wait (abstime=0x7f10) at f.c:1\n"
      "#1  0x1 in pthread_cond_timedwait () at c.c:1\n#2  0x1 in take_gil (tstate=0x55) at "
      "g.h:1\n");
  EXPECT_TRUE(wait.is_gil);
  EXPECT_FALSE(wait.timed);
  EXPECT_EQ(wait.posture, Posture::Blocked);
}

TEST(Waits, IdleAndBusyThreads) {
  EXPECT_EQ(wait_of("#0  0x1 in __GI___poll (fds=0x1) at p.c:1\n#1  0x1 in loop ()\n").posture,
            Posture::Idle);
  EXPECT_EQ(wait_of("#0  0x1 in compute (n=1) at c.c:1\n#1  0x1 in main ()\n").posture,
            Posture::Busy);
}

TEST(Waits, GoSaysWhatItWaitsFor) {
  const WaitFact reader = wait_of(
      "goroutine 7 [sync.RWMutex.RLock, 5 minutes]:\n"
      "sync.runtime_SemacquireRWMutexR(0xc00011802c?, 0x0?, 0x0?)\n\t/go/sema.go:82 +0x25\n"
      "sync.(*RWMutex).RLock(...)\n\t/go/rwmutex.go:71\nmain.f(0xc000118000)\n\t/a.go:1 +0x1\n");
  EXPECT_EQ(reader.kind, ResourceKind::RwLock);
  EXPECT_EQ(reader.mode, Mode::Shared);
  EXPECT_EQ(reader.address, 0xc000118020u);
  const WaitFact old = wait_of(
      "goroutine 7 [semacquire]:\nsync.runtime_SemacquireMutex(0xc0000b4014, 0x0, 0x1)\n"
      "\t/go/sema.go:71 +0x47\nsync.(*Mutex).lockSlow(0xc0000b4010)\n\t/go/mutex.go:138 +0x1\n"
      "sync.(*Mutex).Lock(...)\n\t/go/mutex.go:81\nmain.f()\n\t/a.go:1 +0x1\n");
  EXPECT_EQ(old.kind, ResourceKind::Mutex);
  EXPECT_EQ(old.posture, Posture::Blocked);
  EXPECT_EQ(old.address, 0xc0000b4010u);
}

TEST(Waits, GoMarksWhatMayBeStale) {
  const WaitFact sure = wait_of(
      "goroutine 7 [semacquire]:\nruntime.semacquire1(0xc00009a028, 0x0?, 0x3, 0x0)\n"
      "\t/go/sema.go:150 +0x1\nsync.runtime_SemacquireMutex(0x0?, 0x0?, 0x0?)\n"
      "\t/go/sema.go:77 +0x1\nsync.(*RWMutex).Lock(0x8?)\n\t/go/rwmutex.go:152 +0x1\n"
      "main.f()\n\t/a.go:1 +0x1\n");
  EXPECT_EQ(sure.address, 0xc00009a020u);
  EXPECT_FALSE(sure.is_doubtful);
  EXPECT_TRUE(sure.is_read_held);
  const WaitFact stale = wait_of(
      "goroutine 7 [semacquire]:\nsync.runtime_SemacquireMutex(0xc000094170?, 0x0?, 0x0?)\n"
      "\t/go/sema.go:77 +0x1\nsync.(*RWMutex).RLock(...)\n\t/go/rwmutex.go:71\n"
      "main.f()\n\t/a.go:1 +0x1\n");
  EXPECT_TRUE(stale.is_doubtful);
}

TEST(Waits, JavaNamesTheClassThatIsInitialised) {
  const WaitFact wait = wait_of(
      "\"late\" #14 prio=5 os_prio=0 tid=0x7f nid=0x5ff8 in Object.wait()\n"
      "   java.lang.Thread.State: RUNNABLE\n\tat demo.Late.run(Init.java:5)\n"
      "\t- waiting on the Class initialization monitor for demo.A\n");
  EXPECT_EQ(wait.posture, Posture::Blocked);
  EXPECT_EQ(wait.kind, ResourceKind::Once);
  EXPECT_EQ(wait.symbol, "demo.A");
  Frame running;
  running.function = "demo.A.<clinit>";
  EXPECT_EQ(running_once(running, "demo.A.", Dialect::Java), wait.address);
  running.function = "demo.B.<clinit>";
  EXPECT_NE(running_once(running, "demo.B.", Dialect::Java), wait.address);
}

}  // namespace
}  // namespace gordian::dump
