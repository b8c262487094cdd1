// SPDX-License-Identifier: Apache-2.0
// What a thread has read and not yet looked up, and how its accesses become reads-from edges.
//
// A read is looked up after it happened: at the thread's next write, or before anything else is
// recorded of it (libgordian.so asks by MemoryClient::settle). A writer changes the cell before it
// stores. So whoever read a value finds its writer in the cell, or one that comes after it.
//
// A write is looked up at once: the thread comes after who wrote there before, and only then does
// the cell become its own. So a cell stands for all that were there before, and two writers of
// different bytes of a granule lose nothing.
//
// `room` tells whether the thread may go the short way: 0 before it has a ring, after it has none
// any more, and while one of these functions runs: a signal handler in between then goes the long
// one, and what it misses is said.
#pragma once

#include "format/memory.h"
#include "memory/shadow.h"

#include <stdint.h>

namespace gordian::memory {

inline constexpr uint32_t kReads = 64;
inline constexpr uint32_t kKnown = 64;

enum class Stage : uint8_t { New, On, Off };

// Up to `last` in a ring the thread comes after whoever had it, from `first` on.
struct Known {
  Cell first, last;
};

struct Thread {
  uint32_t room;  // reads that still fit, and one; 0: the long way
  Stage stage;
  uint64_t owner;                   // cell_owner() of its ring
  Cell first;                       // of the ring, what is before is of threads that are gone
  const uint64_t* head;             // of its ring
  uint64_t* limit;                  // of its ring
  uint64_t range_begin, range_end;  // one more read, of any length
  Known known[kKnown];              // by ring
  Cell* reads[kReads + 1];          // from the end
};

extern __thread Thread self __attribute__((tls_model("initial-exec"), visibility("hidden")));

inline constexpr uint32_t kFull = kReads + 1;  // `room` of a thread whose reads are all looked up

// Everything is off until a recording is on: then every access costs one comparison.
enum State : uint32_t { kNotStarted, kOn, kOff };
extern uint32_t state __attribute__((visibility("hidden")));
void start();

// May there be anything to tell? Asked where finding out what was touched costs something.
inline bool may_tell() {
  // ORDER: relaxed: what it leads to looks again.
  return self.room != 0 || __atomic_load_n(&state, __ATOMIC_RELAXED) != kOff;
}

// The long way: true if the thread may go the short one now, with all its reads looked up.
bool get_ready(Thread& thread);
// Looks up the reads that wait. Only while `room` is 0; it was `room` before.
void settle_reads(Thread& thread, uint32_t room);
// Makes the cell of the address the thread's, after whoever has it.
void take_cell(Thread& thread, uint64_t address);
// The thread has read what the cell stands for.
void read_cell(Thread& thread, const Cell* cell);

// What the thread's next write there would leave. (Heads are in bytes, and multiples of 4.)
inline Cell own_cell(const Thread& thread, uint64_t address) {
  return (thread.owner + (*thread.head << (kPlaceBits - 2))) | place_of(address);
}

__attribute__((always_inline)) inline void compiler_fence() {
  // ORDER: against a signal handler of this thread only.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

// The program is about to read an aligned granule, or a part of one.
__attribute__((always_inline)) inline void on_read(uint64_t address) {
  Thread& thread = self;
  uint32_t room = thread.room;
  if (__builtin_expect(room <= 1, 0)) {
    if (!get_ready(thread)) return;
    room = kFull;
  }
  thread.room = 0;
  compiler_fence();
  Cell* const cell = cell_of(address);
  // It is looked at later, together with others: by then it is there.
  __builtin_prefetch(cell);
  thread.reads[room - 1] = cell;
  *thread.limit = 0;
  compiler_fence();
  thread.room = room - 1;
}

// ... to write there.
__attribute__((always_inline)) inline void on_write(uint64_t address) {
  Thread& thread = self;
  uint32_t room = thread.room;
  if (__builtin_expect(room == 0, 0)) {
    if (!get_ready(thread)) return;
    room = kFull;
  }
  thread.room = 0;
  compiler_fence();
  if (room != kFull) settle_reads(thread, room);
  Cell* const cell = cell_of(address);
  // ORDER: relaxed: only this thread makes it its own.
  if (__atomic_load_n(cell, __ATOMIC_RELAXED) != own_cell(thread, address))
    take_cell(thread, address);
  compiler_fence();
  thread.room = kFull;
}

// The program has read there just now.
__attribute__((always_inline)) inline void on_was_read(uint64_t address) {
  Thread& thread = self;
  uint32_t room = thread.room;
  if (__builtin_expect(room == 0, 0)) {
    if (!get_ready(thread)) return;
    room = kFull;
  }
  thread.room = 0;
  compiler_fence();
  read_cell(thread, cell_of(address));
  compiler_fence();
  thread.room = room;
}

// Something was missed, in a way of format/memory.h: what is predicted of this run is no proof.
void miss(uint32_t why);
bool has_missed(uint32_t why);

// Is this code of libgordian.so? It calls libc too, in the middle of its own steps.
bool is_recorder(const void* code);

// Bytes anywhere.
void on_read_range(uint64_t address, uint64_t size);
void on_write_range(uint64_t address, uint64_t size);
void on_was_read_range(uint64_t address, uint64_t size);

}  // namespace gordian::memory
