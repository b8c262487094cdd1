// SPDX-License-Identifier: Apache-2.0
#include "watch/contradictions.h"

#include <gtest/gtest.h>

namespace gordian::watch {
namespace {

using model::Activity;
using model::Mode;

// Thread 0 sleeps, by the kernel's word, for the one lock there is; the others claim to have it.
struct OneLock {
  Case current;
  CaseFacts facts;

  explicit OneLock(format::Kind kind = format::Kind::Mutex) {
    current.now.snapshot.resources.emplace_back();
    add(Activity::Waiting).wait.emplace().definite = true;
    facts.waits.resize(1);
    facts.waits[0].wait.kind = kind;
  }
  model::Thread& add(Activity activity) {
    model::Thread& thread = current.now.snapshot.threads.emplace_back();
    thread.activity = activity;
    return thread;
  }
  void add_holder(Activity activity, bool definite = true, Mode mode = Mode::Exclusive) {
    add(activity).holds.push_back({.resource = {}, .mode = mode, .definite = definite});
  }
  const std::vector<model::Hold>& settled(size_t thread) {
    settle_contradictions(current, facts);
    return current.now.snapshot.threads[thread].holds;
  }
};

TEST(Contradictions, OneHolderIsLeftAlone) {
  OneLock lock;
  lock.add_holder(Activity::Waiting);
  ASSERT_EQ(lock.settled(1).size(), 1u);
  EXPECT_TRUE(lock.settled(1)[0].definite);
}

TEST(Contradictions, WhomTheLockNamesRefutesTheOther) {
  OneLock lock;
  lock.add_holder(Activity::Waiting, true);
  lock.add_holder(Activity::Waiting, false);
  EXPECT_EQ(lock.settled(1).size(), 1u);
  EXPECT_TRUE(lock.settled(1)[0].definite);
  EXPECT_TRUE(lock.settled(2).empty());
}

TEST(Contradictions, WhoCanMoveIsBelievedButNotForCertain) {
  OneLock lock;
  lock.add_holder(Activity::Waiting);
  lock.add_holder(Activity::Running);
  EXPECT_TRUE(lock.settled(1).empty());
  ASSERT_EQ(lock.settled(2).size(), 1u);
  EXPECT_FALSE(lock.settled(2)[0].definite);
}

TEST(Contradictions, IfNobodyCanMoveNothingIsCertain) {
  OneLock lock;
  lock.add_holder(Activity::Waiting);
  lock.add_holder(Activity::Waiting);
  ASSERT_EQ(lock.settled(1).size(), 1u);
  EXPECT_FALSE(lock.settled(1)[0].definite);
  EXPECT_FALSE(lock.settled(2)[0].definite);
}

TEST(Contradictions, SeveralReadersAreNone) {
  OneLock lock(format::Kind::RwLock);
  lock.add_holder(Activity::Waiting, true, Mode::Shared);
  lock.add_holder(Activity::Waiting, true, Mode::Shared);
  EXPECT_TRUE(lock.settled(1)[0].definite);
  EXPECT_TRUE(lock.settled(2)[0].definite);
}

}  // namespace
}  // namespace gordian::watch
