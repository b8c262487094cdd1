// SPDX-License-Identifier: Apache-2.0
// Wrong orders are errors before anything blocks: in one thread, hanging or not.
#include "blocked.h"
#include <gordian/sync.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace {

enum class layer { rooms, handles, streams, log };
enum class part { cache, index, disk };

}  // namespace

// cache and index are unordered; both come before disk.
template <>
struct gordian::level_order<part> : gordian::chains<gordian::chain<part::cache, part::disk>,
                                                    gordian::chain<part::index, part::disk>> {};

namespace {

using gordian::error_kind;
using gordian::hold;
using sync_test::Blocker;
using sync_test::Checked;
using sync_test::error_of;
using testing::HasSubstr;

TEST(Order, TwoOrdersInOneThreadAreAnError) {
  const Checked checked;
  gordian::mutex a("first"), b("second");
  {
    hold one(a);
    hold two(b);
  }
  hold two(b);
  const auto error = error_of([&] { hold one(a); });
  ASSERT_NE(error, nullptr);
  EXPECT_FALSE(error->certain());
  EXPECT_EQ(error->kind(), error_kind::order);
  EXPECT_EQ(error->code(), std::errc::resource_deadlock_would_occur);
  EXPECT_THAT(error->what(), HasSubstr("wants \"first\" at"));
  EXPECT_THAT(error->what(), HasSubstr("while holding \"second\", taken at"));
  EXPECT_THAT(error->what(), HasSubstr("order_test.cpp"));
  // Nothing was taken.
  EXPECT_TRUE(a.try_lock());
  a.unlock();
}

TEST(Order, ALongCircleIsSeenToo) {
  const Checked checked;
  constexpr int kLocks = 50;
  std::vector<gordian::mutex> locks(kLocks);
  for (int i = 0; i + 1 < kLocks; ++i) {
    hold one(locks[i]);
    hold two(locks[i + 1]);
  }
  hold last(locks[kLocks - 1]);
  EXPECT_NE(error_of([&] { hold one(locks[0]); }), nullptr);
}

TEST(Order, TryingIsNoOrder) {
  const Checked checked;
  gordian::timed_mutex a, b;
  {
    hold one(a);
    hold two(b);
  }
  hold two(b);
  ASSERT_TRUE(a.try_lock());
  a.unlock();
  ASSERT_TRUE(a.try_lock_for(std::chrono::milliseconds(1)));
  a.unlock();
}

TEST(Order, WhatIsTakenByTryingStillOrdersWhatFollows) {
  const Checked checked;
  gordian::mutex a, b;
  {
    hold two(b);
    hold one(a);
  }
  ASSERT_TRUE(a.try_lock());
  EXPECT_NE(error_of([&] { hold two(b); }), nullptr);
  a.unlock();
}

TEST(Order, ADestroyedLockTakesItsOrderWithIt) {
  const Checked checked;
  gordian::mutex a;
  alignas(gordian::mutex) unsigned char room[sizeof(gordian::mutex)];
  auto* b = new (room) gordian::mutex;
  {
    hold one(a);
    hold two(*b);
  }
  b->~mutex();
  b = new (room) gordian::mutex;
  {
    hold two(*b);
    EXPECT_EQ(error_of([&] { hold one(a); }), nullptr);
  }
  b->~mutex();
}

TEST(Order, LevelsAreCheckedAtTheFirstNesting) {
  const Checked checked;
  gordian::mutex handles("handles", layer::handles), streams("streams", layer::streams);
  EXPECT_EQ(error_of([&] {
              hold one(handles);
              hold two(streams);
            }),
            nullptr);
  const auto error = error_of([&] {
    hold two(streams);
    hold one(handles);
  });
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->kind(), error_kind::level);
  EXPECT_THAT(error->what(), HasSubstr("wants \"handles\" (level 1)"));
  EXPECT_THAT(error->what(), HasSubstr("while holding \"streams\" (level 2)"));
}

TEST(Order, EveryHeldLockCountsNotOnlyTheLast) {
  const Checked checked;
  gordian::mutex log("log", layer::log), plain("plain"), rooms("rooms", layer::rooms);
  hold one(log);
  hold two(plain);
  EXPECT_NE(error_of([&] { hold three(rooms); }), nullptr);
}

TEST(Order, LevelsMayBeUnorderedButNotBothWays) {
  const Checked checked;
  gordian::mutex cache("cache", part::cache), index("index", part::index), disk("disk", part::disk);
  gordian::mutex other_cache("other cache", part::cache), other_index("other index", part::index);
  {
    hold one(cache);
    hold two(index);
    hold three(disk);
  }
  EXPECT_EQ(error_of([&] {
              hold two(disk);
              hold three(cache);
            })->kind(),
            error_kind::level);
  // Seen once in one order, other locks of the two levels have to follow it.
  hold two(other_index);
  EXPECT_NE(error_of([&] { hold one(other_cache); }), nullptr);
}

TEST(Order, OneLevelIsTakenByKeyThenByAddress) {
  const Checked checked;
  gordian::mutex seven("seven", layer::streams, 7), three("three", layer::streams, 3);
  EXPECT_EQ(error_of([&] {
              hold a(three);
              hold b(seven);
            }),
            nullptr);
  EXPECT_NE(error_of([&] {
              hold b(seven);
              hold a(three);
            }),
            nullptr);
  std::array<gordian::mutex, 2> row{{{"row", layer::rooms}, {"row", layer::rooms}}};
  EXPECT_EQ(error_of([&] {
              hold a(row[0]);
              hold b(row[1]);
            }),
            nullptr);
  EXPECT_NE(error_of([&] {
              hold b(row[1]);
              hold a(row[0]);
            }),
            nullptr);
}

TEST(Order, SelfLockUpgradeAndRecursiveShareAreErrors) {
  const Checked checked;
  gordian::mutex plain("plain");
  gordian::shared_mutex shared("shared");
  {
    hold one(plain);
    const auto error = error_of([&] { plain.lock(); });
    ASSERT_NE(error, nullptr);
    EXPECT_TRUE(error->certain());
    EXPECT_EQ(error->kind(), error_kind::self);
    EXPECT_FALSE(plain.try_lock());
  }
  gordian::hold_shared read(shared);
  EXPECT_EQ(error_of([&] { shared.lock_shared(); })->kind(), error_kind::recursive_share);
  const auto upgrade = error_of([&] { shared.lock(); });
  ASSERT_NE(upgrade, nullptr);
  EXPECT_EQ(upgrade->kind(), error_kind::upgrade);
  EXPECT_TRUE(upgrade->certain());
}

// They are mistakes all the same, but a stop would end the wait.
TEST(Order, OnesThatAStopCanEndAreNotCertain) {
  const Checked checked;
  gordian::mutex plain("plain");
  gordian::shared_mutex shared("shared");
  gordian::stop_source stop;
  {
    hold one(plain);
    const auto error = error_of([&] { (void)plain.lock(stop.get_token()); });
    ASSERT_NE(error, nullptr);
    EXPECT_EQ(error->kind(), error_kind::self);
    EXPECT_FALSE(error->certain());
  }
  gordian::hold_shared read(shared);
  const auto upgrade = error_of([&] { (void)shared.lock(stop.get_token()); });
  ASSERT_NE(upgrade, nullptr);
  EXPECT_EQ(upgrade->kind(), error_kind::upgrade);
  EXPECT_FALSE(upgrade->certain());
}

TEST(Order, ARecursiveMutexMayBeTakenAgainUnderLaterLocks) {
  const Checked checked;
  gordian::recursive_mutex again("again");
  gordian::mutex inner("inner");
  hold one(again);
  hold two(inner);
  EXPECT_EQ(error_of([&] { hold three(again); }), nullptr);
}

TEST(Order, AUniqueLockThatThrewOwnsNothing) {
  const Checked checked;
  gordian::mutex handles("handles", layer::handles), streams("streams", layer::streams);
  hold two(streams);
  std::unique_lock lock(handles, std::defer_lock);
  EXPECT_THROW(lock.lock(), gordian::deadlock_error);
  EXPECT_FALSE(lock.owns_lock());
  EXPECT_TRUE(lock.try_lock());
}

TEST(Order, LockAllHasNoOrderInsideButOneToTheOutside) {
  const Checked checked;
  gordian::mutex a("a"), b("b"), outer("outer");
  { auto locks = gordian::lock_all(a, b); }
  { auto locks = gordian::lock_all(b, a); }
  {
    hold one(outer);
    auto locks = gordian::lock_all(a, b);
  }
  hold one(b);
  EXPECT_NE(error_of([&] { hold two(outer); }), nullptr);
  EXPECT_NE(error_of([&] { auto twice = gordian::lock_all(a, a); }), nullptr);
}

TEST(Order, WithLockPassesTheOrderOn) {
  const Checked checked;
  gordian::at_level<layer::handles> handles("handles");
  gordian::at_level<layer::streams, gordian::shared_mutex> streams("streams");
  gordian::order_token<> nothing_held;
  const int result = gordian::with_lock(nothing_held, handles, [&](auto& token) {
    return gordian::with_lock(token, streams, [&] {
      streams.assert_held();
      return 42;
    });
  });
  EXPECT_EQ(result, 42);
  EXPECT_TRUE(handles.try_lock());
  handles.unlock();
}

TEST(Order, AssertionsTellWhatIsHeld) {
  const Checked checked;
  gordian::mutex mutex("mutex");
  EXPECT_THROW(gordian::assert_held(mutex), gordian::lock_error);
  EXPECT_EQ(error_of([] { gordian::assert_none_held(); }), nullptr);
  hold one(mutex);
  EXPECT_NO_THROW(gordian::assert_held(mutex));
  const auto error = error_of([] { gordian::assert_none_held(); });
  ASSERT_NE(error, nullptr);
  EXPECT_THAT(error->what(), HasSubstr("holds \"mutex\", taken at"));
}

TEST(Order, ALockThatEndsWhileHeldIsAnError) {
  const Checked checked;
  std::string told;
  gordian::set_error_handler([&](const gordian::lock_error& error) { told = error.what(); });
  gordian::mutex other("other");
  {
    const auto gone = std::make_unique<gordian::shared_mutex>("gone");
    gone->lock_shared();
  }
  EXPECT_THAT(told, HasSubstr("the end of \"gone\", which thread"));
  EXPECT_THAT(told, HasSubstr("order_test.cpp"));
  { const hold after(other); }  // must not look at what is gone
  told.clear();
  {
    gordian::shared_mutex theirs("theirs");
    std::thread([&] { theirs.lock_shared(); }).join();
  }
  EXPECT_THAT(told, HasSubstr("the end of \"theirs\", which another thread holds"));
  told.clear();
  {
    gordian::recursive_mutex mutex("mine");
    const hold once(mutex);
    const hold twice(mutex);
  }
  EXPECT_EQ(told, "");
}

// A destructor cannot throw.
TEST(Order, AHandlerThatThrowsEndsTheProgramWhereALockEndsWhileHeld) {
  const Checked checked;
  EXPECT_DEATH(
      {
        gordian::mutex gone("gone");
        gone.lock();
      },
      "gordian: .*the end of \"gone\"");
}

TEST(Order, AForkedChildFindsTheBooksWhole) {
  const Checked checked;
  gordian::detail::leaf_lock& books = gordian::detail::the_registry().lock;
  pid_t child = -1;
  books.lock();
  Blocker forker([&] {
    child = fork();
    if (child != 0) return;
    alarm(60);
    gordian::mutex a("first"), b("second");
    const hold one(a);
    const hold two(b);
    _exit(0);
  });
  // It waits for the books; else it has forked, and its child finds them locked for ever.
  forker.wait_until_blocked();
  books.unlock();
  forker.join();
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(Order, UnlockByAnotherThreadIsMisuse) {
  const Checked checked;
  gordian::mutex mutex("mine");
  hold one(mutex);
  std::thread other([&] { EXPECT_THROW(mutex.unlock(), gordian::lock_error); });
  other.join();
  EXPECT_FALSE(mutex.try_lock());
  gordian::mutex free;
  EXPECT_THROW(free.unlock(), gordian::lock_error);
}

TEST(Order, UnlockInTheOtherWayIsMisuse) {
  const Checked checked;
  gordian::mutex above("above");
  gordian::shared_mutex mutex("mine");
  mutex.lock_shared();
  EXPECT_THROW(mutex.unlock(), gordian::lock_error);
  mutex.unlock_shared();
  mutex.lock();
  above.lock();  // so that it is not the last one
  try {
    mutex.unlock_shared();
    FAIL() << "no error";
  } catch (const gordian::lock_error& error) {
    EXPECT_EQ(error.kind(), error_kind::misuse);
    EXPECT_THAT(error.what(), HasSubstr("\"mine\""));
  }
  above.unlock();
  // A handler that lets it pass gets what was meant.
  gordian::set_error_handler([](const gordian::lock_error&) {});
  mutex.unlock_shared();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST(Order, AHandlerMayLetItPassAndIsNotToldAgain) {
  const Checked checked;
  int told = 0;
  gordian::set_error_handler([&](const gordian::lock_error&) { ++told; });
  gordian::mutex a, b;
  {
    hold one(a);
    hold two(b);
  }
  for (int i = 0; i < 3; ++i) {
    hold two(b);
    hold one(a);
  }
  EXPECT_EQ(told, 1);
}

TEST(Order, ChecksMayBeSwitchedWhileLocksAreHeld) {
  gordian::mutex a, b;
  a.lock();
  {
    const Checked checked;
    a.unlock();  // taken before: nobody knows by whom
    b.lock();
  }
  b.unlock();
  const Checked checked;
  EXPECT_EQ(error_of([&] {
              hold one(b);
              gordian::assert_held(b);
            }),
            nullptr);
  EXPECT_EQ(error_of([] { gordian::assert_none_held(); }), nullptr);
}

// Against a naive search, on random edges.
TEST(OrderGraph, AgreesWithSearchingThePath) {
  unsigned random = 7;
  auto next = [&](unsigned below) {
    random = random * 1103515245 + 12345;
    return (random >> 16) % below;
  };
  for (int round = 0; round < 200; ++round) {
    gordian::detail::order_graph<int> graph;
    constexpr unsigned kNodes = 12;
    bool edges[kNodes + 1][kNodes + 1] = {};
    // Reached within as many rounds as there are nodes: all that can be reached.
    auto leads = [&](unsigned from, unsigned to) {
      bool reached[kNodes + 1] = {};
      reached[from] = true;
      for (unsigned rounds = 0; rounds < kNodes; ++rounds) {
        for (unsigned a = 1; a <= kNodes; ++a) {
          for (unsigned b = 1; b <= kNodes; ++b) reached[b] |= reached[a] && edges[a][b];
        }
      }
      return reached[to];
    };
    for (int i = 0; i < 40; ++i) {
      if (next(10) == 0) {
        const unsigned gone = next(kNodes) + 1;
        graph.remove(gone);
        for (unsigned j = 1; j <= kNodes; ++j) edges[gone][j] = edges[j][gone] = false;
        continue;
      }
      const unsigned from = next(kNodes) + 1;
      const unsigned to = next(kNodes) + 1;
      const bool circle = leads(to, from);
      const auto path = graph.add(from, to, 0);
      ASSERT_EQ(path.empty(), !circle) << "seed 7, round " << round;
      if (path.empty()) {
        edges[from][to] = true;
        continue;
      }
      // The path is one: to -> ... -> from, over known edges.
      if (from == to) continue;
      EXPECT_EQ(path.front().from, to);
      EXPECT_EQ(path.back().to, from);
      for (std::size_t j = 0; j < path.size(); ++j) {
        EXPECT_TRUE(edges[path[j].from][path[j].to]);
        if (j > 0) {
          EXPECT_EQ(path[j].from, path[j - 1].to);
        }
      }
    }
  }
}

}  // namespace
