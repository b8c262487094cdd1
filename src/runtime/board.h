// SPDX-License-Identifier: Apache-2.0
// This process's board: where it lies, and how it comes to be (format/board.h has its layout).
//
// The first hook or our constructor makes it, whichever is first. A forked child makes its own, at
// the same address: pointers into the parent's board that a signal handler's fork left in
// interrupted frames then point into the child's, never into the parent's.
#pragma once

#include "format/board.h"
#include "format/steer.h"

#include <stdint.h>

namespace gordian::runtime {

struct Board {
  format::BoardHeader* header;
  format::WaitWord* waits;
  format::Card* cards;
  format::Hold* blocks;
  format::LockEntry* locks;
  uint8_t* log;
  uint64_t log_size;
  uint64_t size;
  format::SteerPage* steer;  // null: no gates
  format::Gate* gates;
  bool trimmed;  // see trim_board
};

// Hidden where they are declared, not only where they are defined: else every access goes through
// the GOT.
extern Board board __attribute__((visibility("hidden")));

// How far hooks may go. One word, so that the hot path asks one question.
enum Alive : uint32_t {
  kNotAlive = 0,   // write nothing: before the start, in a forked child without a board, disarmed
  kQuick = 1,      // the hot path of quick_holds.h may be taken, and that of plain_mutex.h
  kWithCare = 2,   // take the general road: a lock was found to be used as a semaphore
  kByLibc = 3,     // as kQuick, but only libc may take a mutex
  kRecording = 4,  // as kWithCare, but a default mutex has a quick way through the recorder
  kAlone = 5,      // as kQuick, and no second thread was seen yet
  kSteered = 6,    // as kWithCare, and threads stop at gates (gates.h)
};

// One page that a forked child sees as zeros.
struct alignas(4096) AlivePage {
  uint32_t alive;
  uint8_t rest[4092];
};
extern AlivePage alive_page __attribute__((visibility("hidden")));

inline uint32_t alive() { return __atomic_load_n(&alive_page.alive, __ATOMIC_RELAXED); }
inline bool is_alive() { return __builtin_expect(alive() != kNotAlive, 1); }
inline bool may_be_quick() { return __builtin_expect((alive() & 1) != 0, 1); }

// A second thread is about to be.
void end_alone();
// From now on, and for good.
void go_on_with_care();

// The environment as the kernel gave it, if libc does not know its own yet: before the constructors
// of libraries an executable may run functions of its own (.preinit_array, as sanitizers do).
char** first_environment();

// Makes what is missing: the table of real functions, the board, a forked child's own board. Slow
// path of every hook. When it returns, `real` is filled, but hooks may still be disarmed.
void start();

// While a board is made. False: the judge that the environment named is certainly gone.
bool judge_listens();

// start() unless done.
__attribute__((always_inline)) inline void ensure_started() {
  if (__builtin_expect(!is_alive(), 0)) start();
}

// Hooks become pass-through for good: for faults of ours that must not become the program's.
void disarm();

// Gives back all of the board but what is used and some room to spare, for good. For mlockall,
// which would make every page of it real, and counts them all against the program's limit.
void trim_board();

// A memfd of that size, sealed so that neither we nor the program can cut it short under a reader
// (SIGBUS) or grow it. Negative: none to be had.
int make_memfd(const char* name, uint64_t size);
// Maps it, or anonymous memory for -1; at `address` if that is not null. Null: no room.
void* map_shared(uint64_t size, void* address, int fd);

// Lays the regions of a board of at most `limit` bytes (0: as large as we like) out into `header`,
// with gates or without. False if that is too small to be of any use.
bool lay_out(format::BoardHeader& header, uint64_t limit, bool with_gates = false);

// Points `board` at the regions of the board at `memory`, whose header is laid out.
void adopt_board(void* memory);

inline void count(uint64_t& counter) { __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED); }

}  // namespace gordian::runtime
