// SPDX-License-Identifier: Apache-2.0
// Deadlocks that a run did not hit but another run could: hazards.
//
// A hazard is a cycle of requests by different threads: each wants what the next one holds. "Holds"
// is wider than locks:
//   - a thread holds itself until it ends, so whoever joins it waits for all it still asks for; so
//     do joiners of its siblings (same start routine; if unknown, same creation site): reason
//     SiblingThread;
//   - who signals a condition or posts a semaphore holds that signal until it is given, so a waiter
//     depends on the locks its signallers hold when they signal, and, weakly, on those they took
//     and gave back on the way to the signal;
//   - every thread that comes to a barrier holds it until it arrives.
// A chain with an empty `held` says merely "this thread asks for that lock"; joins and barriers
// need such chains, since the lock a joined thread takes is often its only one.
//
// What cannot happen is refuted, with the reason: one thread made both orders, a common lock gates
// them (held exclusively on one side at least), fork, join, signals or a barrier order them, a
// request was a try or timed, all are readers, the lock was not published yet, or the user said so.
// What is left is `possible`: memory was not recorded, so a flag or a queue may forbid it. It is
// weak, and ranks last, if nobody saw who created a lock that only one thread had touched, if a
// signaller no longer held the lock when it signalled, or if the signal was also given without any
// of the locks (WakerMayExist).
//
// A bug is one finding: cycles over the same lock classes, request sites and hold sites are the
// same bug, however many threads and lock instances made it.
#pragma once

#include "model/finding.h"
#include "model/history.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gordian::analysis {

struct HazardOptions {
  // Also return what was refuted. A pattern that is possible by some threads is not refuted because
  // others could not do it.
  bool refuted = false;

  // Start routines that say nothing about what a thread does (std::thread's
  // execute_native_thread_routine, g_thread_proxy...): their threads have no siblings.
  std::vector<uint64_t> trampolines = {};

  // Cycles can be exponentially many. Short ones are looked for first.
  size_t max_findings = 200;
  size_t max_cycles = 5'000;     // of locks, tried against the threads
  size_t max_steps = 2'000'000;  // of the whole search
};

struct Hazards {
  std::vector<model::Finding> findings;  // strong ones, weak ones (rank_last), refuted
  bool capped = false;                   // a limit above was met: there may be more
};

Hazards find_hazards(const model::History& history, const HazardOptions& options = {});

}  // namespace gordian::analysis
