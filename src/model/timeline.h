// SPDX-License-Identifier: Apache-2.0
// What the threads of a run did with their locks, and when: the input of a time line.
//
// Events of one thread are in order; those of different threads are as exact as the clock, which is
// read at both ends of a wait and otherwise about every millisecond.
#pragma once

#include <cstdint>

namespace gordian::model {

enum class TimedOp : uint8_t {
  Begin,      // of the thread
  End,        // of the thread
  Acquire,    // object
  Release,    // object
  Ask,        // object: blocks from here on
  Answer,     // ... to here
  Wait,       // object: a condition; blocks from here on
  Wake,       // ... to here
  Signal,     // object
  TryFailed,  // object
  AskJoin,    // other: a thread; blocks from here to the Answer
  Wrote,      // flow: something that other threads read
  Read,       // flow: what the thread with that Wrote has written
};

struct TimedEvent {
  uint64_t time_ns = 0;
  uint32_t thread = 0;  // its uid
  uint32_t object = 0;  // of a name space of the source's own
  uint32_t other = 0;   // AskJoin: the uid
  uint32_t site = 0;    // 0: not known
  uint64_t flow = 0;    // Wrote, Read: which belong together
  TimedOp op = TimedOp::Begin;
  bool shared = false;
};

}  // namespace gordian::model
