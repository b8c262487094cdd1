// SPDX-License-Identifier: Apache-2.0
#include "trace/board_history.h"

#include "base/text.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace gordian::trace {
namespace {

constexpr uint16_t kRobustType = 16;  // PTHREAD_MUTEX_ROBUST_NORMAL_NP of glibc

using format::Kind;
using model::ResourceId;
using model::ResourceKind;
using model::ThreadId;

model::Mode mode_of(uint8_t flags) {
  return (flags & format::kSharedMode) != 0 ? model::Mode::Shared : model::Mode::Exclusive;
}

bool is_signalled(const Kind kind) {
  return kind == Kind::Condition || kind == Kind::GlibCond || kind == Kind::Semaphore ||
         kind == Kind::GlibQueue || kind == Kind::Future || kind == Kind::Futex ||
         kind == Kind::Signal;
}

// The giving side of a signal, see MarkType::Signalled; not a request.
bool is_given_signal(const format::ChainRecord& record) {
  return (record.flags & format::kSpinning) != 0 && is_signalled(record.kind);
}

model::Publication publication_of(format::Visitors visitors) {
  switch (visitors) {
    case format::Visitors::CreatorOnly:
      return model::Publication::Unpublished;
    case format::Visitors::SelfOnly:
      return model::Publication::CreationUnseen;
    case format::Visitors::Others:
      break;
  }
  return model::Publication::Published;
}

class HistoryBuilder {
 public:
  model::History build(std::span<const ProcessLog> logs) {
    for (const ProcessLog& log : logs) add_process(log);
    return std::move(history_);
  }

 private:
  void add_process(const ProcessLog& source) {
    process_ = model::ProcessId{static_cast<uint32_t>(history_.processes.size())};
    source_ = &source;
    threads_.clear();
    locks_.clear();
    last_at_.clear();
    joins_.clear();
    slices_.clear();
    model::Process process = source.process;
    process.id = process_;
    history_.processes.push_back(std::move(process));
    if (source.board == nullptr) return;
    source.board->refresh();
    const BoardLog& log = source.board->read_log();

    for (const ThreadEntry& entry : log.threads) add_thread(entry.record);
    for (const format::LockRecord& lock : log.locks) add_lock(lock);
    add_lock_facts(log);
    for (const ThreadEndEntry& end : log.thread_ends) add_end(end);
    for (const ChainEntry& chain : log.chains) {
      if (chain.record.slice_size > 0) slices_[chain.order] = &chain;
    }
    for (const ChainEntry& chain : log.chains) add_chain(chain);
    for (const format::SyncRecord& sync : log.syncs) add_sync(sync);
    for (const MarkEntry& mark : log.marks) add_mark(mark);
    // Last: until then the kinds are those of the records.
    for (const format::DescriptionRecord& description : log.descriptions) {
      const auto lock = locks_.find(description.lock);
      if (lock != locks_.end()) apply_description(description, resource(lock->second));
    }
  }

  ThreadId thread(uint32_t uid) {
    const auto [it, is_new] = threads_.try_emplace(uid, ThreadId{0});
    if (is_new) {
      model::HistoryThread thread;
      thread.id = ThreadId{static_cast<uint32_t>(history_.threads.size())};
      thread.process = process_;
      thread.uid = uid;
      if (const auto name = source_->thread_names.find(uid); name != source_->thread_names.end()) {
        thread.name = name->second;
      }
      it->second = thread.id;
      history_.threads.push_back(std::move(thread));
    }
    return it->second;
  }

  model::HistoryThread& thread_data(uint32_t uid) {
    return history_.threads[static_cast<size_t>(thread(uid))];
  }

  void add_thread(const format::ThreadRecord& record) {
    model::HistoryThread& thread = thread_data(record.header.uid);
    thread.tid = static_cast<int>(record.tid);
    thread.parent_uid = record.parent_uid;
    thread.start_routine = record.start_routine;
    thread.create_site = record.create_site;
    thread.is_main = (record.flags & format::kCardMain) != 0;
    // It ends with the process and leaves no last record: it is called what the program is.
    if (thread.is_main && thread.name.empty()) {
      const std::string& exe = source_->process.exe;
      thread.name = base_name(exe).substr(0, 15);
    }
    if (record.parent_uid != 0 && record.parent_uid != record.header.uid) {
      history_.order.push_back({.from = this->thread(record.parent_uid),
                                .from_segment = record.parent_segment,
                                .to = this->thread(record.header.uid),
                                .to_segment = 0,
                                .kind = ResourceKind::Thread});
    }
  }

  void add_end(const ThreadEndEntry& end) {
    const ThreadId id = thread(end.uid);
    std::vector<model::Hold> holds;
    for (const format::Hold& from : end.holds) {
      if (from.address == 0) continue;
      holds.push_back({.resource = resource_at(from.address, from.kind),
                       .mode = mode_of(from.flags),
                       .site = from.site,
                       .frame = from.frame,
                       .count = from.count,
                       .by_try = (from.flags & format::kTry) != 0,
                       .definite = (from.flags & format::kUncertain) == 0});
    }
    model::HistoryThread& thread = history_.threads[static_cast<size_t>(id)];
    thread.ended = true;
    if (thread.tid == 0) thread.tid = static_cast<int>(end.tid);
    if (!end.name.empty()) thread.name = end.name;
    thread.held_at_exit = std::move(holds);
  }

  model::Resource& new_resource(ResourceKind kind) {
    model::Resource resource;
    resource.id = ResourceId{static_cast<uint32_t>(history_.resources.size())};
    resource.kind = kind;
    resource.process = process_;
    history_.resources.push_back(std::move(resource));
    return history_.resources.back();
  }

  void add_lock(const format::LockRecord& record) {
    const bool shared = (record.flags & format::kLockProcessShared) != 0;
    std::optional<SharedIdentity> identity;
    if (is_file_lock(record.kind)) {
      identity =
          SharedIdentity{record.address, record.birth_site, record.kind == Kind::Flock ? 1U : 2U};
    } else if (shared && source_->shared_identity) {
      identity = source_->shared_identity(record.address);
    }
    if (identity) {
      const auto key = std::make_pair(resource_kind(record.kind), *identity);
      if (const auto known = shared_.find(key); known != shared_.end()) {
        locks_[record.id] = known->second;
        last_at_[record.address] = known->second;
        return;
      }
      shared_[key] = ResourceId{static_cast<uint32_t>(history_.resources.size())};
    }
    model::Resource& resource = new_resource(resource_kind(record.kind));
    resource.address = record.address;
    resource.generation = record.id;
    resource.birth_site = record.birth_site;
    resource.born_by_init = (record.flags & format::kLockBornByInit) != 0;
    resource.process_shared = shared;
    resource.robust = record.kind == Kind::Mutex && (record.type & kRobustType) != 0;
    set_flags(resource, record.flags);
    // Neither static nor announced by an init: nobody saw it begin, so another may have lain there.
    resource.address_may_be_reused =
        !resource.born_by_init && !identity && !is_static(record.address);
    locks_[record.id] = resource.id;
    last_at_[record.address] = resource.id;
  }

  bool is_static(uint64_t address) {
    const std::vector<ModuleEntry>& modules = source_->board->read_log().modules;
    return std::any_of(modules.begin(), modules.end(), [address](const ModuleEntry& module) {
      return address >= module.start && address < module.end;
    });
  }

  static void set_flags(model::Resource& resource, uint8_t flags) {
    resource.prefers_writers |= (flags & format::kLockPrefersWriters) != 0;
    resource.semaphore_like |= (flags & format::kLockSemaphoreLike) != 0;
    resource.posted_in_handler |= (flags & format::kLockPostedInHandler) != 0;
    resource.wakers_closed |= (flags & format::kLockClosedWakers) != 0;
  }

  // What was learnt about locks after they were logged.
  void add_lock_facts(const BoardLog& log) {
    for (const format::LockEntry& entry : source_->board->read_locks()) {
      const auto lock = locks_.find(entry.id);
      if (lock != locks_.end()) set_flags(resource(lock->second), entry.flags);
    }
    for (const NameEntry& name : log.names) {
      const auto lock = locks_.find(name.lock);
      if (lock != locks_.end()) resource(lock->second).name = name.text;
    }
    for (const format::WakerRecord& waker : log.wakers) {
      const auto lock = locks_.find(waker.lock);
      if (lock == locks_.end()) continue;
      const ThreadId id = thread(waker.waker_uid);
      resource(lock->second).only_wakers.push_back(id);
    }
  }

  model::Resource& resource(ResourceId id) { return history_.resources[static_cast<size_t>(id)]; }

  // A lock by its id; one whose record was lost still is a lock.
  ResourceId lock(uint32_t id, Kind kind) {
    const auto it = locks_.find(id);
    if (it != locks_.end()) return it->second;
    const ResourceId made = new_resource(resource_kind(kind)).id;
    if (id != 0) locks_[id] = made;
    return made;
  }

  ResourceId resource_at(uint64_t address, Kind kind) {
    const auto it = last_at_.find(address);
    if (it != last_at_.end() && resource(it->second).kind == resource_kind(kind)) return it->second;
    model::Resource& made = new_resource(resource_kind(kind));
    made.address = address;
    last_at_[address] = made.id;
    return made.id;
  }

  ResourceId join_resource(uint32_t uid, ThreadId joined) {
    const auto [it, is_new] = joins_.try_emplace(uid, ResourceId{0});
    if (is_new) {
      model::Resource& resource = new_resource(ResourceKind::Thread);
      resource.joined = joined;
      resource.joined_known = true;
      it->second = resource.id;
    }
    return it->second;
  }

  std::vector<model::ChainHold> holds_of(const ChainEntry& entry) {
    std::vector<model::ChainHold> holds;
    for (const format::ChainHold& from : entry.holds) {
      holds.push_back({.lock = lock(from.lock, from.kind),
                       .mode = mode_of(from.flags),
                       .by_try = (from.flags & format::kTry) != 0,
                       .site = from.site,
                       .frame = from.frame,
                       .publication = publication_of(from.visitors)});
    }
    return holds;
  }

  // A slice that is another chain's shows that chain's frames and locks.
  void borrow_places(model::Chain& chain, const ChainEntry& other) {
    if (other.record.kind != Kind::Join)
      chain.slice_address = address_of(lock(other.record.lock, other.record.kind));
    if (other.holds.size() != chain.held.size()) return;
    for (size_t i = 0; i < chain.held.size(); ++i) {
      const format::ChainHold& there = other.holds[i];
      if (there.site != chain.held[i].site) continue;
      chain.held[i].frame = there.frame;
      chain.held[i].slice_address = address_of(lock(there.lock, there.kind));
    }
  }

  uint64_t address_of(ResourceId id) const {
    return history_.resources[static_cast<size_t>(id)].address;
  }

  void add_chain(const ChainEntry& entry) {
    const format::ChainRecord& record = entry.record;
    if (is_given_signal(record)) {
      history_.signals.push_back({.thread = thread(record.header.uid),
                                  .object = lock(record.lock, record.kind),
                                  .segment = record.segment,
                                  .order = entry.order,
                                  .site = record.site,
                                  .frame = record.frame,
                                  .held = holds_of(entry)});
      return;
    }
    const bool is_bare = record.lock == 0 && entry.holds.empty() && record.kind != Kind::Join;
    if (is_bare) {
      // Asked for with nothing held, before it mattered to anybody. If it never did, nor does this.
      const auto known = last_at_.find(record.object);
      if (known == last_at_.end() || resource(known->second).kind != resource_kind(record.kind))
        return;
    }
    model::Chain chain;
    chain.thread = thread(record.header.uid);
    chain.segment = record.segment;
    chain.order = entry.order;
    chain.mode = mode_of(record.flags);
    chain.timed = (record.flags & format::kTimed) != 0;
    chain.by_try = (record.flags & format::kTry) != 0;
    chain.site = record.site;
    chain.frame = record.frame;
    chain.call_frame = record.frame;
    chain.publication = publication_of(record.visitors);
    chain.held = holds_of(entry);
    chain.registers = {.rip = record.registers.rip,
                       .rsp = record.registers.rsp,
                       .rbp = record.registers.rbp,
                       .rbx = record.registers.rbx,
                       .r12 = record.registers.r12,
                       .r13 = record.registers.r13,
                       .r14 = record.registers.r14,
                       .r15 = record.registers.r15};
    chain.stack_slice = entry.slice;
    if (entry.slice.empty() && record.slice_of != 0) {
      // The same sites were logged before: that slice shows the same way to them.
      if (const auto other = slices_.find(record.slice_of); other != slices_.end()) {
        chain.stack_slice = other->second->slice;
        const format::Registers& registers = other->second->record.registers;
        chain.registers = {.rip = registers.rip,
                           .rsp = registers.rsp,
                           .rbp = registers.rbp,
                           .rbx = registers.rbx,
                           .r12 = registers.r12,
                           .r13 = registers.r13,
                           .r14 = registers.r14,
                           .r15 = registers.r15};
        chain.frame = other->second->record.frame;
        borrow_places(chain, *other->second);
      }
    }
    if (record.kind == Kind::Join) {
      const auto uid = static_cast<uint32_t>(record.object);
      chain.has_joined = uid != 0;
      if (chain.has_joined) {
        chain.joined = thread(uid);
        chain.wanted = join_resource(uid, chain.joined);
      } else {
        chain.wanted = new_resource(ResourceKind::Thread).id;
      }
    } else {
      chain.wanted =
          is_bare ? last_at_.find(record.object)->second : lock(record.lock, record.kind);
      if (is_condition(record.kind) && record.object != 0) {
        chain.has_companion = true;
        const Kind mutex = record.kind == Kind::Condition ? Kind::Mutex : Kind::GlibMutex;
        chain.companion = lock(static_cast<uint32_t>(record.object), mutex);
      }
    }
    history_.chains.push_back(std::move(chain));
  }

  void add_sync(const format::SyncRecord& sync) {
    if (sync.from_uid == 0 || sync.header.uid == 0) return;
    const ThreadId from = thread(sync.from_uid);
    const ThreadId to = thread(sync.header.uid);
    history_.order.push_back({.from = from,
                              .from_segment = sync.from_segment,
                              .to = to,
                              .to_segment = sync.to_segment,
                              .kind = resource_kind(sync.kind)});
  }

  void add_mark(const MarkEntry& entry) {
    const format::MarkRecord& mark = entry.record;
    const auto a = locks_.find(mark.a);
    const auto b = locks_.find(mark.b);
    switch (mark.mark) {
      case format::MarkType::NeverReportPair:
        if (a != locks_.end() && b != locks_.end())
          history_.never_report.emplace_back(a->second, b->second);
        return;
      case format::MarkType::ReleasedByOther:
        if (a != locks_.end()) resource(a->second).semaphore_like = true;
        return;
      case format::MarkType::Signalled:
        if (a != locks_.end()) {
          history_.signals.push_back({.thread = thread(mark.header.uid),
                                      .object = a->second,
                                      .segment = mark.segment,
                                      .order = entry.order,
                                      .site = mark.site,
                                      .frame = mark.frame,
                                      .held = {}});
        }
        return;
      case format::MarkType::AssertedNothingHeld:
      case format::MarkType::SelfDeadlockError:
        return;
    }
  }

  model::History history_;
  std::map<std::pair<ResourceKind, SharedIdentity>, ResourceId> shared_;

  // Of the process at work.
  model::ProcessId process_{};
  const ProcessLog* source_ = nullptr;
  std::unordered_map<uint32_t, ThreadId> threads_;
  std::unordered_map<uint32_t, ResourceId> locks_;
  std::unordered_map<uint64_t, ResourceId> last_at_;
  std::unordered_map<uint32_t, ResourceId> joins_;
  std::unordered_map<uint64_t, const ChainEntry*> slices_;
};

}  // namespace

model::History read_history(std::span<const ProcessLog> logs) {
  return HistoryBuilder().build(logs);
}

BoardTotals read_totals(BoardReader& board) {
  board.refresh();
  const format::BoardHeader& header = board.header();
  BoardTotals totals{.threads = header.gone_threads,
                     .locks = header.next_lock,
                     .acquisitions = header.gone_acquisitions,
                     .nested = header.gone_nested,
                     .waits = header.gone_waits,
                     .longest_wait_ns = header.gone_longest_wait_ns};
  for (uint32_t i = 0; i < board.cards_used(); ++i) {
    const std::optional<CardCopy> card = board.read_card(i);
    if (!card || card->state != format::CardState::Live) continue;
    ++totals.threads;
    totals.acquisitions += card->acquisitions;
    totals.nested += card->nested;
    totals.waits += card->waits;
    totals.longest_wait_ns = std::max(totals.longest_wait_ns, card->longest_wait_ns);
  }
  const BoardLog& log = board.read_log();
  totals.chains = log.chains.size();
  std::set<std::pair<uint32_t, uint32_t>> pairs;
  std::set<uint32_t> nested_threads;
  for (const ChainEntry& chain : log.chains) {
    if (is_given_signal(chain.record)) continue;
    if (!chain.holds.empty()) nested_threads.insert(chain.record.header.uid);
    for (const format::ChainHold& hold : chain.holds) pairs.emplace(hold.lock, chain.record.lock);
  }
  totals.nested_threads = nested_threads.size();
  totals.lock_pairs = pairs.size();
  return totals;
}

}  // namespace gordian::trace
