// SPDX-License-Identifier: Apache-2.0
#include "trace/board_snapshot.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

namespace gordian::trace {
namespace {

using format::Described;
using format::Hold;
using format::Kind;
using format::WaitWord;
using model::Resource;
using model::ResourceId;
using model::ResourceKind;
using model::ThreadId;

constexpr size_t kEverywhere = SIZE_MAX;  // "process" of what several processes share

// What makes two mentions on cards the same resource.
using ResourceKey = std::tuple<size_t, ResourceKind, uint64_t, uint64_t, uint64_t>;

model::Registers to_model(const format::Registers& registers) {
  return {.rip = registers.rip,
          .rsp = registers.rsp,
          .rbp = registers.rbp,
          .rbx = registers.rbx,
          .r12 = registers.r12,
          .r13 = registers.r13,
          .r14 = registers.r14,
          .r15 = registers.r15};
}

// PTHREAD_MUTEX_RECURSIVE_NP; C11's mtx_recursive becomes the same.
bool is_recursive(Kind kind, uint16_t type) {
  return kind == Kind::GlibRecMutex || (kind == Kind::Mutex && (type & 3) == 1);
}

class Builder {
 public:
  Builder(std::span<const ProcessBoard> boards, const ReacquiresMutex& reacquires)
      : boards_(boards), reacquires_(reacquires) {}

  BoardSnapshot build() {
    for (size_t i = 0; i < boards_.size(); ++i) read_process(i);
    for (PendingJoin& join : joins_) link_join(join);
    for (size_t i = 0; i < boards_.size(); ++i) add_lock_facts(i);
    add_handler_facts();
    return std::move(result_);
  }

 private:
  struct PendingJoin {
    ResourceId resource;
    size_t process;
    uint64_t pthread;
    uint32_t uid;
  };

  void read_process(size_t index) {
    model::Process process = boards_[index].process;
    process.id = model::ProcessId{static_cast<uint32_t>(index)};
    result_.snapshot.processes.push_back(std::move(process));
    BoardReader* board = boards_[index].board;
    if (board == nullptr || !board->refresh()) return;
    const uint32_t cards = board->cards_used();
    result_.snapshot.threads.reserve(result_.snapshot.threads.size() + cards);
    result_.origins.reserve(result_.origins.size() + cards);
    for (uint32_t card = 0; card < cards; ++card) read_thread(index, card);
  }

  void read_thread(size_t process, uint32_t index) {
    const BoardReader& board = *boards_[process].board;
    const std::optional<WaitWord> word = board.read_wait(index);
    const std::optional<CardCopy> card = board.read_card(index);
    if (!word || !card || card->state != format::CardState::Live) return;

    model::Thread thread;
    thread.id = ThreadId{static_cast<uint32_t>(result_.snapshot.threads.size())};
    thread.process = model::ProcessId{static_cast<uint32_t>(process)};
    thread.tid = outer_tid(process, card->tid);
    thread.uid = card->uid;
    thread.inexact = (card->flags & format::kCardInexact) != 0;
    thread.start_routine = card->start_routine;
    thread.create_site = card->create_site;

    ThreadOrigin origin{.process = process,
                        .card = index,
                        .card_tid = card->tid,
                        .flags = card->flags,
                        .tid_word = card->tid_word,
                        .stack_high = card->stack_high};
    const bool waits = word->number % 2 == 1 && word->tid == card->tid && word->kind != Kind::None;
    // Conditions in whose wait this thread is: they have given up their mutex.
    std::vector<uint64_t> suspended_by;
    if (waits) {
      origin.has_wait = true;
      origin.wait = *word;
      thread.activity = model::Activity::Waiting;
      add_wait(process, index, *card, *word, thread);
      if (is_condition(word->kind)) suspended_by.push_back(word->object);
    }
    for (uint32_t i = 0; i < std::min<uint32_t>(word->depth, card->outer.size()); ++i) {
      if (is_condition(card->outer[i].wait.kind))
        suspended_by.push_back(card->outer[i].wait.object);
    }
    for (const Hold& hold : card->holds) {
      const bool given_up =
          (hold.flags & format::kSuspended) != 0 &&
          std::find(suspended_by.begin(), suspended_by.end(), hold.address) != suspended_by.end();
      if (hold.address != 0 && hold.kind != Kind::None && !given_up)
        add_hold(process, *card, hold, thread);
    }
    threads_by_uid_[{process, card->uid}] = thread.id;
    threads_by_pthread_[{process, card->pthread}] = thread.id;
    result_.snapshot.threads.push_back(std::move(thread));
    result_.origins.push_back(origin);
  }

  void add_wait(size_t process, uint32_t card_index, const CardCopy& card, const WaitWord& word,
                model::Thread& thread) {
    model::Wait wait;
    wait.mode =
        (word.flags & format::kSharedMode) != 0 ? model::Mode::Shared : model::Mode::Exclusive;
    wait.timed = (word.flags & format::kTimed) != 0;
    wait.number = word.number;
    wait.site = word.site;
    wait.frame = word.frame;
    wait.since = std::chrono::nanoseconds(word.since_ns);
    wait.registers = to_model(card.registers);
    wait.has_registers = card.registers.rsp != 0;
    const bool shared = (word.flags & format::kShared) != 0;
    if (is_condition(word.kind) && reacquires_ && reacquires_(process, card_index, word)) {
      const Kind mutex = word.kind == Kind::Condition ? Kind::Mutex : Kind::GlibMutex;
      wait.resource = resource(process, mutex, word.object, 0, shared);
      // Only the wait for the signal can time out.
      wait.timed = false;
    } else if (word.kind == Kind::Join) {
      const auto uid = static_cast<uint32_t>(word.object);
      wait.resource = resource(process, word.kind, word.address, 0, false);
      joins_.push_back({wait.resource, process, word.address, uid});
    } else {
      wait.resource = resource(process, word.kind, word.address, word.object, shared);
    }
    thread.wait = wait;
  }

  // A lock taken on another stack than the thread's own: by a fiber, which may go on, and unlock,
  // on another thread. (The frame of a file lock is the file; a forked child's one thread may stand
  // on the stack of any thread of its parent.)
  static bool is_on_foreign_stack(const CardCopy& card, const Hold& hold) {
    if ((card.flags & format::kCardForked) != 0 || is_file_lock(hold.kind)) return false;
    return hold.frame != 0 && card.stack_high != 0 &&
           (hold.frame < card.stack_low || hold.frame > card.stack_high);
  }

  void add_hold(size_t process, const CardCopy& card, const Hold& from, model::Thread& thread) {
    model::Hold hold;
    hold.resource =
        resource(process, from.kind, from.address, from.frame, (from.flags & format::kShared) != 0);
    hold.mode =
        (from.flags & format::kSharedMode) != 0 ? model::Mode::Shared : model::Mode::Exclusive;
    hold.site = from.site;
    hold.frame = from.frame;
    hold.count = from.count;
    hold.by_try = (from.flags & format::kTry) != 0;
    hold.definite = (from.flags & format::kUncertain) == 0 && !thread.inexact &&
                    !is_on_foreign_stack(card, from);
    thread.holds.push_back(hold);
  }

  // A spin lock's own word, and an annotation, do not say whether other processes use it: its
  // memory does.
  static bool says_if_shared(Kind kind) {
    return kind != Kind::Spin && kind != Kind::Custom && kind != Kind::Signal;
  }

  // `object` distinguishes only what the address alone does not: files.
  ResourceId resource(size_t process, Kind kind, uint64_t address, uint64_t object, bool shared) {
    const ResourceKind model_kind = resource_kind(kind);
    ResourceKey key{process, model_kind, address, 0, 0};
    if (is_file_lock(kind)) {
      // The two families of file locks do not see each other.
      key = {kEverywhere, model_kind, address, object, kind == Kind::Flock ? 1 : 2};
      shared = true;
    } else if ((shared || !says_if_shared(kind)) && boards_[process].shared_identity) {
      const auto identity = boards_[process].shared_identity(address);
      shared = identity.has_value();
      if (shared)
        key = {kEverywhere, model_kind, identity->device, identity->inode, identity->offset};
    }
    const auto [entry, is_new] = resources_.try_emplace(key, ResourceId{0});
    if (is_new) {
      Resource resource;
      resource.id = ResourceId{static_cast<uint32_t>(result_.snapshot.resources.size())};
      resource.kind = model_kind;
      resource.process = model::ProcessId{static_cast<uint32_t>(process)};
      resource.address = address;
      resource.process_shared = shared;
      entry->second = resource.id;
      if (kind == Kind::Signal) own_signals_.insert(resource.id);
      result_.snapshot.resources.push_back(std::move(resource));
    }
    if (!is_file_lock(kind)) {
      std::vector<ResourceId>& known = addresses_[process][address];
      if (std::find(known.begin(), known.end(), entry->second) == known.end())
        known.push_back(entry->second);
    }
    return entry->second;
  }

  void link_join(const PendingJoin& join) {
    Resource& resource = result_.snapshot.resources[static_cast<size_t>(join.resource)];
    std::optional<ThreadId> joined;
    if (join.uid != 0) {
      if (const auto it = threads_by_uid_.find({join.process, join.uid});
          it != threads_by_uid_.end()) {
        joined = it->second;
      }
    } else if (const auto it = threads_by_pthread_.find({join.process, join.pthread});
               it != threads_by_pthread_.end()) {
      joined = it->second;
    }
    resource.joined_known = joined.has_value();
    // No such thread: it is ending this moment, or somebody else has joined it. The kernel's word
    // decides.
    resource.owner_gone = !joined && join.uid != 0;
    if (joined) resource.joined = *joined;
  }

  // What the lock tables and the annotations say about the resources in play.
  void add_lock_facts(size_t process) {
    BoardReader* board = boards_[process].board;
    const auto mentioned = addresses_.find(process);
    if (board == nullptr || mentioned == addresses_.end()) return;
    std::vector<uint64_t> addresses;
    for (const auto& [address, ids] : mentioned->second) addresses.push_back(address);
    std::unordered_map<uint32_t, std::vector<ResourceId>> by_lock_id;
    for (const format::LockEntry& entry : board->find_locks(addresses)) {
      for (const ResourceId id : mentioned->second[entry.address]) {
        Resource& resource = result_.snapshot.resources[static_cast<size_t>(id)];
        // An annotation may have named the object before anybody used it as what it is.
        if (entry.kind != Kind::Custom && resource_kind(entry.kind) != resource.kind) continue;
        resource.generation = entry.id;
        resource.birth_site = entry.birth_site;
        resource.born_by_init = (entry.flags & format::kLockBornByInit) != 0;
        resource.prefers_writers = (entry.flags & format::kLockPrefersWriters) != 0;
        resource.semaphore_like = (entry.flags & format::kLockSemaphoreLike) != 0;
        resource.posted_in_handler = (entry.flags & format::kLockPostedInHandler) != 0;
        resource.wakers_closed = (entry.flags & format::kLockClosedWakers) != 0;
        resource.recursive = is_recursive(entry.kind, entry.type);
        by_lock_id[entry.id].push_back(id);
      }
    }
    if (by_lock_id.empty()) return;
    const BoardLog& log = board->read_log();
    for (const NameEntry& name : log.names) {
      for (const ResourceId id : by_lock_id[name.lock]) {
        result_.snapshot.resources[static_cast<size_t>(id)].name = name.text;
      }
    }
    for (const format::DescriptionRecord& description : log.descriptions) {
      for (const ResourceId id : by_lock_id[description.lock]) {
        apply_description(description, result_.snapshot.resources[static_cast<size_t>(id)]);
      }
    }
    for (const format::WakerRecord& waker : log.wakers) {
      const auto thread = threads_by_uid_.find({process, waker.waker_uid});
      if (thread == threads_by_uid_.end()) continue;
      for (const ResourceId id : by_lock_id[waker.lock]) {
        result_.snapshot.resources[static_cast<size_t>(id)].only_wakers.push_back(thread->second);
      }
    }
  }

  // Of all wakers only sem_post and the raw futex call are allowed in a signal handler; of a
  // condition of the program's own nobody knows.
  void add_handler_facts() {
    const auto& processes = result_.snapshot.processes;
    const bool any =
        std::any_of(processes.begin(), processes.end(),
                    [](const model::Process& process) { return process.handles_signals; });
    for (Resource& resource : result_.snapshot.resources) {
      if (resource.kind != ResourceKind::Semaphore && resource.kind != ResourceKind::Futex &&
          own_signals_.count(resource.id) == 0)
        continue;
      resource.posts_from_handler_possible =
          resource.process_shared
              ? any
              : processes[static_cast<size_t>(resource.process)].handles_signals;
    }
  }

  [[nodiscard]] int outer_tid(size_t process, uint32_t tid) const {
    return boards_[process].outer_tid ? boards_[process].outer_tid(tid) : static_cast<int>(tid);
  }

  std::span<const ProcessBoard> boards_;
  const ReacquiresMutex& reacquires_;
  BoardSnapshot result_;
  std::map<ResourceKey, ResourceId> resources_;
  std::set<ResourceId> own_signals_;
  std::map<size_t, std::unordered_map<uint64_t, std::vector<ResourceId>>> addresses_;
  std::map<std::pair<size_t, uint32_t>, ThreadId> threads_by_uid_;
  std::map<std::pair<size_t, uint64_t>, ThreadId> threads_by_pthread_;
  std::vector<PendingJoin> joins_;
};

}  // namespace

ResourceKind resource_kind(Kind kind) {
  switch (kind) {
    case Kind::None:
    case Kind::Mutex:
      return ResourceKind::Mutex;
    case Kind::RwLock:
      return ResourceKind::RwLock;
    case Kind::Spin:
      return ResourceKind::Spin;
    case Kind::Condition:
      return ResourceKind::Condition;
    case Kind::Semaphore:
      return ResourceKind::Semaphore;
    case Kind::Barrier:
      return ResourceKind::Barrier;
    case Kind::Once:
      return ResourceKind::Once;
    case Kind::Guard:
      return ResourceKind::Guard;
    case Kind::Join:
      return ResourceKind::Thread;
    case Kind::Futex:
      return ResourceKind::Futex;
    case Kind::Future:
      return ResourceKind::Future;
    case Kind::GlibMutex:
      return ResourceKind::GlibMutex;
    case Kind::GlibRecMutex:
      return ResourceKind::GlibRecMutex;
    case Kind::GlibRwLock:
      return ResourceKind::GlibRwLock;
    case Kind::GlibCond:
      return ResourceKind::GlibCond;
    case Kind::GlibOnce:
      return ResourceKind::GlibOnce;
    case Kind::GlibBit:
      return ResourceKind::GlibBit;
    case Kind::GlibQueue:
      return ResourceKind::GlibQueue;
    case Kind::Flock:
    case Kind::FcntlLock:
    case Kind::OfdLock:
      return ResourceKind::FileLock;
    case Kind::Custom:
      return ResourceKind::Custom;
    case Kind::Lease:
      return ResourceKind::Lease;
    case Kind::Signal:
      return ResourceKind::Condition;
  }
  // A kind of a newer runtime, or a damaged byte: nobody knows who ends such a wait.
  return ResourceKind::Futex;
}

void apply_description(const format::DescriptionRecord& description, model::Resource& resource) {
  if (description.level >= 0 && description.level <= UINT16_MAX) resource.level = description.level;
  if (resource.kind == ResourceKind::Condition) {
    if (description.what == Described::Queue) resource.kind = ResourceKind::Queue;
    return;
  }
  if (resource.kind != ResourceKind::Custom) return;
  switch (description.what) {
    case Described::Mutex:
      resource.kind = ResourceKind::Mutex;
      return;
    case Described::RwLock:
      resource.kind = ResourceKind::RwLock;
      return;
    case Described::Gate:
      resource.kind = ResourceKind::Gate;
      return;
    case Described::Worker:
      resource.kind = ResourceKind::Worker;
      return;
    default:
      return;
  }
}

bool is_condition(Kind kind) { return kind == Kind::Condition || kind == Kind::GlibCond; }

bool is_file_lock(Kind kind) {
  return kind == Kind::Flock || kind == Kind::FcntlLock || kind == Kind::OfdLock;
}

BoardSnapshot read_snapshot(std::span<const ProcessBoard> boards,
                            const ReacquiresMutex& reacquires) {
  return Builder(boards, reacquires).build();
}

}  // namespace gordian::trace
