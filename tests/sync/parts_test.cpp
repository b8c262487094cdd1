// SPDX-License-Identifier: Apache-2.0
// worker, deferred, strand, work_gate, bounded_queue, guarded.
#include "blocked.h"
#include <gordian/sync.h>

#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mutex>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using gordian::error_kind;
using gordian::hold;
using sync_test::Blocker;
using sync_test::Checked;
using sync_test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

void wait_for_stop(const gordian::stop_token& stop) {
  gordian::mutex mutex;
  gordian::condition_variable never;
  std::unique_lock lock(mutex);
  never.wait(lock, stop, [] { return false; });
}

// --- worker ------------------------------------------------------------------------------------

TEST(Worker, IsStoppedByManyAtOnce) {
  for (int round = 0; round < 50; ++round) {
    gordian::worker worker("worker", wait_for_stop);
    std::vector<std::thread> stoppers;
    for (int i = 0; i < 4; ++i) stoppers.emplace_back([&] { worker.stop(); });
    for (auto& stopper : stoppers) stopper.join();
    EXPECT_FALSE(worker.running());
    worker.stop();
  }
}

TEST(Worker, StopsItselfWithoutJoining) {
  std::atomic<bool> returned{false};
  gordian::worker* self = nullptr;
  std::atomic<bool> ready{false};
  gordian::worker worker("worker", [&](const gordian::stop_token& stop) {
    while (!ready) std::this_thread::yield();
    EXPECT_TRUE(self->is_current_thread());
    self->stop();
    EXPECT_TRUE(stop.stop_requested());
    returned = true;
  });
  self = &worker;
  ready = true;
  worker.stop();
  EXPECT_TRUE(returned);
}

TEST(Worker, MayBeDestroyedByItsOwnCallback) {
  std::atomic<bool> returned{false};
  std::atomic<bool> ready{false};
  auto* worker = new gordian::worker();
  *worker = gordian::worker("worker", [&](const gordian::stop_token&) {
    while (!ready) std::this_thread::yield();
    delete worker;
    returned = true;
  });
  ready = true;
  while (!returned) std::this_thread::yield();
}

TEST(Worker, IsStoppedUnderALockThatItTakesByItsToken) {
  const Checked checked;
  gordian::mutex mutex("mutex");
  std::unique_lock lock(mutex);
  std::atomic<bool> refused{false};
  gordian::worker worker("worker", [&](const gordian::stop_token& stop) {
    refused = !mutex.lock(stop);
    if (!refused) mutex.unlock();
  });
  EXPECT_EQ(error_of([&] { worker.stop(); }), nullptr);
  EXPECT_TRUE(refused);
}

TEST(Worker, StoppingUnderALockThatItTakesIsAnErrorHangingOrNot) {
  const Checked checked;
  gordian::mutex mutex("guard");
  std::atomic<bool> took{false};
  gordian::worker worker("replication", [&] {
    hold guard(mutex);
    took = true;
  });
  while (!took) std::this_thread::yield();
  std::unique_lock lock(mutex);
  const auto error = error_of([&] { worker.stop(); });
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->kind(), error_kind::order);
  EXPECT_THAT(error->what(), HasSubstr("the end of worker \"replication\""));
}

TEST(Worker, StoppingUnderALockItWaitsForIsADeadlockForCertain) {
  const Checked checked({.order = false, .waits = true});
  gordian::mutex mutex("guard");
  std::unique_lock lock(mutex);
  gordian::worker worker("replication", [&] { hold guard(mutex); });
  // Either side may be the one that closes the circle.
  while (gordian::watch_report().waiting.empty()) std::this_thread::yield();
  const auto error = error_of([&] { worker.stop(); });
  ASSERT_NE(error, nullptr);
  EXPECT_TRUE(error->certain());
  lock.unlock();
}

// The thread waits for the callback at the end of its function, and the callback for nobody.
TEST(Worker, MayBeStoppedByACallbackOfItsToken) {
  std::atomic<gordian::worker*> self{nullptr};
  std::atomic<bool> ready{false};
  gordian::worker worker("worker", [&](const gordian::stop_token& stop) {
    const auto again = [&] { self.load()->stop(); };
    const gordian::stop_callback on_stop(stop, again);
    ready = true;
    wait_for_stop(stop);
  });
  self = &worker;
  while (!ready) std::this_thread::yield();
  worker.stop();
  EXPECT_FALSE(worker.running());
}

TEST(Worker, MayBeDestroyedByACallbackOfItsToken) {
  std::atomic<bool> ready{false}, returned{false};
  auto* worker = new gordian::worker();
  *worker = gordian::worker("worker", [&](const gordian::stop_token& stop) {
    {
      const auto end = [&] { delete worker; };
      const gordian::stop_callback on_stop(stop, end);
      ready = true;
      wait_for_stop(stop);
    }
    returned = true;
  });
  while (!ready) std::this_thread::yield();
  worker->request_stop();
  while (!returned) std::this_thread::yield();
}

// --- deferred and strand -----------------------------------------------------------------------

TEST(Deferred, RunsAfterTheReleaseInOrderAndReentrantly) {
  gordian::mutex mutex("tls");
  gordian::deferred later;
  std::vector<int> order;
  {
    auto lock = later.hold(mutex);
    later.post([&] {
      EXPECT_TRUE(mutex.try_lock());  // not held here
      mutex.unlock();
      auto again = later.hold(mutex);
      later.post([&] { order.push_back(3); });
      order.push_back(1);
    });
    later.post([&] { order.push_back(2); });
    EXPECT_TRUE(order.empty());
  }
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST(Deferred, RunsTheRestAndThenThrowsTheFirst) {
  gordian::mutex mutex;
  gordian::deferred later;
  bool ran = false;
  auto lock = later.hold(mutex);
  later.post([] { throw std::runtime_error("first"); });
  later.post([] { throw std::runtime_error("second"); });
  later.post([&] { ran = true; });
  EXPECT_THROW(
      try { lock.unlock(); } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "first");
        throw;
      },
      std::runtime_error);
  EXPECT_TRUE(ran);
  EXPECT_FALSE(lock.owns_lock());
}

TEST(Deferred, RunsAfterTheLastOfSeveralHolds) {
  gordian::mutex outer("connection"), inner("tls");
  gordian::deferred later;
  bool ran = false;
  std::thread([&] {
    later.post([&] {
      EXPECT_TRUE(outer.try_lock()) << "under it";
      outer.unlock();
    });
  }).join();
  auto first = later.hold(outer);
  {
    auto second = later.hold(inner);
    later.post([&] {
      ran = outer.try_lock();
      if (ran) outer.unlock();
    });
  }
  EXPECT_FALSE(ran);
  first.unlock();
  EXPECT_TRUE(ran);
}

TEST(Deferred, NobodyElseRunsWhatIsPostedUnderALock) {
  gordian::mutex mutex("connection");
  gordian::deferred later;
  std::atomic<int> step{0};
  std::atomic<bool> ran{false};
  later.post([&] {
    step = 1;
    while (step != 2) std::this_thread::yield();
  });
  std::thread runner([&] { later.run(); });
  while (step != 1) std::this_thread::yield();
  {
    auto lock = later.hold(mutex);
    later.post([&] { ran = true; });
    step = 2;
    runner.join();
    EXPECT_FALSE(ran);
  }
  EXPECT_TRUE(ran);
}

// A mutex that stops a thread between its unlock() and what the thread does next.
class HeldUp {
 public:
  std::function<void()> after_unlock;

  void lock() { mutex_.lock(); }
  void unlock() {
    const auto then = std::exchange(after_unlock, nullptr);
    mutex_.unlock();
    if (then) then();
  }

 private:
  gordian::mutex mutex_{"connection"};
};

TEST(Deferred, RunsInTheOrderInWhichTheLockWasReleased) {
  HeldUp mutex;
  gordian::deferred later;
  std::vector<int> ran;
  std::atomic<int> step{0};
  std::thread first([&] {
    auto lock = later.hold(mutex);
    later.post([&] { ran.push_back(1); });
    mutex.after_unlock = [&] {
      step = 1;
      while (step != 2) std::this_thread::yield();
    };
  });
  while (step != 1) std::this_thread::yield();
  {
    auto lock = later.hold(mutex);
    later.post([&] { ran.push_back(2); });
  }
  EXPECT_THAT(ran, ElementsAre());  // its turn has not come, and nobody waits for it
  step = 2;
  first.join();
  EXPECT_THAT(ran, ElementsAre(1, 2));
}

TEST(Strand, RunsCallsOneAtATimeFromManyThreads) {
  gordian::strand strand;
  int plain = 0;  // no lock: TSan would see two at once
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 500; ++j) strand.dispatch([&] { ++plain; });
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(strand.idle());
  EXPECT_EQ(plain, 2000);
}

TEST(Strand, QueuesWhatACallDispatches) {
  gordian::strand strand;
  std::vector<int> order;
  strand.dispatch([&] {
    strand.dispatch([&] { order.push_back(2); });
    EXPECT_TRUE(strand.running_in_this_thread());
    order.push_back(1);
  });
  EXPECT_FALSE(strand.running_in_this_thread());
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST(Strand, PostHandsOverToAnExecutor) {
  std::vector<std::function<void()>> handed_over;
  bool ran = false;
  gordian::strand strand(
      [&](std::function<void()> work) { handed_over.push_back(std::move(work)); });
  strand.post([&] { ran = true; });
  EXPECT_FALSE(ran);
  ASSERT_EQ(handed_over.size(), 1U);
  handed_over[0]();
  EXPECT_TRUE(ran);
}

// --- work_gate ---------------------------------------------------------------------------------

TEST(WorkGate, LetsAThreadInAgainWhileSomebodyWaitsToClose) {
  gordian::work_gate gate("gate");
  auto pass = gate.enter();
  Blocker closer([&] { auto closed = gate.close(); });
  ASSERT_TRUE(closer.wait_until_blocked());
  auto again = gate.enter();
  EXPECT_TRUE(again);
  std::thread([&] { EXPECT_FALSE(gate.try_enter()); }).join();  // new ones wait
  again.leave();
  pass.leave();
}

TEST(WorkGate, RefusesAnUpgradeInEveryMode) {
  gordian::work_gate gate("traffic");
  auto pass = gate.enter();
  const auto error = error_of([&] { auto closed = gate.close(); });
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->kind(), error_kind::upgrade);
  EXPECT_TRUE(error->certain());
  const auto past = std::chrono::steady_clock::now();
  EXPECT_FALSE(error_of([&] { auto closed = gate.close_until(past); })->certain());
  pass.leave();
  auto closed = gate.close();
  EXPECT_TRUE(closed);
  auto inside = gate.enter();
  EXPECT_TRUE(inside);
}

TEST(WorkGate, CancelsBothSides) {
  gordian::work_gate gate("gate");
  gordian::stop_source stop;
  {
    auto closed = gate.close();
    Blocker worker([&] { EXPECT_FALSE(gate.enter(stop.get_token())); });
    ASSERT_TRUE(worker.wait_until_blocked());
    stop.request_stop();
  }
  gordian::stop_source second;
  auto pass = gate.enter();
  Blocker closer([&] { EXPECT_FALSE(gate.close(second.get_token())); });
  ASSERT_TRUE(closer.wait_until_blocked());
  second.request_stop();
  closer.join();
  std::thread([&] { EXPECT_TRUE(gate.try_enter()); }).join();  // open again
}

struct LatePass {
  gordian::work_gate::pass pass;
};
thread_local LatePass late_pass;

TEST(WorkGate, APassMayEndWithTheThread) {
  gordian::work_gate gate("gate");
  std::thread([&] {
    gordian::work_gate::pass& pass = late_pass.pass;  // made before the gate's own list is
    pass = gate.enter();
  }).join();
  EXPECT_TRUE(gate.try_close());
}

TEST(WorkGate, NeitherSideStarves) {
  gordian::work_gate gate("gate");
  std::atomic<bool> stop{false};
  std::atomic<int> inside{0};
  std::vector<std::thread> workers;
  for (int i = 0; i < 3; ++i) {
    workers.emplace_back([&] {
      while (!stop) {
        auto pass = gate.enter();
        ++inside;
        --inside;
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    auto closed = gate.close();
    EXPECT_EQ(inside, 0);
  }
  stop = true;
  for (auto& worker : workers) worker.join();
}

// --- bounded_queue -----------------------------------------------------------------------------

TEST(BoundedQueue, HandsEverythingOverOnce) {
  gordian::bounded_queue<int> queue(3, "queue");
  constexpr int kItems = 2000;
  std::mutex mutex;
  std::multiset<int> seen;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (const auto item = queue.pop()) {
        const std::lock_guard lock(mutex);
        seen.insert(*item);
      }
    });
  }
  std::vector<std::thread> producers;
  for (int i = 0; i < 2; ++i) {
    producers.emplace_back([&, i] {
      for (int j = 0; j < kItems; ++j) EXPECT_TRUE(queue.push(i * kItems + j));
    });
  }
  for (auto& producer : producers) producer.join();
  queue.close();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(seen.size(), 2U * kItems);
  EXPECT_EQ(std::set<int>(seen.begin(), seen.end()).size(), 2U * kItems);
}

TEST(BoundedQueue, WaitsEndByCloseStopAndDeadline) {
  gordian::bounded_queue<std::unique_ptr<int>> queue(1, "queue");
  ASSERT_TRUE(queue.push(std::make_unique<int>(1)));
  auto item = std::make_unique<int>(2);
  EXPECT_EQ(queue.try_push(std::move(item)), gordian::push_result::full);
  EXPECT_NE(item,
            nullptr);  // NOLINT(bugprone-use-after-move): not moved from, which is the promise
  EXPECT_EQ(queue.push_for(std::move(item), 1ms), gordian::push_result::timed_out);
  gordian::stop_source stop;
  Blocker pusher([&] {
    EXPECT_EQ(queue.push(std::make_unique<int>(3), stop.get_token()),
              gordian::push_result::stopped);
  });
  ASSERT_TRUE(pusher.wait_until_blocked());
  stop.request_stop();
  pusher.join();
  Blocker closed(
      [&] { EXPECT_EQ(queue.push(std::make_unique<int>(4)), gordian::push_result::closed); });
  ASSERT_TRUE(closed.wait_until_blocked());
  queue.close();
  closed.join();
  EXPECT_EQ(**queue.pop(), 1);
  EXPECT_FALSE(queue.pop().has_value());
  EXPECT_FALSE(queue.try_pop().has_value());
}

TEST(BoundedQueue, ABlockingPushUnderALockThatConsumersNeedIsAnError) {
  const Checked checked;
  gordian::mutex mutex("process-wide");
  gordian::bounded_queue<int> tokens(8, "tokens");
  {
    hold lock(mutex);
    EXPECT_TRUE(tokens.try_push(1));
    EXPECT_TRUE(tokens.try_pop().has_value());
  }
  hold lock(mutex);
  EXPECT_TRUE(tokens.try_push(2));
  const auto error = error_of([&] { tokens.push(3); });
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->kind(), error_kind::queue);
  EXPECT_THAT(error->what(), HasSubstr("\"process-wide\""));
  EXPECT_EQ(tokens.size(), 1U);
}

TEST(BoundedQueue, APushThatWasRefusedIsNoConcernOfTheConsumers) {
  const Checked checked;
  gordian::mutex mutex("process-wide");
  gordian::bounded_queue<int> tokens(8, "tokens");
  hold lock(mutex);
  (void)tokens.try_pop();
  ASSERT_NE(error_of([&] { tokens.push(1); }), nullptr);
  EXPECT_EQ(error_of([&] { (void)tokens.try_pop(); }), nullptr);
}

TEST(BoundedQueue, AConsumerThatNeedsNoLockMakesItFine) {
  const Checked checked;
  gordian::mutex mutex("mutex");
  gordian::bounded_queue<int> tokens(8, "tokens");
  (void)tokens.try_pop();
  {
    hold lock(mutex);
    (void)tokens.try_pop();
  }
  hold lock(mutex);
  EXPECT_EQ(error_of([&] { tokens.push(3); }), nullptr);
}

// The redis-lock story: who could take the token waits for the lock that the pusher holds.
TEST(BoundedQueue, APushNobodyCanEndIsFoundAtTheMomentItBlocks) {
  const Checked checked;
  gordian::mutex mutex("process-wide");
  gordian::bounded_queue<int> tokens(1, "tokens");
  std::unique_lock lock(mutex);
  Blocker consumer([&] {
    (void)tokens.try_pop();
    hold sign_off(mutex);
  });
  ASSERT_TRUE(consumer.wait_until_blocked());
  EXPECT_TRUE(tokens.push(1));
  const auto possible = error_of([&] { tokens.push(2); });
  ASSERT_NE(possible, nullptr);
  EXPECT_FALSE(possible->certain());
  tokens.consumers_complete();
  const auto certain = error_of([&] { tokens.push(2); });
  ASSERT_NE(certain, nullptr);
  EXPECT_TRUE(certain->certain());
  EXPECT_THAT(certain->what(), HasSubstr("wants \"tokens\""));
  lock.unlock();
}

TEST(BoundedQueue, TakesCopiesWithADeadlineToo) {
  gordian::bounded_queue<int> queue(1, "queue");
  const int item = 4;
  EXPECT_TRUE(queue.push_for(item, 1h));
  EXPECT_EQ(queue.push_until(item, std::chrono::steady_clock::now()),
            gordian::push_result::timed_out);
}

TEST(BoundedQueue, RoomForNothingIsAnError) {
  EXPECT_THROW(gordian::bounded_queue<int>(0, "none"), gordian::lock_error);
}

// --- guarded -----------------------------------------------------------------------------------

struct Fragile {
  bool fails = false;
  Fragile() = default;
  Fragile(const Fragile& other) : fails(other.fails) {
    if (fails) throw std::runtime_error("no copy");
  }
};

TEST(Guarded, IsUnlockedWhenTheCopyForASnapshotThrows) {
  gordian::guarded<Fragile> data;
  EXPECT_FALSE(data.snapshot()->fails);
  auto held = data.lock();
  held->fails = true;
  EXPECT_THROW(held.unlock(), std::runtime_error);
  auto again = data.try_lock();
  ASSERT_TRUE(static_cast<bool>(again));
  again->fails = false;
}

TEST(Guarded, SnapshotTakesNoLock) {
  gordian::guarded<std::vector<int>> rooms("rooms");
  EXPECT_TRUE(rooms.snapshot()->empty());
  rooms.lock()->push_back(1);
  auto writer = rooms.lock();
  writer->push_back(2);
  // Held by this very thread, and still answered: as it was when last unlocked.
  EXPECT_THAT(*rooms.snapshot(), ElementsAre(1));
  EXPECT_FALSE(rooms.try_lock());
  writer.unlock();
  EXPECT_THAT(*rooms.snapshot(), ElementsAre(1, 2));
}

TEST(Guarded, WorksWithSharedMutexesAndThingsThatCannotBeCopied) {
  gordian::guarded<std::unique_ptr<int>, gordian::shared_mutex> number(std::make_unique<int>(4));
  EXPECT_EQ(**number.lock_shared(), 4);
  EXPECT_EQ(number.with([](auto& pointer) { return ++*pointer; }), 5);
  gordian::guarded<int, std::mutex> standard(3);
  EXPECT_EQ(++*standard.lock(), 4);
}

TEST(Guarded, SaysWhereItWasTaken) {
  const Checked checked;
  gordian::guarded<int, gordian::shared_mutex> data("data");
  const auto tried = data.try_lock();
  const auto error = error_of([&] { (void)data.lock_shared(); });
  ASSERT_NE(error, nullptr);
  EXPECT_THAT(error->what(), Not(HasSubstr("guarded.h")));
  EXPECT_THAT(error->what(), HasSubstr("parts_test.cpp"));
}

}  // namespace
