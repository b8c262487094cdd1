// SPDX-License-Identifier: Apache-2.0
// What a thread of the text waits for: recognised by the names and arguments of its innermost
// frames, in Go and Java by its state.
#pragma once

#include "dump/dump.h"
#include "model/resource.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gordian::dump {

enum class Posture : uint8_t {
  Blocked,  // in a lock, a join, a full channel: somebody in particular has to move first
  Waiting,  // for a signal: a condition, semaphore, barrier; often how a worker idles
  Idle,     // in poll, accept, sleep: goes on by itself
  Busy,     // at work, as far as the text shows; it could hold anything
};

struct WaitFact {
  Posture posture = Posture::Busy;
  model::ResourceKind kind = model::ResourceKind::Mutex;
  model::Mode mode = model::Mode::Exclusive;
  bool timed = false;
  uint64_t address = 0;        // of the lock; 0: not shown
  bool is_doubtful = false;    // Go's "0xc000?": the address may be of something else
  std::string_view symbol;     // "rooms_mutex" of 0x55d0 <rooms_mutex>
  std::string_view type;       // Java's class of the lock
  uint64_t companion = 0;      // condition: the mutex it gives back while waiting
  uint64_t joined = 0;         // join: pthread_t
  int64_t joined_tid = 0;      // join: the number the kernel's futex word held
  bool is_gil = false;         // CPython's interpreter lock
  bool is_foreign = false;     // no pthread lock inside: gdb cannot print who owns it
  bool is_class_init = false;  // Java's; `address` is made of the class's name
  bool is_wait_group = false;  // Go's: for others to finish their work
  bool is_read_held = false;   // Go: readers have what this thread wants to write
  size_t site = 0;             // index of the first frame that is not part of the wait itself
};

WaitFact recognise_wait(const Thread& thread);

// A function that waits for a lock, or something inside of one.
bool is_wait_function(std::string_view plain);

// The first argument of a Go frame. A "?" behind it: the register may hold something else by now.
struct GoAddress {
  uint64_t value = 0;
  bool is_doubtful = false;

  explicit operator bool() const { return value != 0; }
};
GoAddress first_go_argument(std::string_view args);

// A once-initialisation the thread is inside of, from `frame` outwards: address, or 0.
uint64_t running_once(const Frame& frame, std::string_view plain, Dialect dialect);

}  // namespace gordian::dump
