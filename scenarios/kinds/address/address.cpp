// SPDX-License-Identifier: Apache-2.0
// Two locks at one address, one after the other, are two locks.
//
// In each case one thread takes {old, anchor} and later another {anchor, new}, where old and new
// had the same address. (The program says so on stdout, else the case would prove nothing.)
//
// RUN(heap, heap-init, mapped): gordian run -- %program %case
// EXIT(heap, heap-init, mapped): 0
// STDOUT(heap, heap-init, mapped): same address
// JSON(heap, heap-init, mapped): findings=0
//
// Nobody sees an object end whose memory the program manages itself, or that lies in a stack frame
// and is neither made nor ended by a call: a stated limit. What is told is at most `possible`.
// RUN(stack, arena, placement): gordian run -- %program %case
// EXIT(stack, arena, placement): 0
// STDOUT(stack, arena, placement): same address
// JSON(stack, arena, placement): no verdict=deadlock
//
// The control: one lock that stays where it is.
// RUN(stays): gordian run -- %program %case
// EXIT(stays): 0
// JSON(stays): verdict=possible kind=lock-order locks=anchor
//
// Locked before it was published: no other thread could have come.
// RUN(unpublished): gordian run -- %program %case
// RUN(unpublished-refuted): gordian run --refuted -- %program unpublished
// EXIT(unpublished*): 0
// JSON(unpublished, unpublished-refuted): findings=0
// JSON(unpublished-refuted): verdict=refuted kind=lock-order locks=anchor
//
// The same where nobody saw the creation: told, last and with that reason, or not told.
// RUN(unpublished-unseen): gordian run -- %program %case
// EXIT(unpublished-unseen): 0
// JSON(unpublished-unseen): verdict=possible reason=creation
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <pthread.h>
#include <sys/mman.h>

std::mutex anchor;

namespace {

using scenario::Steps;
using scenario::Thread;

[[gnu::noinline]] void object_then_anchor(std::mutex* mutex) {
  std::lock_guard hold(*mutex);
  std::lock_guard want(anchor);
}

[[gnu::noinline]] void anchor_then_object(std::mutex* mutex) {
  std::lock_guard hold(anchor);
  std::lock_guard want(*mutex);
}

void tell(const void* first, const void* second) {
  if (first == second) std::puts("same address");
}

// `make` and `end` create and end an object of two lives; no synchronisation that a tool sees lies
// between them.
template <typename Make, typename End>
void two_lives(Make make, End end) {
  Steps turn;
  std::mutex* objects[2];
  Thread left("left", [&] {
    objects[0] = make();
    object_then_anchor(objects[0]);
    end(objects[0]);
    objects[1] = make();
    turn.advance();
    turn.wait_for(2);
  });
  Thread right("right", [&] {
    turn.wait_for(1);
    anchor_then_object(objects[1]);
    turn.advance();
  });
  turn.wait_for(2);
  tell(objects[0], objects[1]);
}

struct Session {
  char before[40];
  std::mutex mutex;
  char after[300];
};

std::mutex* member(void* object) { return &(new (object) Session)->mutex; }
void* holder(std::mutex* mutex) {
  return reinterpret_cast<char*>(mutex) - offsetof(Session, mutex);
}

void heap() {
  two_lives([] { return member(std::malloc(sizeof(Session))); },
            [](std::mutex* mutex) { std::free(holder(mutex)); });
}

// Its birth and end are announced.
void heap_init() {
  two_lives(
      [] {
        std::mutex* mutex = member(std::malloc(sizeof(Session)));
        pthread_mutex_init(mutex->native_handle(), nullptr);
        return mutex;
      },
      [](std::mutex* mutex) {
        pthread_mutex_destroy(mutex->native_handle());
        std::free(holder(mutex));
      });
}

void mapped() {
  void* place = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  two_lives(
      [=] {
        return member(mmap(place, 4096, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
      },
      [](std::mutex* mutex) { munmap(holder(mutex), 4096); });
}

// Nobody sees these ends; but the second life is first locked somewhere else.
alignas(Session) char arena_memory[sizeof(Session)];

[[gnu::noinline]] void first_use(std::mutex* mutex) { std::lock_guard hold(*mutex); }
[[gnu::noinline]] void other_first_use(std::mutex* mutex) { std::lock_guard hold(*mutex); }

void arena() {
  int lives = 0;
  two_lives(
      [&] {
        std::mutex* mutex = member(arena_memory);
        if (++lives == 1) {
          first_use(mutex);
        } else {
          other_first_use(mutex);
        }
        return mutex;
      },
      [](std::mutex*) {});
}

void placement() {
  static Session session;
  two_lives([] { return member(&session); },
            [](std::mutex* mutex) { static_cast<Session*>(holder(mutex))->~Session(); });
}

// Two calls whose frames lie on the same part of the stack, each with a mutex of its own.
Steps frame_turn;
std::mutex* in_frame[2];

[[gnu::noipa]] void call(int which) {
  std::mutex mutex;
  in_frame[which] = &mutex;
  if (which == 0) {
    object_then_anchor(&mutex);
  } else {
    frame_turn.advance();
    frame_turn.wait_for(2);
  }
}

void stack() {
  Thread left("left", [] {
    call(0);
    call(1);
    asm volatile("");  // so that this is no tail call, which would have another frame
  });
  Thread right("right", [] {
    frame_turn.wait_for(1);
    anchor_then_object(in_frame[1]);
    frame_turn.advance();
  });
  frame_turn.wait_for(2);
  tell(in_frame[0], in_frame[1]);
}

std::mutex steady;

void stays() {
  two_lives([] { return &steady; }, [](std::mutex*) {});
}

void publish(bool announced) {
  Steps turn;
  std::mutex* mutex = nullptr;
  Thread maker("maker", [&] {
    mutex = member(std::malloc(sizeof(Session)));
    if (announced) pthread_mutex_init(mutex->native_handle(), nullptr);
    object_then_anchor(mutex);
    turn.advance();
    turn.wait_for(2);
  });
  Thread user("user", [&] {
    turn.wait_for(1);
    anchor_then_object(mutex);
    turn.advance();
  });
}

void unpublished() { publish(true); }
void unpublished_unseen() { publish(false); }

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"heap", heap},
                             {"heap-init", heap_init},
                             {"stack", stack},
                             {"arena", arena},
                             {"placement", placement},
                             {"mapped", mapped},
                             {"stays", stays},
                             {"unpublished", unpublished},
                             {"unpublished-unseen", unpublished_unseen}});
}
