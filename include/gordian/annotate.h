/* SPDX-License-Identifier: Apache-2.0
 *
 * Tell Gordian about locks it cannot see: locks built on atomics, spinning, files, other machines.
 *
 *   void my_lock(struct my_lock* l) {
 *     if (!try_fast(l)) {
 *       GORDIAN_WANTS(l);                  // before it blocks
 *       slow_path(l);
 *     }
 *     GORDIAN_ACQUIRED(l);                 // after it owns
 *   }
 *   void my_unlock(struct my_lock* l) {
 *     GORDIAN_RELEASED(l);                 // before it gives up
 *     ...
 *   }
 *
 * Plain C11 or C++; header only, nothing to link. Outside `gordian run` each macro costs a load and
 * one predictable branch. Works in executables (PIE or not) and in dlopen'ed libraries. Every macro
 * may be called from any thread, from signal handlers too, before main and after it; none of them
 * fails, blocks, allocates or changes errno. The lock is named by its address; it is only compared,
 * never read through. A lie told here makes Gordian lie: these words count as evidence.
 *
 * Who builds a library of locks says more, with the functions of the second half of
 * gordian_annotations: what an object is (a mutex, a gate, a queue), its level, waits that nobody
 * in particular ends, and the caller's place, which may lie further out than the library's code.
 *
 * A lock on a server (Redis, etcd, a database), which others can delete and which ends by itself
 * unless it is renewed, is a lease: use the *_LEASE forms, so that a report says under which
 * assumption it is stuck. Only one that is renewed for as long as it is held may be announced.
 */
#ifndef GORDIAN_ANNOTATE_H
#define GORDIAN_ANNOTATE_H

#include <dlfcn.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GORDIAN_EXCLUSIVE 0
#define GORDIAN_SHARED 1
/* Added to a mode: the lock is a lease. */
#define GORDIAN_LEASE 2

/* What an object is: for the words of reports, and for who can end a wait. Unknown ones count as 0.
 */
#define GORDIAN_KIND_LOCK 0
#define GORDIAN_KIND_MUTEX 1
/* Shared or exclusive; whoever waits to have it exclusively keeps new sharers out. */
#define GORDIAN_KIND_RWLOCK 2
/* The same, named after what it is for: many pass, one closes. */
#define GORDIAN_KIND_GATE 3
/* A thread: it holds the object to its end, and who wants that waits for the end. */
#define GORDIAN_KIND_WORKER 4
/* Held by nobody: any thread may end a wait. */
#define GORDIAN_KIND_CONDITION 5
#define GORDIAN_KIND_QUEUE 6

/* A call, as its caller sees it: return address, and stack pointer after the return
 * (__builtin_return_address(0) and __builtin_dwarf_cfa() of the function called). */
struct gordian_place {
  const void* caller;
  const void* frame;
};

/* What the runtime offers. Grows at the end only; `size` tells how far this runtime goes. A place
 * may be null: then it is that of the call itself. */
struct gordian_annotations {
  size_t size; /* bytes of this structure */
  void (*created)(const volatile void* lock);
  void (*destroyed)(const volatile void* lock);
  void (*named)(const volatile void* lock, const char* name); /* copied, at most 255 bytes */
  void (*wants)(const volatile void* lock, int mode, int gives_up_by_itself);
  void (*abandoned)(const volatile void* lock); /* the last `wants` ended without the lock */
  void (*acquired)(const volatile void* lock, int mode, int by_try);
  void (*released)(const volatile void* lock);
  void (*wakes)(const volatile void* object); /* the calling thread may wake waiters of object */
  void (*wakers_complete)(const volatile void* object);
  void (*never_report)(const volatile void* a, const volatile void* b);
  void (*assert_none_held)(const volatile void* where);
  void (*kept_at)(const volatile void* lock, const volatile void* object);

  /* Once, before the first use. `level`: what the program calls its rank, -1 if it has none. `name`
   * as for `named`; null if it has none. */
  void (*described)(const volatile void* object, int kind, int level, const char* name,
                    const struct gordian_place* first_use);
  /* Is about to ask, and nothing is decided yet: the one moment at which a steered run (gordian
   * explore, gordian confirm) may let others go first. It never blocks otherwise. */
  void (*approaches)(const volatile void* object, int kind, int mode,
                     const struct gordian_place* place);
  void (*wants_at)(const volatile void* lock, int mode, int gives_up_by_itself,
                   const struct gordian_place* place);
  void (*acquired_at)(const volatile void* lock, int mode, int by_try,
                      const struct gordian_place* place);
  /* The calling thread goes to sleep until somebody signals a condition or queue; and is back. */
  void (*awaits)(const volatile void* object, int gives_up_by_itself,
                 const struct gordian_place* place);
  void (*woken)(const volatile void* object, int by_signal, const struct gordian_place* place);
  /* The calling thread is about to end such a wait, or would if there were one. */
  void (*signals)(const volatile void* object, int to_all, const struct gordian_place* place);
};

#ifndef GORDIAN_RUNTIME /* the runtime itself only needs the structure */

/* One pointer for each executable or library, null without a runtime. */
__attribute__((weak, visibility("hidden")))
const struct gordian_annotations* gordian_annotations_in_use = 0;

/* RTLD_DEFAULT spelled out: glibc hides the name without _GNU_SOURCE. A weak reference would not
 * do: non-PIE executables bind it to null at link time. */
__attribute__((constructor(101), unused)) static void gordian_find_annotations(void) {
  if (!gordian_annotations_in_use) {
    gordian_annotations_in_use =
        (const struct gordian_annotations*)dlsym((void*)0, "gordian_annotations_v1");
  }
}

#endif

#ifdef __cplusplus
}
#endif

#define GORDIAN_ANNOTATE_(call)                                                                 \
  do {                                                                                          \
    if (__builtin_expect(gordian_annotations_in_use != 0, 0)) gordian_annotations_in_use->call; \
  } while (0)

/* Of what an older runtime may lack. */
#define GORDIAN_ANNOTATE_IF_(member, call)                                                 \
  do {                                                                                     \
    if (__builtin_expect(gordian_annotations_in_use != 0, 0) &&                            \
        gordian_annotations_in_use->size > offsetof(struct gordian_annotations, member)) { \
      gordian_annotations_in_use->call;                                                    \
    }                                                                                      \
  } while (0)

/* The lock begins or ends its life at this address. Optional; they tell reused addresses apart. */
#define GORDIAN_CREATED(lock) GORDIAN_ANNOTATE_(created(lock))
#define GORDIAN_DESTROYED(lock) GORDIAN_ANNOTATE_(destroyed(lock))

/* What reports call it. Works for pthread, GLib and std:: locks too. */
#define GORDIAN_NAMED(lock, name) GORDIAN_ANNOTATE_(named(lock, name))

/* The calling thread asks for the lock and may block for ever ... */
#define GORDIAN_WANTS(lock) GORDIAN_ANNOTATE_(wants(lock, GORDIAN_EXCLUSIVE, 0))
#define GORDIAN_WANTS_SHARED(lock) GORDIAN_ANNOTATE_(wants(lock, GORDIAN_SHARED, 0))
/* ... or only until a time limit of its own. */
#define GORDIAN_WANTS_TIMED(lock) GORDIAN_ANNOTATE_(wants(lock, GORDIAN_EXCLUSIVE, 1))
#define GORDIAN_WANTS_SHARED_TIMED(lock) GORDIAN_ANNOTATE_(wants(lock, GORDIAN_SHARED, 1))
/* The request ended without the lock (timed out, cancelled). */
#define GORDIAN_ABANDONED(lock) GORDIAN_ANNOTATE_(abandoned(lock))

/* The calling thread owns the lock now; the `TRIED` forms if the request could not have blocked. */
#define GORDIAN_ACQUIRED(lock) GORDIAN_ANNOTATE_(acquired(lock, GORDIAN_EXCLUSIVE, 0))
#define GORDIAN_ACQUIRED_SHARED(lock) GORDIAN_ANNOTATE_(acquired(lock, GORDIAN_SHARED, 0))
#define GORDIAN_TRIED(lock) GORDIAN_ANNOTATE_(acquired(lock, GORDIAN_EXCLUSIVE, 1))
#define GORDIAN_TRIED_SHARED(lock) GORDIAN_ANNOTATE_(acquired(lock, GORDIAN_SHARED, 1))
#define GORDIAN_RELEASED(lock) GORDIAN_ANNOTATE_(released(lock))

/* The same for a lease; `mode` is GORDIAN_EXCLUSIVE or GORDIAN_SHARED. It is released, abandoned
 * and named as any other lock. A lease that is lost is released by whoever learns of it. */
#define GORDIAN_WANTS_LEASE(lock, mode) GORDIAN_ANNOTATE_(wants(lock, (mode) | GORDIAN_LEASE, 0))
#define GORDIAN_WANTS_LEASE_TIMED(lock, mode) \
  GORDIAN_ANNOTATE_(wants(lock, (mode) | GORDIAN_LEASE, 1))
#define GORDIAN_ACQUIRED_LEASE(lock, mode) \
  GORDIAN_ANNOTATE_(acquired(lock, (mode) | GORDIAN_LEASE, 0))
#define GORDIAN_TRIED_LEASE(lock, mode) GORDIAN_ANNOTATE_(acquired(lock, (mode) | GORDIAN_LEASE, 1))

/* The calling thread, which holds the lock, keeps the object that will release it (a guard that can
 * be moved) at this address. Unless that is in its own stack another thread may release the lock:
 * the thread then counts as its likely holder, no more. */
#define GORDIAN_KEPT_AT(lock, object) GORDIAN_ANNOTATE_IF_(kept_at, kept_at(lock, object))

/* What the object is (GORDIAN_KIND_*), its level (-1: none) and its name (may be null), once,
 * before its first use. */
#define GORDIAN_DESCRIBED(object, kind, level, name) \
  GORDIAN_ANNOTATE_IF_(described, described(object, kind, level, name, 0))
/* About to ask for it: the moment at which a steered run may let others go first. */
#define GORDIAN_APPROACHES(object, kind, mode) \
  GORDIAN_ANNOTATE_IF_(approaches, approaches(object, kind, mode, 0))

/* Of conditions and queues: the calling thread sleeps until somebody signals, or only until a time
 * limit of its own; and is back. */
#define GORDIAN_AWAITS(object) GORDIAN_ANNOTATE_IF_(awaits, awaits(object, 0, 0))
#define GORDIAN_AWAITS_TIMED(object) GORDIAN_ANNOTATE_IF_(awaits, awaits(object, 1, 0))
#define GORDIAN_WOKEN(object, by_signal) GORDIAN_ANNOTATE_IF_(woken, woken(object, by_signal, 0))
/* Before one of those who sleep, or all, can go on. */
#define GORDIAN_SIGNALS(object) GORDIAN_ANNOTATE_IF_(signals, signals(object, 0, 0))
#define GORDIAN_SIGNALS_ALL(object) GORDIAN_ANNOTATE_IF_(signals, signals(object, 1, 0))

/* "Only these threads wake it": each waker says WAKES once, somebody says WAKERS_COMPLETE. From
 * then on a wait for the condition variable, semaphore or lock is hopeless when they are stuck. */
#define GORDIAN_WAKES(object) GORDIAN_ANNOTATE_(wakes(object))
#define GORDIAN_WAKERS_COMPLETE(object) GORDIAN_ANNOTATE_(wakers_complete(object))

/* The order of these two locks is known to be harmless: never a hazard. (A real deadlock of them
 * is still reported.) */
#define GORDIAN_NEVER_REPORT(a, b) GORDIAN_ANNOTATE_(never_report(a, b))

/* The calling thread must hold nothing here (before a callback, a join, a co_await): a report says
 * where it did. */
#define GORDIAN_ASSERT_NONE_HELD() GORDIAN_ANNOTATE_(assert_none_held(0))

#endif
