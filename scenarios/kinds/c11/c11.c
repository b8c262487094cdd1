// SPDX-License-Identifier: Apache-2.0
// C11 threads: glibc's mtx_* and cnd_* call its internals, not the pthread functions.
//
// RUN(cycle, self, condition, join): gordian run -- %program %case
// EXIT(cycle, self, condition, join): 66
// JSON(cycle, self, condition, join): findings=1
// JSON(cycle): verdict=deadlock kind=lock-order knot=left,right locks=bread,butter
// JSON(self): verdict=deadlock kind=self-lock locks=bread
// JSON(condition): verdict=deadlock kind=condition|mixed locks=eaten
// JSON(join): verdict=deadlock kind=join|mixed locks=bread
//
// RUN(consistent, timed, recursive, once): gordian run -- %program %case
// EXIT(consistent, timed, recursive, once): 0
// JSON(consistent, timed, recursive, once): findings=0
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <threads.h>
#include <time.h>

mtx_t bread, butter;
cnd_t eaten;
static atomic_int met;

static void meet(void) {
  atomic_fetch_add(&met, 1);
  while (atomic_load(&met) < 2) sched_yield();
}

static void cross(mtx_t* first, mtx_t* second) {
  mtx_lock(first);
  meet();
  mtx_lock(second);
  mtx_unlock(second);
  mtx_unlock(first);
}

static int left(void* unused) {
  (void)unused;
  pthread_setname_np(pthread_self(), "left");
  cross(&bread, &butter);
  return 0;
}

static int right(void* unused) {
  (void)unused;
  pthread_setname_np(pthread_self(), "right");
  cross(&butter, &bread);
  return 0;
}

static int in_order(void* unused) {
  (void)unused;
  for (int i = 0; i < 300; ++i) {
    mtx_lock(&bread);
    mtx_lock(&butter);
    mtx_unlock(&butter);
    mtx_unlock(&bread);
  }
  return 0;
}

static int timed_right(void* unused) {
  (void)unused;
  mtx_lock(&butter);
  meet();
  struct timespec until;
  timespec_get(&until, TIME_UTC);
  until.tv_sec += 1;
  if (mtx_timedlock(&bread, &until) == thrd_success) mtx_unlock(&bread);
  mtx_unlock(&butter);
  return 0;
}

static int eat(void* unused) {
  (void)unused;
  mtx_lock(&bread);
  cnd_wait(&eaten, &bread);
  mtx_unlock(&bread);
  return 0;
}

static int take_bread(void* unused) {
  (void)unused;
  mtx_lock(&bread);
  mtx_unlock(&bread);
  return 0;
}

static void both(thrd_start_t first, thrd_start_t second) {
  thrd_t a, b;
  thrd_create(&a, first, NULL);
  thrd_create(&b, second, NULL);
  thrd_join(a, NULL);
  thrd_join(b, NULL);
}

static once_flag flag = ONCE_FLAG_INIT;
static void nothing(void) {}

int main(int argc, char** argv) {
  const char* name = argc > 1 ? argv[1] : "";
  mtx_init(&bread, strcmp(name, "recursive") == 0 ? mtx_plain | mtx_recursive : mtx_timed);
  mtx_init(&butter, mtx_plain);
  cnd_init(&eaten);
  if (strcmp(name, "cycle") == 0) {
    both(left, right);
  } else if (strcmp(name, "self") == 0) {
    mtx_lock(&bread);
    mtx_lock(&bread);
  } else if (strcmp(name, "condition") == 0) {
    both(eat, eat);
  } else if (strcmp(name, "join") == 0) {
    thrd_t thread;
    mtx_lock(&bread);
    thrd_create(&thread, take_bread, NULL);
    thrd_join(thread, NULL);
  } else if (strcmp(name, "consistent") == 0) {
    both(in_order, in_order);
  } else if (strcmp(name, "timed") == 0) {
    both(left, timed_right);
  } else if (strcmp(name, "recursive") == 0) {
    mtx_lock(&bread);
    mtx_lock(&bread);
    mtx_unlock(&bread);
    mtx_unlock(&bread);
  } else if (strcmp(name, "once") == 0) {
    call_once(&flag, nothing);
    call_once(&flag, nothing);
  } else {
    return 2;
  }
  mtx_destroy(&bread);
  mtx_destroy(&butter);
  cnd_destroy(&eaten);
  puts("done");
  return 0;
}
