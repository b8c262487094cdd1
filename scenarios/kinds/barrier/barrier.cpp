// SPDX-License-Identifier: Apache-2.0
// A barrier is a wait for all the others: whoever still needs something of ours never comes.
//
// RUN(under-lock, too-few): gordian run -- %program %case
// EXIT(under-lock, too-few): 66
// JSON(under-lock, too-few): findings=1
// JSON(under-lock): verdict=deadlock kind=barrier|mixed locks=table
// JSON(too-few): verdict=deadlock kind=barrier
//
// RUN(released, rounds, asked-after): gordian run -- %program %case
// EXIT(released, rounds, asked-after): 0
// JSON(released, rounds, asked-after): findings=0
//
// The twin: what the guest asks for on its way to the barrier may keep it from coming.
// RUN(asked-before): gordian run -- %program %case
// EXIT(asked-before): 0
// JSON(asked-before): verdict=possible kind=barrier|mixed locks=table
#include "support/blocked.h"
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <pthread.h>

pthread_barrier_t all_here;
pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;

namespace {

using scenario::Thread;
using scenario::Tid;

void under_lock() {
  pthread_barrier_init(&all_here, nullptr, 2);
  Tid host_tid;
  Thread host("host", [&] {
    pthread_mutex_lock(&table);
    host_tid.set(gettid());
    pthread_barrier_wait(&all_here);
    pthread_mutex_unlock(&table);
  });
  Thread guest("guest", [&] {
    scenario::wait_until_blocked_on(host_tid.get(), all_here);
    pthread_mutex_lock(&table);
    pthread_mutex_unlock(&table);
    pthread_barrier_wait(&all_here);
  });
}

void too_few() {
  pthread_barrier_init(&all_here, nullptr, 3);
  Thread one("guest-1", [] { pthread_barrier_wait(&all_here); });
  Thread two("guest-2", [] { pthread_barrier_wait(&all_here); });
}

void released() {
  pthread_barrier_init(&all_here, nullptr, 2);
  auto body = [] {
    for (int i = 0; i < 100; ++i) {
      pthread_mutex_lock(&table);
      pthread_mutex_unlock(&table);
      pthread_barrier_wait(&all_here);
    }
  };
  Thread host("host", body);
  Thread guest("guest", body);
}

// The host holds the table at the barrier; the guest wants it once, before or after the barrier.
void ask_for_table(bool before) {
  pthread_barrier_init(&all_here, nullptr, 2);
  scenario::Steps step;
  const auto ask = [] {
    pthread_mutex_lock(&table);
    pthread_mutex_unlock(&table);
  };
  Thread guest("guest", [&] {
    if (before) ask();
    step.advance();
    pthread_barrier_wait(&all_here);
    if (!before) ask();
  });
  Thread host("host", [&] {
    step.wait_for(1);
    pthread_mutex_lock(&table);
    pthread_barrier_wait(&all_here);
    pthread_mutex_unlock(&table);
  });
}

void asked_before() { ask_for_table(true); }
void asked_after() { ask_for_table(false); }

void rounds() {
  pthread_barrier_init(&all_here, nullptr, 4);
  auto body = [] {
    for (int i = 0; i < 200; ++i) pthread_barrier_wait(&all_here);
  };
  Thread a("a", body);
  Thread b("b", body);
  Thread c("c", body);
  Thread d("d", body);
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"under-lock", under_lock},
                             {"too-few", too_few},
                             {"released", released},
                             {"rounds", rounds},
                             {"asked-before", asked_before},
                             {"asked-after", asked_after}});
}
