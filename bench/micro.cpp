// SPDX-License-Identifier: Apache-2.0
// The micro rows of the cost budget: one row per run, so that every tool meets a fresh process.
//
//   micro ROW ROUNDS     prints nanoseconds per round, over five repetitions
//
// Of a row that one thread runs, the best of them: on a shared machine everything else only ever
// adds. Of a row between two threads, the mean: its rounds take what the two happen to make of each
// other, from hardly meeting to meeting in every round, and the luckiest is no throughput.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>

namespace {

constexpr int kRepetitions = 5;

pthread_mutex_t outer_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t inner_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_rwlock_t shared_lock = PTHREAD_RWLOCK_INITIALIZER;
pthread_mutex_t pool[64];

// Keeps the process multi-threaded, which takes glibc off its single-thread path.
pthread_mutex_t parking_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t parking = PTHREAD_COND_INITIALIZER;
bool done = false;

void* idle(void*) {
  pthread_mutex_lock(&parking_lock);
  while (!done) pthread_cond_wait(&parking, &parking_lock);
  pthread_mutex_unlock(&parking_lock);
  return nullptr;
}

void lock_pair(long rounds) {
  for (long i = 0; i < rounds; ++i) {
    pthread_mutex_lock(&outer_lock);
    pthread_mutex_unlock(&outer_lock);
  }
}

void nested_pair(long rounds) {
  for (long i = 0; i < rounds; ++i) {
    pthread_mutex_lock(&outer_lock);
    pthread_mutex_lock(&inner_lock);
    pthread_mutex_unlock(&inner_lock);
    pthread_mutex_unlock(&outer_lock);
  }
}

void read_pair(long rounds) {
  for (long i = 0; i < rounds; ++i) {
    pthread_rwlock_rdlock(&shared_lock);
    pthread_rwlock_unlock(&shared_lock);
  }
}

struct Object {
  pthread_mutex_t lock;
  char payload[24];
};

void object_life(long rounds) {
  for (long i = 0; i < rounds; ++i) {
    auto* object = static_cast<Object*>(malloc(sizeof(Object)));
    object->lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&object->lock);
    pthread_mutex_unlock(&object->lock);
    free(object);
  }
}

// Two of 64 locks in address order, from one of eight call sites.
template <int kSite>
[[gnu::noinline]] void take_two(pthread_mutex_t* first, pthread_mutex_t* second) {
  pthread_mutex_lock(first);
  pthread_mutex_lock(second);
  asm volatile("" ::"i"(kSite) : "memory");  // keeps the eight copies apart
  pthread_mutex_unlock(second);
  pthread_mutex_unlock(first);
}

void random_pairs(long rounds) {
  using Take = void (*)(pthread_mutex_t*, pthread_mutex_t*);
  constexpr Take kSites[] = {take_two<0>, take_two<1>, take_two<2>, take_two<3>,
                             take_two<4>, take_two<5>, take_two<6>, take_two<7>};
  unsigned state = 12345;
  for (long i = 0; i < rounds; ++i) {
    state = state * 1664525u + 1013904223u;
    unsigned a = (state >> 8) & 63;
    unsigned b = (state >> 16) & 63;
    if (a == b) b = (b + 1) & 63;
    if (a > b) {
      const unsigned swap = a;
      a = b;
      b = swap;
    }
    kSites[(state >> 24) & 7](&pool[a], &pool[b]);
  }
}

// Two threads pass one lock back and forth, each with some work inside and outside the section:
// with none, a thread would do thousands of uncontended rounds in a burst before the other wakes.
volatile long contended_counter = 0;

void work() {
  for (int i = 0; i < 100; ++i) contended_counter = contended_counter + 1;
}

void contend(long rounds) {
  for (long i = 0; i < rounds; ++i) {
    pthread_mutex_lock(&outer_lock);
    work();
    pthread_mutex_unlock(&outer_lock);
    for (int outside = 0; outside < 100; ++outside) asm volatile("" : "+r"(outside));
  }
}

void* contender(void* rounds) {
  contend(*static_cast<long*>(rounds));
  return nullptr;
}

void hand_off(long rounds) {
  pthread_t other;
  pthread_create(&other, nullptr, contender, &rounds);
  contend(rounds);
  pthread_join(other, nullptr);
}

pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
int turn = 0;

void play(int me, long rounds) {
  pthread_mutex_lock(&outer_lock);
  for (long i = 0; i < rounds; ++i) {
    while (turn != me) pthread_cond_wait(&turn_changed, &outer_lock);
    turn = 1 - me;
    pthread_cond_signal(&turn_changed);
  }
  pthread_mutex_unlock(&outer_lock);
}

void* partner(void* rounds) {
  play(1, *static_cast<long*>(rounds));
  return nullptr;
}

void ping_pong(long rounds) {
  pthread_t other;
  turn = 0;
  pthread_create(&other, nullptr, partner, &rounds);
  play(0, rounds);
  pthread_join(other, nullptr);
}

struct Row {
  const char* name;
  void (*run)(long rounds);
  bool with_idle_thread;
  bool between_threads;
};

constexpr Row kRows[] = {
    {"single", lock_pair, false, false},     {"uncontended", lock_pair, true, false},
    {"nested", nested_pair, true, false},    {"object", object_life, true, false},
    {"random64", random_pairs, true, false}, {"rwlock-read", read_pair, true, false},
    {"hand-off", hand_off, true, true},      {"ping-pong", ping_pong, true, true},
};

double measure_ns(const Row& row, long rounds) {
  double best = 0;
  double sum = 0;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    const auto begin = std::chrono::steady_clock::now();
    row.run(rounds);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    const double each = took.count() / static_cast<double>(rounds);
    best = repetition == 0 ? each : std::min(best, each);
    sum += each;
  }
  return row.between_threads ? sum / kRepetitions : best;
}

}  // namespace

int main(int argc, char** argv) {
  const long rounds = argc == 3 ? std::atol(argv[2]) : 0;
  for (const Row& row : kRows) {
    if (rounds <= 0 || std::strcmp(row.name, argv[1]) != 0) continue;
    for (pthread_mutex_t& lock : pool) pthread_mutex_init(&lock, nullptr);
    pthread_t thread{};
    if (row.with_idle_thread) pthread_create(&thread, nullptr, idle, nullptr);
    std::printf("%.2f\n", measure_ns(row, rounds));
    if (row.with_idle_thread) {
      pthread_mutex_lock(&parking_lock);
      done = true;
      pthread_cond_signal(&parking);
      pthread_mutex_unlock(&parking_lock);
      pthread_join(thread, nullptr);
    }
    return 0;
  }
  std::fprintf(stderr, "usage: micro ROW ROUNDS\nrows:");
  for (const Row& row : kRows) std::fprintf(stderr, " %s", row.name);
  std::fprintf(stderr, "\n");
  return 2;
}
