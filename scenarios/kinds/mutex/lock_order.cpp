// SPDX-License-Identifier: Apache-2.0
// Mutexes taken in several orders: those that hang, those that could have, and those that cannot.
//
// RUN(cycle, three, queue): gordian run -- %program %case
// EXIT(cycle, three, queue): 66
// EXPECT(cycle): DEADLOCK: 2 threads, 2 locks
// EXPECT(three): DEADLOCK: 3 threads, 3 locks
// EXPECT(queue): DEADLOCK: 2 threads, 2 locks
// JSON(cycle, three, queue): findings=1
// JSON(cycle): verdict=deadlock kind=lock-order knot=left,right victims=lock_order locks=kitchen,garden
// JSON(three): verdict=deadlock kind=lock-order knot=left,middle,right locks=kitchen,garden,cellar
// JSON(queue): verdict=deadlock kind=lock-order knot=left,right victims=late-1,late-2,lock_order
//
// One after the other it goes well, and may go wrong another day.
// RUN(lucky, lucky-three): gordian run -- %program %case
// RUN(lucky-strict): gordian run --strict -- %program lucky
// EXIT(lucky, lucky-three): 0
// EXIT(lucky-strict): 66
// BARE(lucky-strict): 0
// STDOUT(lucky*): done
// JSON(lucky*): findings=1
// JSON(lucky, lucky-strict): verdict=possible kind=lock-order knot=left,right locks=kitchen,garden
// JSON(lucky-three): verdict=possible kind=lock-order knot=left,middle,right locks=kitchen,garden,cellar
//
// RUN(gate, same-thread, joined, signalled): gordian run --refuted -- %program %case
// RUN(gate-quiet): gordian run -- %program gate
// RUN(same-thread-quiet): gordian run -- %program same-thread
// RUN(try, timed, clock, scoped, hand-over-hand, consistent): gordian run -- %program %case
// EXIT(gate*, same-thread*, joined, signalled, try, timed, clock, scoped, hand-over-hand, consistent): 0
// JSON(gate*, same-thread*, joined, signalled, try, timed, clock, scoped, hand-over-hand, consistent): findings=0
// REJECT(gate*, same-thread*, joined, signalled, try, timed, clock, scoped, hand-over-hand, consistent): DEADLOCK
// JSON(gate, same-thread, joined, signalled): verdict=refuted kind=lock-order locks=kitchen,garden
// JSON(gate-quiet, same-thread-quiet): no verdict=refuted
// JSON(gate): verdict=refuted reason=gate
#include "support/blocked.h"
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <pthread.h>

std::mutex kitchen, garden, cellar, gate;
std::timed_mutex timed_kitchen, timed_garden;

namespace {

using scenario::Steps;
using scenario::Thread;
using scenario::Tid;

template <typename First, typename Second>
void take(First& first, Second& second) {
  std::lock_guard hold(first);
  std::lock_guard want(second);
}

void take_meeting(std::mutex& first, std::mutex& second, Steps& steps, int count) {
  std::lock_guard hold(first);
  steps.meet(count);
  std::lock_guard want(second);
}

void cycle() {
  Steps both_hold_one;
  Thread left("left", [&] { take_meeting(kitchen, garden, both_hold_one, 2); });
  Thread right("right", [&] { take_meeting(garden, kitchen, both_hold_one, 2); });
}

void three() {
  Steps all_hold_one;
  Thread left("left", [&] { take_meeting(kitchen, garden, all_hold_one, 3); });
  Thread middle("middle", [&] { take_meeting(garden, cellar, all_hold_one, 3); });
  Thread right("right", [&] { take_meeting(cellar, kitchen, all_hold_one, 3); });
}

// Two more threads stand in line behind the knot before it closes.
void queue() {
  Steps both_hold_one, queued;
  Tid late_1, late_2;
  auto late = [&](Tid& tid, std::mutex& wanted) {
    both_hold_one.wait_for(2);
    tid.set(gettid());
    std::lock_guard want(wanted);
  };
  Thread first("late-1", [&] { late(late_1, kitchen); });
  Thread second("late-2", [&] { late(late_2, garden); });
  Thread left("left", [&] {
    std::lock_guard hold(kitchen);
    both_hold_one.meet(2);
    scenario::wait_until_blocked_on(late_1.get(), kitchen);
    std::lock_guard want(garden);
  });
  Thread right("right", [&] {
    std::lock_guard hold(garden);
    both_hold_one.meet(2);
    scenario::wait_until_blocked_on(late_2.get(), garden);
    std::lock_guard want(kitchen);
  });
}

void lucky() {
  Steps turn;
  Thread left("left", [&] {
    take(kitchen, garden);
    turn.advance();
    turn.wait_for(2);
  });
  Thread right("right", [&] {
    turn.wait_for(1);
    take(garden, kitchen);
    turn.advance();
  });
}

void lucky_three() {
  Steps turn;
  Thread left("left", [&] {
    take(kitchen, garden);
    turn.advance();
    turn.wait_for(3);
  });
  Thread middle("middle", [&] {
    turn.wait_for(1);
    take(garden, cellar);
    turn.advance();
    turn.wait_for(3);
  });
  Thread right("right", [&] {
    turn.wait_for(2);
    take(cellar, kitchen);
    turn.advance();
  });
}

// Both orders, but never without the gate.
void gated() {
  auto body = [](std::mutex& first, std::mutex& second) {
    for (int i = 0; i < 100; ++i) {
      std::lock_guard entered(gate);
      take(first, second);
    }
  };
  Thread left("left", [&] { body(kitchen, garden); });
  Thread right("right", [&] { body(garden, kitchen); });
}

void same_thread() {
  Thread only("only", [] {
    take(kitchen, garden);
    take(garden, kitchen);
  });
}

// One order ends before the thread of the other is born.
void joined() {
  {
    Thread left("left", [] { take(kitchen, garden); });
  }
  {
    Thread right("right", [] { take(garden, kitchen); });
  }
}

void signalled() {
  std::mutex mutex;
  std::condition_variable changed;
  bool ready = false;
  Tid right_tid;
  Thread right("right", [&] {
    right_tid.set(gettid());
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return ready; });
    }
    take(garden, kitchen);
  });
  Thread left("left", [&] {
    take(kitchen, garden);
    scenario::wait_until_blocked_on(right_tid.get(), changed);
    std::lock_guard lock(mutex);
    ready = true;
    changed.notify_one();
  });
}

// Each holds one and only tries the other.
void try_lock() {
  Steps both_hold_one, both_tried;
  auto body = [&](std::mutex& first, std::mutex& second) {
    {
      std::lock_guard hold(first);
      both_hold_one.meet(2);
      std::unique_lock want(second, std::try_to_lock);
      both_tried.meet(2);
    }
    std::lock_guard hold(first);
    std::unique_lock want(second, std::try_to_lock);
  };
  Thread left("left", [&] { body(kitchen, garden); });
  Thread right("right", [&] { body(garden, kitchen); });
}

// One of the two gives up by itself.
void timed() {
  Steps both_hold_one;
  Thread left("left", [&] {
    std::lock_guard hold(timed_kitchen);
    both_hold_one.meet(2);
    std::unique_lock want(timed_garden, std::chrono::milliseconds(400));
  });
  Thread right("right", [&] {
    std::lock_guard hold(timed_garden);
    both_hold_one.meet(2);
    std::lock_guard want(timed_kitchen);
  });
}

void clock() {
  Steps both_hold_one;
  Thread left("left", [&] {
    std::lock_guard hold(timed_kitchen);
    both_hold_one.meet(2);
    timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 1;
    pthread_mutex_clocklock(timed_garden.native_handle(), CLOCK_MONOTONIC, &until);
  });
  Thread right("right", [&] {
    std::lock_guard hold(timed_garden);
    both_hold_one.meet(2);
    std::lock_guard want(timed_kitchen);
  });
}

void scoped() {
  auto body = [](std::mutex& first, std::mutex& second) {
    for (int i = 0; i < 2000; ++i) std::scoped_lock both(first, second);
  };
  Thread left("left", [&] { body(kitchen, garden); });
  Thread right("right", [&] { body(garden, kitchen); });
}

// kitchen, garden, -kitchen, cellar, -garden, kitchen ...: nothing is held while kitchen is asked
// for.
void hand_over_hand() {
  auto body = [] {
    for (int i = 0; i < 100; ++i) {
      kitchen.lock();
      garden.lock();
      kitchen.unlock();
      cellar.lock();
      garden.unlock();
      cellar.unlock();
    }
  };
  Thread left("left", body);
  Thread right("right", body);
}

void consistent() {
  auto body = [] {
    for (int i = 0; i < 2000; ++i) take(kitchen, garden);
  };
  Thread left("left", body);
  Thread right("right", body);
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"cycle", cycle},
                             {"three", three},
                             {"queue", queue},
                             {"lucky", lucky},
                             {"lucky-three", lucky_three},
                             {"gate", gated},
                             {"same-thread", same_thread},
                             {"joined", joined},
                             {"signalled", signalled},
                             {"try", try_lock},
                             {"timed", timed},
                             {"clock", clock},
                             {"scoped", scoped},
                             {"hand-over-hand", hand_over_hand},
                             {"consistent", consistent}});
}
