// SPDX-License-Identifier: Apache-2.0
// Many threads, many locks, many holds.
//
// RUN(threads, locks, holds, births, holds-crosswise): gordian run -- %program %case
// TIMEOUT: 120
// EXIT(threads, locks, holds, births): 0
// JSON(threads, locks, holds, births): findings=0
//
// Of a thousand locks held by each of two threads the last two are wanted crosswise.
// EXIT(holds-crosswise): 66
// JSON(holds-crosswise): findings=1
// JSON(holds-crosswise): verdict=deadlock kind=lock-order knot=left,right
//
// Two among ten thousand.
// RUN(needle): gordian run -- %program %case
// EXIT(needle): 66
// JSON(needle): verdict=deadlock kind=lock-order knot=left,right locks=hay,needle
//
// Every order of 60 locks, all by one thread: more cycles than are looked at, and so it is said.
// RUN(clique): gordian run -- %program %case
// EXIT(clique): 0
// EXPECT(clique): search for possible deadlocks was ended early
// JSON(clique): findings=0
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <pthread.h>
#include <unistd.h>
#include <vector>

std::mutex hay, needle;

namespace {

using scenario::Steps;
using scenario::Thread;

constexpr int kThreads = 10'000;

void start_small(void* (*body)(void*), void* data) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  pthread_t thread;
  if (pthread_create(&thread, &attributes, body, data) != 0) {
    std::perror("pthread_create");
    std::exit(1);
  }
  pthread_detach(thread);
  pthread_attr_destroy(&attributes);
}

struct Crowd {
  std::atomic<int> here{0};
  std::atomic<int> gone{0};
  std::mutex door;
  pthread_cond_t open = PTHREAD_COND_INITIALIZER;
  bool is_open = false;
};

void* stand_around(void* data) {
  auto* crowd = static_cast<Crowd*>(data);
  std::mutex own;
  {
    std::lock_guard hold(own);
    std::lock_guard want(crowd->door);
    crowd->here.fetch_add(1);
  }
  crowd->door.lock();
  while (!crowd->is_open) pthread_cond_wait(&crowd->open, crowd->door.native_handle());
  crowd->door.unlock();
  crowd->gone.fetch_add(1);
  return nullptr;
}

void gather(Crowd* crowd) {
  for (int i = 0; i < kThreads; ++i) start_small(stand_around, crowd);
  while (crowd->here.load() < kThreads) sched_yield();
}

void scatter(Crowd* crowd) {
  {
    std::lock_guard lock(crowd->door);
    crowd->is_open = true;
    pthread_cond_broadcast(&crowd->open);
  }
  while (crowd->gone.load() < kThreads) sched_yield();
}

void threads() {
  static Crowd crowd;
  gather(&crowd);
  scatter(&crowd);
}

void needle_in_hay() {
  static Crowd crowd;
  gather(&crowd);
  Steps both_hold_one;
  auto body = [&](std::mutex& first, std::mutex& second) {
    std::lock_guard hold(first);
    both_hold_one.meet(2);
    std::lock_guard want(second);
  };
  Thread left("left", [&] { body(hay, needle); });
  Thread right("right", [&] { body(needle, hay); });
}

void locks() {
  constexpr int kLocks = 1'000'000;
  auto* many = new std::mutex[kLocks];
  Thread left("left", [&] {
    for (int i = 0; i < kLocks; ++i) {
      std::lock_guard hold(hay);
      std::lock_guard want(many[i]);
    }
  });
  left.join();
  Thread right("right", [&] {
    for (int i = 0; i < kLocks; i += 1000) {
      std::lock_guard hold(hay);
      std::lock_guard want(many[i]);
    }
  });
  right.join();
  delete[] many;
}

std::mutex thousand[1000];

void take_all(int count) {
  for (int i = 0; i < count; ++i) thousand[i].lock();
}

void release_all(int count) {
  for (int i = count - 1; i >= 0; --i) thousand[i].unlock();
}

void holds() {
  auto body = [] {
    for (int i = 0; i < 3; ++i) {
      take_all(1000);
      release_all(1000);
    }
  };
  Thread left("left", body);
  Thread right("right", body);
}

std::mutex left_own[1000], right_own[1000];

void holds_crosswise() {
  Steps both_hold_all;
  auto body = [&](std::mutex* own, std::mutex& wanted) {
    for (int i = 0; i < 1000; ++i) own[i].lock();
    both_hold_all.meet(2);
    wanted.lock();
  };
  Thread left("left", [&] { body(left_own, right_own[999]); });
  Thread right("right", [&] { body(right_own, left_own[999]); });
}

// Threads and locks that come and go: cards and table entries are used again.
void births() {
  for (int i = 0; i < 300; ++i) {
    std::vector<Thread> threads;
    for (int j = 0; j < 20; ++j) {
      threads.emplace_back("short", [] {
        auto* mutex = new std::mutex;
        {
          std::lock_guard hold(*mutex);
          std::lock_guard want(hay);
        }
        delete mutex;
      });
    }
  }
}

void clique() {
  std::vector<std::mutex> all(60);
  for (std::mutex& first : all) {
    for (std::mutex& second : all) {
      if (&first == &second) continue;
      std::lock_guard hold(first);
      std::lock_guard want(second);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"threads", threads},
                             {"needle", needle_in_hay},
                             {"locks", locks},
                             {"holds", holds},
                             {"holds-crosswise", holds_crosswise},
                             {"births", births},
                             {"clique", clique}});
}
