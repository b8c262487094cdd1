// SPDX-License-Identifier: Apache-2.0
// Initialisation that happens once: pthread_once, std::call_once, function-local statics.
//
// RUN(once, call-once, guard, self, guard-and-mutex): gordian run -- %program %case
// EXIT(once, call-once, guard, self, guard-and-mutex): 66
// JSON(once, call-once, guard, self, guard-and-mutex): findings=1
// JSON(once): verdict=deadlock kind=once knot=left,right locks=once_a,once_b
// JSON(call-once): verdict=deadlock kind=once knot=left,right
// JSON(guard): verdict=deadlock kind=once knot=left,right
// JSON(self): verdict=deadlock kind=once|self-lock knot=only locks=once_a
// JSON(guard-and-mutex): verdict=deadlock kind=once|mixed|lock-order knot=left,right locks=registry
//
// RUN(done, guard-done, throws, exits): gordian run -- %program %case
// EXIT(done, guard-done, throws, exits): 0
// JSON(done, guard-done, throws, exits): findings=0
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <cstdlib>
#include <mutex>
#include <pthread.h>
#include <stdexcept>

pthread_once_t once_a = PTHREAD_ONCE_INIT;
pthread_once_t once_b = PTHREAD_ONCE_INIT;
std::once_flag flag_a, flag_b;
std::mutex registry;

namespace {

using scenario::Steps;
using scenario::Thread;

Steps both_inside;
bool meeting = true;

void nothing() {}
void init_a() {
  if (meeting) both_inside.meet(2);
  pthread_once(&once_b, nothing);
}
void init_b() {
  if (meeting) both_inside.meet(2);
  pthread_once(&once_a, nothing);
}

void once() {
  Thread left("left", [] { pthread_once(&once_a, init_a); });
  Thread right("right", [] { pthread_once(&once_b, init_b); });
}

void call_once() {
  Thread left("left", [] {
    std::call_once(flag_a, [] {
      both_inside.meet(2);
      std::call_once(flag_b, nothing);
    });
  });
  Thread right("right", [] {
    std::call_once(flag_b, [] {
      both_inside.meet(2);
      std::call_once(flag_a, nothing);
    });
  });
}

int& port();

struct Config {
  Config() {
    if (meeting) both_inside.meet(2);
    value = port();
  }
  int value;
};

Config& config() {
  static Config only;
  return only;
}

struct Port {
  Port() {
    if (meeting) {
      both_inside.meet(2);
      value = config().value;
    }
  }
  int value = 80;
};

int& port() {
  static Port only;
  return only.value;
}

void guard() {
  Thread left("left", [] { config(); });
  Thread right("right", [] { port(); });
}

void again() { pthread_once(&once_a, nothing); }

void self() {
  Thread only("only", [] { pthread_once(&once_a, again); });
}

struct Registered {
  Registered() {
    both_inside.meet(2);
    std::lock_guard lock(registry);
  }
};

Registered& registered() {
  static Registered only;
  return only;
}

void guard_and_mutex() {
  Thread left("left", [] { registered(); });
  Thread right("right", [] {
    std::lock_guard lock(registry);
    both_inside.meet(2);
    registered();
  });
}

void done() {
  meeting = false;
  auto body = [] {
    pthread_once(&once_b, nothing);
    for (int i = 0; i < 100; ++i) {
      pthread_once(&once_a, init_a);
      pthread_once(&once_b, nothing);
    }
  };
  Thread left("left", body);
  Thread right("right", body);
}

void guard_done() {
  meeting = false;
  Thread left("left", [] { config(); });
  Thread right("right", [] { port(); });
}

// An initialisation that throws is not one: the next to come tries again.
void throws() {
  int tries = 0;
  for (int i = 0; i < 3; ++i) {
    try {
      std::call_once(flag_a, [&] {
        if (++tries < 3) throw std::runtime_error("not yet");
      });
    } catch (const std::runtime_error&) {
    }
  }
  for (int i = 0; i < 3; ++i) {
    try {
      static const int value = [&] {
        if (++tries < 6) throw std::runtime_error("not yet");
        return 1;
      }();
      tries += value;
    } catch (const std::runtime_error&) {
    }
  }
}

// The thread ends inside the routine: libc lets the next one try.
void exits() {
  static int tries = 0;
  for (int i = 0; i < 3; ++i) {
    Thread trying("trying", [] {
      pthread_once(&once_a, [] {
        if (++tries < 3) pthread_exit(nullptr);
      });
    });
  }
  if (tries != 3) std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"once", once},
                             {"call-once", call_once},
                             {"guard", guard},
                             {"self", self},
                             {"guard-and-mutex", guard_and_mutex},
                             {"done", done},
                             {"guard-done", guard_done},
                             {"throws", throws},
                             {"exits", exits}});
}
