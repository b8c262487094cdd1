// SPDX-License-Identifier: Apache-2.0
// Threads on stacks that the program brings: what lies below such a stack is not the thread's.
//
// A fiber runs on the memory below the stack of its thread, with a page between them that nobody
// may touch. Its call of lock lies at the very top of its own stack.
// RUN(fiber): gordian run -- %program %case
// RUN(fiber-recorded): gordian run --record %dir/recording -- %program fiber
// EXIT(fiber*): 0
// STDOUT(fiber*): done
// JSON(fiber*): findings=0
//
// A lock below the stack of a thread does not end with the thread. Another thread's stack lies
// there, and both orders of two locks are taken under it.
// RUN(gate): gordian run --refuted -- %program %case
// EXIT(gate): 0
// JSON(gate): findings=0
// JSON(gate): verdict=refuted kind=lock-order reason=gate locks=bread,butter
//
// A fiber took the lock and will give it back on another thread (see scenarios/fibers).
// RUN(migrating): gordian run -- %program %case
// EXIT(migrating): 0
// JSON(migrating): no verdict=deadlock
//
// The control: threads on stacks that they were given deadlock like any others.
// RUN(cycle): gordian run -- %program %case
// EXIT(cycle): 66
// JSON(cycle): findings=1
// JSON(cycle): verdict=deadlock kind=lock-order locks=bread,butter knot=2
#include "support/blocked.h"
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <cstdlib>
#include <mutex>
#include <new>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

std::mutex bread, butter;

namespace {

using scenario::Steps;
using scenario::Thread;
using scenario::Tid;

constexpr size_t kFiberStack = 64 * 1024;
constexpr size_t kGuard = 4096;
constexpr size_t kThreadStack = 256 * 1024;

// From below: a lock, a stack for a fiber, a page between, a stack for a thread.
char* map_area() {
  void* const area =
      mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) std::exit(1);
  return static_cast<char*>(area);
}
char* fiber_stack(char* area) { return area; }
char* thread_stack(char* area) { return area + kFiberStack + kGuard; }

class ThreadOn {
 public:
  ThreadOn(char* stack, void* (*body)(void*)) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, kThreadStack);
    if (pthread_create(&thread_, &attributes, body, nullptr) != 0) std::exit(1);
    pthread_attr_destroy(&attributes);
  }
  void join() { pthread_join(thread_, nullptr); }

 private:
  pthread_t thread_{};
};

char* area;
ucontext_t outside, inside;

void resume(void (*body)()) {
  getcontext(&inside);
  inside.uc_stack.ss_sp = fiber_stack(area);
  inside.uc_stack.ss_size = kFiberStack;
  inside.uc_link = &outside;
  makecontext(&inside, body, 0);
  swapcontext(&outside, &inside);
}

void take_bread() {
  bread.lock();
  bread.unlock();
}

void* fiber_under_lock(void*) {
  std::lock_guard hold(butter);
  resume(take_bread);
  return nullptr;
}

void fiber() {
  area = map_area();
  mprotect(area + kFiberStack, kGuard, PROT_NONE);
  ThreadOn(thread_stack(area), fiber_under_lock).join();
}

Steps turn;
Tid first_tid;

template <std::mutex& first, std::mutex& second>
void take_both() {
  std::lock_guard hold(first);
  std::lock_guard want(second);
}

std::mutex* gate_lock;

void* nothing(void*) { return nullptr; }

void gate() {
  area = map_area();
  gate_lock = new (area) std::mutex;
  pthread_mutex_init(gate_lock->native_handle(), nullptr);
  Thread left("left", [] {
    std::lock_guard gate(*gate_lock);
    take_both<bread, butter>();
    turn.advance();
  });
  Thread right("right", [] {
    turn.wait_for(2);
    std::lock_guard gate(*gate_lock);
    take_both<butter, bread>();
  });
  turn.wait_for(1);
  ThreadOn(thread_stack(area), nothing).join();
  turn.advance();
}

ucontext_t suspended;

void take_and_suspend() {
  bread.lock();
  swapcontext(&suspended, &outside);
  bread.unlock();
}

void* fiber_then_bread(void*) {
  resume(take_and_suspend);
  first_tid.set(gettid());
  turn.advance();
  std::lock_guard hold(bread);
  return nullptr;
}

void migrating() {
  area = map_area();
  ThreadOn first(thread_stack(area), fiber_then_bread);
  Thread second("second", [] {
    turn.wait_for(1);
    scenario::wait_until_blocked(first_tid.get());
    poll(nullptr, 0, 1000);  // the network's answer
    swapcontext(&outside, &suspended);
  });
  second.join();
  first.join();
}

Steps both_hold_one;

template <std::mutex& first, std::mutex& second>
void* take_meeting(void*) {
  std::lock_guard hold(first);
  both_hold_one.meet(2);
  std::lock_guard want(second);
  return nullptr;
}

void cycle() {
  ThreadOn left(thread_stack(map_area()), take_meeting<bread, butter>);
  ThreadOn right(thread_stack(map_area()), take_meeting<butter, bread>);
  left.join();
  right.join();
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(
      argc, argv, {{"fiber", fiber}, {"gate", gate}, {"migrating", migrating}, {"cycle", cycle}});
}
