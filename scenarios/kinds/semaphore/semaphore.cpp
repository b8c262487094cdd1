// SPDX-License-Identifier: Apache-2.0
// Semaphores: used as locks, posted by others, by signal handlers, by other processes.
//
// RUN(as-lock, with-mutex, self, named, nobody-posts): gordian run -- %program %case
// EXIT(as-lock, with-mutex, self, named, nobody-posts): 66
// JSON(as-lock, with-mutex, self, named, nobody-posts): findings=1
// JSON(as-lock): verdict=deadlock kind=semaphore locks=slot_a,slot_b
// JSON(with-mutex): verdict=deadlock kind=semaphore|mixed locks=slot_a,list
// JSON(self): verdict=deadlock kind=semaphore|self-lock locks=slot_a
// JSON(named): verdict=deadlock kind=semaphore
// JSON(nobody-posts): verdict=deadlock kind=semaphore knot=3
//
// All sleep, and a signal handler wakes them.
// RUN(handler-posts): gordian run -- %program %case
// EXIT(handler-posts): 0
// JSON(handler-posts): no verdict=deadlock
//
// Behind two that wait for each other a third waits, as its card says. But it works in a handler.
// RUN(at-work-behind): gordian run -- %program %case
// EXIT(at-work-behind): 66
// JSON(at-work-behind): verdict=deadlock kind=lock-order knot=left,right
// REJECT(at-work-behind): "helper"
//
// RUN(signal, consistent, timed, try, between-processes): gordian run -- %program %case
// EXIT(signal, consistent, timed, try, between-processes): 0
// JSON(signal, consistent, timed, try, between-processes): findings=0
//
// Posted by a program that nobody watches, and that opens it only later.
// RUN(named-outside): gordian run --no-children -- %program %case
// EXIT(named-outside): 0
// JSON(named-outside): findings=0
//
// RUN(lucky): gordian run -- %program %case
// EXIT(lucky): 0
// JSON(lucky): verdict=possible kind=semaphore|lock-order knot=left,right locks=slot_a,slot_b
#include "support/blocked.h"
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <atomic>
#include <cstdlib>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <string>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

sem_t slot_a, slot_b;
pthread_mutex_t list = PTHREAD_MUTEX_INITIALIZER;

namespace {

using scenario::Steps;
using scenario::Thread;

void cross(sem_t* a, sem_t* b) {
  Steps both_hold_one;
  auto body = [&](sem_t* first, sem_t* second) {
    sem_wait(first);
    both_hold_one.meet(2);
    sem_wait(second);
    sem_post(second);
    sem_post(first);
  };
  Thread left("left", [&] { body(a, b); });
  Thread right("right", [&] { body(b, a); });
}

void as_lock() {
  sem_init(&slot_a, 0, 1);
  sem_init(&slot_b, 0, 1);
  cross(&slot_a, &slot_b);
}

void with_mutex() {
  sem_init(&slot_a, 0, 1);
  Steps both_hold_one;
  Thread left("left", [&] {
    sem_wait(&slot_a);
    both_hold_one.meet(2);
    pthread_mutex_lock(&list);
    pthread_mutex_unlock(&list);
    sem_post(&slot_a);
  });
  Thread right("right", [&] {
    pthread_mutex_lock(&list);
    both_hold_one.meet(2);
    sem_wait(&slot_a);
    sem_post(&slot_a);
    pthread_mutex_unlock(&list);
  });
}

void self() {
  sem_init(&slot_a, 0, 1);
  Thread only("only", [] {
    sem_wait(&slot_a);
    sem_wait(&slot_a);
  });
}

void named() {
  const std::string name = "/semaphore-scenario-" + std::to_string(getpid());
  sem_t* a = sem_open((name + "-a").c_str(), O_CREAT | O_EXCL, 0600, 1);
  sem_t* b = sem_open((name + "-b").c_str(), O_CREAT | O_EXCL, 0600, 1);
  if (a == SEM_FAILED || b == SEM_FAILED) std::exit(1);
  sem_unlink((name + "-a").c_str());
  sem_unlink((name + "-b").c_str());
  cross(a, b);
}

void named_outside() {
  const std::string name = "/semaphore-scenario-" + std::to_string(getpid());
  const pid_t child = fork();
  if (child == 0) {
    sleep(1);  // longer than a judge needs
    sem_t* semaphore = sem_open(name.c_str(), 0);
    _exit(semaphore != SEM_FAILED && sem_post(semaphore) == 0 ? 0 : 1);
  }
  sem_t* semaphore = sem_open(name.c_str(), O_CREAT | O_EXCL, 0600, 0);
  if (semaphore == SEM_FAILED) std::exit(1);
  sem_wait(semaphore);
  sem_unlink(name.c_str());
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) std::exit(1);
}

void nobody_posts() {
  sem_init(&slot_a, 0, 0);
  auto body = [] { sem_wait(&slot_a); };
  Thread one("one", body);
  Thread two("two", body);
  body();
}

void post_both(int) {
  const int kept = errno;
  sem_post(&slot_a);
  sem_post(&slot_a);
  errno = kept;
}

void handler_posts() {
  sem_init(&slot_a, 0, 0);
  struct sigaction action = {};
  action.sa_handler = post_both;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  alarm(1);
  auto body = [] {
    while (sem_wait(&slot_a) != 0) {
    }
  };
  Thread one("one", body);
  body();
}

std::atomic<int> handling{0};
void work_for_ever(int) {
  handling = 1;
  for (;;) sched_yield();
}

void at_work_behind() {
  sem_init(&slot_a, 0, 0);
  struct sigaction action = {};
  action.sa_handler = work_for_ever;
  sigaction(SIGUSR1, &action, nullptr);
  static std::atomic<pid_t> helper_id{0};
  Thread helper("helper", [] {
    helper_id = gettid();
    sem_wait(&slot_a);
  });
  scenario::wait_until([] { return helper_id != 0; });
  scenario::wait_until_blocked_on(helper_id, slot_a);
  syscall(SYS_tgkill, getpid(), helper_id.load(), SIGUSR1);
  scenario::wait_until([] { return handling != 0; });

  static pthread_mutex_t items = PTHREAD_MUTEX_INITIALIZER;
  Steps both_hold_one;
  auto body = [&](pthread_mutex_t* first, pthread_mutex_t* second) {
    pthread_mutex_lock(first);
    both_hold_one.meet(2);
    pthread_mutex_lock(second);
  };
  Thread left("left", [&] { body(&list, &items); });
  Thread right("right", [&] { body(&items, &list); });
}

// One thread waits, another posts: no lock at all.
void signal_only() {
  sem_init(&slot_a, 0, 0);
  sem_init(&slot_b, 0, 0);
  Thread left("left", [] {
    for (int i = 0; i < 300; ++i) {
      sem_wait(&slot_a);
      sem_post(&slot_b);
    }
  });
  Thread right("right", [] {
    for (int i = 0; i < 300; ++i) {
      sem_post(&slot_a);
      sem_wait(&slot_b);
    }
  });
}

void consistent() {
  sem_init(&slot_a, 0, 1);
  sem_init(&slot_b, 0, 1);
  auto body = [] {
    for (int i = 0; i < 300; ++i) {
      sem_wait(&slot_a);
      sem_wait(&slot_b);
      sem_post(&slot_b);
      sem_post(&slot_a);
    }
  };
  Thread left("left", body);
  Thread right("right", body);
}

timespec soon(clockid_t clock) {
  timespec until;
  clock_gettime(clock, &until);
  until.tv_nsec += 200'000'000;
  until.tv_sec += until.tv_nsec / 1'000'000'000;
  until.tv_nsec %= 1'000'000'000;
  return until;
}

void timed() {
  sem_init(&slot_a, 0, 1);
  sem_init(&slot_b, 0, 1);
  Steps both_hold_one;
  Thread left("left", [&] {
    sem_wait(&slot_a);
    both_hold_one.meet(2);
    const timespec until = soon(CLOCK_REALTIME);
    if (sem_timedwait(&slot_b, &until) == 0) sem_post(&slot_b);
    sem_post(&slot_a);
  });
  Thread right("right", [&] {
    sem_wait(&slot_b);
    both_hold_one.meet(2);
    const timespec until = soon(CLOCK_MONOTONIC);
    if (sem_clockwait(&slot_a, CLOCK_MONOTONIC, &until) == 0) sem_post(&slot_a);
    sem_post(&slot_b);
  });
}

void try_other() {
  sem_init(&slot_a, 0, 1);
  sem_init(&slot_b, 0, 1);
  Steps both_hold_one, both_tried;
  auto body = [&](sem_t* first, sem_t* second) {
    sem_wait(first);
    both_hold_one.meet(2);
    if (sem_trywait(second) == 0) sem_post(second);
    both_tried.meet(2);
    sem_post(first);
  };
  Thread left("left", [&] { body(&slot_a, &slot_b); });
  Thread right("right", [&] { body(&slot_b, &slot_a); });
}

// The parent sleeps in a semaphore that only its child posts.
void between_processes() {
  auto* shared = static_cast<sem_t*>(
      mmap(nullptr, sizeof(sem_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  sem_init(shared, 1, 0);
  const std::string parent = std::to_string(getpid());
  const pid_t child = fork();
  if (child == 0) {
    scenario::wait_until_blocked_on(getppid(), *shared, parent.c_str());
    sem_post(shared);
    _exit(0);
  }
  sem_wait(shared);
  int status;
  waitpid(child, &status, 0);
}

void lucky() {
  sem_init(&slot_a, 0, 1);
  sem_init(&slot_b, 0, 1);
  Steps turn;
  auto body = [](sem_t* first, sem_t* second) {
    sem_wait(first);
    sem_wait(second);
    sem_post(second);
    sem_post(first);
  };
  Thread left("left", [&] {
    body(&slot_a, &slot_b);
    turn.advance();
    turn.wait_for(2);
  });
  Thread right("right", [&] {
    turn.wait_for(1);
    body(&slot_b, &slot_a);
    turn.advance();
  });
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"as-lock", as_lock},
                             {"with-mutex", with_mutex},
                             {"self", self},
                             {"named", named},
                             {"named-outside", named_outside},
                             {"nobody-posts", nobody_posts},
                             {"handler-posts", handler_posts},
                             {"at-work-behind", at_work_behind},
                             {"signal", signal_only},
                             {"consistent", consistent},
                             {"timed", timed},
                             {"try", try_other},
                             {"between-processes", between_processes},
                             {"lucky", lucky}});
}
