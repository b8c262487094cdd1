// SPDX-License-Identifier: Apache-2.0
// Before main, after main, and the ways in which a program ends.
//
// RUN(at-exit, destructor, quick-exit): gordian run -- %program %case
// EXIT(at-exit, destructor, quick-exit): 66
// JSON(at-exit, destructor, quick-exit): findings=1
// JSON(at-exit, destructor): verdict=deadlock kind=lock-order knot=closer,worker locks=closing,registry
// JSON(quick-exit): verdict=deadlock kind=join|mixed locks=registry
//
// A deadlock before main.
// RUN(constructor): gordian run -- %program
// ENV(constructor): SCENARIO_BROKEN_CONSTRUCTOR=1
// EXIT(constructor): 66
// JSON(constructor): findings=1
// JSON(constructor): verdict=deadlock kind=join|mixed locks=registry
//
// Before the constructors of any library: as the sanitizers do.
// RUN(preinit): gordian run -- %program
// ENV(preinit): SCENARIO_BROKEN_PREINIT=1
// EXIT(preinit): 66
// JSON(preinit): findings=1
// JSON(preinit): verdict=deadlock kind=self-lock locks=early_lock
//
// The hazard is told however the program ends, and the program ends as it would alone.
// RUN(returns, exits, underscore-exit, aborts, crashes, killed, terminates, seven): gordian run -- %program %case
// EXIT(returns, exits, underscore-exit): 0
// EXIT(seven): 7
// EXIT(aborts, terminates): signal 6
// EXIT(crashes): signal 11
// EXIT(killed): signal 9
// JSON(returns, exits, underscore-exit, aborts, crashes, killed, terminates, seven): findings=1
// JSON(returns, exits, underscore-exit, aborts, crashes, killed, terminates, seven): verdict=possible kind=lock-order knot=left,right locks=closing,registry
//
// RUN(mixed-hazard, three-hazard, clean-exit): gordian run -- %program %case
// EXIT(mixed-hazard, three-hazard, clean-exit): 0
// JSON(mixed-hazard): verdict=possible locks=closing,table
// JSON(three-hazard): verdict=possible locks=closing,table,registry
// JSON(clean-exit): findings=0
//
// RUN(main-exits-first): gordian run -- %program %case
// EXIT(main-exits-first): 0
// JSON(main-exits-first): findings=0
#include "support/blocked.h"
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <pthread.h>
#include <shared_mutex>
#include <signal.h>
#include <thread>
#include <unistd.h>

std::mutex closing, registry;
std::shared_mutex table;

namespace {

using scenario::Steps;
using scenario::Thread;

// Before main: the constructor holds the registry while it waits for a thread that registers.
struct Early {
  Early() {
    if (std::getenv("SCENARIO_BROKEN_CONSTRUCTOR") == nullptr) return;
    std::lock_guard hold(registry);
    Thread registering("registering", [] { std::lock_guard want(registry); });
  }
} early;

pthread_mutex_t early_lock = PTHREAD_MUTEX_INITIALIZER;

void before_constructors(int, char**, char** environment) {
  for (; *environment != nullptr; ++environment) {
    if (std::strcmp(*environment, "SCENARIO_BROKEN_PREINIT=1") != 0) continue;
    pthread_mutex_lock(&early_lock);
    pthread_mutex_lock(&early_lock);
  }
}
[[gnu::used, gnu::section(".preinit_array")]] void (*const first)(int, char**,
                                                                  char**) = before_constructors;

bool destructor_locks = false;
pthread_t joined_at_quick_exit;

struct Late {
  ~Late() {
    if (destructor_locks) std::lock_guard want(registry);
  }
} late;

// A worker holds the registry and wants what the thread that ends the program holds.
void start_worker() {
  auto* steps = new Steps;
  std::thread([steps] {
    pthread_setname_np(pthread_self(), "worker");
    std::lock_guard hold(registry);
    steps->advance();
    std::lock_guard want(closing);
  }).detach();
  steps->wait_for(1);
}

void close_down() {
  Thread closer("closer", [] {
    closing.lock();
    start_worker();
    std::exit(0);
  });
}

void at_exit() {
  std::atexit([] { std::lock_guard want(registry); });
  close_down();
}

void destructor() {
  destructor_locks = true;
  close_down();
}

void quick() {
  static Steps ending;
  std::at_quick_exit([] {
    std::lock_guard hold(registry);
    ending.advance();
    pthread_join(joined_at_quick_exit, nullptr);
  });
  pthread_create(
      &joined_at_quick_exit, nullptr,
      [](void*) -> void* {
        pthread_setname_np(pthread_self(), "worker");
        ending.wait_for(1);
        std::lock_guard want(registry);
        return nullptr;
      },
      nullptr);
  std::quick_exit(0);
}

template <typename First, typename Second>
void take(First& first, Second& second) {
  std::lock_guard hold(first);
  std::lock_guard want(second);
}

void hazard() {
  Steps turn;
  Thread left("left", [&] {
    take(closing, registry);
    turn.advance();
    turn.wait_for(2);
  });
  Thread right("right", [&] {
    turn.wait_for(1);
    take(registry, closing);
    turn.advance();
  });
}

void returns() { hazard(); }
void exits() {
  hazard();
  std::exit(0);
}
void underscore_exit() {
  hazard();
  _exit(0);
}
void seven() {
  hazard();
  std::exit(7);
}
void aborts() {
  hazard();
  std::abort();
}
void crashes() {
  hazard();
  raise(SIGSEGV);
}
void killed() {
  hazard();
  kill(getpid(), SIGKILL);
}
void terminates() {
  hazard();
  std::terminate();
}

void mixed_hazard() {
  Steps turn;
  Thread left("left", [&] {
    take(closing, table);
    turn.advance();
    turn.wait_for(2);
  });
  Thread right("right", [&] {
    turn.wait_for(1);
    {
      std::shared_lock hold(table);
      std::lock_guard want(closing);
    }
    turn.advance();
  });
}

void three_hazard() {
  Steps turn;
  auto body = [&](int when, auto run) {
    turn.wait_for(when);
    run();
    turn.advance();
    turn.wait_for(3);
  };
  Thread left("left", [&] { body(0, [] { take(closing, table); }); });
  Thread middle("middle", [&] { body(1, [] { take(table, registry); }); });
  Thread right("right", [&] { body(2, [] { take(registry, closing); }); });
}

void clean_exit() {
  destructor_locks = true;
  std::atexit([] { std::lock_guard want(registry); });
  auto body = [] {
    for (int i = 0; i < 100; ++i) take(closing, registry);
  };
  Thread left("left", body);
  Thread right("right", body);
}

// The main thread ends, the last of the others ends the program.
void main_exits_first() {
  std::thread([main = pthread_self()] {
    pthread_join(main, nullptr);
    for (int i = 0; i < 100; ++i) take(closing, registry);
  }).detach();
  pthread_exit(nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"at-exit", at_exit},
                             {"destructor", destructor},
                             {"quick-exit", quick},
                             {"returns", returns},
                             {"exits", exits},
                             {"underscore-exit", underscore_exit},
                             {"seven", seven},
                             {"aborts", aborts},
                             {"crashes", crashes},
                             {"killed", killed},
                             {"terminates", terminates},
                             {"mixed-hazard", mixed_hazard},
                             {"three-hazard", three_hazard},
                             {"clean-exit", clean_exit},
                             {"main-exits-first", main_exits_first}});
}
