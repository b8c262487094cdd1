// SPDX-License-Identifier: Apache-2.0
// GLib's locks: an int on a futex that does not say who owns it, and the rest of the family.
//
// RUN(cycle, self, recursive-cycle, rw, cond, join, once, bit, queue, mixed): gordian run -- %program %case
// EXIT(cycle, self, recursive-cycle, rw, cond, join, once, bit, queue, mixed): 66
// JSON(cycle, self, recursive-cycle, rw, cond, join, once, bit, queue, mixed): findings=1
// JSON(cycle): verdict=deadlock kind=lock-order knot=left,right locks=sessions,streams
// JSON(self): verdict=deadlock kind=self-lock knot=only locks=sessions
// JSON(recursive-cycle): verdict=deadlock kind=lock-order knot=left,right locks=tree,sessions
// JSON(rw): verdict=deadlock kind=rwlock knot=left,right locks=table,sessions
// JSON(cond): verdict=deadlock kind=condition|mixed locks=changed,streams
// JSON(join): verdict=deadlock kind=join|mixed locks=sessions
// JSON(once): verdict=deadlock kind=once knot=left,right
// JSON(bit): verdict=deadlock kind=lock-order knot=left,right locks=sessions
// JSON(queue): verdict=deadlock kind=queue|mixed locks=sessions
// JSON(mixed): verdict=deadlock kind=lock-order|mixed knot=left,right locks=sessions,plain
//
// RUN(consistent, recursive, try, timed, work-queue, cleared): gordian run -- %program %case
// EXIT(consistent, recursive, try, timed, work-queue, cleared): 0
// JSON(consistent, recursive, try, timed, work-queue, cleared): findings=0
//
// The memory of a lock that was never released is used anew: its old owner does not wait for
// itself.
// RUN(reused): gordian run -- %program %case
// EXIT(reused): 0
// JSON(reused): no verdict=deadlock
// JSON(reused): no verdict=stall
//
// RUN(lucky): gordian run -- %program %case
// EXIT(lucky): 0
// JSON(lucky): verdict=possible kind=lock-order knot=left,right locks=sessions,streams
#include "support/blocked.h"
#include "support/cases.h"
#include "support/steps.h"

#include <atomic>
#include <cstring>
#include <glib.h>
#include <mutex>

GMutex sessions, streams;
GRecMutex tree;
GRWLock table;
GCond changed;
std::mutex plain;
gint bits = 0;

namespace {

using scenario::Steps;
using scenario::Tid;

// Like scenario::Thread, on GThread.
class Thread {
 public:
  template <typename Body>
  Thread(const char* name, Body body) {
    if (scenario::one_by_one) scenario::wait_until([] { return running.load() == 0; });
    running.fetch_add(1);
    thread_ = g_thread_new(
        name,
        [](gpointer data) -> gpointer {
          auto* run = static_cast<Body*>(data);
          (*run)();
          delete run;
          running.fetch_sub(1);
          return nullptr;
        },
        new Body(body));
  }
  ~Thread() { g_thread_join(thread_); }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

 private:
  static inline std::atomic<int> running{0};

  GThread* thread_;
};

void cycle() {
  Steps both_hold_one;
  auto body = [&](GMutex* first, GMutex* second) {
    g_mutex_lock(first);
    both_hold_one.meet(2);
    g_mutex_lock(second);
    g_mutex_unlock(second);
    g_mutex_unlock(first);
  };
  Thread left("left", [&] { body(&sessions, &streams); });
  Thread right("right", [&] { body(&streams, &sessions); });
}

void self() {
  Thread only("only", [] {
    g_mutex_lock(&sessions);
    g_mutex_lock(&sessions);
  });
}

void recursive_cycle() {
  Steps both_hold_one;
  Thread left("left", [&] {
    g_rec_mutex_lock(&tree);
    g_rec_mutex_lock(&tree);
    g_rec_mutex_unlock(&tree);
    both_hold_one.meet(2);
    g_mutex_lock(&sessions);
    g_mutex_unlock(&sessions);
    g_rec_mutex_unlock(&tree);
  });
  Thread right("right", [&] {
    g_mutex_lock(&sessions);
    both_hold_one.meet(2);
    g_rec_mutex_lock(&tree);
    g_rec_mutex_unlock(&tree);
    g_mutex_unlock(&sessions);
  });
}

void rw() {
  Steps both_hold_one;
  Thread left("left", [&] {
    g_rw_lock_reader_lock(&table);
    both_hold_one.meet(2);
    g_mutex_lock(&sessions);
    g_mutex_unlock(&sessions);
    g_rw_lock_reader_unlock(&table);
  });
  Thread right("right", [&] {
    g_mutex_lock(&sessions);
    both_hold_one.meet(2);
    g_rw_lock_writer_lock(&table);
    g_rw_lock_writer_unlock(&table);
    g_mutex_unlock(&sessions);
  });
}

bool ready = false;

void cond() {
  Tid waiter_tid;
  Thread waiter("waiter", [&] {
    g_mutex_lock(&streams);
    g_mutex_lock(&sessions);
    waiter_tid.set(gettid());
    while (!ready) g_cond_wait(&changed, &sessions);
    g_mutex_unlock(&sessions);
    g_mutex_unlock(&streams);
  });
  Thread signaller("signaller", [&] {
    waiter_tid.get();
    g_mutex_lock(&sessions);  // so it waits: it has given this one back
    g_mutex_unlock(&sessions);
    g_mutex_lock(&streams);
    ready = true;
    g_cond_signal(&changed);
    g_mutex_unlock(&streams);
  });
}

void join() {
  Steps held;
  Thread stopper("stopper", [&] {
    g_mutex_lock(&sessions);
    Thread worker("worker", [] {
      g_mutex_lock(&sessions);
      g_mutex_unlock(&sessions);
    });
  });
}

Steps both_inside;

gsize left_type();
gsize right_type() {
  static gsize once = 0;
  if (g_once_init_enter(&once)) {
    both_inside.meet(2);
    left_type();
    g_once_init_leave(&once, 1);
  }
  return once;
}
gsize left_type() {
  static gsize once = 0;
  if (g_once_init_enter(&once)) {
    both_inside.meet(2);
    right_type();
    g_once_init_leave(&once, 1);
  }
  return once;
}

void once() {
  Thread left("left", [] { left_type(); });
  Thread right("right", [] { right_type(); });
}

void bit() {
  Steps both_hold_one;
  Thread left("left", [&] {
    g_bit_lock(&bits, 3);
    both_hold_one.meet(2);
    g_mutex_lock(&sessions);
    g_mutex_unlock(&sessions);
    g_bit_unlock(&bits, 3);
  });
  Thread right("right", [&] {
    g_mutex_lock(&sessions);
    both_hold_one.meet(2);
    g_bit_lock(&bits, 3);
    g_bit_unlock(&bits, 3);
    g_mutex_unlock(&sessions);
  });
}

void queue() {
  GAsyncQueue* jobs = g_async_queue_new();
  Steps popping;
  Thread taker("taker", [&] {
    g_mutex_lock(&sessions);
    popping.advance();
    g_async_queue_pop(jobs);
    g_mutex_unlock(&sessions);
  });
  Thread giver("giver", [&] {
    popping.wait_for(1);
    g_mutex_lock(&sessions);
    g_async_queue_push(jobs, GINT_TO_POINTER(1));
    g_mutex_unlock(&sessions);
  });
}

void mixed() {
  Steps both_hold_one;
  Thread left("left", [&] {
    g_mutex_lock(&sessions);
    both_hold_one.meet(2);
    { std::lock_guard lock(plain); }
    g_mutex_unlock(&sessions);
  });
  Thread right("right", [&] {
    std::lock_guard lock(plain);
    both_hold_one.meet(2);
    g_mutex_lock(&sessions);
    g_mutex_unlock(&sessions);
  });
}

void consistent() {
  auto body = [] {
    for (int i = 0; i < 500; ++i) {
      g_mutex_lock(&sessions);
      g_mutex_lock(&streams);
      g_rw_lock_reader_lock(&table);
      g_rw_lock_reader_unlock(&table);
      g_mutex_unlock(&streams);
      g_mutex_unlock(&sessions);
    }
  };
  Thread left("left", body);
  Thread right("right", body);
}

void recursive() {
  auto body = [] {
    for (int i = 0; i < 100; ++i) {
      g_rec_mutex_lock(&tree);
      g_rec_mutex_lock(&tree);
      g_mutex_lock(&sessions);
      g_mutex_unlock(&sessions);
      g_rec_mutex_unlock(&tree);
      g_rec_mutex_unlock(&tree);
    }
  };
  Thread left("left", body);
  Thread right("right", body);
}

void try_other() {
  Steps both_hold_one, both_tried;
  auto body = [&](GMutex* first, GMutex* second) {
    g_mutex_lock(first);
    both_hold_one.meet(2);
    if (g_mutex_trylock(second)) g_mutex_unlock(second);
    both_tried.meet(2);
    g_mutex_unlock(first);
  };
  Thread left("left", [&] { body(&sessions, &streams); });
  Thread right("right", [&] { body(&streams, &sessions); });
}

void timed() {
  g_mutex_lock(&sessions);
  g_cond_wait_until(&changed, &sessions, g_get_monotonic_time() + 200'000);
  g_mutex_unlock(&sessions);
}

void work_queue() {
  GAsyncQueue* jobs = g_async_queue_new();
  Thread taker("taker", [&] {
    while (GPOINTER_TO_INT(g_async_queue_pop(jobs)) < 100) {
    }
  });
  for (int i = 1; i <= 100; ++i) g_async_queue_push(jobs, GINT_TO_POINTER(i));
}

// Two locks that lived at one address, one after the other.
void reused() {
  alignas(GMutex) static char arena[sizeof(GMutex)];
  static Steps turn;
  auto* mutex = reinterpret_cast<GMutex*>(arena);
  g_mutex_lock(mutex);
  std::memset(arena, 0, sizeof arena);
  Thread owner("owner", [mutex] {
    g_mutex_lock(mutex);
    turn.advance();
    g_usleep(1000000);  // longer than a judge needs
    g_mutex_unlock(mutex);
  });
  turn.wait_for(1);
  g_mutex_lock(mutex);
  g_mutex_unlock(mutex);
}

void cleared() {
  static GMutex reused;
  Steps turn;
  g_mutex_init(&reused);
  Thread left("left", [&] {
    g_mutex_lock(&reused);
    g_mutex_lock(&sessions);
    g_mutex_unlock(&sessions);
    g_mutex_unlock(&reused);
    turn.advance();
  });
  turn.wait_for(1);
  g_mutex_clear(&reused);
  g_mutex_init(&reused);
  Thread right("right", [&] {
    g_mutex_lock(&sessions);
    g_mutex_lock(&reused);
    g_mutex_unlock(&reused);
    g_mutex_unlock(&sessions);
  });
}

void lucky() {
  Steps turn;
  auto body = [](GMutex* first, GMutex* second) {
    g_mutex_lock(first);
    g_mutex_lock(second);
    g_mutex_unlock(second);
    g_mutex_unlock(first);
  };
  Thread left("left", [&] {
    body(&sessions, &streams);
    turn.advance();
    turn.wait_for(2);
  });
  Thread right("right", [&] {
    turn.wait_for(1);
    body(&streams, &sessions);
    turn.advance();
  });
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"cycle", cycle},
                             {"self", self},
                             {"recursive-cycle", recursive_cycle},
                             {"rw", rw},
                             {"cond", cond},
                             {"join", join},
                             {"once", once},
                             {"bit", bit},
                             {"queue", queue},
                             {"mixed", mixed},
                             {"consistent", consistent},
                             {"recursive", recursive},
                             {"try", try_other},
                             {"timed", timed},
                             {"work-queue", work_queue},
                             {"reused", reused},
                             {"cleared", cleared},
                             {"lucky", lucky}});
}
