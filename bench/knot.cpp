// SPDX-License-Identifier: Apache-2.0
// Closes a knot at a known moment, among many idle threads and busy cores, or never.
//
//   knot IDLE BUSY            prints CLOCK_MONOTONIC ns just before the last wait, then hangs
//   knot IDLE BUSY SECONDS    no knot: ends by itself (what the judge costs when nothing is wrong)
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

namespace {

pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t second = PTHREAD_MUTEX_INITIALIZER;
pthread_barrier_t both_hold_one;
pthread_mutex_t parking_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t parking = PTHREAD_COND_INITIALIZER;
std::atomic<int> parked{0};

void* idle(void*) {
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

void* left(void*) {
  pthread_mutex_lock(&first);
  pthread_barrier_wait(&both_hold_one);
  pthread_mutex_lock(&second);
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: knot IDLE BUSY [SECONDS]\n");
    return 2;
  }
  const int idle_count = std::atoi(argv[1]);
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 * 1024);
  pthread_t thread;
  for (int i = 0; i < idle_count; ++i) pthread_create(&thread, &small, idle, nullptr);
  while (parked < idle_count) sched_yield();
  for (int i = 0; i < std::atoi(argv[2]); ++i) pthread_create(&thread, &small, busy, nullptr);
  if (argc > 3) {
    sleep(static_cast<unsigned>(std::atoi(argv[3])));
    _exit(0);
  }

  pthread_barrier_init(&both_hold_one, nullptr, 2);
  pthread_t other;
  pthread_create(&other, nullptr, left, nullptr);
  pthread_mutex_lock(&second);
  pthread_barrier_wait(&both_hold_one);
  // The partner may still be on its way; then its wait is the last one, a little later.
  std::printf("%lld\n", now_ns());
  std::fflush(stdout);
  pthread_mutex_lock(&first);
  return 0;
}
