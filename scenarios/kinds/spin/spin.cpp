// SPDX-License-Identifier: Apache-2.0
// Spin locks: who waits for one is awake all the time, and yet can never go on.
//
// RUN(cycle, self, with-mutex): gordian run -- %program %case
// EXIT(cycle, self, with-mutex): 66
// JSON(cycle, self, with-mutex): findings=1
// JSON(cycle): verdict=deadlock kind=lock-order knot=left,right locks=fast_a,fast_b
// JSON(self): verdict=deadlock kind=self-lock knot=only locks=fast_a
// JSON(with-mutex): verdict=deadlock kind=lock-order|mixed knot=left,right locks=fast_a,slow
//
// Who spins runs, as far as the kernel tells.
// ATTACH(cycle, self, with-mutex): skip
//
// RUN(consistent, try): gordian run -- %program %case
// EXIT(consistent, try): 0
// JSON(consistent, try): findings=0
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <pthread.h>

pthread_spinlock_t fast_a, fast_b;
pthread_mutex_t slow = PTHREAD_MUTEX_INITIALIZER;

namespace {

using scenario::Steps;
using scenario::Thread;

void cycle() {
  Steps both_hold_one;
  auto body = [&](pthread_spinlock_t* first, pthread_spinlock_t* second) {
    pthread_spin_lock(first);
    both_hold_one.meet(2);
    pthread_spin_lock(second);
    pthread_spin_unlock(second);
    pthread_spin_unlock(first);
  };
  Thread left("left", [&] { body(&fast_a, &fast_b); });
  Thread right("right", [&] { body(&fast_b, &fast_a); });
}

void self() {
  Thread only("only", [] {
    pthread_spin_lock(&fast_a);
    pthread_spin_lock(&fast_a);
  });
}

void with_mutex() {
  Steps both_hold_one;
  Thread left("left", [&] {
    pthread_spin_lock(&fast_a);
    both_hold_one.meet(2);
    pthread_mutex_lock(&slow);
    pthread_mutex_unlock(&slow);
    pthread_spin_unlock(&fast_a);
  });
  Thread right("right", [&] {
    pthread_mutex_lock(&slow);
    both_hold_one.meet(2);
    pthread_spin_lock(&fast_a);
    pthread_spin_unlock(&fast_a);
    pthread_mutex_unlock(&slow);
  });
}

void consistent() {
  auto body = [] {
    for (int i = 0; i < 500; ++i) {
      pthread_spin_lock(&fast_a);
      pthread_spin_lock(&fast_b);
      pthread_spin_unlock(&fast_b);
      pthread_spin_unlock(&fast_a);
    }
  };
  Thread left("left", body);
  Thread right("right", body);
}

void try_other() {
  Steps both_hold_one, both_tried;
  auto body = [&](pthread_spinlock_t* first, pthread_spinlock_t* second) {
    pthread_spin_lock(first);
    both_hold_one.meet(2);
    if (pthread_spin_trylock(second) == 0) pthread_spin_unlock(second);
    both_tried.meet(2);
    pthread_spin_unlock(first);
  };
  Thread left("left", [&] { body(&fast_a, &fast_b); });
  Thread right("right", [&] { body(&fast_b, &fast_a); });
}

}  // namespace

int main(int argc, char** argv) {
  pthread_spin_init(&fast_a, PTHREAD_PROCESS_PRIVATE);
  pthread_spin_init(&fast_b, PTHREAD_PROCESS_PRIVATE);
  return scenario::run_case(argc, argv,
                            {{"cycle", cycle},
                             {"self", self},
                             {"with-mutex", with_mutex},
                             {"consistent", consistent},
                             {"try", try_other}});
}
