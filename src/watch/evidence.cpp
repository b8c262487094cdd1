// SPDX-License-Identifier: Apache-2.0
// The layouts are those of glibc 2.36 for x86-64 and GLib 2.74; what does not fit them is doubted,
// never believed.
#include "watch/evidence.h"

#include "process/file_locks.h"

#include <cstring>

namespace gordian::watch {
namespace {

using format::Kind;
using format::WaitWord;
using process::FileLockFamily;
using process::ThreadReading;

// linux/futex.h
constexpr uint64_t kFutexWait = 0;
constexpr uint64_t kFutexLockPi = 6;
constexpr uint64_t kFutexWaitBitset = 9;
constexpr uint64_t kFutexWaitRequeuePi = 11;
constexpr uint64_t kFutexLockPi2 = 13;
constexpr uint64_t kFutexFlags = 128 | 256;  // private, realtime clock
constexpr uint32_t kFutexTidMask = 0x3fffffff;

constexpr int64_t kSysFutex = 202;

// pthread_mutex_t: lock word, count, owner, users, kind.
constexpr size_t kMutexOwner = 8;
constexpr size_t kMutexKind = 16;
constexpr uint32_t kMutexKindPriority = 32;  // PTHREAD_MUTEX_PRIO_INHERIT_NP
constexpr size_t kMutexSize = 40;

// pthread_rwlock_t: readers, writers, __wrphase_futex, __writers_futex, ..., __cur_writer.
constexpr size_t kRwLockReaders = 0;
constexpr uint32_t kRwLockReaderShift = 3;
constexpr size_t kRwLockWriterPhase = 8;
constexpr size_t kRwLockWriters = 12;
constexpr size_t kRwLockOwner = 24;
constexpr size_t kRwLockSize = 56;

constexpr size_t kConditionSize = 48;
constexpr size_t kGlibCondSize = 16;
constexpr uint64_t kGlibBitAddress = (uint64_t{1} << 56) - 1;  // the bit number is above

// pthread_barrier_t: in, current_round, count, shared, out. `in` counts all arrivals since the last
// reset, `current_round` those of the rounds that are over.
constexpr size_t kBarrierIn = 0;
constexpr size_t kBarrierRound = 4;
constexpr size_t kBarrierCount = 8;
constexpr size_t kBarrierSize = 20;

struct FutexCall {
  uint64_t address;
  uint64_t command;
  uint64_t operation;
  uint64_t value;
  bool timed;
};

std::optional<FutexCall> futex_call(const ThreadReading& reading) {
  if (!reading.in_syscall() || reading.syscall != kSysFutex) return std::nullopt;
  const FutexCall call{.address = reading.args[0],
                       .command = reading.args[1] & 0xffffffff & ~kFutexFlags,
                       .operation = reading.args[1] & 0xffffffff,
                       .value = reading.args[2] & 0xffffffff,
                       .timed = reading.args[3] != 0};
  switch (call.command) {
    case kFutexWait:
    case kFutexWaitBitset:
    case kFutexLockPi:
    case kFutexLockPi2:
    case kFutexWaitRequeuePi:
      return call;
    default:
      return std::nullopt;
  }
}

bool is_priority(const WaitWord& wait, const ObjectBytes& mutex) {
  return (wait.flags & format::kPriority) != 0 ||
         (mutex.word(kMutexKind).value_or(0) & kMutexKindPriority) != 0;
}

// The thread that closes a cycle of priority-inheriting mutexes gets EDEADLK from the kernel, and
// glibc then lets it sleep for ever on a word of its own stack.
bool sleeps_on_own_stack(const FutexCall& call, const WaitFacts& facts) {
  return call.command == kFutexWaitBitset && call.address >= facts.second->sp &&
         (facts.stack_high != 0 ? call.address < facts.stack_high
                                : call.address - facts.second->sp < 4096);
}

bool is_within(uint64_t address, uint64_t start, uint64_t size) {
  return address >= start && address - start < size;
}

bool matches_mutex(const FutexCall& call, uint64_t mutex, const ObjectBytes& bytes,
                   const WaitFacts& facts) {
  if (call.address == mutex) return true;
  return is_priority(facts.wait, bytes) && sleeps_on_own_stack(call, facts);
}

bool matches_rwlock(const FutexCall& call, uint64_t rwlock) {
  return call.address == rwlock + kRwLockReaders || call.address == rwlock + kRwLockWriterPhase ||
         call.address == rwlock + kRwLockWriters;
}

// Whether the futex call is one that a wait of this kind makes.
bool matches(const FutexCall& call, const WaitFacts& facts) {
  const WaitWord& wait = facts.wait;
  switch (wait.kind) {
    case Kind::Mutex:
      return matches_mutex(call, wait.address, facts.object, facts);
    case Kind::RwLock:
      return matches_rwlock(call, wait.address);
    case Kind::Condition:
      return is_within(call.address, wait.address, kConditionSize);
    case Kind::GlibCond:
      return is_within(call.address, wait.address, kGlibCondSize);
    case Kind::Semaphore:
      return is_within(call.address, wait.address, 8);
    case Kind::Barrier:
      return call.address == wait.address + kBarrierRound;
    case Kind::Guard:
      return is_within(call.address, wait.address, 8);
    case Kind::Once:
    case Kind::Futex:
    case Kind::Future:
    case Kind::GlibMutex:
      return call.address == wait.address;
    case Kind::GlibBit:
      return call.address == (wait.address & kGlibBitAddress);
    case Kind::GlibRecMutex:
      return call.address == facts.object.address;
    case Kind::GlibRwLock:
      return matches_rwlock(call, facts.object.address);
    case Kind::Join:
      return facts.joined_tid_word == 0 || call.address == facts.joined_tid_word;
    case Kind::GlibOnce:
    case Kind::GlibQueue:
    case Kind::Custom:
    case Kind::Lease:
    case Kind::Signal:
      // They sleep on words inside GLib or the program. That this call belongs to this wait is
      // attested by the stack alone: it lies deeper than the hook's caller.
      return facts.second->sp < wait.frame;
    default:
      return false;
  }
}

Testimony moving(std::string doubt) {
  Testimony testimony;
  testimony.doubt = std::move(doubt);
  return testimony;
}

Testimony doubtful(std::string doubt) {
  Testimony testimony;
  testimony.standing = Standing::Doubtful;
  testimony.doubt = std::move(doubt);
  return testimony;
}

Testimony weigh_spinning(const WaitFacts& facts) {
  if (facts.heartbeat_second == facts.heartbeat_first)
    return moving("its spinning was not attested");
  Testimony testimony;
  testimony.standing = Standing::Definite;
  return testimony;
}

Testimony weigh_file_lock(const WaitFacts& facts) {
  const ThreadReading& reading = *facts.second;
  const std::optional<FileLockFamily> family =
      process::file_lock_wait(reading.syscall, reading.args[1]);
  const bool is_flock = family == FileLockFamily::Flock;
  if (!reading.in_syscall() || !family || is_flock != (facts.wait.kind == Kind::Flock))
    return moving("it does not wait for a file lock");
  if (!facts.same_file) return doubtful("it waits for a lock of another file");
  Testimony testimony;
  testimony.standing = Standing::Definite;
  return testimony;
}

void add_object_facts(const WaitFacts& facts, const FutexCall& call, Testimony& testimony) {
  const Kind kind = facts.wait.kind;
  if (testimony.reacquires_mutex) {
    const OwnerWord owner =
        read_owner(kind == Kind::Condition ? Kind::Mutex : Kind::GlibMutex, facts.companion);
    testimony.owner_known = owner.known;
    testimony.owner_tid = owner.tid;
    return;
  }
  const OwnerWord owner = read_owner(kind, facts.object);
  testimony.owner_known = owner.known;
  testimony.owner_tid = owner.tid;
  if (kind == Kind::Join) {
    testimony.joined_tid = static_cast<uint32_t>(call.value);
  } else if (kind == Kind::Barrier) {
    const auto in = facts.object.word(kBarrierIn);
    const auto round = facts.object.word(kBarrierRound);
    const auto count = facts.object.word(kBarrierCount);
    if (in && round && count) {
      const uint32_t arrived = *in - *round;
      if (arrived < *count) testimony.needed = *count - arrived;
    }
  } else if (kind == Kind::Semaphore && facts.object.word(0).value_or(0) != 0) {
    // A token lies there: it is about to wake.
    testimony.standing = Standing::Moving;
    testimony.doubt = "the semaphore is not empty";
  }
}

}  // namespace

std::optional<uint32_t> ObjectBytes::word(size_t offset) const {
  if (offset + sizeof(uint32_t) > bytes.size()) return std::nullopt;
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

std::optional<uint64_t> ObjectBytes::long_word(size_t offset) const {
  if (offset + sizeof(uint64_t) > bytes.size()) return std::nullopt;
  uint64_t value = 0;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

size_t object_size(Kind kind) {
  switch (kind) {
    case Kind::Mutex:
    case Kind::GlibRecMutex:
      return kMutexSize;
    case Kind::RwLock:
    case Kind::GlibRwLock:
      return kRwLockSize;
    case Kind::Barrier:
      return kBarrierSize;
    case Kind::Semaphore:
    case Kind::Guard:
      return 8;
    case Kind::Once:
    case Kind::Spin:
    case Kind::GlibMutex:
      return 4;
    default:
      return 0;
  }
}

bool is_indirect(Kind kind) { return kind == Kind::GlibRecMutex || kind == Kind::GlibRwLock; }

OwnerWord read_owner(Kind kind, const ObjectBytes& object) {
  switch (kind) {
    case Kind::Mutex:
    case Kind::GlibRecMutex: {
      const auto mutex_kind = object.word(kMutexKind);
      if (!mutex_kind) return {};
      const bool priority = (*mutex_kind & kMutexKindPriority) != 0;
      const uint32_t owner = *object.word(priority ? 0 : kMutexOwner) & kFutexTidMask;
      return {.known = true, .tid = owner};
    }
    case Kind::RwLock:
    case Kind::GlibRwLock: {
      // Only a writer leaves its name; readers are merely counted.
      const auto writer = object.word(kRwLockOwner);
      if (!writer || *writer == 0) return {};
      return {.known = true, .tid = *writer};
    }
    case Kind::GlibMutex:
      // Has no owner in it, but tells when it has none: somebody is in the middle of giving it
      // away.
      return {.known = object.word(0).value_or(1) == 0, .tid = 0};
    default:
      return {};
  }
}

uint32_t count_nameless_holders(Kind kind, const ObjectBytes& object) {
  switch (kind) {
    case Kind::RwLock:
    case Kind::GlibRwLock:
      return object.word(kRwLockOwner).value_or(1) == 0
                 ? object.word(kRwLockReaders).value_or(0) >> kRwLockReaderShift
                 : 0;
    case Kind::Spin:
      // Free is 1; every request takes one off.
      return static_cast<int32_t>(object.word(0).value_or(1)) <= 0 ? 1 : 0;
    case Kind::GlibMutex:
      return object.word(0).value_or(0) != 0 ? 1 : 0;
    default:
      return 0;
  }
}

bool sleeps_on_mutex(const WaitWord& wait, const ThreadReading& reading) {
  if (wait.kind != Kind::Condition && wait.kind != Kind::GlibCond) return false;
  const auto call = futex_call(reading);
  if (!call) return false;
  const uint64_t size = wait.kind == Kind::Condition ? kConditionSize : kGlibCondSize;
  if (is_within(call->address, wait.address, size)) return false;
  return call->address == wait.object;
}

Testimony weigh(const WaitFacts& facts) {
  if ((facts.wait.flags & format::kSpinning) != 0) return weigh_spinning(facts);
  if (!facts.first || !facts.second) return moving("it has gone");
  const ThreadReading& reading = *facts.second;
  if (reading.on_cpu || reading.state == 'R' || facts.first->on_cpu)
    return moving("it was running");
  if (reading.state == 'T' || reading.state == 't') return moving("it is stopped");
  if (!reading.readable || !facts.first->readable) {
    return doubtful("the kernel does not let us see its system call");
  }
  // Two brief ones are one, of a process that stood still.
  if (!reading.is_brief && !facts.first->same_moment(reading))
    return moving("it ran between the two readings");

  const Kind kind = facts.wait.kind;
  if (kind == Kind::Flock || kind == Kind::FcntlLock || kind == Kind::OfdLock)
    return weigh_file_lock(facts);

  const auto call = futex_call(reading);
  if (!call) return moving("it is blocked in something else");
  if (call->timed) return moving("its system call has a timeout");
  if (facts.wait.frame != 0 && facts.stack_high != 0 && facts.wait.frame <= facts.stack_high &&
      reading.sp > facts.wait.frame) {
    return doubtful("its stack does not fit its card");
  }

  Testimony testimony;
  testimony.standing = Standing::Definite;
  testimony.reacquires_mutex = sleeps_on_mutex(facts.wait, reading);
  if (!testimony.reacquires_mutex && !matches(*call, facts)) {
    return doubtful("it sleeps on another word than its card says");
  }
  add_object_facts(facts, *call, testimony);
  return testimony;
}

}  // namespace gordian::watch
