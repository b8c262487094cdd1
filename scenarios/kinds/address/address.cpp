// SPDX-License-Identifier: Apache-2.0
// Two locks at one address, one after the other, are two locks.
//
// In each case one thread takes {old, anchor} and later another {anchor, new}, where old and new
// had the same address. (The program says so on stdout, else the case would prove nothing.)
//
// RUN(heap, heap-init, delete, mapped, stack, thread-stack, kinds): gordian run -- %program %case
// EXIT(heap, heap-init, delete, mapped, stack, thread-stack, kinds): 0
// STDOUT(heap, heap-init, delete, mapped, stack, thread-stack, kinds): same address
// JSON(heap, heap-init, delete, mapped, stack, thread-stack, kinds): findings=0
// RUN(cut-off): gordian run -- %program %case
// EXIT(cut-off): 0
// STDOUT(cut-off): same address
// JSON(cut-off): findings=0
//
// Nobody sees an object end whose memory the program manages itself, or that lies in a stack frame
// and was shown to other threads, or that is given to an allocator's own operator delete: a stated
// limit. What is told is at most `possible`, and says so.
// RUN(arena, heap-arena, shown-stack): gordian run -- %program %case
// RUN(delete-jemalloc, delete-tcmalloc): gordian run -- %program delete
// ENV(delete-jemalloc): LD_PRELOAD=libjemalloc.so.2
// ENV(delete-tcmalloc): LD_PRELOAD=libtcmalloc_minimal.so.4
// EXIT(arena, heap-arena, shown-stack, delete-*): 0
// STDOUT(arena, heap-arena, shown-stack, delete-*): same address
// EXPECT(arena, heap-arena, shown-stack, delete-*): the address may have been reused
// JSON(arena, heap-arena, shown-stack, delete-*): verdict=possible kind=lock-order locks=anchor
//
// A static object ended and made again in its place is the same lock by its name.
// RUN(placement): gordian run -- %program %case
// EXIT(placement): 0
// STDOUT(placement): same address
// JSON(placement): verdict=possible kind=lock-order locks=anchor
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

// realloc() to nothing frees.
void cut_off() {
  two_lives([] { return member(std::malloc(sizeof(Session))); },
            [](std::mutex* mutex) {
              if (std::realloc(holder(mutex), 0) != nullptr) std::abort();
            });
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

// A pool of the program's own, in a block that malloc never gets back.
void heap_arena() {
  void* block = std::malloc(sizeof(Session));
  two_lives([=] { return member(block); }, [](std::mutex*) {});
}

void deleted() {
  two_lives([] { return &(new Session)->mutex; },
            [](std::mutex* mutex) { delete static_cast<Session*>(holder(mutex)); });
}

// The second life is a lock of another kind.
void kinds() {
  alignas(pthread_rwlock_t) static char place[sizeof(pthread_rwlock_t)];
  Steps turn;
  Thread left("left", [&] {
    object_then_anchor(new (place) std::mutex);
    auto* lock = new (place) pthread_rwlock_t(PTHREAD_RWLOCK_INITIALIZER);
    tell(place, lock);
    turn.advance();
  });
  Thread right("right", [&] {
    turn.wait_for(1);
    std::lock_guard hold(anchor);
    auto* lock = std::launder(reinterpret_cast<pthread_rwlock_t*>(place));
    pthread_rwlock_wrlock(lock);
    pthread_rwlock_unlock(lock);
  });
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

// The frame was shown to another thread while it lived. What lies there next is another's, but
// nobody saw the first one end.
[[gnu::noipa]] void show(Steps& turn) {
  std::mutex mutex;
  in_frame[0] = &mutex;
  turn.advance();
  turn.wait_for(2);
}

[[gnu::noipa]] void use(Steps&) {
  std::mutex mutex;
  in_frame[1] = &mutex;
  object_then_anchor(&mutex);
}

void shown_stack() {
  Steps turn;
  Thread left("left", [&] {
    show(turn);
    use(turn);
    asm volatile("");
  });
  Thread right("right", [&] {
    turn.wait_for(1);
    anchor_then_object(in_frame[0]);
    turn.advance();
  });
  turn.wait_for(2);
  while (in_frame[1] == nullptr) sched_yield();
  tell(in_frame[0], in_frame[1]);
}

// A thread's stack is handed to the next one.
void* first_thread(void*) {
  std::mutex mutex;
  in_frame[0] = &mutex;
  object_then_anchor(&mutex);
  return nullptr;
}

void* second_thread(void*) {
  std::mutex mutex;
  in_frame[1] = &mutex;
  frame_turn.advance();
  frame_turn.wait_for(2);
  return nullptr;
}

// A stack that the test provides, so that both threads certainly get the same one. The join orders
// the two lives, but not the first one and the thread that meets the second.
void thread_stack() {
  constexpr size_t kSize = 1 << 18;
  void* stack = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  pthread_attr_t on_it;
  pthread_attr_init(&on_it);
  pthread_attr_setstack(&on_it, stack, kSize);
  Thread right("right", [&] {
    frame_turn.wait_for(1);
    anchor_then_object(in_frame[1]);
    frame_turn.advance();
  });
  for (auto* body : {first_thread, second_thread}) {
    pthread_t thread;
    pthread_create(&thread, &on_it, body, nullptr);
    pthread_join(thread, nullptr);
  }
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
                             {"cut-off", cut_off},
                             {"heap-init", heap_init},
                             {"stack", stack},
                             {"arena", arena},
                             {"placement", placement},
                             {"heap-arena", heap_arena},
                             {"delete", deleted},
                             {"kinds", kinds},
                             {"shown-stack", shown_stack},
                             {"thread-stack", thread_stack},
                             {"mapped", mapped},
                             {"stays", stays},
                             {"unpublished", unpublished},
                             {"unpublished-unseen", unpublished_unseen}});
}
