// SPDX-License-Identifier: Apache-2.0
// Every type of mutex, and what a second lock by the same thread does to it.
//
// RUN(self-normal, self-adaptive, self-robust, self-std): gordian run -- %program %case
// EXIT(self-*): 66
// EXPECT(self-normal): DEADLOCK: 1 thread, 1 lock
// JSON(self-*): findings=1
// JSON(self-*): verdict=deadlock kind=self-lock knot=only
// JSON(self-normal): verdict=deadlock locks=normal_mutex
// JSON(self-std): verdict=deadlock locks=engine->guard
//
// Two priority-inheriting mutexes: the kernel refuses the closing thread, and glibc puts it to
// sleep on a word of its own stack.
//
// RUN(priority, self-priority, recursive-cycle, robust-cycle, mixed-cycle): gordian run -- %program %case
// EXIT(priority, recursive-cycle, robust-cycle, mixed-cycle): 66
// JSON(priority): verdict=deadlock kind=lock-order knot=left,right locks=priority_a,priority_b
// JSON(recursive-cycle): verdict=deadlock kind=lock-order knot=left,right locks=recursive_mutex,normal_mutex
// JSON(robust-cycle): verdict=deadlock kind=lock-order knot=left,right locks=robust_mutex,normal_mutex
// JSON(mixed-cycle): verdict=deadlock kind=lock-order knot=left,right locks=adaptive_mutex,errorcheck_mutex
//
// RUN(recursive, errorcheck, owner-died, not-recoverable): gordian run -- %program %case
// EXIT(recursive, errorcheck, owner-died, not-recoverable): 0
// JSON(recursive, errorcheck, owner-died, not-recoverable): no verdict=deadlock
// JSON(owner-died): findings=0
// STDOUT(errorcheck): EDEADLK
// STDOUT(owner-died): EOWNERDEAD
// STDOUT(not-recoverable): ENOTRECOVERABLE
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <cstdio>
#include <errno.h>
#include <memory>
#include <mutex>
#include <pthread.h>

pthread_mutex_t normal_mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t recursive_mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
pthread_mutex_t errorcheck_mutex = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
pthread_mutex_t adaptive_mutex = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
pthread_mutex_t robust_mutex, priority_a, priority_b;

struct Engine {
  long before = 0;
  std::mutex guard;
  long turns = 0;
};

namespace {

using scenario::Steps;
using scenario::Thread;

void make_robust(pthread_mutex_t* mutex) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

void make_priority_inheriting(pthread_mutex_t* mutex) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  pthread_mutex_init(mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

void lock_twice(pthread_mutex_t* mutex) {
  Thread only("only", [=] {
    pthread_mutex_lock(mutex);
    pthread_mutex_lock(mutex);
  });
}

void self_normal() { lock_twice(&normal_mutex); }
void self_adaptive() { lock_twice(&adaptive_mutex); }
void self_robust() {
  make_robust(&robust_mutex);
  lock_twice(&robust_mutex);
}

[[gnu::noinline]] void turn(Engine* engine) {
  std::lock_guard want(engine->guard);
  ++engine->turns;
}

// The second request is made by a function called while the lock is held: the usual way.
[[gnu::noinline]] void start(Engine* engine) {
  std::lock_guard hold(engine->guard);
  turn(engine);
  ++engine->turns;
}

void self_std() {
  auto engine = std::make_unique<Engine>();
  Thread only("only", [&] { start(engine.get()); });
}

void cross(pthread_mutex_t* a, pthread_mutex_t* b) {
  Steps both_hold_one;
  auto body = [&](pthread_mutex_t* first, pthread_mutex_t* second) {
    pthread_mutex_lock(first);
    both_hold_one.meet(2);
    pthread_mutex_lock(second);
    pthread_mutex_unlock(second);
    pthread_mutex_unlock(first);
  };
  Thread left("left", [&] { body(a, b); });
  Thread right("right", [&] { body(b, a); });
}

void priority() {
  make_priority_inheriting(&priority_a);
  make_priority_inheriting(&priority_b);
  cross(&priority_a, &priority_b);
}

void self_priority() {
  make_priority_inheriting(&priority_a);
  lock_twice(&priority_a);
}

void recursive_cycle() { cross(&recursive_mutex, &normal_mutex); }
void robust_cycle() {
  make_robust(&robust_mutex);
  cross(&robust_mutex, &normal_mutex);
}
void mixed_cycle() { cross(&adaptive_mutex, &errorcheck_mutex); }

void recursive() {
  Thread only("only", [] {
    for (int i = 0; i < 3; ++i) pthread_mutex_lock(&recursive_mutex);
    for (int i = 0; i < 3; ++i) pthread_mutex_unlock(&recursive_mutex);
  });
}

void errorcheck() {
  Thread only("only", [] {
    pthread_mutex_lock(&errorcheck_mutex);
    if (pthread_mutex_lock(&errorcheck_mutex) == EDEADLK) std::puts("EDEADLK");
    pthread_mutex_unlock(&errorcheck_mutex);
  });
}

// The next to come is told that the owner died, and goes on.
void owner_died() {
  make_robust(&robust_mutex);
  {
    Thread gone("gone", [] { pthread_mutex_lock(&robust_mutex); });
  }
  Thread next("next", [] {
    if (pthread_mutex_lock(&robust_mutex) == EOWNERDEAD) std::puts("EOWNERDEAD");
    pthread_mutex_consistent(&robust_mutex);
    pthread_mutex_unlock(&robust_mutex);
    pthread_mutex_lock(&robust_mutex);
    pthread_mutex_unlock(&robust_mutex);
  });
}

void not_recoverable() {
  make_robust(&robust_mutex);
  {
    Thread gone("gone", [] { pthread_mutex_lock(&robust_mutex); });
  }
  Thread next("next", [] {
    pthread_mutex_lock(&robust_mutex);
    pthread_mutex_unlock(&robust_mutex);
    if (pthread_mutex_lock(&robust_mutex) == ENOTRECOVERABLE) std::puts("ENOTRECOVERABLE");
  });
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"self-normal", self_normal},
                             {"self-adaptive", self_adaptive},
                             {"self-robust", self_robust},
                             {"self-std", self_std},
                             {"priority", priority},
                             {"self-priority", self_priority},
                             {"recursive-cycle", recursive_cycle},
                             {"robust-cycle", robust_cycle},
                             {"mixed-cycle", mixed_cycle},
                             {"recursive", recursive},
                             {"errorcheck", errorcheck},
                             {"owner-died", owner_died},
                             {"not-recoverable", not_recoverable}});
}
