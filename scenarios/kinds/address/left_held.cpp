// SPDX-License-Identifier: Apache-2.0
// A lock whose life ended while it was held, unseen, and another lock at its address.
//
// One thread takes a lock and never gives it back; the memory is made a new lock by placement new.
// Another thread takes that one. A third, with `other` in hand, wants it too, and the first wants
// `other`: were the old hold a hold of the new lock, this was a deadlock. It is not: the second
// thread is free, and ends it all.
//
// RUN(mutex, read, read-then-write, write, spin): gordian run -- %program %case
// EXIT(*): 0
// JSON(*): no verdict=deadlock
#include "support/blocked.h"
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <new>
#include <poll.h>
#include <pthread.h>

pthread_mutex_t other = PTHREAD_MUTEX_INITIALIZER;

namespace {

using scenario::Steps;
using scenario::Thread;
using scenario::Tid;

// Constexpr construction, as std::mutex has it: no call announces it.
struct Mutex {
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  void take_first() { pthread_mutex_lock(&lock); }
  void take_second() { pthread_mutex_lock(&lock); }
  void take_third() { pthread_mutex_lock(&lock); }
  void give() { pthread_mutex_unlock(&lock); }
};

template <bool first_writes, bool second_writes>
struct RwLock {
  pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
  void take_first() { take(first_writes); }
  void take_second() { take(second_writes); }
  void take(bool write) { write ? pthread_rwlock_wrlock(&lock) : pthread_rwlock_rdlock(&lock); }
  void take_third() { pthread_rwlock_wrlock(&lock); }
  void give() { pthread_rwlock_unlock(&lock); }
};

// glibc on x86-64: one is free, zero and less are taken.
struct Spin {
  pthread_spinlock_t lock = 1;
  void take_first() { pthread_spin_lock(&lock); }
  void take_second() { pthread_spin_lock(&lock); }
  void take_third() { pthread_spin_lock(&lock); }
  void give() { pthread_spin_unlock(&lock); }
};

template <typename Lock>
void left_held() {
  alignas(Lock) static char place[sizeof(Lock)];
  Steps step;
  Tid first_tid, third_tid;
  Thread first("first", [&] {
    (new (place) Lock)->take_first();
    step.advance();
    step.wait_for(3);
    first_tid.set(gettid());
    pthread_mutex_lock(&other);
    pthread_mutex_unlock(&other);
  });
  Thread second("second", [&] {
    step.wait_for(1);
    auto* lock = new (place) Lock;
    lock->take_second();
    step.advance();
    scenario::wait_until_blocked_on(first_tid.get(), other);
    third_tid.get();
    poll(nullptr, 0, 700);  // long enough for a judge to say what it will
    lock->give();
  });
  Thread third("third", [&] {
    step.wait_for(2);
    pthread_mutex_lock(&other);
    step.advance();
    third_tid.set(gettid());
    auto* lock = std::launder(reinterpret_cast<Lock*>(place));
    lock->take_third();
    lock->give();
    pthread_mutex_unlock(&other);
  });
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"mutex", left_held<Mutex>},
                             {"read", left_held<RwLock<false, false>>},
                             {"read-then-write", left_held<RwLock<false, true>>},
                             {"write", left_held<RwLock<true, true>>},
                             {"spin", left_held<Spin>}});
}
