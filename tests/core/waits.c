// SPDX-License-Identifier: Apache-2.0
// Two threads that wait for each other for ever, in every way glibc offers: waits CASE. In C, so
// that it can be linked with older C libraries than the one it is compiled beside.
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <threads.h>
#include <unistd.h>

static pthread_mutex_t first, second;
static pthread_rwlock_t table = PTHREAD_RWLOCK_INITIALIZER, index_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t both_hold_one, never_full;
static pthread_once_t once_a = PTHREAD_ONCE_INIT, once_b = PTHREAD_ONCE_INIT;
static pthread_spinlock_t fast_a, fast_b;
static mtx_t c11_a, c11_b;
static sem_t slot;
static pthread_t left_thread, right_thread;

static void meet(void) { pthread_barrier_wait(&both_hold_one); }

static void* left_locks(void* unused) {
  (void)unused;
  pthread_mutex_lock(&first);
  meet();
  pthread_mutex_lock(&second);
  return NULL;
}
static void* right_locks(void* unused) {
  (void)unused;
  pthread_mutex_lock(&second);
  meet();
  pthread_mutex_lock(&first);
  return NULL;
}

static void* locks_twice(void* unused) {
  (void)unused;
  pthread_mutex_lock(&first);
  meet();
  pthread_mutex_lock(&first);
  return NULL;
}
static void* only_meets(void* unused) {
  (void)unused;
  meet();
  return NULL;
}

static void* left_writes(void* unused) {
  (void)unused;
  pthread_rwlock_wrlock(&table);
  meet();
  pthread_rwlock_wrlock(&index_lock);
  return NULL;
}
static void* right_writes(void* unused) {
  (void)unused;
  pthread_rwlock_wrlock(&index_lock);
  meet();
  pthread_rwlock_wrlock(&table);
  return NULL;
}
static void* right_reads(void* unused) {
  (void)unused;
  pthread_rwlock_wrlock(&index_lock);
  meet();
  pthread_rwlock_rdlock(&table);
  return NULL;
}

static void* joins_under_lock(void* unused) {
  (void)unused;
  pthread_mutex_lock(&first);
  meet();
  pthread_join(right_thread, NULL);
  return NULL;
}
static void* needs_first(void* unused) {
  (void)unused;
  meet();
  pthread_mutex_lock(&first);
  return NULL;
}

static void* waits_under_lock(void* unused) {
  (void)unused;
  pthread_mutex_lock(&first);
  pthread_mutex_lock(&second);
  meet();
  for (;;) pthread_cond_wait(&changed, &second);
  return NULL;
}

static void* takes_slot(void* unused) {
  (void)unused;
  pthread_mutex_lock(&first);
  meet();
  sem_wait(&slot);
  return NULL;
}

static void* comes_to_barrier(void* unused) {
  (void)unused;
  pthread_mutex_lock(&first);
  meet();
  pthread_barrier_wait(&never_full);
  return NULL;
}

static void initialise_b(void) {}
static void initialise_a(void) {
  meet();
  pthread_once(&once_b, initialise_b);
}
static void initialise_b_first(void) {
  meet();
  pthread_once(&once_a, initialise_b);
}
static void* left_once(void* unused) {
  (void)unused;
  pthread_once(&once_a, initialise_a);
  return NULL;
}
static void* right_once(void* unused) {
  (void)unused;
  pthread_once(&once_b, initialise_b_first);
  return NULL;
}

static void* left_spins(void* unused) {
  (void)unused;
  pthread_spin_lock(&fast_a);
  meet();
  pthread_spin_lock(&fast_b);
  return NULL;
}
static void* right_spins(void* unused) {
  (void)unused;
  pthread_spin_lock(&fast_b);
  meet();
  pthread_spin_lock(&fast_a);
  return NULL;
}

static void* left_c11(void* unused) {
  (void)unused;
  mtx_lock(&c11_a);
  meet();
  mtx_lock(&c11_b);
  return NULL;
}
static void* right_c11(void* unused) {
  (void)unused;
  mtx_lock(&c11_b);
  meet();
  mtx_lock(&c11_a);
  return NULL;
}

// Healthy: takes both in one order, for ever.
static void* works(void* unused) {
  (void)unused;
  for (;;) {
    pthread_mutex_lock(&first);
    pthread_mutex_lock(&second);
    pthread_mutex_unlock(&second);
    pthread_mutex_unlock(&first);
  }
  return NULL;
}
// ... while others idle.
static void* idles(void* unused) {
  (void)unused;
  static pthread_mutex_t queue = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&queue);
  for (;;) pthread_cond_wait(&changed, &queue);
  return NULL;
}

enum { kNormal, kRecursive, kErrorCheck, kAdaptive, kRobust, kPriority, kShared };

static void initialise(int kind) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  if (kind == kRecursive) pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  if (kind == kErrorCheck) pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
  if (kind == kAdaptive) pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
  if (kind == kRobust) pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  if (kind == kPriority) pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  if (kind == kShared) pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&first, &attributes);
  pthread_mutex_init(&second, &attributes);
}

static const struct {
  const char* name;
  int kind;
  void* (*left)(void*);
  void* (*right)(void*);
} kCases[] = {
    {"mutex", kNormal, left_locks, right_locks},
    {"recursive", kRecursive, left_locks, right_locks},
    {"error-checking", kErrorCheck, left_locks, right_locks},
    {"adaptive", kAdaptive, left_locks, right_locks},
    {"robust", kRobust, left_locks, right_locks},
    {"priority", kPriority, left_locks, right_locks},
    {"process-shared", kShared, left_locks, right_locks},
    {"self", kNormal, locks_twice, only_meets},
    {"c11", kNormal, left_c11, right_c11},
    {"writers", kNormal, left_writes, right_writes},
    {"reader", kNormal, left_writes, right_reads},
    {"join", kNormal, joins_under_lock, needs_first},
    {"condition", kNormal, waits_under_lock, needs_first},
    {"semaphore", kNormal, takes_slot, needs_first},
    {"barrier", kNormal, comes_to_barrier, needs_first},
    {"once", kNormal, left_once, right_once},
    {"spin", kNormal, left_spins, right_spins},
    {"healthy", kNormal, works, works},
};

int main(int argc, char** argv) {
  for (size_t i = 0; i < sizeof kCases / sizeof *kCases; ++i) {
    if (argc < 2 || strcmp(argv[1], kCases[i].name) != 0) continue;
    initialise(kCases[i].kind);
    pthread_barrier_init(&both_hold_one, NULL, 2);
    pthread_barrier_init(&never_full, NULL, 3);
    pthread_spin_init(&fast_a, PTHREAD_PROCESS_PRIVATE);
    pthread_spin_init(&fast_b, PTHREAD_PROCESS_PRIVATE);
    mtx_init(&c11_a, mtx_plain);
    mtx_init(&c11_b, mtx_plain);
    sem_init(&slot, 0, 0);
    pthread_t idle;
    if (kCases[i].left == works) pthread_create(&idle, NULL, idles, NULL);
    pthread_create(&right_thread, NULL, kCases[i].right, NULL);
    pthread_create(&left_thread, NULL, kCases[i].left, NULL);
    pthread_join(left_thread, NULL);
    pthread_join(right_thread, NULL);
    return 0;
  }
  for (size_t i = 0; i < sizeof kCases / sizeof *kCases; ++i) puts(kCases[i].name);
  return 2;
}
