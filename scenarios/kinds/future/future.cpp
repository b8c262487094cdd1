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
#include "support/blocked.h"
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <chrono>
#include <future>
#include <mutex>

std::mutex ledger;

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

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"async-under-lock", async_under_lock},
                             {"promise-under-lock", promise_under_lock},
                             {"async", async},
                             {"deferred", deferred},
                             {"timed", timed},
                             {"promise", promise}});
}
