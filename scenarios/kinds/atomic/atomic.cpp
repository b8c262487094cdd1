// SPDX-License-Identifier: Apache-2.0
// C++20 waits: a futex of which nobody knows who will wake it. At most a stall.
//
// RUN(wait, semaphore, latch, busy): gordian run -- %program %case
// EXIT(wait, semaphore, latch, busy): 0
// JSON(wait, semaphore, latch, busy): no verdict=deadlock
// JSON(busy): findings=0
#include "support/cases.h"
#include "support/thread.h"

#include <atomic>
#include <barrier>
#include <latch>
#include <mutex>
#include <poll.h>
#include <semaphore>

std::mutex outer;
std::atomic<int> flag{0};
std::counting_semaphore<8> places{0};
std::latch opened{1};

namespace {

using scenario::Thread;

// Waits under a lock that another thread wants, until somebody free ends it.
template <typename Wait, typename Wake>
void under_lock(Wait wait, Wake wake) {
  Thread waiter("waiter", [&] {
    std::lock_guard hold(outer);
    wait();
  });
  Thread queued("queued", [] { std::lock_guard want(outer); });
  Thread free_thread("free", [&] {
    poll(nullptr, 0, 700);
    wake();
  });
}

void wait() {
  under_lock([] { flag.wait(0); },
             [] {
               flag = 1;
               flag.notify_all();
             });
}
void semaphore() {
  under_lock([] { places.acquire(); }, [] { places.release(); });
}
void latch() {
  under_lock([] { opened.wait(); }, [] { opened.count_down(); });
}

void busy() {
  std::barrier both(2);
  std::binary_semaphore ping{0}, pong{0};
  Thread left("left", [&] {
    for (int i = 0; i < 200; ++i) {
      ping.release();
      pong.acquire();
      both.arrive_and_wait();
    }
  });
  Thread right("right", [&] {
    for (int i = 0; i < 200; ++i) {
      ping.acquire();
      pong.release();
      both.arrive_and_wait();
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(
      argc, argv, {{"wait", wait}, {"semaphore", semaphore}, {"latch", latch}, {"busy", busy}});
}
