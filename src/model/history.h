// SPDX-License-Identifier: Apache-2.0
// What a run did with its locks, as far as it was logged: the input of hazard prediction.
#pragma once

#include "model/resource.h"
#include "model/snapshot.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gordian::model {

struct HistoryThread {
  ThreadId id{};
  ProcessId process{};
  uint32_t uid = 0;
  int tid = 0;
  std::string name;
  uint32_t parent_uid = 0;
  uint64_t start_routine = 0;
  uint64_t create_site = 0;
  bool is_main = false;
  bool ended = false;
  std::vector<Hold> held_at_exit;
};

// Who could see a lock when a chain was logged. An object locked by its creator before anybody else
// knows it cannot deadlock there.
enum class Publication : uint8_t {
  Published,
  Unpublished,     // created by this thread, and no other thread was at it yet
  CreationUnseen,  // no other thread was at it yet, but nobody saw who created it
};

struct ChainHold {
  ResourceId lock{};
  Mode mode = Mode::Exclusive;
  bool by_try = false;
  uint64_t site = 0;
  uint64_t frame = 0;
  Publication publication = Publication::Published;
  // The stack slice may be that of an earlier chain with the same sites: then `frame` is one of
  // that stack, and this the address of the lock it held at this place. 0: the lock itself.
  uint64_t slice_address = 0;
};

// While holding `held`, the thread asked for `wanted`. First of its kind in its thread, or in its
// segment. With nothing held it says merely that the thread asks for that lock.
struct Chain {
  ThreadId thread{};
  uint32_t segment = 0;
  uint64_t order = 0;  // position in the log of its process: later means logged later
  ResourceId wanted{};
  Publication publication = Publication::Published;  // of `wanted`
  Mode mode = Mode::Exclusive;
  bool timed = false;
  bool by_try = false;
  bool has_joined = false;
  ThreadId joined{};  // wanted is a Thread resource: who was joined
  bool has_companion = false;
  ResourceId companion{};  // condition wait: its mutex (released while waiting, not in `held`)
  uint64_t site = 0;
  uint64_t frame = 0;           // in the stack slice, see ChainHold
  uint64_t call_frame = 0;      // of the request itself, on the thread's own stack; 0 unknown
  std::vector<ChainHold> held;  // outermost first
  Registers registers;
  std::vector<std::byte> stack_slice;  // memory from registers.rsp upwards; may be empty
  uint64_t slice_address = 0;          // of the lock wanted there, see ChainHold
};

// Everything `from` did in segments <= from_segment happened before everything `to` does in
// segments >= to_segment.
struct HappensBefore {
  ThreadId from{};
  uint32_t from_segment = 0;
  ThreadId to{};
  uint32_t to_segment = 0;
  ResourceKind kind = ResourceKind::Thread;
};

// A thread signalled or posted `object` (condition, semaphore) while holding `held`, all of it. The
// first of its kind: once per thread, object, site and set of locks.
struct Signal {
  ThreadId thread{};
  ResourceId object{};
  uint32_t segment = 0;  // it ends with the signal
  uint64_t order = 0;    // in the log, comparable with Chain::order
  uint64_t site = 0;
  uint64_t frame = 0;  // of the call, see Chain::call_frame; 0 unknown
  std::vector<ChainHold> held;
};

struct History {
  std::vector<Process> processes;
  std::vector<HistoryThread> threads;
  std::vector<Resource> resources;
  std::vector<Chain> chains;
  std::vector<HappensBefore> order;
  std::vector<Signal> signals;
  std::vector<std::pair<ResourceId, ResourceId>> never_report;
};

}  // namespace gordian::model
