// SPDX-License-Identifier: Apache-2.0
// What happened in a run, in the order observed: the input of prediction.
//
// Readers (trace/) hand out events in blocks and keep only the names, so that a trace may be larger
// than the memory. They have checked it: nobody acquires what another holds, nobody releases what
// he does not hold; and a lock taken again by its holder is no event, nor is the release that
// belongs to it.
#pragma once

#include "model/resource.h"

#include <cstdint>
#include <vector>

namespace gordian::model {

enum class TraceOp : uint8_t {
  Request,  // asks for the lock; its acquisition follows, unless the trace ends before
  Acquire,
  Release,
  Exchange,  // a hold becomes one in `mode`, its other mode: nobody comes between
  Read,
  Write,
  Fork,
  Join,
  Wait,  // on a condition; the thread's next event but requests happens after it was woken
  Notify,
  NotifyAll,
};

struct TraceEvent {
  uint64_t line = 0;  // its place in the input: a line of text, or the how-manieth record
  ThreadId thread{};
  uint32_t object = 0;  // a lock, variable, condition or thread: each kind counts from 0
  uint32_t site = 0;    // 0: not known
  TraceOp op = TraceOp::Request;
  Mode mode = Mode::Exclusive;
  bool by_try = false;  // a successful try: it would not have waited
};

// How much there is of everything: known after the first reading.
struct TraceSize {
  uint64_t events = 0;  // as the input counts them, re-entrant ones too
  uint32_t threads = 0;
  uint32_t locks = 0;  // conditions included: in the text form they share a name space
  uint32_t variables = 0;
  bool has_memory = false;           // reads or writes were seen
  bool has_partial_memory = false;   // the trace says itself that others were not
  bool has_reads_from_only = false;  // who read from whom is told, but not who overwrote what
  bool has_other_orders = false;     // orders that only a reading with sites or memory tells
  std::vector<char> acts;            // by thread: has events of its own, is not merely named
  uint32_t first_actor = 0;          // thread: acted before all others, so nobody created it
};

}  // namespace gordian::model
