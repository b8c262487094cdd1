// SPDX-License-Identifier: Apache-2.0
// The kernel's word on a wait. A card says what a thread was about to do; this says that it really
// sleeps there, on that object, and did not run between two readings.
//
// Pure functions over plain structs: who reads, and in which order, is the judge's business. The
// order is the whole point (see docs/runtime.md): all first readings, then cards and object words,
// then all second readings. A thread that did not run in between stood still while the cards were
// read, and all edges of such threads existed at one instant.
#pragma once

#include "format/board.h"
#include "process/live.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gordian::watch {

// Bytes of a lock object as they were between the two readings.
struct ObjectBytes {
  uint64_t address = 0;
  std::vector<std::byte> bytes;  // empty: could not be read

  [[nodiscard]] std::optional<uint32_t> word(size_t offset) const;
  [[nodiscard]] std::optional<uint64_t> long_word(size_t offset) const;
};

// How much of an object is worth reading.
size_t object_size(format::Kind kind);
// GRecMutex and GRWLock hold a pointer to the pthread object that is really locked.
bool is_indirect(format::Kind kind);

struct WaitFacts {
  format::WaitWord wait{};  // read between the two readings
  std::optional<process::ThreadReading> first;
  std::optional<process::ThreadReading> second;
  ObjectBytes object;            // wait.address; for indirect kinds what it points to
  ObjectBytes companion;         // conditions: the mutex
  uint64_t stack_high = 0;       // end of the thread's stack, 0 unknown
  uint64_t joined_tid_word = 0;  // join: where the joined thread's tid lies, 0 unknown
  // Spinning: the heartbeat after all first readings and before all second ones.
  uint64_t heartbeat_first = 0;
  uint64_t heartbeat_second = 0;
  bool same_file = true;  // file locks: the descriptor is that file
};

enum class Standing : uint8_t {
  Moving,    // it ran, or does something else: it can go on
  Definite,  // it sleeps in this wait, and did between the two readings
  Doubtful,  // it sleeps, but we cannot say that it is in this wait
};

struct Testimony {
  Standing standing = Standing::Moving;
  std::string doubt;              // why it is not Definite
  bool reacquires_mutex = false;  // conditions: signalled, it waits for the mutex now
  // Who owns what it waits for, as the object itself says (tid in the process's own pid namespace).
  bool owner_known = false;
  uint32_t owner_tid = 0;              // 0: nobody
  std::optional<uint32_t> joined_tid;  // join: the thread it sleeps on, whether that exists or not
  std::optional<uint32_t> needed;      // barrier: further arrivals
};

Testimony weigh(const WaitFacts& facts);

// Who owns a lock, as its bytes say; owner_known false: this kind does not say.
struct OwnerWord {
  bool known = false;
  uint32_t tid = 0;
};
OwnerWord read_owner(format::Kind kind, const ObjectBytes& object);

// How many hold the object, where its words count them without naming them: readers, and whoever
// has a spin lock or a GMutex. Zero for all others.
uint32_t count_nameless_holders(format::Kind kind, const ObjectBytes& object);

// Whether the futex call of the reading is one on the condition's mutex: the wait's second phase.
bool sleeps_on_mutex(const format::WaitWord& wait, const process::ThreadReading& reading);

}  // namespace gordian::watch
