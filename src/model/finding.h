// SPDX-License-Identifier: Apache-2.0
// What the user is told. analysis/ fills in the facts, process/ the names, report/ the words.
#pragma once

#include "model/snapshot.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gordian::model {

// The word is the promise: see design.md, "Verdicts".
enum class Verdict : uint8_t { Deadlock, Confirmed, Proved, Possible, Stall, Refuted };

enum class FindingKind : uint8_t {
  LockOrder,
  SelfLock,
  Join,
  RwLock,
  Condition,
  Semaphore,
  Barrier,
  Queue,
  Once,
  FileLock,
  Lease,
  Orphan,  // waits for an owner that no longer exists
  HeldAtExit,
  Mixed,
};

enum class Role : uint8_t { Knot, Victim };

// Machine-readable reasons; report/ turns them into sentences. `detail` is free text for the rest.
enum class ReasonCode : uint8_t {
  None,
  // Stall: why it is not `deadlock`.
  WakerMayExist,  // `thread` (or others) can still run and could wake
  OwnerInferred,
  InexactCard,
  NoKernelEvidence,
  SignalHandlerMayPost,
  StuckForLong,  // --stall: has not moved for long
  OwnerUnknown,
  OwnerNotShown,   // a pasted backtrace suggests a holder, but does not print it
  OwnerNotListed,  // a pasted backtrace has no thread that could be the one waited for
  // Refuted: why it cannot happen.
  GateLock,  // `resource` is held on every side
  SameThread,
  OrderedByFork,
  OrderedByJoin,
  OrderedBySignal,
  OrderedByBarrier,
  OrderedByMemory,    // one side reads what the other side wrote
  OrderedBySections,  // to come here, one side has to be over: critical sections exclude each other
  TryOrTimed,
  ReadersOnly,
  Unpublished,  // locked before any other thread could see it
  Annotated,    // "never report this pair"
  // Possible: what the verdict leaves open.
  MemoryNotRecorded,
  ThirdWriterNeeded,  // read/read on a writer-preferring lock: needs a third, writing, thread
  SiblingThread,      // a thread of the same start routine takes it, not the joined one itself
  CreationUnseen,
};

struct Reason {
  ReasonCode code = ReasonCode::None;
  std::optional<ResourceId> resource;
  std::optional<ThreadId> thread;
  std::string detail;
  std::string thread_name = {};  // of `thread`, which need not be one of the finding's
};

enum class AssumptionCode : uint8_t {
  OwnersRelease,            // only its owner releases a mutex
  NoSignalHandlerReleases,  // no signal handler unlocks it, or jumps out of the wait for it
  NoSignalHandlerPosts,     // no signal handler posts or signals it
  NoOutsideWaker,           // nothing outside the watched processes wakes it
  AddressNotReused,
  ClosedWakers,  // annotation: only the named threads wake it
  NoKeyDeleted,  // leases
  NotCancelled,  // a thread that can move could cancel one that waits where it can be cancelled
};

struct FindingHold {
  ResourceId resource{};
  Mode mode = Mode::Exclusive;
  uint64_t site = 0;
  std::string place = {};  // the source's own word for the site, if it has no stacks
  uint64_t frame = 0;
  uint64_t slice_address = 0;  // see ChainHold
  bool inferred = false;       // nothing shows that it is held, much speaks for it
  Stack stack;                 // of the acquisition; its note says when only the site is known
};

struct FindingWant {
  ResourceId resource{};
  Mode mode = Mode::Exclusive;
  uint64_t site = 0;
  std::string place = {};  // as in FindingHold
  uint64_t frame = 0;
  Registers registers;
  bool has_registers = false;
  std::chrono::nanoseconds waited{0};
  std::vector<std::byte> stack_slice;  // hazards: unwound from here
  uint64_t slice_address = 0;          // see ChainHold
  std::vector<ThreadId> owners;        // who holds it, or must move first (ids of the source)
  Stack stack;
};

struct FindingThread {
  ThreadId id{};  // in the snapshot or history the finding was made from
  ProcessId process{};
  int tid = 0;
  std::string name;
  Role role = Role::Knot;
  uint64_t start_routine = 0;
  std::vector<FindingHold> holds;
  std::optional<FindingWant> wants;
};

// The events of one thread from one place of the recorded trace to another, without those of
// others.
struct WitnessStep {
  ThreadId thread{};
  std::string thread_name = {};
  uint64_t from_line = 0;
  uint64_t to_line = 0;
};

// Where a thread of the knot stops: the request that is never granted.
struct WitnessStop {
  ThreadId thread{};
  uint64_t line = 0;
};

// A schedule of recorded events that ends in the finding.
struct Witness {
  bool in_recorded_order = true;  // else critical sections are swapped
  bool is_complete = true;        // false: too long, `steps` is empty
  bool replayed = false;          // run event by event under the rules of threads and locks
  uint64_t event_count = 0;
  std::vector<WitnessStep> steps;
  std::vector<WitnessStop> stops;
};

struct Finding {
  Verdict verdict = Verdict::Possible;
  FindingKind kind = FindingKind::LockOrder;
  std::vector<FindingThread> threads;  // knot in cycle order first, then victims
  std::vector<Resource> resources;     // every resource named above; look up by id
  std::vector<Process> processes;      // every process named above; look up by id
  Reason reason;
  std::vector<AssumptionCode> assumptions;
  bool rank_last = false;   // weak: reported after the others
  std::string source = {};  // the file it was found in, if it was not a run of our own
  std::optional<Witness> witness;
  uint64_t similar = 0;  // further sets of threads with the same locks and places

  std::string fingerprint;  // filled in by report/fingerprint once names are known
};

}  // namespace gordian::model
