// SPDX-License-Identifier: Apache-2.0
#include "process/decode_waits.h"

#include "process/debug_info.h"
#include "process/glibc_layout.h"
#include "process/lease_wait.h"
#include "process/libc_locks.h"
#include "process/priority_mutex.h"
#include "process/python.h"
#include "process/syscall_name.h"
#include "process/wait_call.h"
#include "process/wait_function.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

namespace gordian::process {
namespace {

using model::Activity;
using model::Mode;
using model::Resource;
using model::ResourceId;
using model::ResourceKind;
using model::ThreadId;

constexpr size_t kEverywhere = SIZE_MAX;  // "process" of what several processes share
constexpr uint64_t kGlibCondWord = 8;     // the word of a GCond that its waiters sleep on
constexpr uint64_t kNearStack = 4096;     // the frames between the system call and its caller
constexpr size_t kMaxGilFrames = 10;      // take_gil and what it calls

// linux/futex.h
constexpr uint64_t kFutexWait = 0;
constexpr uint64_t kFutexLockPi = 6;
constexpr uint64_t kFutexWaitBitset = 9;
constexpr uint64_t kFutexWaitRequeuePi = 11;
constexpr uint64_t kFutexLockPi2 = 13;
constexpr uint64_t kFutexPrivate = 128;
constexpr uint64_t kFutexRealtime = 256;
constexpr uint32_t kFutexTidMask = 0x3fffffff;
constexpr int64_t kSysFutex = 202;

struct FutexCall {
  uint64_t address = 0;
  uint64_t command = 0;
  uint32_t value = 0;
  bool is_private = false;
  bool timed = false;
};

std::optional<FutexCall> futex_call(const ThreadFacts& thread) {
  if (!thread.blocked || thread.syscall != kSysFutex) return std::nullopt;
  const uint64_t operation = thread.args[1] & 0xffffffff;
  const FutexCall call{.address = thread.args[0],
                       .command = operation & ~(kFutexPrivate | kFutexRealtime),
                       .value = static_cast<uint32_t>(thread.args[2]),
                       .is_private = (operation & kFutexPrivate) != 0,
                       .timed = thread.args[3] != 0};
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

// What a thread waits for, before it is a resource of the snapshot.
struct Found {
  ResourceKind kind = ResourceKind::Futex;
  uint64_t address = 0;
  Mode mode = Mode::Exclusive;
  bool definite = true;
  std::string doubt = {};
  bool needs_registers = false;
  uint64_t object = 0;  // where its bytes are, if not at `address`
};

// Who owns a resource, as its bytes say.
struct Owner {
  uint32_t tid = 0;  // in the owner's process; 0: nobody
};

class Decoder {
 public:
  explicit Decoder(std::span<const ProcessFacts> processes) : processes_(processes) {}

  DecodedWaits decode() {
    for (size_t i = 0; i < processes_.size(); ++i) read_process(i);
    for (const PendingOwner& owner : owners_) give(owner);
    for (const PendingJoin& join : joins_) link_join(join);
    mark_unseen();
    add_handler_facts();
    return std::move(result_);
  }

 private:
  struct PendingOwner {
    ResourceId resource;
    size_t process;
    uint32_t tid;
    bool shared;
    bool definite;
    bool certain;
  };
  struct PendingJoin {
    ResourceId resource;
    size_t process;
    uint32_t tid;
  };
  // Awake, and nobody knows where, while another thread has the GIL.
  struct UnseenThread {
    size_t thread;
    size_t process;
    uint32_t owner;
  };
  using ResourceKey = std::tuple<size_t, ResourceKind, uint64_t, uint64_t, uint64_t>;

  void read_process(size_t index) {
    const ProcessFacts& facts = processes_[index];
    model::Process process = facts.process;
    process.id = model::ProcessId{static_cast<uint32_t>(index)};
    result_.snapshot.processes.push_back(std::move(process));
    layout_ = facts.symbols ? find_glibc_layout(*facts.symbols, *facts.memory) : GlibcLayout{};
    if (!layout_.known) {
      result_.notes.push_back("unknown glibc" +
                              (layout_.version.empty() ? "" : " " + layout_.version) +
                              ", lock owners may be missing");
    }
    calls_.reset();
    python_.reset();
    if (facts.symbols) {
      calls_.emplace(*facts.symbols, *facts.memory);
      python_ = Python::find(*facts.symbols, *facts.memory);
    }
    if (python_ && !python_->is_known()) {
      result_.notes.push_back("Python" +
                              (python_->version().empty() ? "" : " " + python_->version()) +
                              " is none of the versions known here: who has its GIL is not said");
    }
    result_.snapshot.threads.reserve(result_.snapshot.threads.size() + facts.threads.size());
    result_.threads.reserve(result_.threads.size() + facts.threads.size());
    for (const ThreadFacts& thread : facts.threads) read_thread(index, thread);
  }

  void read_thread(size_t process, const ThreadFacts& facts) {
    model::Thread thread;
    thread.id = ThreadId{static_cast<uint32_t>(result_.snapshot.threads.size())};
    thread.process = model::ProcessId{static_cast<uint32_t>(process)};
    thread.tid = facts.tid;
    thread.name = facts.name;
    if (facts.gone) thread.activity = Activity::Gone;
    thread.busy = !facts.blocked && !facts.gone;
    DecodedThread decoded;
    decoded.process = process;
    decoded.own_tid = facts.own_tid;
    if (facts.blocked) decoded.call = syscall_name(facts.syscall);
    if (const auto call = futex_call(facts)) {
      decoded.futex = call->address;
      decoded.private_futex = call->is_private;
      if (python_ && python_->is_known() && python_->is_gil_word(call->address))
        add_gil_wait(process, facts, thread, decoded);
      else if (const auto lease = read_lease_wait(*processes_[process].memory, call->address))
        add_lease_wait(process, facts, *lease, *call, thread, decoded);
      else
        add_wait(process, facts, *call, thread, decoded);
    } else if (facts.spins_on != 0) {
      add_spin(process, facts, thread, decoded);
    } else if (thread.busy && python_ && python_->is_known()) {
      add_awake_gil_wait(process, facts, thread, decoded);
    }
    threads_by_tid_.emplace(std::pair(process, facts.own_tid), thread.id);
    result_.snapshot.threads.push_back(std::move(thread));
    result_.threads.push_back(std::move(decoded));
  }

  // --- Which object
  // ------------------------------------------------------------------------------------------

  void add_wait(size_t process, const ThreadFacts& facts, const FutexCall& call,
                model::Thread& thread, DecodedThread& decoded) {
    const WaitCall near = calls_ ? calls_->find(facts.registers) : WaitCall{};
    if (!near.name.empty()) decoded.call = near.name;
    const Found found = identify(processes_[process], facts, call, near);
    const ResourceId id = resource(process, found.kind, found.address, !call.is_private);
    model::Wait wait;
    wait.resource = id;
    wait.mode = found.mode;
    wait.timed = call.timed;
    wait.definite = found.definite;
    decoded.needs_registers = found.needs_registers;
    wait.doubt = found.doubt;
    wait.since = facts.since;
    thread.activity = Activity::Waiting;
    thread.wait = std::move(wait);
    if (!read_object(process, found, call, id)) {
      // It is being handed over this very moment.
      thread.activity = Activity::Running;
      thread.busy = true;
      thread.wait.reset();
    }
  }

  // Whoever wants the GIL sleeps for 5 ms at a time, asks its holder to let go, and sleeps again.
  void add_gil_wait(size_t process, const ThreadFacts& facts, model::Thread& thread,
                    DecodedThread& decoded) {
    const auto owner = python_->gil_owner();
    decoded.call = "take_gil";
    if (!owner || *owner == facts.own_tid) return;  // it is about to get it, or has it
    decoded.polls = true;
    model::Wait wait;
    wait.resource = resource(process, ResourceKind::Custom, python_->gil(), false);
    wait.doubt =
        "whoever wants the GIL asks again every 5 ms: it was seen waiting at each of "
        "several looks, not in between";
    result_.snapshot.resources[static_cast<size_t>(wait.resource)].name = "Python's GIL";
    own(wait.resource, process, *owner, false, false);
    thread.activity = Activity::Waiting;
    thread.busy = false;
    thread.wait = std::move(wait);
  }

  // Between two such sleeps it waits too. Where all its registers are known its frames tell;
  // else another look might.
  void add_awake_gil_wait(size_t process, const ThreadFacts& facts, model::Thread& thread,
                          DecodedThread& decoded) {
    const auto owner = python_->gil_owner();
    if (!owner || *owner == facts.own_tid) return;
    if (!facts.registers.get(kRegisterPc)) {
      unseen_.push_back({result_.threads.size(), process, *owner});
      return;
    }
    const Symbols& symbols = *processes_[process].symbols;
    const MemoryReader& memory = *processes_[process].memory;
    if (python_->is_taking_gil(unwind(symbols, facts.registers, memory, kMaxGilFrames)))
      add_gil_wait(process, facts, thread, decoded);
  }

  // Whoever has the GIL and goes on will let others have it.
  void mark_unseen() {
    for (const UnseenThread& unseen : unseen_) {
      const auto owner = find_thread(unseen.process, unseen.owner, false);
      result_.threads[unseen.thread].may_poll =
          owner && result_.snapshot.threads[static_cast<size_t>(*owner)].wait.has_value();
    }
  }

  void add_lease_wait(size_t process, const ThreadFacts& facts, const LeaseWait& lease,
                      const FutexCall& call, model::Thread& thread, DecodedThread& decoded) {
    decoded.call = "acquire";
    model::Wait wait;
    wait.resource = resource(process, ResourceKind::Lease, lease.lease, false);
    wait.timed = call.timed || lease.gives_up;
    wait.since = facts.since;
    result_.snapshot.resources[static_cast<size_t>(wait.resource)].name = lease.name;
    if (lease.owner != 0)
      own(wait.resource, process, lease.owner, false, false, !lease.owner_likely);
    thread.activity = Activity::Waiting;
    thread.wait = std::move(wait);
  }

  // It runs, so nothing shows that it was there all the time between two looks.
  void add_spin(size_t process, const ThreadFacts& facts, model::Thread& thread,
                DecodedThread& decoded) {
    const auto word = processes_[process].memory->read_word(facts.spins_on, 4);
    if (!word || static_cast<int32_t>(*word) > 0) return;  // just released
    decoded.call = "pthread_spin_lock";
    model::Wait wait;
    wait.resource = resource(process, ResourceKind::Spin, facts.spins_on, true);
    wait.doubt = "it was seen spinning at each of several looks, not in between";
    thread.activity = Activity::Waiting;
    thread.busy = false;
    thread.wait = std::move(wait);
  }

  Found identify(const ProcessFacts& process, const ThreadFacts& thread, const FutexCall& call,
                 const WaitCall& near) {
    if (!near.target) return identify_by_bytes(process, call);
    switch (*near.target) {
      case WaitTarget::Mutex:
      case WaitTarget::RecMutex:
        return identify_mutex(process, thread, call, near);
      case WaitTarget::Condition:
        // The second half of the wait is one for the mutex, by another kind of futex call.
        // (Up to 2.33 the first half may be of that kind too, but then it waits for a zero to go.)
        if (call.command != kFutexWaitBitset && call.command != kFutexWaitRequeuePi &&
            (call.command != kFutexWait || call.value != 0))
          return identify_mutex(process, thread, call, near);
        return {.kind = ResourceKind::Condition,
                .address = (call.address & ~uint64_t{7}) - layout_.condition_signals};
      case WaitTarget::ReadLock:
      case WaitTarget::GlibReadLock:
        return outer_of(
            process, near,
            {.kind = rwlock_kind(near), .address = rwlock_of(call), .mode = Mode::Shared});
      case WaitTarget::WriteLock:
      case WaitTarget::GlibWriteLock:
        return outer_of(process, near, {.kind = rwlock_kind(near), .address = rwlock_of(call)});
      case WaitTarget::Semaphore:
        return {.kind = ResourceKind::Semaphore, .address = call.address};
      case WaitTarget::Barrier:
        return {.kind = ResourceKind::Barrier,
                .address = call.address - GlibcLayout::kBarrierRound};
      case WaitTarget::Join:
        return {.kind = ResourceKind::Thread, .address = call.address - layout_.tid_offset};
      case WaitTarget::Once:
        return {.kind = ResourceKind::Once, .address = call.address};
      case WaitTarget::Guard:
        return {.kind = ResourceKind::Guard, .address = call.address & ~uint64_t{7}};
      case WaitTarget::Future:
        return {.kind = ResourceKind::Future, .address = call.address};
      case WaitTarget::GlibMutex:
        return {.kind = ResourceKind::GlibMutex, .address = call.address};
      case WaitTarget::GlibCondition:
        return {.kind = ResourceKind::GlibCond, .address = call.address - kGlibCondWord};
      case WaitTarget::GlibOnce:
      case WaitTarget::GlibQueue: {
        const ResourceKind kind =
            *near.target == WaitTarget::GlibOnce ? ResourceKind::GlibOnce : ResourceKind::GlibQueue;
        if (near.argument) return {.kind = kind, .address = *near.argument};
        return {.kind = ResourceKind::GlibCond,
                .address = call.address - kGlibCondWord,
                .needs_registers = true};
      }
      case WaitTarget::GlibBit:
        return {.kind = ResourceKind::GlibBit, .address = call.address};
      case WaitTarget::Spin:
        break;  // spins, does not sleep
    }
    return identify_by_bytes(process, call);
  }

  // GRecMutex and GRWLock point to what is really locked; the program knows them by their own
  // address. The inner object stays what is read.
  static Found outer_of(const ProcessFacts& process, const WaitCall& near, Found found) {
    if (!is_wait_wrapper(*near.target)) return found;
    found.object = found.address;
    if (near.argument && process.memory->read_word(*near.argument) == found.address)
      found.address = *near.argument;
    else
      found.needs_registers = true;
    return found;
  }

  static ResourceKind rwlock_kind(const WaitCall& near) {
    const bool glib =
        *near.target == WaitTarget::GlibReadLock || *near.target == WaitTarget::GlibWriteLock;
    return glib ? ResourceKind::GlibRwLock : ResourceKind::RwLock;
  }

  // Readers and writers sleep on three of its words; the value tells the first from the third.
  static uint64_t rwlock_of(const FutexCall& call) {
    if (call.address % 8 == 4) return call.address - GlibcLayout::kRwLockWriters;
    if ((call.value & GlibcLayout::kRwLockReaderWaiting) != 0) return call.address;
    return call.address - GlibcLayout::kRwLockWriterPhase;
  }

  Found identify_mutex(const ProcessFacts& process, const ThreadFacts& thread,
                       const FutexCall& call, const WaitCall& near) {
    const ResourceKind kind =
        near.target == WaitTarget::RecMutex ? ResourceKind::GlibRecMutex : ResourceKind::Mutex;
    // Whoever waits for a mutex waits for a word to change that is not zero. Only who closed a
    // cycle of priority-inheriting ones sleeps for ever on a zero of its own stack.
    const bool waits_at_zero =
        (call.command == kFutexWait || call.command == kFutexWaitBitset) && call.value == 0;
    if (!waits_at_zero) return outer_of(process, near, {.kind = kind, .address = call.address});
    const uint64_t sp = thread.registers.get(kRegisterRsp).value_or(0);
    const bool on_own_stack = call.address >= sp && call.address - sp < kNearStack;
    return on_own_stack ? priority_mutex(process, call, near, kind)
                        : identify_by_bytes(process, call);
  }

  // See process/priority_mutex.h.
  Found priority_mutex(const ProcessFacts& process, const FutexCall& call, const WaitCall& near,
                       ResourceKind kind) {
    PriorityWait wait{.inner_frames = near.inner_frames};
    if (calls_) wait.argument = calls_->mutex_argument(near);
    const PriorityMutex mutex = find_priority_mutex(
        wait, *process.memory, [&](uint32_t own_tid) { return is_thread(process, own_tid); });
    if (mutex.address != 0 && mutex.certain) return {.kind = kind, .address = mutex.address};
    // Not known, it is no mutex: the word it sleeps on is none.
    return {.kind = mutex.address != 0 ? kind : ResourceKind::Futex,
            .address = mutex.address != 0 ? mutex.address : call.address,
            .definite = false,
            .doubt = mutex.address != 0
                         ? "which mutex of a priority-inheriting cycle it wants is inferred"
                         : "which mutex of a priority-inheriting cycle it wants is not known",
            .needs_registers = !mutex.registers_known};
  }

  static bool is_thread(const ProcessFacts& process, uint32_t own_tid) {
    return std::any_of(process.threads.begin(), process.threads.end(),
                       [own_tid](const ThreadFacts& thread) { return thread.own_tid == own_tid; });
  }

  // Without a name. A join cannot be mistaken: the word is inside a thread descriptor and holds the
  // number of the thread. A mutex can.
  Found identify_by_bytes(const ProcessFacts& process, const FutexCall& call) const {
    const MemoryReader& memory = *process.memory;
    if (call.command == kFutexWaitBitset && !call.is_private && call.value != 0 &&
        call.address > layout_.tid_offset) {
      const uint64_t descriptor = call.address - layout_.tid_offset;
      if (memory.read_word(descriptor) == descriptor &&
          memory.read_word(descriptor + GlibcLayout::kDescriptorSelf) == descriptor)
        return {.kind = ResourceKind::Thread, .address = descriptor};
    }
    if (call.command == kFutexWait && call.value == 2) {
      const auto word = memory.read_word(call.address, 4);
      const auto owner = memory.read_word(call.address + GlibcLayout::kMutexOwner, 4);
      const auto kind = memory.read_word(call.address + GlibcLayout::kMutexKind, 4);
      const auto users = memory.read_word(call.address + 12, 4);
      const bool is_mutex = word == 2 && owner && kind && *kind <= GlibcLayout::kMutexKindMax &&
                            users && *users >= 1 && *users < 4096 &&
                            is_thread(process, static_cast<uint32_t>(*owner));
      if (is_mutex)
        return {.kind = ResourceKind::Mutex,
                .address = call.address,
                .definite = false,
                .doubt = "what it waits for was recognised by its bytes alone"};
      if (const auto thread = stdio_owner(memory, call.address); thread && *thread != 0)
        return {.kind = ResourceKind::Custom, .address = call.address};
      // A stream that names nobody is about to be named, or let go of.
      if (is_malloc_arena(memory, call.address) ||
          (process.symbols != nullptr && find_any_stream(*process.symbols, memory, call.address))) {
        return {.kind = ResourceKind::Custom,
                .address = call.address,
                .definite = false,
                .doubt = "what it waits for was recognised by its bytes alone"};
      }
    }
    // What a core that was cut off does not have may be anything.
    const bool is_there = memory.read_word(call.address, 4).has_value();
    return {.kind = ResourceKind::Futex,
            .address = call.address,
            .definite = is_there,
            .doubt = is_there ? "" : "the word it waits on cannot be read"};
  }

  // stdio's and the dynamic loader's recursive locks: lock word, count, descriptor of the owner.
  [[nodiscard]] std::optional<uint32_t> stdio_owner(const MemoryReader& memory,
                                                    uint64_t address) const {
    const auto count = memory.read_word(address + 4, 4);
    const auto descriptor = memory.read_word(address + 8);
    if (!count || *count == 0 || !descriptor || *descriptor < 4096) return std::nullopt;
    if (memory.read_word(*descriptor) != *descriptor ||
        memory.read_word(*descriptor + GlibcLayout::kDescriptorSelf) != *descriptor)
      return std::nullopt;
    const auto tid = memory.read_word(*descriptor + layout_.tid_offset, 4);
    if (!tid) return std::nullopt;
    return static_cast<uint32_t>(*tid);
  }

  // --- Its bytes
  // ------------------------------------------------------------------------------------------

  // False: the object's own words say that nobody has it.
  bool read_object(size_t process, const Found& found, const FutexCall& call, ResourceId id) {
    const MemoryReader& memory = *processes_[process].memory;
    Resource& resource = result_.snapshot.resources[static_cast<size_t>(id)];
    const uint64_t object = found.object != 0 ? found.object : found.address;
    const auto word = [&](size_t offset) { return memory.read_word(object + offset, 4); };
    switch (found.kind) {
      case ResourceKind::Mutex:
      case ResourceKind::GlibRecMutex: {
        const auto kind = word(GlibcLayout::kMutexKind);
        if (!kind || *kind > GlibcLayout::kMutexKindMax) return true;
        const bool priority = (*kind & GlibcLayout::kMutexPriority) != 0;
        resource.recursive = (*kind & GlibcLayout::kMutexTypeMask) == GlibcLayout::kMutexRecursive;
        const auto owner = word(priority ? 0 : GlibcLayout::kMutexOwner);
        if (!owner) return true;
        const auto tid = static_cast<uint32_t>(*owner & kFutexTidMask);
        if (tid == 0) return false;
        own(id, process, tid, (*kind & GlibcLayout::kMutexShared) != 0 || !call.is_private,
            (*kind & GlibcLayout::kMutexRobust) != 0);
        return true;
      }
      case ResourceKind::RwLock:
      case ResourceKind::GlibRwLock: {
        resource.prefers_writers =
            word(GlibcLayout::kRwLockFlags) == GlibcLayout::kRwLockPrefersWriters;
        const auto writer = word(GlibcLayout::kRwLockOwner);
        if (writer && *writer != 0)
          own(id, process, static_cast<uint32_t>(*writer), !call.is_private, false);
        return true;
      }
      case ResourceKind::Thread:
        joins_.push_back({id, process, call.value});
        return true;
      case ResourceKind::Semaphore:
        return word(0).value_or(0) == 0;
      case ResourceKind::GlibMutex:
        return word(0).value_or(1) != 0;
      case ResourceKind::Barrier: {
        const auto in = word(0);
        const auto round = word(GlibcLayout::kBarrierRound);
        const auto count = word(GlibcLayout::kBarrierCount);
        if (!in || !round || !count) return true;
        const auto arrived = static_cast<uint32_t>(*in - *round);
        if (arrived < *count) resource.needed = static_cast<uint32_t>(*count - arrived);
        return true;
      }
      case ResourceKind::Custom:
        if (resource.name.empty() && processes_[process].symbols != nullptr) {
          const Symbols& symbols = *processes_[process].symbols;
          resource.name = libc_lock_name(symbols, memory, object, symbols.debug_info().pid());
        }
        if (const auto tid = stdio_owner(memory, found.address))
          own(id, process, *tid, false, false);
        else if (std::find(result_.libc_locks.begin(), result_.libc_locks.end(), id) ==
                 result_.libc_locks.end())
          result_.libc_locks.push_back(id);
        return true;
      default:
        return true;
    }
  }

  // Not `certain`: another thread may release it.
  void own(ResourceId id, size_t process, uint32_t tid, bool shared, bool robust,
           bool certain = true) {
    const auto known = std::find_if(owners_.begin(), owners_.end(), [&](const PendingOwner& owner) {
      return owner.resource == id;
    });
    // A robust mutex of a dead owner goes to the next who asks: that wait is about to end.
    if (known == owners_.end())
      owners_.push_back({id, process, tid, shared, !robust && certain, certain});
  }

  ResourceId resource(size_t process, ResourceKind kind, uint64_t address, bool shared) {
    ResourceKey key{process, kind, address, 0, 0};
    if (shared && kind != ResourceKind::Thread && processes_[process].shared_place) {
      const auto place = processes_[process].shared_place(address);
      shared = place.has_value();
      if (place) key = {kEverywhere, kind, place->device, place->inode, place->offset};
    } else {
      shared = false;
    }
    const auto [entry, is_new] = resources_.try_emplace(key, ResourceId{0});
    if (is_new) {
      Resource resource;
      resource.id = ResourceId{static_cast<uint32_t>(result_.snapshot.resources.size())};
      resource.kind = kind;
      resource.process = model::ProcessId{static_cast<uint32_t>(process)};
      resource.address = address;
      resource.process_shared = shared;
      entry->second = resource.id;
      result_.snapshot.resources.push_back(std::move(resource));
    }
    return entry->second;
  }

  // --- Owners, once all threads are known
  // ------------------------------------------------------------------------------------------

  [[nodiscard]] std::optional<ThreadId> find_thread(size_t process, uint32_t tid,
                                                    bool shared) const {
    const auto here = threads_by_tid_.find({process, tid});
    if (here != threads_by_tid_.end()) return here->second;
    for (size_t other = 0; shared && other < processes_.size(); ++other) {
      const auto there = threads_by_tid_.find({other, tid});
      if (there != threads_by_tid_.end()) return there->second;
    }
    return std::nullopt;
  }

  void give(const PendingOwner& owner) {
    Resource& resource = result_.snapshot.resources[static_cast<size_t>(owner.resource)];
    if (const auto thread = find_thread(owner.process, owner.tid, owner.shared)) {
      result_.snapshot.threads[static_cast<size_t>(*thread)].holds.push_back(
          {.resource = owner.resource, .definite = owner.certain});
      return;
    }
    const ProcessFacts& process = processes_[owner.process];
    if (process.has_thread && process.has_thread(owner.tid)) return;  // begun meanwhile
    const bool nowhere =
        process.is_alive_elsewhere && !process.is_alive_elsewhere(owner.tid).value_or(true);
    if (owner.shared && !nowhere) result_.foreign_owners.push_back(owner.tid);
    if (owner.shared || !owner.definite || nowhere) {
      resource.owner_gone = owner.definite && nowhere;
      return;
    }
    // Lost in fork, it seems: the owner lives on in another process. What the forking thread held,
    // its copy, the main thread here, may still let go.
    const auto main =
        std::find_if(result_.snapshot.threads.begin(), result_.snapshot.threads.end(),
                     [&](const model::Thread& thread) {
                       return static_cast<size_t>(thread.process) == owner.process &&
                              thread.tid == result_.snapshot.processes[owner.process].pid;
                     });
    const bool main_waits = main != result_.snapshot.threads.end() && main->wait &&
                            main->wait->resource == owner.resource;
    if (main == result_.snapshot.threads.end() || main_waits) {
      resource.owner_gone = true;
    } else {
      main->holds.push_back({.resource = owner.resource, .definite = false});
    }
  }

  void link_join(const PendingJoin& join) {
    Resource& resource = result_.snapshot.resources[static_cast<size_t>(join.resource)];
    if (const auto thread = find_thread(join.process, join.tid, false)) {
      resource.joined = *thread;
      resource.joined_known = true;
      return;
    }
    // A thread that ends wakes its joiners before it disappears. So one who still sleeps, on the
    // number of a thread that is no more, sleeps for ever: the second of two joiners.
    const ProcessFacts& process = processes_[join.process];
    resource.owner_gone = !process.has_thread || !process.has_thread(join.tid);
  }

  // Of all wakers only sem_post and the raw futex call are allowed in a signal handler.
  void add_handler_facts() {
    const auto& processes = result_.snapshot.processes;
    const bool any =
        std::any_of(processes.begin(), processes.end(),
                    [](const model::Process& process) { return process.handles_signals; });
    for (Resource& resource : result_.snapshot.resources) {
      if (resource.kind != ResourceKind::Semaphore && resource.kind != ResourceKind::Futex)
        continue;
      resource.posts_from_handler_possible =
          resource.process_shared
              ? any
              : processes[static_cast<size_t>(resource.process)].handles_signals;
    }
  }

  std::span<const ProcessFacts> processes_;
  DecodedWaits result_;
  GlibcLayout layout_;  // of the process at hand
  std::optional<WaitCalls> calls_;
  std::optional<Python> python_;
  std::map<ResourceKey, ResourceId> resources_;
  std::map<std::pair<size_t, uint32_t>, ThreadId> threads_by_tid_;
  std::vector<PendingOwner> owners_;
  std::vector<PendingJoin> joins_;
  std::vector<UnseenThread> unseen_;
};

}  // namespace

DecodedWaits decode_waits(std::span<const ProcessFacts> processes) {
  return Decoder(processes).decode();
}

void keep_steady(DecodedWaits& decoded, const std::function<bool(size_t thread)>& is_steady) {
  for (size_t i = 0; i < decoded.snapshot.threads.size(); ++i) {
    model::Thread& thread = decoded.snapshot.threads[i];
    if (!thread.wait || is_steady(i)) continue;
    thread.activity = Activity::Running;
    thread.busy = true;
    thread.wait.reset();
  }
}

}  // namespace gordian::process
