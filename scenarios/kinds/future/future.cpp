// SPDX-License-Identifier: Apache-2.0
// std::future and std::async: the one who waits, waits for a thread.
//
// RUN(async-under-lock, promise-under-lock): gordian run -- %program %case
// EXIT(async-under-lock, promise-under-lock): 66
// JSON(async-under-lock, promise-under-lock): findings=1
// JSON(async-under-lock, promise-under-lock): verdict=deadlock locks=ledger
//
// RUN(async, deferred, timed, promise): gordian run -- %program %case
// EXIT(async, deferred, timed, promise): 0
// JSON(async, deferred, timed, promise): findings=0
//
// What the maker did before its value was there came before all that the waiter does with it. The
// same order of locks without the wait between is a hazard.
// RUN(ordered, unordered): gordian run --refuted -- %program %case
// EXIT(ordered, unordered): 0
// JSON(ordered): findings=0
// JSON(ordered): verdict=refuted kind=lock-order reason=signalled locks=ledger,vault
// JSON(unordered): findings=1
// JSON(unordered): verdict=possible kind=lock-order locks=ledger,vault
#include "support/blocked.h"
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <chrono>
#include <future>
#include <mutex>

std::mutex ledger, vault;

namespace {

using scenario::Thread;

[[gnu::noinline]] int balance() {
  std::lock_guard lock(ledger);
  return 42;
}

void async_under_lock() {
  std::lock_guard lock(ledger);
  std::printf("%d\n", std::async(std::launch::async, balance).get());
}

void promise_under_lock() {
  std::promise<int> promise;
  scenario::Tid waiter_tid;
  Thread waiter("waiter", [&] {
    std::lock_guard lock(ledger);
    waiter_tid.set(gettid());
    promise.get_future().get();
  });
  Thread maker("maker", [&] {
    scenario::wait_until_blocked(waiter_tid.get());
    promise.set_value(balance());
  });
}

void async() {
  for (int i = 0; i < 50; ++i) {
    auto result = std::async(std::launch::async, balance);
    { std::lock_guard lock(ledger); }
    result.get();
  }
}

void deferred() { std::async(std::launch::deferred, balance).get(); }

void timed() {
  std::promise<void> never;
  std::lock_guard lock(ledger);
  never.get_future().wait_for(std::chrono::milliseconds(200));
}

void promise() {
  std::promise<int> promise;
  Thread waiter("waiter", [&] { promise.get_future().get(); });
  promise.set_value(balance());
}

void take(std::mutex& outer, std::mutex& inner) {
  std::lock_guard first(outer);
  std::lock_guard second(inner);
}

// The waiter is asleep when the value comes: only then is the order seen.
void take_both(bool waiter_first) {
  std::promise<void> done;
  std::future<void> result = done.get_future();
  scenario::Tid waiter_tid;
  Thread waiter("waiter", [&] {
    if (waiter_first) take(vault, ledger);
    waiter_tid.set(gettid());
    result.get();
    if (!waiter_first) take(vault, ledger);
  });
  Thread maker("maker", [&] {
    scenario::wait_until_blocked(waiter_tid.get());
    take(ledger, vault);
    done.set_value();
  });
}

void ordered() { take_both(false); }

void unordered() { take_both(true); }

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"async-under-lock", async_under_lock},
                             {"promise-under-lock", promise_under_lock},
                             {"async", async},
                             {"deferred", deferred},
                             {"timed", timed},
                             {"promise", promise},
                             {"ordered", ordered},
                             {"unordered", unordered}});
}
