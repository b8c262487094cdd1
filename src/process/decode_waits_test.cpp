// SPDX-License-Identifier: Apache-2.0
#include "process/decode_waits.h"

#include "process/blocked_child.h"
#include "process/live_facts.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <memory>
#include <pthread.h>
#include <semaphore.h>
#include <string>

namespace gordian::process {
namespace {

using model::ResourceKind;

// ThreadSanitizer brings a thread of its own into the child, and takes its locks in another way: a
// child of these tests is then not what it is decoded as.
#ifdef __SANITIZE_THREAD__
constexpr bool kChildIsAltered = true;
#else
constexpr bool kChildIsAltered = false;
#endif

// Decodes a child of ours whose main thread is the last to block.
struct Decoded {
  explicit Decoded(const BlockedChild& child) {
    Result<std::unique_ptr<LiveProcess>> opened = LiveProcess::open(child.pid());
    live = std::move(*opened);
    waits = decode_waits({&live->read(), 1});
    // As an attachment does.
    if (waits.threads.front().needs_registers && live->learn_registers(0))
      waits = decode_waits({&live->read(), 1});
    const ProcessFacts& facts = live->facts();
    for (size_t i = 0; i < facts.threads.size(); ++i) live->read_again(i);
    keep_steady(waits, [this](size_t thread) { return live->is_steady(thread); });
  }
  [[nodiscard]] const model::Thread& main() const { return waits.snapshot.threads.front(); }
  [[nodiscard]] const model::Resource& wanted() const {
    return waits.snapshot.resources[static_cast<size_t>(main().wait->resource)];
  }

  std::unique_ptr<LiveProcess> live;
  DecodedWaits waits;
};

TEST(DecodeWaits, TheOwnerOfAMutexIsInItsBytes) {
  const BlockedChild child([](ChildFacts& facts) { block_on(facts, facts.mutex); });
  const Decoded decoded(child);
  ASSERT_TRUE(decoded.main().wait);
  EXPECT_EQ(decoded.waits.threads[0].call, "pthread_mutex_lock");
  EXPECT_EQ(decoded.wanted().kind, ResourceKind::Mutex);
  EXPECT_EQ(decoded.wanted().address, child.facts().address);
  EXPECT_TRUE(decoded.main().wait->definite);
  ASSERT_EQ(decoded.main().holds.size(), 1U);
  EXPECT_EQ(decoded.main().holds[0].resource, decoded.wanted().id);
  EXPECT_TRUE(decoded.main().holds[0].definite);
}

TEST(LiveProcess, BriefFactsAreSteadyIfReadAgainOrRepeated) {
  if (kChildIsAltered) GTEST_SKIP() << "the sanitizer alters the child";
  const BlockedChild child([](ChildFacts& facts) { block_on(facts, facts.mutex); });
  const auto opened = LiveProcess::open(child.pid());
  ASSERT_TRUE(opened);
  LiveProcess& live = **opened;
  const ProcessFacts& facts = live.read_in_brief();
  ASSERT_EQ(facts.threads.size(), 1U);
  EXPECT_TRUE(facts.threads[0].blocked);
  EXPECT_EQ(facts.threads[0].name, "");
  EXPECT_TRUE(live.has_not_run());
  EXPECT_FALSE(live.is_steady(0));
  live.repeat_reading(0);
  EXPECT_TRUE(live.is_steady(0));
  EXPECT_NE(live.name(0), "");

  live.read_in_brief();
  live.read_again(0);
  EXPECT_TRUE(live.is_steady(0));
  EXPECT_TRUE(live.stands_still(0));
}

// Each thread starts the next one, and waits for it: until the last is there, one of them runs.
struct Chain {
  static constexpr int kLength = 1000;
  static void* grow(void* facts) {
    static int length = 1;
    if (++length > kLength) {
      pthread_mutex_lock(&static_cast<ChildFacts*>(facts)->mutex);
      pthread_mutex_lock(&static_cast<ChildFacts*>(facts)->mutex);
    }
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 128 << 10);
    pthread_t next{};
    if (pthread_create(&next, &small, grow, facts) != 0) _exit(1);
    pthread_join(next, nullptr);
    return nullptr;
  }
};

TEST(LiveProcess, NeverMissesTheThreadThatAWaitingOneHasJustStarted) {
  if (kChildIsAltered) GTEST_SKIP() << "the sanitizer alters the child";
  const BlockedChild child([](ChildFacts& facts) { Chain::grow(&facts); });
  const auto opened = LiveProcess::open(child.pid());
  ASSERT_TRUE(opened);
  for (size_t seen = 0; seen < Chain::kLength;) {
    const ProcessFacts& facts = (*opened)->read();
    seen = facts.threads.size();
    const bool all_wait = std::all_of(facts.threads.begin(), facts.threads.end(),
                                      [](const ThreadFacts& thread) { return thread.blocked; });
    ASSERT_TRUE(!all_wait || seen == Chain::kLength) << seen;
  }
}

TEST(LiveProcess, AStoppedProcessIsNeverReadInBrief) {
  const BlockedChild child([](ChildFacts& facts) { block_on(facts, facts.mutex); });
  kill(child.pid(), SIGSTOP);
  int status = 0;
  ASSERT_EQ(waitpid(child.pid(), &status, WUNTRACED), child.pid());
  const auto opened = LiveProcess::open(child.pid());
  ASSERT_TRUE(opened);
  const ProcessFacts& facts = (*opened)->read_in_brief();
  EXPECT_FALSE(facts.threads.at(0).blocked);
  (*opened)->repeat_reading(0);
  EXPECT_FALSE((*opened)->is_steady(0));
}

TEST(DecodeWaits, AJoinKnowsItsThread) {
  if (kChildIsAltered) GTEST_SKIP() << "the sanitizer alters the child";
  const BlockedChild child([](ChildFacts& facts) {
    static ChildFacts* told;
    told = &facts;
    pthread_t thread{};
    pthread_mutex_lock(&facts.mutex);
    pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          pthread_mutex_lock(&told->mutex);
          return nullptr;
        },
        nullptr);
    facts.address = thread;
    pthread_join(thread, nullptr);
  });
  const Decoded decoded(child);
  ASSERT_TRUE(decoded.main().wait);
  EXPECT_EQ(decoded.wanted().kind, ResourceKind::Thread);
  EXPECT_EQ(decoded.wanted().address, child.facts().address);
  ASSERT_TRUE(decoded.wanted().joined_known);
  EXPECT_EQ(static_cast<size_t>(decoded.wanted().joined), 1U);
}

TEST(DecodeWaits, ARwLockTakenToWriteNamesItsWriter) {
  if (kChildIsAltered) GTEST_SKIP() << "the sanitizer alters the child";
  const BlockedChild child([](ChildFacts& facts) {
    static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
    facts.address = reinterpret_cast<uint64_t>(&lock);
    pthread_t thread{};
    pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          pthread_rwlock_wrlock(&lock);
          for (;;) pause();
        },
        nullptr);
    while (pthread_rwlock_tryrdlock(&lock) == 0) {
      pthread_rwlock_unlock(&lock);
      sched_yield();
    }
    pthread_rwlock_rdlock(&lock);
  });
  const Decoded decoded(child);
  ASSERT_TRUE(decoded.main().wait);
  EXPECT_EQ(decoded.wanted().kind, ResourceKind::RwLock);
  EXPECT_EQ(decoded.wanted().address, child.facts().address);
  EXPECT_EQ(decoded.main().wait->mode, model::Mode::Shared);
  ASSERT_EQ(decoded.waits.snapshot.threads.size(), 2U);
  EXPECT_EQ(decoded.waits.snapshot.threads[1].holds.size(), 1U);
}

TEST(DecodeWaits, TheFunctionTellsASemaphoreFromACondition) {
  const BlockedChild waiting([](ChildFacts& facts) {
    static sem_t semaphore;
    facts.address = reinterpret_cast<uint64_t>(&semaphore);
    sem_wait(&semaphore);
  });
  const Decoded semaphore(waiting);
  ASSERT_TRUE(semaphore.main().wait);
  EXPECT_EQ(semaphore.wanted().kind, ResourceKind::Semaphore);
  EXPECT_EQ(semaphore.wanted().address, waiting.facts().address);

  const BlockedChild sleeping([](ChildFacts& facts) {
    static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    facts.address = reinterpret_cast<uint64_t>(&condition);
    pthread_mutex_lock(&facts.mutex);
    pthread_cond_wait(&condition, &facts.mutex);
  });
  const Decoded condition(sleeping);
  ASSERT_TRUE(condition.main().wait);
  EXPECT_EQ(condition.wanted().kind, ResourceKind::Condition);
  EXPECT_EQ(condition.wanted().address, sleeping.facts().address);
}

TEST(DecodeWaits, ABarrierCountsWhoIsMissing) {
  const BlockedChild child([](ChildFacts& facts) {
    static pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, nullptr, 3);
    facts.address = reinterpret_cast<uint64_t>(&barrier);
    pthread_barrier_wait(&barrier);
  });
  const Decoded decoded(child);
  ASSERT_TRUE(decoded.main().wait);
  EXPECT_EQ(decoded.wanted().kind, ResourceKind::Barrier);
  EXPECT_EQ(decoded.wanted().address, child.facts().address);
  EXPECT_EQ(decoded.wanted().needed, 2U);
}

void init_priority_mutex(pthread_mutex_t& mutex) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  pthread_mutex_init(&mutex, &attributes);
}

TEST(DecodeWaits, TheLastOfAPriorityCycleSleepsOnItsStack) {
  if (kChildIsAltered) GTEST_SKIP() << "the sanitizer alters the child";
  const BlockedChild child([](ChildFacts& facts) {
    init_priority_mutex(facts.mutex);
    block_on(facts, facts.mutex);
  });
  const Decoded decoded(child);
  ASSERT_TRUE(decoded.main().wait);
  EXPECT_EQ(decoded.wanted().kind, ResourceKind::Mutex);
  EXPECT_EQ(decoded.wanted().address, child.facts().address);
  EXPECT_TRUE(decoded.main().wait->definite);
  EXPECT_EQ(decoded.main().holds.size(), 1U);
}

// Fills the stack that later calls will stand on.
[[gnu::noinline]] void leave_behind(pthread_mutex_t* mutex) {
  pthread_mutex_t* volatile words[400];
  for (auto& word : words) word = mutex;
  asm volatile("" : : "r"(&words[0]) : "memory");
}

TEST(DecodeWaits, WhatIsLeftOnTheStackIsNotBelieved) {
  if (kChildIsAltered) GTEST_SKIP() << "the sanitizer alters the child";
  const BlockedChild child([](ChildFacts& facts) {
    static pthread_mutex_t other;
    init_priority_mutex(other);
    init_priority_mutex(facts.mutex);
    pthread_mutex_lock(&other);
    leave_behind(&other);
    block_on(facts, facts.mutex);
  });
  const Decoded decoded(child);
  ASSERT_TRUE(decoded.main().wait);
  EXPECT_EQ(decoded.wanted().address, child.facts().address);
  EXPECT_TRUE(decoded.main().wait->definite);
}

TEST(DecodeWaits, ATimedWaitSaysSo) {
  const BlockedChild child([](ChildFacts& facts) {
    pthread_mutex_lock(&facts.mutex);
    timespec until{};
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1000;
    pthread_mutex_timedlock(&facts.mutex, &until);
  });
  const Decoded decoded(child);
  ASSERT_TRUE(decoded.main().wait);
  EXPECT_EQ(decoded.wanted().kind, ResourceKind::Mutex);
  EXPECT_TRUE(decoded.main().wait->timed);
}

}  // namespace
}  // namespace gordian::process
