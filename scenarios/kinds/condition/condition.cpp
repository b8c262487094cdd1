// SPDX-License-Identifier: Apache-2.0
// Condition variables: anybody may signal, so a wait is hopeless only when everybody is stuck.
//
// RUN(all-stuck, outer-lock, idle-crowd, idle-hundred, reacquire, pool, pool-future, closed-queue): gordian run -- %program %case
// EXIT(all-stuck, outer-lock, idle-crowd, idle-hundred, reacquire, pool, pool-future, closed-queue): 66
// JSON(all-stuck, outer-lock, idle-crowd, idle-hundred, pool, pool-future, closed-queue): findings=1
// JSON(all-stuck): verdict=deadlock kind=condition|mixed locks=arrived
// JSON(outer-lock, idle-crowd, idle-hundred): verdict=deadlock kind=condition|mixed locks=arrived,outer
// JSON(reacquire): verdict=deadlock kind=lock-order knot=waiter,signaller locks=inner,outer
// JSON(pool): verdict=deadlock kind=condition|queue
// JSON(pool-future): verdict=deadlock
// JSON(closed-queue): verdict=deadlock kind=condition|queue|mixed
//
// Others stand behind a waiter, but one thread is free: it may signal, and at last it does.
// RUN(free-thread): gordian run -- %program %case
// EXIT(free-thread): 0
// EXPECT(free-thread): STALL
// JSON(free-thread): no verdict=deadlock
// JSON(free-thread): verdict=stall kind=condition|mixed locks=arrived
//
// RUN(ping-pong, timed, clock, missed-but-timed, broadcast): gordian run -- %program %case
// EXIT(ping-pong, timed, clock, missed-but-timed, broadcast): 0
// JSON(ping-pong, timed, clock, missed-but-timed, broadcast): findings=0
//
// It waits with a lock held that the one who signals takes before: today in time.
// The waker has much to do before it signals: it is at work, so nobody is told of a stall yet.
// RUN(busy-waker): gordian run -- %program %case
// EXIT(busy-waker): 0
// JSON(busy-waker): no verdict=stall
// JSON(busy-waker): no verdict=deadlock
//
// A crowd sleeps, and two of it hand a token to and fro: at most instants everybody waits, and yet
// one of them signals at last.
// RUN(lively-hundred): gordian run -- %program %case
// EXIT(lively-hundred): 0
// JSON(lively-hundred): no verdict=deadlock
//
// RUN(lucky-outer-lock): gordian run -- %program %case
// EXIT(lucky-outer-lock): 0
// JSON(lucky-outer-lock): verdict=possible kind=condition|mixed locks=outer
//
// The one who signals takes that lock and gives it back on its way to the signal. Its twin takes it
// when it has signalled: no wait depends on that.
// RUN(lock-then-signal, signal-then-lock): gordian run -- %program %case
// EXIT(lock-then-signal, signal-then-lock): 0
// JSON(lock-then-signal): verdict=possible kind=condition|mixed locks=outer
// JSON(signal-then-lock): findings=0
#include "support/blocked.h"
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <list>
#include <mutex>
#include <poll.h>
#include <pthread.h>
#include <vector>

std::mutex outer, inner;
std::condition_variable arrived;
bool ready = false;

namespace {

using scenario::Steps;
using scenario::Thread;
using scenario::Tid;

[[gnu::noinline]] void wait_ready() {
  std::unique_lock lock(inner);
  arrived.wait(lock, [] { return ready; });
}

[[gnu::noinline]] void make_ready() {
  std::lock_guard lock(inner);
  ready = true;
  arrived.notify_all();
}

// Nobody will ever signal.
void all_stuck() {
  Thread first("waiter-1", wait_ready);
  Thread second("waiter-2", wait_ready);
}

// The one who would signal needs a lock that the waiter keeps while it waits.
void outer_lock() {
  Tid waiter_tid;
  Thread waiter("waiter", [&] {
    std::lock_guard hold(outer);
    waiter_tid.set(gettid());
    wait_ready();
  });
  Thread signaller("signaller", [&] {
    scenario::wait_until_blocked_on(waiter_tid.get(), arrived);
    std::lock_guard first(outer);
    make_ready();
  });
}

// The same beside threads that wait for a signal of their own, which nobody is left to send: they
// could have woken the waiter, so the kernel must be asked about them too.
void idle_crowd() {
  std::mutex parking;
  std::condition_variable parked;
  const auto park = [&] {
    std::unique_lock lock(parking);
    parked.wait(lock, [] { return ready; });
  };
  Thread first("idle-1", park), second("idle-2", park), third("idle-3", park);
  outer_lock();
}

// Sleeps until `ready`, on a condition of its own.
class Crowd {
 public:
  explicit Crowd(int size) {
    for (int i = 0; i < size; ++i) {
      sleepers_.emplace_back("idle", [this] {
        std::unique_lock lock(parking_);
        parked_.wait(lock, [] { return ready; });
      });
    }
  }
  void wake() {
    std::lock_guard lock(parking_);
    parked_.notify_all();
  }

 private:
  std::mutex parking_;
  std::condition_variable parked_;
  std::list<Thread> sleepers_;
};

void idle_hundred() {
  Crowd crowd(100);
  outer_lock();
}

void lively_hundred() {
  Crowd crowd(100);
  Tid waiter_tid;
  Thread waiter("waiter", [&] {
    std::lock_guard hold(outer);
    waiter_tid.set(gettid());
    wait_ready();
  });
  Thread queued("queued", [&] {
    scenario::wait_until_blocked_on(waiter_tid.get(), arrived);
    std::lock_guard want(outer);
  });
  constexpr int kHandOvers = 20'000;
  std::mutex table;
  std::condition_variable moved;
  int token = 0;
  const auto play = [&](int side) {
    std::unique_lock lock(table);
    while (token < kHandOvers) {
      moved.wait(lock, [&] { return token % 2 == side || token >= kHandOvers; });
      ++token;
      moved.notify_one();
    }
  };
  {
    Thread even("even", [&] { play(0); }), odd("odd", [&] { play(1); });
  }
  make_ready();
  crowd.wake();
}

// The signal comes, and the waiter then cannot get its mutex back: the signaller keeps it and wants
// the other lock.
void reacquire() {
  Tid waiter_tid;
  Thread waiter("waiter", [&] {
    std::lock_guard hold(outer);
    waiter_tid.set(gettid());
    wait_ready();
  });
  Thread signaller("signaller", [&] {
    scenario::wait_until_blocked_on(waiter_tid.get(), arrived);
    std::lock_guard lock(inner);
    ready = true;
    arrived.notify_one();
    std::lock_guard want(outer);
  });
}

// Every worker runs a task that waits for a task still in the queue.
class Pool {
 public:
  explicit Pool(int workers) {
    for (int i = 0; i < workers; ++i) {
      workers_.emplace_back("worker-" + std::to_string(i + 1), [this] { work(); });
    }
  }
  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
    }
    not_empty_.notify_all();
  }
  void add(std::function<void()> task) {
    {
      std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    not_empty_.notify_one();
  }

 private:
  void work() {
    for (;;) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex_);
        not_empty_.wait(lock, [this] { return closing_ || !tasks_.empty(); });
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable not_empty_;
  std::deque<std::function<void()>> tasks_;
  bool closing_ = false;
  std::vector<Thread> workers_;
};

struct Result {
  std::mutex mutex;
  std::condition_variable done;
  bool is_done = false;
  void set() {
    std::lock_guard lock(mutex);
    is_done = true;
    done.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex);
    done.wait(lock, [this] { return is_done; });
  }
};

void pool() {
  Pool two(2);
  Steps both_busy;
  Result inner_results[2];
  Result outer_results[2];
  for (int i = 0; i < 2; ++i) {
    two.add([&, i] {
      both_busy.meet(2);
      two.add([&, i] { inner_results[i].set(); });
      inner_results[i].wait();
      outer_results[i].set();
    });
  }
  for (Result& one : outer_results) one.wait();
}

void pool_future() {
  Pool one(1);
  std::promise<int> outer_promise;
  one.add([&] {
    std::promise<int> promise;
    one.add([&] { promise.set_value(1); });
    outer_promise.set_value(promise.get_future().get());
  });
  outer_promise.get_future().get();
}

// A full queue of one place; who would empty it wants the lock under which it is filled.
void closed_queue() {
  struct {
    std::mutex mutex;
    std::condition_variable not_full;
    int filled = 1;
  } queue;
  Tid producer_tid;
  Thread producer("producer", [&] {
    std::lock_guard client(outer);
    producer_tid.set(gettid());
    std::unique_lock lock(queue.mutex);
    queue.not_full.wait(lock, [&] { return queue.filled == 0; });
  });
  Thread consumer("consumer", [&] {
    scenario::wait_until_blocked_on(producer_tid.get(), queue.not_full);
    std::lock_guard client(outer);
    std::lock_guard lock(queue.mutex);
    queue.filled = 0;
    queue.not_full.notify_one();
  });
}

void free_thread() {
  Tid waiter_tid;
  Thread waiter("waiter", [&] {
    std::lock_guard hold(outer);
    waiter_tid.set(gettid());
    wait_ready();
  });
  Thread queued("queued", [&] {
    scenario::wait_until_blocked_on(waiter_tid.get(), arrived);
    std::lock_guard want(outer);
  });
  Thread idle("idle", [] {
    poll(nullptr, 0, 1500);
    make_ready();
  });
}

void busy_waker() {
  Tid waiter_tid;
  Thread waiter("waiter", [&] {
    std::lock_guard hold(outer);
    waiter_tid.set(gettid());
    wait_ready();
  });
  Thread queued("queued", [&] {
    scenario::wait_until_blocked_on(waiter_tid.get(), arrived);
    std::lock_guard want(outer);
  });
  Thread busy("busy", [] {
    // Much longer than the judge waits where nobody is at work.
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
    while (std::chrono::steady_clock::now() < end) {
    }
    make_ready();
  });
}

void ping_pong() {
  std::mutex mutex;
  std::condition_variable changed;
  int ball = 0;
  auto play = [&](int me) {
    for (int i = 0; i < 200; ++i) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return ball == me; });
      ball = 1 - me;
      changed.notify_one();
    }
  };
  Thread ping("ping", [&] { play(0); });
  Thread pong("pong", [&] { play(1); });
}

void timed() {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, std::chrono::milliseconds(200));
  never.wait_until(lock, std::chrono::system_clock::now() + std::chrono::milliseconds(200));
}

void clock() {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t never = PTHREAD_COND_INITIALIZER;
  timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += 300'000'000;
  until.tv_sec += until.tv_nsec / 1'000'000'000;
  until.tv_nsec %= 1'000'000'000;
  pthread_mutex_lock(&mutex);
  pthread_cond_clockwait(&never, &mutex, CLOCK_MONOTONIC, &until);
  pthread_mutex_unlock(&mutex);
}

// Two wait for ever unless the third, who only waits for a while, tells them.
void missed_but_timed() {
  Thread first("waiter-1", wait_ready);
  Thread second("waiter-2", wait_ready);
  Thread patient("patient", [] {
    {
      std::unique_lock lock(outer);
      std::condition_variable never;
      never.wait_for(lock, std::chrono::milliseconds(15));
    }
    make_ready();
  });
}

void broadcast() {
  std::vector<Thread> waiters;
  for (int i = 0; i < 20; ++i) waiters.emplace_back("waiter-" + std::to_string(i), wait_ready);
  make_ready();
}

void lucky_outer_lock() {
  Tid waiter_tid;
  Steps before;
  Thread signaller("signaller", [&] {
    {
      std::lock_guard first(outer);
      std::lock_guard lock(inner);
      arrived.notify_one();  // too early for the waiter; a moment later it would wait for this one
    }
    before.advance();
    before.wait_for(2);
  });
  Thread waiter("waiter", [&] {
    before.wait_for(1);
    std::lock_guard hold(outer);
    waiter_tid.set(gettid());
    wait_ready();
  });
  Thread helper("helper", [&] {
    scenario::wait_until_blocked_on(waiter_tid.get(), arrived);
    make_ready();
    before.advance();
  });
}

void outer_around_a_signal(bool before_signal) {
  Tid waiter_tid;
  Steps step;
  Thread signaller("signaller", [&] {
    if (before_signal) std::lock_guard hold(outer);
    step.advance();
    scenario::wait_until_blocked_on(waiter_tid.get(), arrived);
    make_ready();
    if (!before_signal) std::lock_guard hold(outer);
  });
  Thread waiter("waiter", [&] {
    step.wait_for(1);
    std::lock_guard hold(outer);
    waiter_tid.set(gettid());
    wait_ready();
  });
}

void lock_then_signal() { outer_around_a_signal(true); }
void signal_then_lock() { outer_around_a_signal(false); }

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"all-stuck", all_stuck},
                             {"outer-lock", outer_lock},
                             {"idle-crowd", idle_crowd},
                             {"idle-hundred", idle_hundred},
                             {"lively-hundred", lively_hundred},
                             {"reacquire", reacquire},
                             {"pool", pool},
                             {"pool-future", pool_future},
                             {"closed-queue", closed_queue},
                             {"free-thread", free_thread},
                             {"busy-waker", busy_waker},
                             {"ping-pong", ping_pong},
                             {"timed", timed},
                             {"clock", clock},
                             {"missed-but-timed", missed_but_timed},
                             {"broadcast", broadcast},
                             {"lucky-outer-lock", lucky_outer_lock},
                             {"lock-then-signal", lock_then_signal},
                             {"signal-then-lock", signal_then_lock}});
}
