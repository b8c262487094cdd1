// SPDX-License-Identifier: Apache-2.0
// The check at the moment of blocking: exact, with one victim. Real threads, driven step by step,
// against a naive solver.
#include "blocked.h"
#include <gordian/sync.h>

#include <condition_variable>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

namespace {

using gordian::hold;
using sync_test::Blocker;
using sync_test::Checked;
using sync_test::error_of;
using testing::HasSubstr;

constexpr gordian::check_options kWaitsOnly{.order = false, .waits = true};

TEST(Waits, TheLastOfACircleIsTheOnlyVictim) {
  const Checked checked(kWaitsOnly);
  gordian::mutex a("a"), b("b"), c("c");
  std::atomic<int> victims{0};
  hold mine(c);
  auto in_the_middle = [&](gordian::mutex& first, gordian::mutex& second,
                           std::atomic<bool>& ready) {
    return std::make_unique<Blocker>([&] {
      hold one(first);
      ready = true;
      if (error_of([&] { hold two(second); })) ++victims;
    });
  };
  std::atomic<bool> has_a{false}, has_b{false};
  auto second = in_the_middle(b, c, has_b);
  ASSERT_TRUE(second->wait_until_blocked());
  auto first = in_the_middle(a, b, has_a);
  ASSERT_TRUE(first->wait_until_blocked());
  const auto error = error_of([&] { hold two(a); });
  ASSERT_NE(error, nullptr);
  EXPECT_TRUE(error->certain());
  EXPECT_THAT(error->what(), HasSubstr("wants \"a\""));
  EXPECT_THAT(error->what(), HasSubstr("holds \"b\", taken at"));
  EXPECT_EQ(victims, 0);
  c.unlock();
  second->join();
  first->join();
  EXPECT_EQ(victims, 0);
  c.lock();
}

TEST(Waits, AnInversionThatIsADeadlockNowIsCertain) {
  const Checked checked;
  gordian::mutex a("a"), b("b");
  b.lock();
  Blocker other([&] {
    hold one(a);
    hold two(b);
  });
  ASSERT_TRUE(other.wait_until_blocked());
  const auto error = error_of([&] { hold one(a); });
  b.unlock();
  ASSERT_NE(error, nullptr);
  EXPECT_TRUE(error->certain());
}

TEST(Waits, TimedAndCancellableWaitsAreNoDeadlock) {
  const Checked checked(kWaitsOnly);
  gordian::timed_mutex a("a"), b("b");
  gordian::stop_source stop;
  hold mine(b);
  Blocker other([&] {
    hold one(a);
    EXPECT_FALSE(b.lock(stop.get_token()));
  });
  ASSERT_TRUE(other.wait_until_blocked());
  EXPECT_FALSE(a.try_lock_for(std::chrono::milliseconds(1)));
  Blocker breaker([&] { stop.request_stop(); });
  hold got(a);  // no error: the stop comes
}

// A reader behind a waiting writer waits for that writer, which waits for another reader.
TEST(Waits, AReaderWaitsForTheWriterInFrontOfIt) {
  const Checked checked(kWaitsOnly);
  gordian::shared_mutex guard("guard");
  gordian::mutex m("m");
  guard.lock_shared();
  Blocker writer([&] { hold exclusive(guard); });
  ASSERT_TRUE(writer.wait_until_blocked());
  Blocker reader([&] {
    hold one(m);
    gordian::hold_shared two(guard);
  });
  ASSERT_TRUE(reader.wait_until_blocked());
  const auto error = error_of([&] { hold one(m); });
  ASSERT_NE(error, nullptr);
  EXPECT_TRUE(error->certain());
  EXPECT_THAT(error->what(), HasSubstr("wants \"guard\" shared"));
  guard.unlock_shared();
}

// Else a reader of which a deadlock was told for certain, since it waits for "patient", could come
// in when "hasty" gives up.
TEST(Waits, AWriterThatGivesUpKeepsTheReadersOutForTheOthers) {
  const Checked checked(kWaitsOnly);
  // Where it let them in, one round in two showed it.
  for (int round = 0; round < 20; ++round) {
    gordian::shared_mutex guard("guard");
    gordian::stop_source stop;
    std::shared_lock read(guard);
    Blocker hasty([&] { EXPECT_FALSE(guard.lock(stop.get_token())); });
    ASSERT_TRUE(hasty.wait_until_blocked());
    Blocker patient([&] { hold exclusive(guard); });
    ASSERT_TRUE(patient.wait_until_blocked());
    std::atomic<bool> ended{false};
    Blocker looker([&] {
      const auto& word = gordian::detail::lock_access::word(guard);
      while (!ended) EXPECT_FALSE(word.is_open_for(gordian::detail::mode::shared));
    });
    stop.request_stop();
    hasty.join();
    ended = true;
    looker.join();
    read.unlock();
  }
}

// --- the model ---------------------------------------------------------------------------------

// One thread that does one request after the other, as it is told.
class Actor {
 public:
  enum class State { Idle, Busy, Refused };

  Actor() : thread_([this] { run(); }) {}
  ~Actor() {
    tell([this] { done_ = true; });
    thread_.join();
  }
  void tell(std::function<void()> action) {
    {
      const std::lock_guard lock(mutex_);
      action_ = std::move(action);
      state_ = State::Busy;
    }
    changed_.notify_all();
  }
  State state() {
    const std::lock_guard lock(mutex_);
    return state_;
  }

 private:
  void run() {
    while (!done_) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return action_ != nullptr; });
      const auto action = std::exchange(action_, nullptr);
      lock.unlock();
      const bool refused = error_of(action) != nullptr;
      lock.lock();
      state_ = refused ? State::Refused : State::Idle;
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> action_;
  State state_ = State::Idle;
  bool done_ = false;
  std::thread thread_;
};

// A reader is kept out by waiting writers, or not: the lock's own fairness, which the model takes
// from the lock. Who waits for whom it works out itself.
class Model {
 public:
  static constexpr int kThreads = 4;
  static constexpr int kLocks = 4;
  struct Wish {
    int lock = -1;
    bool shared = false;
  };
  using Holds = std::array<std::map<int, bool>, kThreads>;  // lock -> shared
  using Wishes = std::array<Wish, kThreads>;

  // What a naive solver says: let everybody who can go on finish, again and again.
  bool would_deadlock(int thread) const {
    Holds held = held_;
    Wishes wants = wants_;
    bool ended[kThreads] = {};
    for (bool changed = true; changed;) {
      changed = false;
      for (int t = 0; t < kThreads; ++t) {
        if (ended[t] || is_blocked(t, held, wants)) continue;
        ended[t] = changed = true;
        held[t].clear();
        wants[t] = {};
      }
    }
    return !ended[thread];
  }
  bool is_blocked(int thread) const { return is_blocked(thread, held_, wants_); }

  Holds held_;
  Wishes wants_;
  std::array<gordian::shared_mutex, kLocks> locks_;

 private:
  bool is_blocked(int thread, const Holds& held, const Wishes& wants) const {
    const Wish& wish = wants[thread];
    if (wish.lock < 0) return false;
    for (int other = 0; other < kThreads; ++other) {
      const auto found = held[other].find(wish.lock);
      if (found != held[other].end() && !(wish.shared && found->second)) return true;
    }
    if (!wish.shared) return false;
    auto& lock = const_cast<gordian::shared_mutex&>(locks_[wish.lock]);
    if (!gordian::detail::lock_access::word(lock).readers_wait_for_writers()) return false;
    for (int other = 0; other < kThreads; ++other) {
      if (other != thread && wants[other].lock == wish.lock && !wants[other].shared) return true;
    }
    return false;
  }
};

// True after a while; a hang here is a missed wake-up or a missed deadlock.
template <typename Condition>
bool eventually(Condition condition) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

// Every request registered is one that its lock refuses now, and that has left its mark there:
// nobody is on the way. Without the mark of a writer a reader would still be let in.
bool all_really_wait(std::size_t count) {
  auto& books = gordian::detail::the_registry();
  const gordian::detail::leaf_hold hold(books.lock);
  for (const auto* wait = books.waits; wait != nullptr; wait = wait->next, --count) {
    if (count == 0 || wait->shared->is_open_for(wait->wanted)) return false;
    if (!wait->shared->has_mark_of(wait->wanted)) return false;
  }
  return count == 0;
}

struct Counts {
  int deadlocks = 0;
  int waits = 0;
};

void run_random_program(unsigned seed, Counts& counts) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  unsigned random = seed;
  auto next = [&](int below) {
    random = random * 1103515245 + 12345;
    return static_cast<int>(random >> 16) % below;
  };
  Model model;
  std::array<Actor, Model::kThreads> actors;
  using State = Actor::State;
  auto waiting = [&] {
    std::size_t count = 0;
    for (const auto& wish : model.wants_) count += wish.lock >= 0;
    return count;
  };
  // Until nobody moves; what was granted meanwhile is entered in the model.
  auto settle = [&] {
    return eventually([&] {
      for (int t = 0; t < Model::kThreads; ++t) {
        auto& wish = model.wants_[t];
        if (wish.lock < 0 || actors[t].state() != State::Idle) continue;
        model.held_[t][wish.lock] = wish.shared;
        wish = {};
      }
      return all_really_wait(waiting());
    });
  };
  auto unlock = [&](int t, int which) {
    const bool shared = model.held_[t].at(which);
    model.held_[t].erase(which);
    actors[t].tell(
        [&lock = model.locks_[which], shared] { shared ? lock.unlock_shared() : lock.unlock(); });
    ASSERT_TRUE(eventually([&] { return actors[t].state() == State::Idle; }));
    ASSERT_TRUE(settle());
  };

  for (int step = 0; step < 30; ++step) {
    const int t = next(Model::kThreads);
    if (model.wants_[t].lock >= 0) continue;
    const int which = next(Model::kLocks);
    if (model.held_[t].count(which) != 0) {
      ASSERT_NO_FATAL_FAILURE(unlock(t, which));
      continue;
    }
    const bool shared = next(2) == 0;
    model.wants_[t] = {which, shared};
    const bool deadlock = model.would_deadlock(t);
    actors[t].tell(
        [&lock = model.locks_[which], shared] { shared ? lock.lock_shared() : lock.lock(); });
    if (deadlock) {
      ++counts.deadlocks;
      ASSERT_TRUE(eventually([&] { return actors[t].state() != State::Busy; })) << "missed";
      ASSERT_EQ(actors[t].state(), State::Refused);
      model.wants_[t] = {};
      // Whoever gives up wakes the others, who then leave their marks anew.
      ASSERT_TRUE(settle());
    } else {
      ASSERT_TRUE(settle()) << "stuck, or a false deadlock";
      counts.waits += model.wants_[t].lock >= 0;
    }
  }
  // Not one of them is stuck: all can be let go, one after the other.
  for (bool left = true; left;) {
    left = false;
    for (int t = 0; t < Model::kThreads; ++t) {
      if (model.wants_[t].lock >= 0) {
        left = true;
        continue;
      }
      while (!model.held_[t].empty()) {
        ASSERT_NO_FATAL_FAILURE(unlock(t, model.held_[t].begin()->first));
      }
    }
  }
}

TEST(Waits, AgreesWithANaiveSolverOnRandomPrograms) {
  const Checked checked(kWaitsOnly);
  Counts counts;
  for (unsigned seed = 1; seed <= 60 && !HasFatalFailure(); ++seed) {
    run_random_program(seed, counts);
  }
  EXPECT_GT(counts.deadlocks, 20);
  EXPECT_GT(counts.waits, 100);
}

}  // namespace
