// SPDX-License-Identifier: Apache-2.0
// Reader-writer locks: which pairs exclude each other, and what a waiting writer does to readers.
//
// RUN(write-write, read-write, upgrade, self-upgrade, waiting-writer, all-readers): gordian run -- %program %case
// EXIT(write-write, read-write, upgrade, self-upgrade, waiting-writer, all-readers): 66
// JSON(write-write, read-write, upgrade, self-upgrade, waiting-writer, all-readers): verdict=deadlock
// JSON(write-write): verdict=deadlock kind=rwlock knot=left,right locks=map_lock,index_lock
// JSON(read-write): verdict=deadlock kind=rwlock knot=left,right locks=map_lock,index_lock
// JSON(upgrade): verdict=deadlock kind=rwlock knot=left,right locks=map_lock
// JSON(self-upgrade): verdict=deadlock kind=self-lock|rwlock knot=only locks=map_lock
// JSON(waiting-writer): verdict=deadlock kind=rwlock knot=outer,writer locks=writer_first
// JSON(all-readers): verdict=deadlock knot=reader-1,reader-2,writer
//
// Nothing is left on these stacks of who reads: the functions that did have ended in a tail call.
// ATTACH(read-write, upgrade, self-upgrade, waiting-writer, all-readers): skip
//
// RUN(read-read, nested-readers, recursive-read, timed, shared-mutex, write-twice): gordian run -- %program %case
// EXIT(read-read, nested-readers, recursive-read, timed, shared-mutex, write-twice): 0
// JSON(read-read, nested-readers, recursive-read, timed, shared-mutex, write-twice): no verdict=deadlock
// JSON(read-read, nested-readers, recursive-read, timed, shared-mutex): findings=0
// STDOUT(write-twice): EDEADLK
//
// The memory of a lock that was never released is used anew: its old reader does not wait for
// itself.
// RUN(reused): gordian run -- %program %case
// EXIT(reused): 0
// JSON(reused): no verdict=deadlock
// JSON(reused): no verdict=stall
//
// Hazards: a writer in the knot makes one; readers of a lock that prefers writers need a third
// thread.
//
// RUN(lucky-write-read, lucky-writer-first): gordian run -- %program %case
// EXIT(lucky*): 0
// JSON(lucky-write-read): verdict=possible knot=left,right locks=map_lock,index_lock
// JSON(lucky-writer-first): verdict=possible locks=writer_first,writer_first_too
#include "support/blocked.h"
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <chrono>
#include <errno.h>
#include <mutex>
#include <pthread.h>
#include <shared_mutex>
#include <unistd.h>

pthread_rwlock_t map_lock = PTHREAD_RWLOCK_INITIALIZER;
pthread_rwlock_t index_lock = PTHREAD_RWLOCK_INITIALIZER;
pthread_rwlock_t writer_first = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
pthread_rwlock_t writer_first_too = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
pthread_mutex_t plain_mutex = PTHREAD_MUTEX_INITIALIZER;

namespace {

using scenario::Steps;
using scenario::Thread;
using scenario::Tid;

using Take = int (*)(pthread_rwlock_t*);
constexpr Take kRead = pthread_rwlock_rdlock;
constexpr Take kWrite = pthread_rwlock_wrlock;

void cross(Take first, Take second) {
  Steps both_hold_one;
  Thread left("left", [&] {
    first(&map_lock);
    both_hold_one.meet(2);
    second(&index_lock);
    pthread_rwlock_unlock(&index_lock);
    pthread_rwlock_unlock(&map_lock);
  });
  Thread right("right", [&] {
    first(&index_lock);
    both_hold_one.meet(2);
    second(&map_lock);
    pthread_rwlock_unlock(&map_lock);
    pthread_rwlock_unlock(&index_lock);
  });
}

void write_write() { cross(kWrite, kWrite); }
void read_write() { cross(kRead, kWrite); }

// Two readers of one lock both want to write.
void upgrade() {
  Steps both_read;
  auto body = [&] {
    pthread_rwlock_rdlock(&map_lock);
    both_read.meet(2);
    pthread_rwlock_wrlock(&map_lock);
  };
  Thread left("left", body);
  Thread right("right", body);
}

void self_upgrade() {
  Thread only("only", [] {
    pthread_rwlock_rdlock(&map_lock);
    pthread_rwlock_wrlock(&map_lock);
  });
}

// A reader reads again, behind a writer that waits for the first reading to end.
void waiting_writer() {
  Steps reading;
  Tid writer_tid;
  Thread outer("outer", [&] {
    pthread_rwlock_rdlock(&writer_first);
    reading.advance();
    scenario::wait_until_blocked_on(writer_tid.get(), writer_first);
    pthread_rwlock_rdlock(&writer_first);
  });
  Thread writer("writer", [&] {
    reading.wait_for(1);
    writer_tid.set(gettid());
    pthread_rwlock_wrlock(&writer_first);
  });
}

// The writer holds the mutex that both readers want before they release.
void all_readers() {
  Steps all_hold_one;
  auto read = [&] {
    pthread_rwlock_rdlock(&map_lock);
    all_hold_one.meet(3);
    pthread_mutex_lock(&plain_mutex);
  };
  Thread first("reader-1", read);
  Thread second("reader-2", read);
  Thread writer("writer", [&] {
    pthread_mutex_lock(&plain_mutex);
    all_hold_one.meet(3);
    pthread_rwlock_wrlock(&map_lock);
  });
}

void take_both(Take take_first, pthread_rwlock_t* first, Take take_second,
               pthread_rwlock_t* second) {
  take_first(first);
  take_second(second);
  pthread_rwlock_unlock(second);
  pthread_rwlock_unlock(first);
}

void read_read() {
  Steps both_hold_one;
  Thread left("left", [&] {
    pthread_rwlock_rdlock(&map_lock);
    both_hold_one.meet(2);
    pthread_rwlock_rdlock(&index_lock);
    pthread_rwlock_unlock(&index_lock);
    pthread_rwlock_unlock(&map_lock);
  });
  Thread right("right", [&] {
    pthread_rwlock_rdlock(&index_lock);
    both_hold_one.meet(2);
    pthread_rwlock_rdlock(&map_lock);
    pthread_rwlock_unlock(&map_lock);
    pthread_rwlock_unlock(&index_lock);
  });
}

// Readers in one order, a writer in the same.
void nested_readers() {
  auto read = [] {
    for (int i = 0; i < 500; ++i) take_both(kRead, &map_lock, kRead, &index_lock);
  };
  auto write = [] {
    for (int i = 0; i < 500; ++i) take_both(kWrite, &map_lock, kWrite, &index_lock);
  };
  Thread left("left", read);
  Thread right("right", read);
  Thread writer("writer", write);
}

// The usual kind lets a reader read again, whoever waits.
void recursive_read() {
  Steps reading;
  Tid writer_tid;
  Thread outer("outer", [&] {
    pthread_rwlock_rdlock(&map_lock);
    reading.advance();
    scenario::wait_until_blocked_on(writer_tid.get(), map_lock);
    pthread_rwlock_rdlock(&map_lock);
    pthread_rwlock_unlock(&map_lock);
    pthread_rwlock_unlock(&map_lock);
  });
  Thread writer("writer", [&] {
    reading.wait_for(1);
    writer_tid.set(gettid());
    pthread_rwlock_wrlock(&map_lock);
    pthread_rwlock_unlock(&map_lock);
  });
}

std::shared_timed_mutex timed_lock;

void timed() {
  Steps both_hold_one;
  Thread left("left", [&] {
    std::shared_lock hold(timed_lock);
    both_hold_one.meet(2);
    if (!timed_lock.try_lock_for(std::chrono::milliseconds(300))) return;
    timed_lock.unlock();
  });
  Thread right("right", [&] {
    std::shared_lock hold(timed_lock);
    both_hold_one.meet(2);
    std::unique_lock want(timed_lock, std::defer_lock);
    if (want.try_lock_until(std::chrono::steady_clock::now() + std::chrono::milliseconds(300)))
      return;
  });
}

std::shared_mutex shared_mutex;

void shared() {
  auto body = [] {
    for (int i = 0; i < 500; ++i) {
      { std::shared_lock read(shared_mutex); }
      { std::unique_lock write(shared_mutex); }
    }
  };
  Thread left("left", body);
  Thread right("right", body);
}

void write_twice() {
  Thread only("only", [] {
    pthread_rwlock_wrlock(&map_lock);
    if (pthread_rwlock_wrlock(&map_lock) == EDEADLK) std::puts("EDEADLK");
    if (pthread_rwlock_rdlock(&map_lock) == EDEADLK) std::puts("EDEADLK");
    pthread_rwlock_unlock(&map_lock);
  });
}

void one_after_the_other(void (*left_body)(), void (*right_body)()) {
  Steps turn;
  Thread left("left", [&] {
    left_body();
    turn.advance();
    turn.wait_for(2);
  });
  Thread right("right", [&] {
    turn.wait_for(1);
    right_body();
    turn.advance();
  });
}

void reused() {
  static Steps turn;
  pthread_rwlock_rdlock(&map_lock);
  map_lock = PTHREAD_RWLOCK_INITIALIZER;
  Thread reader("reader", [] {
    pthread_rwlock_rdlock(&map_lock);
    turn.advance();
    sleep(1);  // longer than a judge needs
    pthread_rwlock_unlock(&map_lock);
  });
  turn.wait_for(1);
  pthread_rwlock_wrlock(&map_lock);
  pthread_rwlock_unlock(&map_lock);
}

void lucky_write_read() {
  one_after_the_other([] { take_both(kWrite, &map_lock, kRead, &index_lock); },
                      [] { take_both(kWrite, &index_lock, kRead, &map_lock); });
}

void lucky_writer_first() {
  one_after_the_other([] { take_both(kRead, &writer_first, kRead, &writer_first_too); },
                      [] { take_both(kRead, &writer_first_too, kRead, &writer_first); });
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"write-write", write_write},
                             {"read-write", read_write},
                             {"upgrade", upgrade},
                             {"self-upgrade", self_upgrade},
                             {"waiting-writer", waiting_writer},
                             {"all-readers", all_readers},
                             {"read-read", read_read},
                             {"nested-readers", nested_readers},
                             {"recursive-read", recursive_read},
                             {"timed", timed},
                             {"shared-mutex", shared},
                             {"write-twice", write_twice},
                             {"reused", reused},
                             {"lucky-write-read", lucky_write_read},
                             {"lucky-writer-first", lucky_writer_first}});
}
