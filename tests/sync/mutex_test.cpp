// SPDX-License-Identifier: Apache-2.0
// The locks keep std's promises, with and without checks.
#include "blocked.h"
#include <gordian/sync.h>

#include <condition_variable>
#include <gtest/gtest.h>
#include <mutex>
#include <shared_mutex>
#include <vector>

namespace {

using namespace std::chrono_literals;
using sync_test::Blocker;
using sync_test::Checked;

// Every test of this file runs with and without checks.
class Locks : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) checked_.emplace();
  }
  std::optional<Checked> checked_;
};

INSTANTIATE_TEST_SUITE_P(Mode, Locks, testing::Values(false, true),
                         [](const auto& info) { return info.param ? "checked" : "unchecked"; });

template <typename Mutex>
long count_under(Mutex& mutex) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 3000;
  long counter = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < kRounds; ++j) {
        std::lock_guard hold(mutex);
        ++counter;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return counter - long{kThreads} * kRounds;
}

TEST_P(Locks, ExcludeEachOther) {
  gordian::mutex plain;
  gordian::timed_mutex timed;
  gordian::shared_mutex shared;
  gordian::shared_timed_mutex shared_timed;
  gordian::recursive_mutex recursive;
  gordian::recursive_timed_mutex recursive_timed;
  EXPECT_EQ(count_under(plain), 0);
  EXPECT_EQ(count_under(timed), 0);
  EXPECT_EQ(count_under(shared), 0);
  EXPECT_EQ(count_under(shared_timed), 0);
  EXPECT_EQ(count_under(recursive), 0);
  EXPECT_EQ(count_under(recursive_timed), 0);
}

TEST_P(Locks, FitTheGuardsOfTheStandardLibrary) {
  gordian::mutex a("a");
  gordian::timed_mutex b("b");
  gordian::shared_mutex c("c");
  {
    std::unique_lock deferred(a, std::defer_lock);
    EXPECT_FALSE(deferred.owns_lock());
    deferred.lock();
    std::unique_lock moved(std::move(deferred));
    EXPECT_TRUE(moved.owns_lock());
    EXPECT_FALSE(deferred.owns_lock());  // NOLINT(bugprone-use-after-move): what is tested
  }
  EXPECT_TRUE(a.try_lock());
  { std::unique_lock adopted(a, std::adopt_lock); }
  {
    std::unique_lock tried(a, std::try_to_lock);
    EXPECT_TRUE(tried.owns_lock());
  }
  {
    std::unique_lock timed(b, 1ms);
    EXPECT_TRUE(timed.owns_lock());
  }
  { std::scoped_lock all(a, b, c); }
  {
    std::shared_lock read(c);
    EXPECT_TRUE(read.owns_lock());
  }
  {
    std::shared_lock read(c, std::try_to_lock);
    EXPECT_TRUE(read.owns_lock());
  }
  std::lock(a, b, c);
  a.unlock();
  EXPECT_EQ(std::try_lock(a, b), 1);  // b is the one that was not free
  b.unlock();
  c.unlock();
}

TEST_P(Locks, AreTriedWithoutWaiting) {
  gordian::timed_mutex mutex;
  gordian::shared_timed_mutex shared;
  std::unique_lock hold(mutex);
  std::shared_lock read(shared);
  std::thread other([&] {
    EXPECT_FALSE(mutex.try_lock());
    EXPECT_FALSE(mutex.try_lock_for(1ms));
    EXPECT_FALSE(mutex.try_lock_until(std::chrono::system_clock::now() - 1h));
    EXPECT_FALSE(shared.try_lock());
    EXPECT_FALSE(shared.try_lock_until(std::chrono::steady_clock::now() + 1ms));
    EXPECT_TRUE(shared.try_lock_shared_for(1ms));
    shared.unlock_shared();
  });
  other.join();
}

TEST_P(Locks, TakeAFreeLockEvenAfterTheDeadline) {
  gordian::timed_mutex mutex;
  ASSERT_TRUE(mutex.try_lock_until(std::chrono::steady_clock::now() - 1s));
  mutex.unlock();
  ASSERT_TRUE(mutex.try_lock_for(-1s));
  mutex.unlock();
  ASSERT_TRUE(mutex.try_lock_for(std::chrono::hours::max()));
  mutex.unlock();
}

template <typename Clock, typename Duration>
void expect_for_ever_and_past() {
  using Moment = std::chrono::time_point<Clock, Duration>;
  gordian::timed_mutex mutex;
  mutex.lock();
  std::thread([&] { EXPECT_FALSE(mutex.try_lock_until(Moment::min())); }).join();
  bool taken = false;
  Blocker waiter([&] {
    taken = mutex.try_lock_until(Moment::max());
    if (taken) mutex.unlock();
  });
  EXPECT_TRUE(waiter.wait_until_blocked());
  mutex.unlock();
  waiter.join();
  EXPECT_TRUE(taken);
}

// The clock of files, of which now lies before its epoch.
struct ClockOfFiles {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<ClockOfFiles>;
  static constexpr bool is_steady = false;
  static time_point now() { return time_point(-std::chrono::hours(24 * 365 * 148)); }
};

TEST_P(Locks, WaitUntilTheEndOfAnyClock) {
  expect_for_ever_and_past<std::chrono::steady_clock, std::chrono::nanoseconds>();
  expect_for_ever_and_past<std::chrono::steady_clock, std::chrono::hours>();
  expect_for_ever_and_past<std::chrono::system_clock, std::chrono::seconds>();
  expect_for_ever_and_past<std::chrono::system_clock, std::chrono::duration<double>>();
  expect_for_ever_and_past<ClockOfFiles, std::chrono::nanoseconds>();
  expect_for_ever_and_past<ClockOfFiles, std::chrono::hours>();
  gordian::timed_mutex mutex;
  mutex.lock();
  std::thread([&] {
    EXPECT_FALSE(mutex.try_lock_for(std::chrono::hours::min()));
    EXPECT_FALSE(mutex.try_lock_for(std::chrono::nanoseconds::min()));
    EXPECT_FALSE(mutex.try_lock_for(std::chrono::duration<double>(-1e30)));
  }).join();
  mutex.unlock();
}

TEST_P(Locks, RecursiveOnesCountTheirHolds) {
  gordian::recursive_mutex mutex("again");
  mutex.lock();
  mutex.lock();
  EXPECT_TRUE(mutex.try_lock());
  auto is_free = [&] {
    bool taken = false;
    std::thread([&] {
      taken = mutex.try_lock();
      if (taken) mutex.unlock();
    }).join();
    return taken;
  };
  mutex.unlock();
  mutex.unlock();
  EXPECT_FALSE(is_free());
  mutex.unlock();
  EXPECT_TRUE(is_free());
}

TEST_P(Locks, WorkWithConditionVariables) {
  gordian::mutex mutex;
  std::condition_variable_any standard;
  gordian::condition_variable ours;
  int turn = 0;
  std::thread other([&] {
    std::unique_lock lock(mutex);
    standard.wait(lock, [&] { return turn == 1; });
    turn = 2;
    ours.notify_one();
  });
  {
    std::unique_lock lock(mutex);
    turn = 1;
    standard.notify_one();
    ours.wait(lock, [&] { return turn == 2; });
    EXPECT_EQ(turn, 2);
    EXPECT_FALSE(ours.wait_for(lock, 1ms, [] { return false; }));
    EXPECT_EQ(ours.wait_until(lock, std::chrono::system_clock::now() - 1s),
              std::cv_status::timeout);
    EXPECT_TRUE(lock.owns_lock());
  }
  other.join();
}

// The waiter is asleep when the stop comes: nothing but the stop can wake it.
TEST_P(Locks, StopWakesAWaiterAtOnce) {
  gordian::mutex mutex;
  gordian::shared_mutex shared;
  gordian::recursive_mutex recursive;
  std::scoped_lock hold(mutex, shared, recursive);
  gordian::stop_source stop;
  std::atomic<int> refused{0};
  auto count = [&](bool taken) { refused += taken ? 0 : 1; };
  Blocker a([&] { count(mutex.lock(stop.get_token())); });
  Blocker b([&] { count(shared.lock(stop.get_token())); });
  Blocker c([&] { count(shared.lock_shared(stop.get_token())); });
  Blocker d([&] { count(recursive.lock(stop.get_token())); });
  for (Blocker* waiter : {&a, &b, &c, &d}) EXPECT_TRUE(waiter->wait_until_blocked());
  stop.request_stop();
  for (Blocker* waiter : {&a, &b, &c, &d}) waiter->join();
  EXPECT_EQ(refused, 4);
}

TEST_P(Locks, AStoppedWaiterPassesItsWakeUpOn) {
  for (int round = 0; round < 300; ++round) {
    gordian::mutex mutex;
    gordian::stop_source stop;
    std::atomic<int> taken{0};
    mutex.lock();
    std::thread stoppable([&] {
      if (mutex.lock(stop.get_token())) {
        ++taken;
        mutex.unlock();
      }
    });
    std::thread patient([&] {
      std::lock_guard hold(mutex);
      ++taken;
    });
    std::thread stopper([&] { stop.request_stop(); });
    mutex.unlock();
    stopper.join();
    stoppable.join();
    patient.join();  // hangs if the wake-up was lost
    EXPECT_GE(taken, 1);
  }
}

TEST_P(Locks, AWriterThatGivesUpLetsTheReadersIn) {
  gordian::shared_timed_mutex shared;
  gordian::stop_source stop;
  shared.lock_shared();
  Blocker writer([&] { EXPECT_FALSE(shared.lock(stop.get_token())); });
  ASSERT_TRUE(writer.wait_until_blocked());
  Blocker reader([&] {
    shared.lock_shared();
    shared.unlock_shared();
  });
  ASSERT_TRUE(reader.wait_until_blocked());
  stop.request_stop();
  reader.join();
  writer.join();
  shared.unlock_shared();
}

TEST_P(Locks, AConditionWaitEndsByStop) {
  gordian::mutex mutex;
  gordian::condition_variable never;
  gordian::stop_source stop;
  Blocker waiter([&] {
    std::unique_lock lock(mutex);
    EXPECT_FALSE(never.wait(lock, stop.get_token(), [] { return false; }));
    EXPECT_TRUE(lock.owns_lock());
  });
  ASSERT_TRUE(waiter.wait_until_blocked());
  stop.request_stop();
  waiter.join();
}

// Readers, writers, stops and deadlines at random; the invariant is the readers-writer one.
TEST_P(Locks, SharedMutexUnderRandomTraffic) {
  gordian::shared_timed_mutex shared;
  std::atomic<int> readers{0};
  std::atomic<int> writers{0};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= 6; ++seed) {
    threads.emplace_back([&, random = seed]() mutable {
      auto write = [&] {
        wrong += ++writers != 1 || readers != 0;
        --writers;
        shared.unlock();
      };
      auto read = [&] {
        ++readers;
        wrong += writers != 0;
        --readers;
        shared.unlock_shared();
      };
      gordian::stop_source stop;
      for (int i = 0; i < 1500; ++i) {
        random = random * 1103515245 + 12345;
        switch (random >> 16 & 7) {
          case 0:
            shared.lock();
            write();
            break;
          case 1:
            if (shared.try_lock()) write();
            break;
          case 2:
            if (shared.try_lock_for(10us)) write();
            break;
          case 3:
            if (shared.lock(stop.get_token())) write();
            break;
          case 4:
            if (shared.try_lock_shared()) read();
            break;
          case 5:
            if (shared.try_lock_shared_for(10us)) read();
            break;
          default:
            shared.lock_shared();
            read();
            break;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(shared.try_lock());
  shared.unlock();
}

TEST_P(Locks, LockAllTakesARecursiveMutexTwice) {
  gordian::recursive_mutex ours("ours");
  std::recursive_mutex standard;
  auto locks = gordian::lock_all(ours, standard, ours, standard);
  EXPECT_TRUE(locks.owns_lock());
}

TEST_P(Locks, LockAllTakesAnyMix) {
  gordian::mutex a("a");
  gordian::shared_mutex b("b");
  std::mutex c;
  long first = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 1000; ++j) {
        if (i % 2 == 0) {
          auto locks = gordian::lock_all(a, gordian::shared(b), c);
          ++first;
        } else {
          auto locks = gordian::lock_all(c, b, a);
          ++first;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(first, 4000);
  auto locks = gordian::lock_all(a, gordian::shared(b));
  EXPECT_TRUE(b.try_lock_shared());
  b.unlock_shared();
  auto moved = std::move(locks);
  EXPECT_FALSE(locks.owns_lock());  // NOLINT(bugprone-use-after-move): what is tested
  moved.unlock();
  EXPECT_TRUE(a.try_lock());
  a.unlock();
}

}  // namespace
