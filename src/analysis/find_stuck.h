// SPDX-License-Identifier: Apache-2.0
// Which threads can never go on: the one solver for boards, live processes, cores and dumps.
//
// Graph reduction. Threads that can move are free. A waiting thread becomes free when free threads
// can meet its wait, until nothing changes; what is left is stuck. Linear in threads, holds and
// waits: 10,000 threads take milliseconds.
//
//   wait for                     is met when
//   mutex, spin, once, file...   all its holders are free (a lock taken again by its owner never
//   is,
//                                unless it is recursive)
//   rwlock, to write             all readers and the writer are free
//   rwlock, to read              the writer is free; if the lock prefers writers, the waiting ones
//   too join                         the joined thread is free (it can then finish) or gone
//   condition, semaphore,        any thread that could wake it is free: any of the process, any of
//   futex, future, queue         all processes (process_shared), or only_wakers (wakers_closed)
//   barrier                      `needed` such threads are free
//   anything, timed              at once: it gives up by itself
//   a lock without known holder  at once, unless owner_gone: then never
//
// A lock that was once released by a thread that did not hold it (semaphore_like) is a semaphore.
//
// Knots. A strong component of the stuck threads that stays stuck even if every thread outside it
// could move is a knot; a wait for an owner that is gone is a knot of one. All other stuck threads
// are victims of the knot they can be traced to. When waits for a signal are part of a component,
// everybody who could have given the signal is in it; of those, threads nobody in the component
// needs to move (a joining main, idle workers) are shown as victims.
//
// Verdicts. `Deadlock` if every wait and hold of the component is definite, no card in it is
// inexact, and no signal handler could wake it; else `Stall` with the first reason found. A barrier
// with too few, but some, free threads is a stall: a free thread can start others.
//
// A stall is also said of threads that are not stuck by reduction, because a waker exists in
// principle, when all of this holds:
//   - a thread waits without limit for a signal (or for a lock without known holder), and
//   - meanwhile holds a lock another thread waits for without limit, perhaps through further locks;
//   - the longest such wait and the wait for the signal are both at least `stall_min_age` old
//     (`stall_busy_age` if a possible waker is busy or the holder of the lock is unknown).
// So an idle worker on its condition variable is nothing, and neither are the milliseconds in which
// a thread holding a lock waits for a helper. The possible waker is named in the reason.
#pragma once

#include "model/finding.h"
#include "model/snapshot.h"

#include <chrono>
#include <vector>

namespace gordian::analysis {

struct StuckOptions {
  // Stalls need waits this old, counted to Snapshot::taken. Deadlocks need no age. With zero, every
  // set of threads that looks stuck now is returned: the candidates whose evidence is worth
  // reading.
  std::chrono::nanoseconds stall_min_age = std::chrono::milliseconds(500);
  std::chrono::nanoseconds stall_busy_age = std::chrono::seconds(10);

  // A lock whose owner has gone keeps its waiters for ever, but while others of the process work it
  // may only be on its way out: a Java VM parks its last threads on such a lock and ends. So while
  // a thread of the process can move, such waits must be this old. With `stall_min_age` zero: none.
  std::chrono::nanoseconds orphan_min_age = std::chrono::seconds(1);

  // --stall: also report every other wait without limit that is this old. Zero: do not.
  std::chrono::nanoseconds stall_after{0};

  // Without, findings name their knots alone: that is all that evidence and counting need, and a
  // thousand threads may be victims.
  bool with_victims = true;
};

// Deadlocks first, then stalls; within them by the oldest thread id. A thread is in one finding at
// most. Names and stacks are left empty; `owners` of a want lists at most kMaxOwners threads.
std::vector<model::Finding> find_stuck(const model::Snapshot& snapshot,
                                       const StuckOptions& options = {});

// The reduction alone: the threads that can never go on, whatever the evidence is worth, in order
// of id. Empty almost always, and then nothing else needs to be asked.
std::vector<model::ThreadId> find_stuck_threads(const model::Snapshot& snapshot);

inline constexpr size_t kMaxOwners = 64;

}  // namespace gordian::analysis
