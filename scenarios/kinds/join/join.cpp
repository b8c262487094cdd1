// SPDX-License-Identifier: Apache-2.0
// A join is a wait like any other: for a thread to end.
//
// RUN(under-lock, later, ring, mutual, two-joiners, queue-behind): gordian run -- %program %case
// EXIT(under-lock, later, ring, mutual, two-joiners, queue-behind): 66
// JSON(under-lock, later, ring, mutual, two-joiners, queue-behind): findings=1
// JSON(under-lock): verdict=deadlock kind=join|mixed locks=state knot=stopper,worker
// JSON(later): verdict=deadlock kind=join|mixed locks=state knot=stopper,worker
// JSON(ring): verdict=deadlock kind=join knot=one,two,three
// JSON(mutual): verdict=deadlock kind=join knot=left,right
// JSON(two-joiners): verdict=deadlock kind=join|orphan knot=stopper-2
// JSON(queue-behind): verdict=deadlock kind=join|mixed|rwlock knot=master,replica victims=reader-1,reader-2,join
//
// The joined thread, or its sibling, takes the lock under which it is joined. Today it had done so
// before.
//
// RUN(lucky, lucky-sibling): gordian run -- %program %case
// EXIT(lucky, lucky-sibling): 0
// JSON(lucky, lucky-sibling): verdict=possible kind=join|mixed locks=state
//
// RUN(self, no-lock, tries, timed, detached): gordian run -- %program %case
// EXIT(self, no-lock, tries, timed, detached): 0
// JSON(self, no-lock, tries, timed, detached): no verdict=deadlock
// JSON(no-lock, tries, timed, detached): findings=0
// STDOUT(self): EDEADLK
#include "support/blocked.h"
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <atomic>
#include <errno.h>
#include <mutex>
#include <pthread.h>
#include <shared_mutex>
#include <time.h>

std::mutex state;
std::shared_mutex works;

namespace {

using scenario::Steps;
using scenario::Thread;
using scenario::Tid;

template <typename Body>
pthread_t start(const char* name, Body& body) {
  pthread_t thread;
  pthread_create(
      &thread, nullptr,
      [](void* data) -> void* {
        (*static_cast<Body*>(data))();
        return nullptr;
      },
      &body);
  pthread_setname_np(thread, name);
  return thread;
}

void under_lock() {
  Steps stopping;
  auto work = [&] {
    stopping.wait_for(1);
    std::lock_guard lock(state);
  };
  Thread stopper("stopper", [&] {
    const pthread_t worker = start("worker", work);
    std::lock_guard lock(state);
    stopping.advance();
    pthread_join(worker, nullptr);
  });
}

// The worker touches the lock only when the join has long begun.
void later() {
  Tid stopper_tid, worker_tid;
  auto work = [&] {
    worker_tid.set(gettid());
    scenario::wait_until_joining(stopper_tid.get(), gettid());
    std::lock_guard lock(state);
  };
  Thread stopper("stopper", [&] {
    const pthread_t worker = start("worker", work);
    std::lock_guard lock(state);
    worker_tid.get();
    stopper_tid.set(gettid());
    pthread_join(worker, nullptr);
  });
}

// The main thread ends, the others stay.
void ring() {
  Steps all_known;
  pthread_t threads[3];
  auto body = [&](int next) {
    all_known.wait_for(1);
    pthread_join(threads[next], nullptr);
  };
  auto one = [&] { body(1); };
  auto two = [&] { body(2); };
  auto three = [&] { body(0); };
  threads[0] = start("one", one);
  threads[1] = start("two", two);
  threads[2] = start("three", three);
  all_known.advance();
  pthread_exit(nullptr);
}

// Undefined, and what glibc does is to wake the first and forget the second.
void two_joiners() {
  Tid tids[2];
  Tid worker_tid;
  Steps end;
  auto work = [&] {
    worker_tid.set(gettid());
    end.wait_for(1);
  };
  const pthread_t worker = start("worker", work);
  auto stop = [&](int me) {
    worker_tid.get();
    tids[me].set(gettid());
    pthread_join(worker, nullptr);
  };
  Thread first("stopper-1", [&] { stop(0); });
  scenario::wait_until_joining(tids[0].get(), worker_tid.get());
  Thread second("stopper-2", [&] { stop(1); });
  scenario::wait_until_joining(tids[1].get(), worker_tid.get());
  end.advance();
}

void queue_behind() {
  Tid master_tid, reader_tids[2], replica_tid;
  auto replicate = [&] {
    replica_tid.set(gettid());
    scenario::wait_until_joining(master_tid.get(), gettid());
    for (Tid& tid : reader_tids) scenario::wait_until_blocked_on(tid.get(), works);
    std::unique_lock exclusive(works);
  };
  Steps switching;
  auto read = [&](Tid& tid) {
    switching.wait_for(1);
    tid.set(gettid());
    std::shared_lock shared(works);
  };
  Thread reader_1("reader-1", [&] { read(reader_tids[0]); });
  Thread reader_2("reader-2", [&] { read(reader_tids[1]); });
  Thread master("master", [&] {
    std::unique_lock exclusive(works);
    const pthread_t replica = start("replica", replicate);
    replica_tid.get();
    switching.advance();
    master_tid.set(gettid());
    pthread_join(replica, nullptr);
  });
}

void lucky() {
  Steps worked;
  auto work = [&] {
    { std::lock_guard lock(state); }
    worked.advance();
  };
  Thread stopper("stopper", [&] {
    const pthread_t worker = start("worker", work);
    worked.wait_for(1);
    std::lock_guard lock(state);
    pthread_join(worker, nullptr);
  });
}

// Only one of two threads with the same start routine takes the lock; the other is joined under it.
void lucky_sibling() {
  std::atomic<bool> takes{true};
  Steps worked;
  auto work = [&] {
    if (takes) std::lock_guard lock(state);
    worked.advance();
  };
  Thread stopper("stopper", [&] {
    pthread_join(start("worker", work), nullptr);
    takes = false;
    const pthread_t second = start("worker", work);
    std::lock_guard lock(state);
    pthread_join(second, nullptr);
  });
}

void self() {
  Thread only("only", [] {
    if (pthread_join(pthread_self(), nullptr) == EDEADLK) std::puts("EDEADLK");
  });
}

// Each joins the other.
void mutual() {
  Tid left_tid;
  Steps known;
  pthread_t threads[2];
  auto left = [&] {
    known.wait_for(1);
    left_tid.set(gettid());
    pthread_join(threads[1], nullptr);
  };
  auto right = [&] {
    known.wait_for(1);
    scenario::wait_until_joining(left_tid.get(), gettid());
    pthread_join(threads[0], nullptr);
  };
  threads[0] = start("left", left);
  threads[1] = start("right", right);
  known.advance();
  pthread_exit(nullptr);
}

void no_lock() {
  auto work = [] {
    for (int i = 0; i < 100; ++i) std::lock_guard lock(state);
  };
  for (int i = 0; i < 20; ++i) {
    { std::lock_guard lock(state); }
    Thread worker("worker", work);
  }
}

// It only tries the lock under which it is joined.
void tries() {
  Steps stopping;
  auto work = [&] {
    stopping.wait_for(1);
    std::unique_lock lock(state, std::try_to_lock);
  };
  Thread stopper("stopper", [&] {
    const pthread_t worker = start("worker", work);
    std::lock_guard lock(state);
    stopping.advance();
    pthread_join(worker, nullptr);
  });
}

// The join gives up, then everybody goes on.
void timed() {
  Steps stopping;
  auto work = [&] {
    stopping.wait_for(1);
    std::lock_guard lock(state);
  };
  Thread stopper("stopper", [&] {
    const pthread_t worker = start("worker", work);
    {
      std::lock_guard lock(state);
      stopping.advance();
      timespec until;
      clock_gettime(CLOCK_MONOTONIC, &until);
      until.tv_sec += 1;
      pthread_clockjoin_np(worker, nullptr, CLOCK_MONOTONIC, &until);
      pthread_tryjoin_np(worker, nullptr);
    }
    pthread_join(worker, nullptr);
  });
}

void detached() {
  Steps ended;
  auto work = [&] {
    { std::lock_guard lock(state); }
    ended.advance();
  };
  for (int i = 0; i < 50; ++i) pthread_detach(start("worker", work));
  ended.wait_for(50);
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"under-lock", under_lock},
                             {"later", later},
                             {"ring", ring},
                             {"two-joiners", two_joiners},
                             {"queue-behind", queue_behind},
                             {"lucky", lucky},
                             {"lucky-sibling", lucky_sibling},
                             {"self", self},
                             {"mutual", mutual},
                             {"no-lock", no_lock},
                             {"tries", tries},
                             {"timed", timed},
                             {"detached", detached}});
}
