// SPDX-License-Identifier: Apache-2.0
// Closes a knot at a known moment, among many idle threads and busy cores, or never.
//
//   knot IDLE BUSY            prints CLOCK_MONOTONIC ns just before the last wait, then hangs
//   knot IDLE BUSY signal     the same with a knot on a signal, which any of the threads could give
//   knot IDLE BUSY SECONDS    no knot: ends by itself (what the judge costs when nothing is wrong)
//   knot IDLE BUSY SECONDS holding   the same, and each idle thread holds a lock of its own
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

namespace {

pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t second = PTHREAD_MUTEX_INITIALIZER;
pthread_barrier_t both_hold_one;
pthread_mutex_t parking_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t parking = PTHREAD_COND_INITIALIZER;
std::atomic<int> parked{0};

bool all_hold = false;

void* idle(void*) {
  pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
  if (all_hold) pthread_mutex_lock(&own);
  pthread_mutex_lock(&parking_lock);
  ++parked;
  for (;;) pthread_cond_wait(&parking, &parking_lock);
}

void* busy(void*) {
  for (;;) asm volatile("");
}

long long now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// Other processes keep the cores busy: a thread at work could give the signal.
void fork_busy(int count) {
  for (int i = 0; i < count; ++i) {
    if (fork() != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    busy(nullptr);
  }
}

void* left(void*) {
  pthread_mutex_lock(&first);
  pthread_barrier_wait(&both_hold_one);
  pthread_mutex_lock(&second);
  return nullptr;
}

pthread_cond_t ready = PTHREAD_COND_INITIALIZER;  // nobody is left to signal it

void* consumer(void*) {
  pthread_mutex_lock(&first);
  pthread_mutex_lock(&second);
  pthread_barrier_wait(&both_hold_one);
  for (;;) pthread_cond_wait(&ready, &second);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: knot IDLE BUSY [SECONDS [holding]|signal]\n");
    return 2;
  }
  const int idle_count = std::atoi(argv[1]);
  const int busy_count = std::atoi(argv[2]);
  const bool on_signal = argc > 3 && std::strcmp(argv[3], "signal") == 0;
  all_hold = argc > 4 && std::strcmp(argv[4], "holding") == 0;
  if (on_signal) fork_busy(busy_count);
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 * 1024);
  pthread_t thread;
  for (int i = 0; i < idle_count; ++i) pthread_create(&thread, &small, idle, nullptr);
  while (parked < idle_count) sched_yield();
  for (int i = 0; !on_signal && i < busy_count; ++i) pthread_create(&thread, &small, busy, nullptr);
  if (argc > 3 && !on_signal) {
    sleep(static_cast<unsigned>(std::atoi(argv[3])));
    _exit(0);
  }

  pthread_barrier_init(&both_hold_one, nullptr, 2);
  pthread_t other;
  pthread_create(&other, nullptr, on_signal ? consumer : left, nullptr);
  if (!on_signal) pthread_mutex_lock(&second);
  pthread_barrier_wait(&both_hold_one);
  // The partner may still be on its way; then its wait is the last one, a little later.
  std::printf("%lld\n", now_ns());
  std::fflush(stdout);
  pthread_mutex_lock(&first);
  return 0;
}
