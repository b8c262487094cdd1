// SPDX-License-Identifier: Apache-2.0
// Threads that leave a wait by another road: cancelled, by a signal handler, by longjmp, by
// pthread_exit. After each the card must be right: all cases end, and nothing is reported.
//
// RUN(condition, semaphore, join, asynchronous, exit-in-wait, destructors, interrupted, longjmp, handler-locks, storm): gordian run -- %program %case
// EXIT(condition, semaphore, join, asynchronous, exit-in-wait, destructors, interrupted, longjmp, handler-locks, storm): 0
// STDOUT(condition, semaphore, join, asynchronous, exit-in-wait, destructors, interrupted, longjmp, handler-locks, storm): done
// JSON(condition, semaphore, join, exit-in-wait, destructors, interrupted, longjmp, handler-locks, storm): findings=0
// JSON(asynchronous): no verdict=deadlock
//
// And after it a real deadlock is still seen.
//
// RUN(condition-then-cycle): gordian run -- %program %case
// EXIT(condition-then-cycle): 66
// JSON(condition-then-cycle): findings=1
// JSON(condition-then-cycle): verdict=deadlock kind=lock-order knot=left,right locks=desk,drawer
#include "support/blocked.h"
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <condition_variable>
#include <errno.h>
#include <mutex>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>
#include <vector>

pthread_mutex_t desk = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t drawer = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t called = PTHREAD_COND_INITIALIZER;
sem_t tickets;

namespace {

using scenario::Steps;
using scenario::Thread;
using scenario::Tid;

template <typename Body>
pthread_t start(Body& body) {
  pthread_t thread;
  pthread_create(
      &thread, nullptr,
      [](void* data) -> void* {
        (*static_cast<Body*>(data))();
        return nullptr;
      },
      &body);
  return thread;
}

// Both locks in both free, and in one order: wrong cards would make a cycle of this.
void use_locks() {
  auto body = [] {
    for (int i = 0; i < 50; ++i) {
      pthread_mutex_lock(&desk);
      pthread_mutex_lock(&drawer);
      pthread_mutex_unlock(&drawer);
      pthread_mutex_unlock(&desk);
    }
  };
  Thread left("left", body);
  Thread right("right", body);
}

void unlock(void* mutex) { pthread_mutex_unlock(static_cast<pthread_mutex_t*>(mutex)); }

void condition() {
  for (int i = 0; i < 20; ++i) {
    Tid tid;
    auto wait = [&] {
      pthread_mutex_lock(&desk);
      pthread_cleanup_push(unlock, &desk);
      tid.set(gettid());
      for (;;) pthread_cond_wait(&called, &desk);
      pthread_cleanup_pop(1);
    };
    const pthread_t waiter = start(wait);
    scenario::wait_until_blocked_on(tid.get(), called);
    pthread_cancel(waiter);
    pthread_join(waiter, nullptr);
  }
  use_locks();
}

void condition_then_cycle() {
  condition();
  Steps both_hold_one;
  auto body = [&](pthread_mutex_t* first, pthread_mutex_t* second) {
    pthread_mutex_lock(first);
    both_hold_one.meet(2);
    pthread_mutex_lock(second);
  };
  Thread left("left", [&] { body(&desk, &drawer); });
  Thread right("right", [&] { body(&drawer, &desk); });
}

void semaphore() {
  sem_init(&tickets, 0, 0);
  for (int i = 0; i < 20; ++i) {
    Tid tid;
    auto wait = [&] {
      pthread_mutex_lock(&desk);
      pthread_cleanup_push(unlock, &desk);
      tid.set(gettid());
      sem_wait(&tickets);
      pthread_cleanup_pop(1);
    };
    const pthread_t waiter = start(wait);
    scenario::wait_until_blocked_on(tid.get(), tickets);
    pthread_cancel(waiter);
    pthread_join(waiter, nullptr);
  }
  use_locks();
}

// A cancelled join leaves the thread to be joined by another.
void join() {
  Steps end;
  Tid worker_tid, joiner_tid;
  auto work = [&] {
    worker_tid.set(gettid());
    end.wait_for(1);
    use_locks();
  };
  const pthread_t worker = start(work);
  worker_tid.get();
  auto wait = [&] {
    joiner_tid.set(gettid());
    pthread_join(worker, nullptr);
  };
  const pthread_t joiner = start(wait);
  scenario::wait_until_joining(joiner_tid.get(), worker_tid.get());
  pthread_cancel(joiner);
  pthread_join(joiner, nullptr);
  end.advance();
  pthread_join(worker, nullptr);
}

void asynchronous() {
  for (int i = 0; i < 50; ++i) {
    Steps running;
    auto spin = [&] {
      int old;
      pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
      running.advance();
      for (;;) {
      }
    };
    const pthread_t thread = start(spin);
    running.wait_for(1);
    pthread_cancel(thread);
    pthread_join(thread, nullptr);
  }
  use_locks();
}

thread_local bool leaves = false;

void leave(int) {
  if (leaves) pthread_exit(nullptr);
}

void exit_in_wait() {
  struct sigaction action = {};
  action.sa_handler = leave;
  sigaction(SIGUSR1, &action, nullptr);
  sem_init(&tickets, 0, 0);
  for (int i = 0; i < 20; ++i) {
    Tid tid;
    auto wait = [&] {
      pthread_mutex_lock(&desk);
      pthread_cleanup_push(unlock, &desk);
      leaves = true;
      tid.set(gettid());
      sem_wait(&tickets);
      pthread_cleanup_pop(1);
    };
    const pthread_t waiter = start(wait);
    scenario::wait_until_blocked_on(tid.get(), tickets);
    pthread_kill(waiter, SIGUSR1);
    pthread_join(waiter, nullptr);
  }
  use_locks();
}

// C++: cancellation unwinds, and destructors give the locks back.
void destructors() {
  static std::mutex outer, inner;
  static std::condition_variable never;
  int destroyed = 0;
  struct Count {
    int* destroyed;
    ~Count() { ++*destroyed; }
  };
  for (int i = 0; i < 20; ++i) {
    Tid tid;
    auto wait = [&] {
      Count count{&destroyed};
      std::lock_guard hold(outer);
      std::unique_lock lock(inner);
      tid.set(gettid());
      for (;;) never.wait(lock);
    };
    const pthread_t waiter = start(wait);
    scenario::wait_until_blocked_on(tid.get(), never);
    pthread_cancel(waiter);
    pthread_join(waiter, nullptr);
  }
  if (destroyed != 20) std::exit(1);
  std::scoped_lock both(inner, outer);
}

void nothing(int) {}

void interrupted() {
  struct sigaction action = {};
  action.sa_handler = nothing;
  sigaction(SIGUSR1, &action, nullptr);
  sem_init(&tickets, 0, 0);
  Tid tid;
  int interruptions = 0;
  auto wait = [&] {
    tid.set(gettid());
    while (sem_wait(&tickets) != 0) {
      if (errno != EINTR) std::exit(1);
      ++interruptions;
    }
  };
  const pthread_t waiter = start(wait);
  for (int i = 0; i < 50; ++i) {
    scenario::wait_until_blocked_on(tid.get(), tickets);
    pthread_kill(waiter, SIGUSR1);
  }
  scenario::wait_until_blocked_on(tid.get(), tickets);
  sem_post(&tickets);
  pthread_join(waiter, nullptr);
  if (interruptions == 0) std::exit(1);
  use_locks();
}

thread_local sigjmp_buf back;

void jump(int) { siglongjmp(back, 1); }

void by_longjmp() {
  struct sigaction action = {};
  action.sa_handler = jump;
  sigaction(SIGUSR1, &action, nullptr);
  sem_init(&tickets, 0, 0);
  for (int i = 0; i < 20; ++i) {
    Tid tid;
    auto wait = [&] {
      if (sigsetjmp(back, 1) == 0) {
        tid.set(gettid());
        for (;;) sem_wait(&tickets);
      }
      use_locks();
    };
    const pthread_t waiter = start(wait);
    scenario::wait_until_blocked_on(tid.get(), tickets);
    pthread_kill(waiter, SIGUSR1);
    pthread_join(waiter, nullptr);
  }
}

pthread_mutex_t in_handler = PTHREAD_MUTEX_INITIALIZER;

// Not allowed by POSIX, done by programs, and harmless where the mutex is used in handlers only
// and the signal is blocked meanwhile.
void lock_in_handler(int) {
  const int kept = errno;
  pthread_mutex_lock(&in_handler);
  pthread_mutex_unlock(&in_handler);
  errno = kept;
}

void handler_locks() {
  struct sigaction action = {};
  action.sa_handler = lock_in_handler;
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
  Steps end;
  auto work = [] { use_locks(); };
  std::vector<pthread_t> threads;
  Tid tid;
  auto wait = [&] {
    pthread_mutex_lock(&desk);
    tid.set(gettid());
    pthread_cond_wait(&called, &desk);
    pthread_mutex_unlock(&desk);
  };
  const pthread_t waiter = start(wait);
  const pthread_t worker = start(work);
  scenario::wait_until_blocked_on(tid.get(), called);
  for (int i = 0; i < 200; ++i) {
    pthread_kill(waiter, SIGUSR1);
    pthread_kill(worker, SIGUSR1);
  }
  pthread_join(worker, nullptr);
  pthread_mutex_lock(&desk);
  pthread_cond_broadcast(&called);
  pthread_mutex_unlock(&desk);
  pthread_join(waiter, nullptr);
}

// Many threads, each cancelled at a point nobody chose.
void storm() {
  for (int round = 0; round < 20; ++round) {
    auto work = [] {
      for (;;) {
        pthread_mutex_lock(&desk);
        pthread_cleanup_push(unlock, &desk);
        timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += until.tv_nsec < 999'900'000 ? 100'000 : 0;
        pthread_cond_timedwait(&called, &desk, &until);
        pthread_cleanup_pop(1);
      }
    };
    std::vector<pthread_t> threads;
    for (int i = 0; i < 10; ++i) threads.push_back(start(work));
    for (const pthread_t thread : threads) pthread_cancel(thread);
    for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  }
  use_locks();
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"condition", condition},
                             {"condition-then-cycle", condition_then_cycle},
                             {"semaphore", semaphore},
                             {"join", join},
                             {"asynchronous", asynchronous},
                             {"exit-in-wait", exit_in_wait},
                             {"destructors", destructors},
                             {"interrupted", interrupted},
                             {"longjmp", by_longjmp},
                             {"handler-locks", handler_locks},
                             {"storm", storm}});
}
