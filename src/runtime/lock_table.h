// SPDX-License-Identifier: Apache-2.0
// The locks of this process that ever mattered: born by init, nested, contended or annotated. An
// uncontended lock that is never nested costs nothing here.
//
// Entries lie densely on the board, 64 bytes each, so that a reader scans `locks_used` of them and
// no holes. They are found by address through a private index of chains, one per 512 bytes of the
// program's memory, so that "which locks lie in this block" is a short walk as well.
//
// A bucket's chain is changed under a bit of its head word, held for some dozen instructions and
// never waited for longer than a bounded spin: then the record is dropped and counted.
#pragma once

#include "format/board.h"
#include "runtime/thread_card.h"

#include <stdint.h>

namespace gordian::runtime {

// The live entry of the lock at `address`, or null.
format::LockEntry* find_lock(uint64_t address);

// ... made if there is none. Null: no room.
format::LockEntry* register_lock(uint64_t address, format::Kind kind, uint64_t site,
                                 uint8_t lock_flags = 0);
format::LockEntry* register_lock(const Request& request, uint64_t site);

// The id of a lock that a record is about to name: its own record is written first, if it was not
// before. A lock that no record names costs the log nothing. 0 for null.
uint32_t logged_id(format::LockEntry* entry);

// The number under which a request's lock is held and looked up: its address, but for files.
uint64_t key_of(const Request& request);

// Adds kLock* flags to the lock at `address`.
void note_lock_flags(uint64_t address, format::Kind kind, uint8_t lock_flags, uint64_t site);

// A lock was initialised here and now: whatever lay there before has ended.
void lock_born(uint64_t address, format::Kind kind, uint16_t type, uint8_t flags, uint64_t site);

// The lock at `address` has ended.
void lock_ended(uint64_t address);

// All locks in [low, high) have ended: the block was freed, unmapped, or was a stack.
void locks_ended(uint64_t low, uint64_t high);

// May the block at `address` contain a registered lock? One load; yes may be wrong, no is right for
// blocks that start in the same or the next 64 KiB as the lock.
extern uint64_t lock_granules[1 << 15] __attribute__((visibility("hidden")));
inline bool may_contain_locks(uint64_t address) {
  const uint64_t granule = address >> 16;
  return (lock_granules[(granule >> 6) & ((1 << 15) - 1)] >> (granule & 63) & 1) != 0;
}

// Was it once released by a thread that did not hold it?
bool is_semaphore_like(uint64_t address);
void note_released_by_other(ThreadState& thread, const Request& request, const CallSite& site);

// In a forked child: its board knows no locks yet.
void clear_lock_index();

}  // namespace gordian::runtime
