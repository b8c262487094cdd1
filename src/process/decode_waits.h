// SPDX-License-Identifier: Apache-2.0
// Who waits for what, and who has it, out of registers and memory alone: no board, no help of the
// process. Live processes and cores go the same way.
//
// A thread asleep in a futex call is followed outwards to the function it called
// (pthread_mutex_lock, sem_wait, g_mutex_lock...), which says what the futex word belongs to; then
// the object's own bytes say who owns it, where glibc writes that down (mutexes, rwlocks taken to
// write, joined threads, stdio locks). A name found so makes the wait definite; what is recognised
// by its bytes alone, or held by inference, never is.
//
// The facts must belong together: either nothing ran meanwhile (a core), or the caller proves for
// each thread afterwards that it did not, with keep_steady().
#pragma once

#include "model/snapshot.h"
#include "process/thread_facts.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace gordian::process {

// Beside each thread of the snapshot: what the caller needs to go on.
struct DecodedThread {
  size_t process = 0;  // index into what was given
  uint32_t own_tid = 0;
  std::string call;           // what it is blocked in: "pthread_mutex_lock", "epoll_wait"; or empty
  uint64_t futex = 0;         // the word it sleeps on
  bool private_futex = true;  // no other process can wake it
  bool needs_registers = false;  // all of them would tell what it waits for
  bool polls = false;            // it wakes up every few milliseconds to ask again
  bool may_poll = false;         // it was awake, nobody knows where: another look may show it so
};

struct DecodedWaits {
  model::Snapshot snapshot;            // Snapshot::taken is left to the caller
  std::vector<DecodedThread> threads;  // parallel to snapshot.threads
  // Inside libc (malloc's arenas, streams): locks that do not name their holder.
  std::vector<model::ResourceId> libc_locks = {};
  std::vector<uint32_t> foreign_owners = {};  // of process-shared locks: not among these threads
  std::vector<std::string> notes;             // "unknown glibc 2.99, lock owners may be missing"
};

DecodedWaits decode_waits(std::span<const ProcessFacts> processes);

// Threads that ran meanwhile can move: their waits are dropped. `is_steady` is asked for waiting
// threads only.
void keep_steady(DecodedWaits& decoded, const std::function<bool(size_t thread)>& is_steady);

}  // namespace gordian::process
