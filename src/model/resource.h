// SPDX-License-Identifier: Apache-2.0
// A resource: anything a thread can hold or wait for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gordian::model {

enum class ResourceId : uint32_t {};
enum class ThreadId : uint32_t {};   // index into Snapshot::threads or History::threads
enum class ProcessId : uint32_t {};  // index into Snapshot::processes or History::processes

// The index that a ThreadId, a ProcessId or a ResourceId is.
template <typename Id>
constexpr uint32_t index_of(Id id) {
  return static_cast<uint32_t>(id);
}

enum class ResourceKind : uint8_t {
  Mutex,
  RwLock,
  Spin,
  Once,    // pthread_once and friends: held by the initialising thread
  Guard,   // initialisation of a function-local static
  Thread,  // waited for by join
  Condition,
  Semaphore,
  Barrier,
  Futex,  // a raw futex: nobody knows who wakes it
  Future,
  GlibMutex,
  GlibRecMutex,
  GlibRwLock,
  GlibCond,
  GlibOnce,
  GlibBit,
  GlibQueue,
  Channel,  // of a Go program: whoever takes what is sent, or sends, ends the wait
  Pipe,     // or a pair of sockets: whoever has the other end can write or read
  Child,    // a child process: its threads can end it
  FileLock,
  Lease,  // a lock on a server
  // Announced by annotation, beside mutexes, rwlocks and conditions.
  Gate,    // many pass, one closes it
  Worker,  // a thread, held by itself to its end
  Queue,   // whoever pushes or pops ends a wait
  Custom,  // a lock of no kind in particular
};

// Has an owner who alone can end a wait for it (as opposed to a signal, which anybody may give).
constexpr bool is_owned(ResourceKind kind) {
  switch (kind) {
    case ResourceKind::Condition:
    case ResourceKind::Semaphore:
    case ResourceKind::Barrier:
    case ResourceKind::Futex:
    case ResourceKind::Future:
    case ResourceKind::GlibCond:
    case ResourceKind::GlibQueue:
    case ResourceKind::Queue:
    case ResourceKind::Channel:
    case ResourceKind::Pipe:
    case ResourceKind::Child:
      return false;
    default:
      return true;
  }
}

// Who wants it waits for a thread to end.
constexpr bool is_end_of_thread(ResourceKind kind) {
  return kind == ResourceKind::Thread || kind == ResourceKind::Worker;
}

enum class Mode : uint8_t { Exclusive, Shared };

struct Resource {
  ResourceId id{};
  ResourceKind kind = ResourceKind::Mutex;
  ProcessId process{};
  uint64_t address = 0;
  uint32_t generation = 0;
  uint64_t birth_site = 0;  // program counter of its init, or of the first site that locked it
  bool born_by_init = false;
  bool prefers_writers = false;  // a reader queues behind a waiting writer
  bool semaphore_like = false;   // once released by a thread that did not hold it: has no owner
  bool process_shared = false;
  bool recursive = false;
  bool robust = false;             // whoever asks after its owner has ended gets it, and is told
  bool posted_in_handler = false;  // a signal handler was seen to post it
  bool posts_from_handler_possible =
      false;  // async-signal-safe to post, and handlers are installed
  bool address_may_be_reused = false;
  std::vector<ThreadId> only_wakers;  // annotation; empty: anybody
  bool wakers_closed = false;         // only_wakers is the whole truth
  uint32_t needed = 1;                // barrier: further arrivals needed; others 1
  ThreadId joined{};                  // Thread: which one, if `joined_known`
  bool joined_known = false;
  int level = -1;           // annotation; -1: none
  bool owner_gone = false;  // the owner does not exist any more (thread gone, lost in fork)

  // Filled in by process/ once a finding needs words.
  std::string name;         // "handle->mutex", "rooms_mutex"; empty: none found
  bool name_is_id = false;  // the source has no other name for it, and no two of one name
  std::string class_name;   // birthplace in words: "init at room.c:12"
};

}  // namespace gordian::model
