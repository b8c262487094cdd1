// SPDX-License-Identifier: Apache-2.0
#include "watch/judge.h"

#include "analysis/find_stuck.h"
#include "process/file_locks.h"
#include "trace/board_history.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <unordered_map>
#include <utility>

namespace gordian::watch {
namespace {

using format::Kind;
using format::WaitWord;
using model::ResourceId;
using model::ThreadId;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC, as the board's since_ns

constexpr milliseconds kInterval{20};
// The judge's share of a core, in the long run; what it saves it may spend when something happens.
constexpr int kShareDivisor = 250;
constexpr nanoseconds kMaxCredit = milliseconds(60);
constexpr milliseconds kFirstBackoff{20};
constexpr milliseconds kMaxBackoff{500};
constexpr nanoseconds kSpinningPatience = milliseconds(10);
constexpr std::chrono::microseconds kSpinningNap{200};

// A library's own routine, in which all threads begin that it starts for others. It is no symbol of
// a stripped library, so there its place says it.
bool is_trampoline(const process::Symbols& symbols, uint64_t start_routine) {
  const process::Module* const module = process::find_module(symbols.modules(), start_routine);
  if (module != nullptr) {
    for (const char* const library :
         {"/libstdc++.so", "/libc++.so", "/libboost_thread.so", "/libglib-2.0.so"}) {
      if (module->path.find(library) != std::string::npos) return true;
    }
  }
  const auto symbol = symbols.symbol_at(start_routine);
  if (!symbol) return false;
  for (const char* const trampoline : {"execute_native_thread_routine", "g_thread_proxy"}) {
    if (symbol->name.find(trampoline) != std::string::npos) return true;
  }
  return false;
}

nanoseconds processor_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

nanoseconds now_monotonic() { return Clock::now().time_since_epoch(); }

// Its owner's threads of the knot are all that matters. Not so where anybody may give a signal; and
// a file lock belongs to a process: any of its threads can release it, also one without a card.
bool has_one_waker(const model::Resource& resource) {
  return model::is_owned(resource.kind) && !resource.semaphore_like &&
         resource.kind != model::ResourceKind::FileLock;
}

bool is_waiting(const WaitWord& word) { return word.number % 2 == 1 && word.kind != Kind::None; }

bool is_signalled(Kind kind) { return !model::is_owned(trace::resource_kind(kind)); }

uint64_t mix(uint64_t hash, uint64_t value) {
  return (hash ^ value) * 0x9e3779b97f4a7c15 + (hash >> 29);
}

size_t index_of(ThreadId id) { return static_cast<size_t>(id); }
size_t index_of(ResourceId id) { return static_cast<size_t>(id); }
size_t index_of(model::ProcessId id) { return static_cast<size_t>(id); }

// A thread that has ended may stay for long, as a zombie: the first one of a process while others
// run, and a whole process until its parent asks. By then it has woken whoever waited for its end.
// Asked with a signal that is none, because /proc may hide what belongs to others.
bool has_ended(int pid, uint32_t tid) {
  if (syscall(SYS_tgkill, pid, tid, 0) != 0 && errno == ESRCH) return true;
  const auto reading = process::read_thread(pid, static_cast<int>(tid));
  return reading && (reading->state == 'Z' || reading->state == 'X');
}

bool has_ended(uint32_t tid) {
  if (kill(static_cast<pid_t>(tid), 0) != 0 && errno == ESRCH) return true;
  // /proc shows every thread under its own number too.
  const auto reading = process::read_thread(static_cast<int>(tid), static_cast<int>(tid));
  return reading && (reading->state == 'Z' || reading->state == 'X');
}

// Whether the descriptor that a thread waits on is the file its card names.
bool is_same_file(int pid, uint64_t fd, const WaitWord& wait) {
  struct stat status {};
  const std::string path =
      "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(static_cast<int>(fd));
  return stat(path.c_str(), &status) == 0 && status.st_dev == wait.address &&
         status.st_ino == wait.object;
}

std::string file_name(int pid, uint64_t fd) {
  char text[4096];
  const std::string path =
      "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(static_cast<int>(fd));
  const ssize_t size = readlink(path.c_str(), text, sizeof(text));
  if (size <= 0) return {};
  const std::string full(text, static_cast<size_t>(size));
  return full.substr(full.rfind('/') + 1);
}

// A file lock belongs to a process, and one of its threads stands for all: one that waits for
// something else than the end of another, since that tells most.
void add_holder(model::Snapshot& snapshot, size_t process, ResourceId resource, bool exclusive) {
  model::Thread* best = nullptr;
  for (model::Thread& thread : snapshot.threads) {
    if (index_of(thread.process) != process) continue;
    const bool tells =
        thread.wait && thread.wait->resource != resource &&
        snapshot.resources[index_of(thread.wait->resource)].kind != model::ResourceKind::Thread;
    if (best == nullptr) best = &thread;
    if (!tells) continue;
    best = &thread;
    break;
  }
  if (best == nullptr) return;
  const bool has = std::any_of(best->holds.begin(), best->holds.end(),
                               [&](const model::Hold& hold) { return hold.resource == resource; });
  if (!has) {
    best->holds.push_back(
        {.resource = resource, .mode = exclusive ? model::Mode::Exclusive : model::Mode::Shared});
  }
}

}  // namespace

void Judge::add(std::unique_ptr<WatchedProcess> process) {
  const int pid = process->pid();
  // The same pid once more: it has executed another program.
  if (const auto known = latest_.find(pid); known != latest_.end()) known->second->finish();
  latest_[pid] = process.get();
  processes_.push_back(std::move(process));
}

void Judge::finish(int pid) {
  if (const auto known = latest_.find(pid); known != latest_.end()) known->second->finish();
}

void Judge::finish_ended() {
  std::vector<pollfd> descriptors;
  std::vector<WatchedProcess*> owners;
  for (const auto& [pid, process] : latest_) {
    if (!process->is_alive() || process->end_descriptor() < 0) continue;
    descriptors.push_back({.fd = process->end_descriptor(), .events = POLLIN, .revents = 0});
    owners.push_back(process);
  }
  if (descriptors.empty() || poll(descriptors.data(), descriptors.size(), 0) <= 0) return;
  for (size_t i = 0; i < owners.size(); ++i) {
    if (descriptors[i].revents != 0) owners[i]->finish();
  }
}

bool Judge::has_live() const {
  return std::any_of(latest_.begin(), latest_.end(),
                     [](const auto& entry) { return entry.second->is_alive(); });
}

std::vector<model::Finding> Judge::look() {
  const nanoseconds started = processor_time();
  const Clock::time_point now = Clock::now();
  if (last_look_ != Clock::time_point{}) {
    credit_ = std::min(kMaxCredit, credit_ + (now - last_look_) / kShareDivisor);
  }
  last_look_ = now;

  Look result;
  bool any_board = false;
  for (const auto& [pid, process] : latest_) {
    if (!process->is_alive() || process->board() == nullptr) continue;
    any_board = true;
    process->save_if_remote();
    look_at(*process, result);
  }
  std::vector<model::Finding> findings;
  const bool changed = result.signature != last_signature_;
  if (any_board && result.worth) {
    if (changed) backoff_ = milliseconds(0);
    const bool affordable =
        credit_ > nanoseconds(0) || now - last_examination_ >= kFirstBackoff * 4;
    if (affordable && now - last_examination_ >= backoff_) {
      last_signature_ = result.signature;
      last_examination_ = now;
      findings = examine();
      backoff_ = std::min(kMaxBackoff, std::max(kFirstBackoff, backoff_ * 2));
    }
  }
  credit_ -= processor_time() - started;
  interval_ = credit_ < -kMaxCredit ? kInterval * 2 : kInterval;
  return findings;
}

// Marks the look as worth an examination when a wait of this process, as old as the last look at
// least, could belong to a knot. While the same threads wait in the same waits, and none has ended,
// the answer stays the same and costs no look at the cards.
void Judge::look_at(WatchedProcess& process, Look& look) {
  trace::BoardReader& board = *process.board();
  if (!board.refresh()) return;
  board.read_waits(words_);
  WatchedProcess::Looks& looks = process.looks;
  looks.numbers.resize(words_.size(), 0);
  looks.waits.resize(words_.size());
  uint64_t signature =
      mix(mix(static_cast<uint64_t>(process.pid()), board.header().gone_threads), latest_.size());
  uint64_t oldest = UINT64_MAX;
  bool any_long = false;
  for (uint32_t i = 0; i < words_.size(); ++i) {
    const WaitWord& word = words_[i];
    const bool is_long = word.number % 2 == 1 && word.number == looks.numbers[i] &&
                         (word.flags & format::kTimed) == 0 && word.kind != Kind::None;
    looks.numbers[i] = word.number;
    if (!is_long) continue;
    any_long = true;
    oldest = std::min(oldest, word.since_ns);
    signature = mix(signature, mix(i, word.number));
  }
  if (!any_long) {
    looks.signature = 0;
    return;
  }
  look.signature = mix(look.signature, signature);
  if (signature != looks.signature) {
    looks.signature = signature;
    const bool thread_ended = looks.gone_threads != board.header().gone_threads;
    looks.gone_threads = board.header().gone_threads;
    looks.worth = is_worth_examining(process, thread_ended);
  }
  look.worth |= looks.worth;
  const bool is_old =
      options_.stall > nanoseconds(0) && now_monotonic() - nanoseconds(oldest) >= options_.stall;
  look.worth |= is_old;
}

// A thread that waits and holds nothing, and whom no other waiting thread waits for, closes no
// knot; unless what it waits for has lost its owner, or everybody waits.
bool Judge::is_worth_examining(WatchedProcess& process, bool thread_ended) {
  trace::BoardReader& board = *process.board();
  WatchedProcess::Looks& looks = process.looks;
  bool worth = false;
  joined_.clear();
  for (uint32_t i = 0; i < words_.size(); ++i) {
    const WaitWord& word = words_[i];
    if (word.number % 2 == 0 || word.number != looks.numbers[i] ||
        (word.flags & format::kTimed) != 0)
      continue;
    WatchedProcess::LongWait& known = looks.waits[i];
    const bool is_new = known.number != word.number;
    if (is_new) {
      const auto brief = board.read_brief(i);
      if (!brief) continue;
      const bool suspended = brief->suspended_first && brief->hold_count == 1;
      known = {.number = word.number,
               .uid = brief->uid,
               .holds = brief->hold_count > 0 && !suspended,
               .owned = !is_signalled(word.kind)};
    }
    worth |= known.holds;
    if (word.kind == Kind::Join) joined_.push_back(static_cast<uint32_t>(word.object));
    // Its owner may have gone, or go: that is asked when the wait is new and when a thread has
    // ended.
    if (known.owned && (is_new || thread_ended))
      worth |= word.kind != Kind::Join || !is_live(process, word.object);
  }
  if (worth) return true;
  for (size_t i = 0; i < words_.size(); ++i) {
    const WatchedProcess::LongWait& wait = looks.waits[i];
    if (wait.number == 0 || wait.number != words_[i].number || !wait.owned) continue;
    if (std::find(joined_.begin(), joined_.end(), wait.uid) != joined_.end()) return true;
  }
  return !has_free_thread(process, words_);
}

bool Judge::is_live(WatchedProcess& process, uint64_t uid) {
  if (uid == 0) return false;
  trace::BoardReader& board = *process.board();
  for (uint32_t i = 0; i < board.cards_used(); ++i) {
    const auto brief = board.read_brief(i);
    if (brief && brief->uid == uid) return true;
  }
  return false;
}

bool Judge::has_free_thread(WatchedProcess& process, const std::vector<WaitWord>& waits) {
  trace::BoardReader& board = *process.board();
  const auto is_free = [&](uint32_t i) {
    if (i >= waits.size() || (is_waiting(waits[i]) && (waits[i].flags & format::kTimed) == 0))
      return false;
    return board.read_brief(i).has_value();
  };
  if (is_free(process.looks.free_card)) return true;
  for (uint32_t i = 0; i < waits.size(); ++i) {
    if (!is_free(i)) continue;
    process.looks.free_card = i;
    return true;
  }
  return false;
}

// --- One examination
// ------------------------------------------------------------------------------

std::vector<model::Finding> Judge::examine() {
  ++examinations_;
  Case current = open_case();
  const Candidates candidates = find_candidates(current);
  if (candidates.all.empty()) return {};
  // A knot of owners needs the evidence of its own threads alone: a thousand idle threads must not
  // delay its headline. Anything else that this says is said without the evidence of the others.
  if (!candidates.owned.empty()) {
    std::vector<model::Finding> findings = weigh_up(current, candidates.owned, true);
    if (!findings.empty()) return findings;
    current = open_case();
  }
  return weigh_up(current, candidates.all, false);
}

Judge::Case Judge::open_case() {
  Case current;
  for (const auto& [pid, process] : latest_) {
    if (!process->is_alive() || process->board() == nullptr) continue;
    current.processes.push_back(process);
    current.boards.push_back(process->snapshot_source());
  }
  return current;
}

std::vector<model::Finding> Judge::weigh_up(Case& current, const Tids& tids, bool deadlocks_only) {
  // All first readings, then cards and object words, then all second readings.
  read_all(current, tids, false);
  for (size_t i = 0; i < current.processes.size(); ++i) {
    current.processes[i]->read_signal_handlers();
    current.boards[i] = current.processes[i]->snapshot_source();
  }
  current.now =
      trace::read_snapshot(current.boards, [&](size_t process, uint32_t, const WaitWord& word) {
        const auto found =
            current.readings.find({process, current.processes[process]->outer_tid(word.tid)});
        return found != current.readings.end() && found->second.first &&
               sleeps_on_mutex(word, *found->second.first);
      });
  add_file_lock_holders(current);
  std::vector<WaitFacts> facts(current.now.snapshot.threads.size());
  std::vector<bool> gone(facts.size(), false);
  gather_objects(current, facts, gone);
  gather_outsiders(current);
  attest_spinning(current, facts);
  read_all(current, tids, true);

  apply(current, facts, gone);
  enrich(current);
  settle_contradictions(current, facts);
  note_signal_handlers(current);
  add_outsiders(current);
  add_unknown_threads(current, tids);
  current.now.snapshot.taken = now_monotonic();

  analysis::StuckOptions options;
  options.stall_after = options_.stall;
  std::vector<model::Finding> findings;
  for (model::Finding& finding : analysis::find_stuck(current.now.snapshot, options)) {
    if (deadlocks_only && finding.verdict != model::Verdict::Deadlock) continue;
    if (!is_new(current, finding)) continue;
    name_threads(current, finding);
    process::FindingCompleter([&](const model::Process& process) {
      return view_of(process, false);
    }).name_statics(finding);
    findings.push_back(std::move(finding));
  }
  return findings;
}

// Takes the cards at their word.
Judge::Candidates Judge::find_candidates(Case& current) {
  analysis::StuckOptions options;
  options.stall_min_age = nanoseconds(0);
  options.stall_busy_age = nanoseconds(0);
  options.stall_after = options_.stall;

  Candidates found;
  std::set<size_t> whole_processes;
  bool has_conditions = false;
  bool any_shared = false;
  const auto take = [&](const trace::BoardSnapshot& snapshot) {
    for (const model::Finding& finding : analysis::find_stuck(snapshot.snapshot, options)) {
      bool any_signal = false;
      Tids of_owned;
      for (const model::FindingThread& thread : finding.threads) {
        const auto& wait = snapshot.snapshot.threads[index_of(thread.id)].wait;
        const bool owned =
            wait && has_one_waker(snapshot.snapshot.resources[index_of(wait->resource)]);
        found.all.emplace(index_of(thread.process), thread.tid);
        if (owned) of_owned.emplace(index_of(thread.process), thread.tid);
        any_signal |= !owned && thread.role == model::Role::Knot;
        any_shared |=
            !owned && wait && snapshot.snapshot.resources[index_of(wait->resource)].process_shared;
      }
      for (const model::FindingThread& thread : finding.threads)
        whole_processes.insert(index_of(thread.process));
      // Where somebody else could help, he must be looked at too: is he at work?
      const bool depends_on_others = finding.reason.code == model::ReasonCode::WakerMayExist ||
                                     finding.reason.code == model::ReasonCode::OwnerUnknown ||
                                     finding.reason.code == model::ReasonCode::StuckForLong;
      if (!any_signal && !depends_on_others && !is_told(snapshot.snapshot, finding))
        found.owned.merge(of_owned);
    }
  };
  const auto read = [&](const trace::ReacquiresMutex& reacquires) {
    current.now = trace::read_snapshot(current.boards, reacquires);
    current.now.snapshot.taken = now_monotonic();
    for (const trace::ThreadOrigin& origin : current.now.origins) {
      has_conditions |= origin.has_wait && trace::is_condition(origin.wait.kind);
    }
    add_file_lock_holders(current);
    enrich(current);
    take(current.now);
  };
  read({});
  // The same with every condition wait in its second phase: a thread that was signalled and finds
  // its mutex taken is part of a knot that the first view cannot show.
  if (has_conditions) read([](size_t, uint32_t, const WaitWord&) { return true; });
  if (found.all.empty()) return found;
  // What lies in shared memory can be signalled from everywhere, also by a process whose threads
  // have no card yet.
  for (size_t process = 0; any_shared && process < current.processes.size(); ++process) {
    whole_processes.insert(process);
  }
  for (const size_t process : whole_processes) {
    process::TaskDirectory* const tasks = current.processes[process]->tasks();
    if (tasks == nullptr) continue;
    for (const int tid : tasks->list()) found.all.emplace(process, tid);
  }
  return found;
}

void Judge::read_all(Case& current, const Tids& tids, bool second) {
  for (const auto& [process, tid] : tids) {
    process::TaskDirectory* const tasks = current.processes[process]->tasks();
    if (tasks == nullptr) continue;
    Reading& reading = current.readings[{process, tid}];
    (second ? reading.second : reading.first) = tasks->read(tid);
  }
}

ObjectBytes Judge::read_object(Case& current, size_t process, Kind kind, uint64_t address) {
  ObjectBytes object{.address = address, .bytes = {}};
  const process::ProcessMemory memory(current.processes[process]->pid());
  if (is_indirect(kind)) {
    const auto pointer = memory.read_word(address);
    if (!pointer || *pointer == 0) return object;
    object.address = *pointer;
  }
  object.bytes.resize(object_size(kind));
  if (!object.bytes.empty() && !memory.read(object.address, object.bytes)) object.bytes.clear();
  return object;
}

// Between the readings: what the objects say, and whether the owners they name exist. The latter
// must be asked here: a thread that ends wakes its joiners before it disappears, so a joiner that
// still sleeps at the second reading will sleep for ever.
void Judge::gather_objects(Case& current, std::vector<WaitFacts>& facts, std::vector<bool>& gone) {
  const model::Snapshot& snapshot = current.now.snapshot;
  for (size_t i = 0; i < snapshot.threads.size(); ++i) {
    const trace::ThreadOrigin& origin = current.now.origins[i];
    const auto reading = current.readings.find({origin.process, snapshot.threads[i].tid});
    if (!origin.has_wait || reading == current.readings.end()) continue;
    WaitFacts& fact = facts[i];
    fact.wait = origin.wait;
    fact.first = reading->second.first;
    fact.stack_high = origin.stack_high;
    fact.heartbeat_first = origin.wait.heartbeat;
    const int pid = current.processes[origin.process]->pid();
    const Kind kind = origin.wait.kind;
    fact.object = read_object(current, origin.process, kind, origin.wait.address);
    if (kind == Kind::Condition) {
      fact.companion = read_object(current, origin.process, Kind::Mutex, origin.wait.object);
    } else if (kind == Kind::GlibCond) {
      fact.companion = read_object(current, origin.process, Kind::GlibMutex, origin.wait.object);
    }
    uint32_t owner = 0;
    if (kind == Kind::Join) {
      const model::Resource& resource =
          snapshot.resources[index_of(snapshot.threads[i].wait->resource)];
      if (resource.joined_known)
        fact.joined_tid_word = current.now.origins[index_of(resource.joined)].tid_word;
      if (fact.first && fact.first->in_syscall())
        owner = static_cast<uint32_t>(fact.first->args[2]);
    } else if (trace::is_file_lock(kind)) {
      fact.same_file = fact.first && is_same_file(pid, fact.first->args[0], origin.wait);
      model::Resource& resource =
          current.now.snapshot.resources[index_of(snapshot.threads[i].wait->resource)];
      if (fact.same_file && resource.name.empty())
        resource.name = file_name(pid, fact.first->args[0]);
    } else {
      const bool second_phase =
          trace::is_condition(kind) && fact.first && sleeps_on_mutex(origin.wait, *fact.first);
      const OwnerWord word =
          second_phase
              ? read_owner(kind == Kind::Condition ? Kind::Mutex : Kind::GlibMutex, fact.companion)
              : read_owner(kind, fact.object);
      if (word.known) owner = word.tid;
    }
    if (owner == 0) continue;
    const bool shared = (origin.wait.flags & format::kShared) != 0;
    const auto outer = static_cast<uint32_t>(current.processes[origin.process]->outer_tid(owner));
    // The owner of a shared lock may be in another pid namespace, where its number says nothing to
    // us.
    gone[i] = shared ? outer != 0 && has_ended(outer) : outer == 0 || has_ended(pid, outer);
  }
}

void Judge::attest_spinning(Case& current, std::vector<WaitFacts>& facts) {
  const Clock::time_point deadline = Clock::now() + kSpinningPatience;
  for (size_t i = 0; i < facts.size(); ++i) {
    WaitFacts& fact = facts[i];
    const trace::ThreadOrigin& origin = current.now.origins[i];
    if (!origin.has_wait || (origin.wait.flags & format::kSpinning) == 0) continue;
    fact.wait = origin.wait;
    fact.heartbeat_first = fact.heartbeat_second = origin.wait.heartbeat;
    for (;;) {
      const auto word = current.processes[origin.process]->board()->read_wait(origin.card);
      if (!word || word->number != origin.wait.number) break;
      fact.heartbeat_second = word->heartbeat;
      if (fact.heartbeat_second != fact.heartbeat_first || Clock::now() >= deadline) break;
      // We may stand on the very core it would spin on.
      std::this_thread::sleep_for(kSpinningNap);
    }
  }
}

void Judge::apply(Case& current, const std::vector<WaitFacts>& facts,
                  const std::vector<bool>& gone) {
  model::Snapshot& snapshot = current.now.snapshot;
  Holders holders;
  for (size_t i = 0; i < facts.size(); ++i) {
    holders.by_card_tid[current.now.origins[i].card_tid].push_back(i);
    for (const model::Hold& hold : snapshot.threads[i].holds)
      holders.of_resource[index_of(hold.resource)].push_back(i);
  }
  for (size_t i = 0; i < facts.size(); ++i) {
    model::Thread& thread = snapshot.threads[i];
    const auto reading = current.readings.find({current.now.origins[i].process, thread.tid});
    if (reading != current.readings.end()) {
      if (reading->second.second) thread.name = reading->second.second->comm;
      if (thread.activity == model::Activity::Running) {
        thread.busy = !reading->second.first || !reading->second.second ||
                      !reading->second.first->same_moment(*reading->second.second);
      }
    }
    const bool spins = (facts[i].wait.flags & format::kSpinning) != 0;
    if (!thread.wait || facts[i].wait.number == 0 || (!spins && reading == current.readings.end()))
      continue;
    WaitFacts fact = facts[i];
    if (reading != current.readings.end()) fact.second = reading->second.second;
    const Testimony testimony = weigh(fact);
    switch (testimony.standing) {
      case Standing::Moving:
        thread.activity = model::Activity::Running;
        thread.busy = true;
        thread.wait.reset();
        break;
      case Standing::Doubtful:
        thread.wait->definite = false;
        thread.wait->doubt = testimony.doubt;
        break;
      case Standing::Definite:
        thread.wait->definite = true;
        apply_owner(current, i, testimony, gone[i], holders);
        break;
    }
  }
}

// What the object itself says about its owner, against what the cards say.
void Judge::apply_owner(Case& current, size_t index, const Testimony& testimony, bool owner_gone,
                        Holders& holders) {
  model::Snapshot& snapshot = current.now.snapshot;
  model::Thread& waiter = snapshot.threads[index];
  model::Resource& resource = snapshot.resources[index_of(waiter.wait->resource)];
  const size_t process = current.now.origins[index].process;
  if (testimony.needed) resource.needed = *testimony.needed;
  if (testimony.joined_tid) {
    if (owner_gone) {
      resource.owner_gone = true;
      resource.joined_known = false;
      return;
    }
    resource.owner_gone = false;
    if (resource.joined_known &&
        current.now.origins[index_of(resource.joined)].card_tid != *testimony.joined_tid) {
      waiter.wait->definite = false;
      waiter.wait->doubt = "it sleeps on another thread than its card says";
    }
    return;
  }
  if (!testimony.owner_known || resource.semaphore_like) return;
  if (testimony.owner_tid == 0) {
    // Nobody owns it: somebody is in the middle of giving it away.
    waiter.activity = model::Activity::Running;
    waiter.wait.reset();
    return;
  }
  bool confirmed = false;
  std::vector<size_t>& known = holders.of_resource[index_of(resource.id)];
  std::set<size_t> asked(known.begin(), known.end());
  const std::vector<size_t>& owners = holders.by_card_tid[testimony.owner_tid];
  asked.insert(owners.begin(), owners.end());
  for (const size_t i : asked) {
    model::Thread& thread = snapshot.threads[i];
    const trace::ThreadOrigin& origin = current.now.origins[i];
    const bool is_owner = origin.card_tid == testimony.owner_tid &&
                          (origin.process == process || resource.process_shared);
    bool holds = false;
    for (model::Hold& hold : thread.holds) {
      if (hold.resource != resource.id || hold.mode != model::Mode::Exclusive) continue;
      holds = true;
      // The owner word of a lock that came through fork names the parent's thread.
      const bool inherited = owner_gone && (origin.flags & format::kCardForked) != 0;
      if (is_owner || inherited) {
        confirmed = true;
      } else {
        hold.definite = false;
      }
    }
    if (is_owner && !holds) {
      thread.holds.push_back({.resource = resource.id, .definite = false});
      known.push_back(i);
      confirmed = true;
    }
  }
  if (!confirmed && owner_gone) resource.owner_gone = true;
}

// The memory of a lock that was never released may be used anew, and nobody hears of it: then two
// cards claim what one thread can have, or more claim to read than the lock counts. Who can move
// probably tells the truth, since the other would wait for itself; if nobody can, nothing is
// certain.
void Judge::settle_contradictions(Case& current, const std::vector<WaitFacts>& facts) {
  model::Snapshot& snapshot = current.now.snapshot;
  struct Claims {
    std::vector<std::pair<model::Thread*, model::Hold*>> all;
    uint32_t exclusive = 0;
    uint32_t reads = 0;
    uint32_t readers = UINT32_MAX;  // that the lock counts
  };
  std::unordered_map<uint64_t, Claims> locks;
  for (size_t i = 0; i < facts.size(); ++i) {
    const model::Thread& thread = snapshot.threads[i];
    if (!thread.wait || !thread.wait->definite) continue;
    Claims& claims = locks[index_of(thread.wait->resource)];
    const Kind kind = facts[i].wait.kind;
    const bool counts = (kind == Kind::RwLock || kind == Kind::GlibRwLock) &&
                        !facts[i].object.bytes.empty() && !read_owner(kind, facts[i].object).known;
    if (counts) claims.readers = count_nameless_holders(kind, facts[i].object);
  }
  for (model::Thread& thread : snapshot.threads) {
    for (model::Hold& hold : thread.holds) {
      const auto lock = locks.find(index_of(hold.resource));
      if (lock == locks.end()) continue;
      lock->second.all.emplace_back(&thread, &hold);
      if (hold.mode == model::Mode::Exclusive) {
        ++lock->second.exclusive;
      } else {
        lock->second.reads += hold.count;
      }
    }
  }
  for (auto& [id, claims] : locks) {
    const bool is_contradictory = claims.exclusive > 1 ||
                                  (claims.exclusive == 1 && claims.all.size() > 1) ||
                                  claims.reads > claims.readers;
    if (!is_contradictory) continue;
    const auto definite = std::count_if(claims.all.begin(), claims.all.end(),
                                        [](const auto& claim) { return claim.second->definite; });
    const bool any_moves = std::any_of(claims.all.begin(), claims.all.end(), [](const auto& claim) {
      return claim.first->activity == model::Activity::Running;
    });
    for (const auto& [thread, hold] : claims.all) {
      // The lock itself has named one of them.
      const bool is_refuted = definite == 1 && !hold->definite;
      const bool waits = thread->activity == model::Activity::Waiting;
      if (is_refuted || (definite != 1 && any_moves && waits)) hold->count = 0;
      if (definite != 1) hold->definite = false;
    }
  }
  // Only now: until here others pointed to them.
  for (model::Thread& thread : snapshot.threads)
    std::erase_if(thread.holds, [](const model::Hold& hold) { return hold.count == 0; });
}

// Whether all the holders that the object counts are threads that ended with it.
bool Judge::is_left_held(Case& current, size_t process, Kind kind, uint64_t address,
                         uint32_t holders) {
  trace::BoardReader& board = *current.processes[process]->board();
  const format::BoardHeader& header = board.header();
  // What no card shows may be held by a thread that has none, or lost the record.
  if (holders == 0 || header.inexact_events != 0 || header.dropped_holds != 0 ||
      header.dropped_threads != 0)
    return false;
  uint32_t left = 0;
  for (const trace::ThreadEndEntry& end : board.read_log().thread_ends) {
    for (const format::Hold& hold : end.holds) {
      const bool is_sure = (hold.flags & (format::kUncertain | format::kSuspended)) == 0;
      if (is_sure && hold.kind == kind && hold.address == address) left += hold.count;
    }
  }
  return left == holders;
}

// Locks that no card claims: their own words may say who has them.
void Judge::enrich(Case& current) {
  model::Snapshot& snapshot = current.now.snapshot;
  std::vector<bool> has_holder(snapshot.resources.size(), false);
  for (const model::Thread& thread : snapshot.threads) {
    for (const model::Hold& hold : thread.holds) has_holder[index_of(hold.resource)] = true;
  }
  for (size_t i = 0; i < current.now.origins.size(); ++i) {
    const trace::ThreadOrigin& origin = current.now.origins[i];
    const model::Thread& waiter = snapshot.threads[i];
    if (!waiter.wait || waiter.wait->timed) continue;
    model::Resource& resource = snapshot.resources[index_of(waiter.wait->resource)];
    if (has_holder[index_of(resource.id)] || resource.semaphore_like || resource.owner_gone)
      continue;
    Kind kind = origin.wait.kind;
    uint64_t address = origin.wait.address;
    if (kind == Kind::Condition && resource.kind == model::ResourceKind::Mutex) {
      kind = Kind::Mutex;
      address = origin.wait.object;
    }
    if (object_size(kind) == 0) continue;
    has_holder[index_of(resource.id)] = true;  // asked once
    const ObjectBytes object = read_object(current, origin.process, kind, address);
    const OwnerWord owner = read_owner(kind, object);
    if (!owner.known || owner.tid == 0) {
      resource.owner_gone = is_left_held(current, origin.process, kind, address,
                                         count_nameless_holders(kind, object));
      continue;
    }
    bool found = false;
    for (size_t j = 0; j < current.now.origins.size(); ++j) {
      const trace::ThreadOrigin& other = current.now.origins[j];
      if (other.card_tid != owner.tid ||
          (other.process != origin.process && !resource.process_shared))
        continue;
      snapshot.threads[j].holds.push_back({.resource = resource.id, .definite = false});
      found = true;
    }
    if (found) continue;
    const auto outer =
        static_cast<uint32_t>(current.processes[origin.process]->outer_tid(owner.tid));
    // As in gather_objects: nothing is known of other pid namespaces.
    resource.owner_gone =
        resource.process_shared
            ? outer != 0 && has_ended(outer)
            : outer == 0 || has_ended(current.processes[origin.process]->pid(), outer);
  }
}

// File locks are on no card: the kernel alone knows who has them, also through inherited
// descriptors.
void Judge::add_file_lock_holders(Case& current) {
  model::Snapshot& snapshot = current.now.snapshot;
  std::vector<process::FileLock> all;
  std::vector<std::vector<process::FileLock>> held;
  for (size_t i = 0; i < current.now.origins.size(); ++i) {
    const trace::ThreadOrigin& origin = current.now.origins[i];
    if (!snapshot.threads[i].wait || !trace::is_file_lock(origin.wait.kind)) continue;
    if (held.empty()) {
      all = process::read_file_locks();
      for (WatchedProcess* const process : current.processes)
        held.push_back(process::read_held_file_locks(process->pid()));
    }
    const auto family = origin.wait.kind == Kind::Flock ? process::FileLockFamily::Flock
                        : origin.wait.kind == Kind::FcntlLock
                            ? process::FileLockFamily::Posix
                            : process::FileLockFamily::OpenDescription;
    const ResourceId wanted = snapshot.threads[i].wait->resource;
    for (const process::FileLock& waiting : all) {
      const bool is_ours =
          waiting.waiting && waiting.family == family && waiting.inode == origin.wait.object &&
          (waiting.pid == -1 || waiting.pid == current.processes[origin.process]->pid());
      if (!is_ours) continue;
      for (const process::FileLock& blocker : all) {
        if (blocker.waiting || blocker.id != waiting.id) continue;
        for (size_t process = 0; process < held.size(); ++process) {
          const bool holds =
              std::any_of(held[process].begin(), held[process].end(),
                          [&](const process::FileLock& lock) { return lock.same_lock(blocker); });
          if (holds) add_holder(snapshot, process, wanted, blocker.exclusive);
        }
      }
    }
  }
}

// Asked between the readings, as all that could free a thread.
void Judge::gather_outsiders(Case& current) {
  std::vector<SignalPlace> places;
  for (size_t i = 0; i < current.now.origins.size(); ++i) {
    const trace::ThreadOrigin& origin = current.now.origins[i];
    const model::Thread& thread = current.now.snapshot.threads[i];
    const auto& wait = thread.wait;
    if (!wait || wait->timed || !current.readings.contains({origin.process, thread.tid})) continue;
    const model::Resource& resource = current.now.snapshot.resources[index_of(wait->resource)];
    if (has_one_waker(resource) || trace::is_file_lock(origin.wait.kind)) continue;
    places.push_back({.pid = current.processes[origin.process]->pid(),
                      .address = origin.wait.address,
                      .shared = resource.process_shared});
  }
  if (places.empty()) return;
  std::vector<int> watched;
  for (const WatchedProcess* const process : current.processes) watched.push_back(process->pid());
  current.outsiders = find_outsiders(watched, places);
}

void Judge::add_outsiders(Case& current) {
  model::Snapshot& snapshot = current.now.snapshot;
  for (Outsider& outsider : current.outsiders) {
    model::Thread thread;
    thread.id = ThreadId{static_cast<uint32_t>(snapshot.threads.size())};
    thread.tid = outsider.pid;
    thread.name = std::move(outsider.name);
    thread.busy = true;
    const auto host = std::find_if(
        snapshot.processes.begin(), snapshot.processes.end(), [&](const model::Process& process) {
          return outsider.memory_of != 0 && process.pid == outsider.memory_of;
        });
    if (host != snapshot.processes.end()) {
      thread.process = host->id;
    } else {
      thread.process = model::ProcessId{static_cast<uint32_t>(snapshot.processes.size())};
      snapshot.processes.push_back({.id = thread.process,
                                    .pid = outsider.pid,
                                    .exe = std::move(outsider.exe),
                                    .argv = std::move(outsider.argv)});
    }
    snapshot.threads.push_back(std::move(thread));
    current.now.origins.push_back({.process = SIZE_MAX});
  }
}

// sem_post and futex wakes are allowed in signal handlers: a program that has handlers may wake
// such waiters without any of its threads being free.
void Judge::note_signal_handlers(Case& current) {
  model::Snapshot& snapshot = current.now.snapshot;
  const bool any =
      std::any_of(snapshot.processes.begin(), snapshot.processes.end(),
                  [](const model::Process& process) { return process.handles_signals; });
  for (model::Resource& resource : snapshot.resources) {
    if (resource.kind != model::ResourceKind::Semaphore &&
        resource.kind != model::ResourceKind::Futex)
      continue;
    resource.posts_from_handler_possible =
        resource.process_shared ? any
                                : snapshot.processes[index_of(resource.process)].handles_signals;
  }
}

// Threads without a card can move, for all we know, and could wake others.
void Judge::add_unknown_threads(Case& current, const std::set<std::pair<size_t, int>>& tids) {
  std::set<std::pair<size_t, int>> known;
  for (size_t i = 0; i < current.now.origins.size(); ++i) {
    known.emplace(current.now.origins[i].process, current.now.snapshot.threads[i].tid);
  }
  for (const auto& [process, tid] : tids) {
    if (known.contains({process, tid})) continue;
    const Reading& reading = current.readings[{process, tid}];
    if (!reading.second) continue;
    model::Thread thread;
    thread.id = ThreadId{static_cast<uint32_t>(current.now.snapshot.threads.size())};
    thread.process = model::ProcessId{static_cast<uint32_t>(process)};
    thread.tid = tid;
    thread.name = reading.second->comm;
    thread.busy = !reading.first || !reading.first->same_moment(*reading.second);
    current.now.snapshot.threads.push_back(std::move(thread));
    current.now.origins.push_back({.process = process});
  }
}

std::tuple<int, uint32_t, uint64_t> Judge::told_key(const model::Snapshot& snapshot,
                                                    const model::FindingThread& thread) {
  const model::Thread& source = snapshot.threads[index_of(thread.id)];
  return {snapshot.processes[index_of(thread.process)].pid, source.uid,
          source.wait ? source.wait->number : 0};
}

bool Judge::is_told(const model::Snapshot& snapshot, const model::Finding& finding) const {
  return std::all_of(
      finding.threads.begin(), finding.threads.end(), [&](const model::FindingThread& thread) {
        return thread.role != model::Role::Knot || told_.contains(told_key(snapshot, thread));
      });
}

bool Judge::is_new(const Case& current, const model::Finding& finding) {
  const bool is_deadlock = finding.verdict == model::Verdict::Deadlock;
  bool any_new = false;
  for (const model::FindingThread& thread : finding.threads) {
    if (thread.role != model::Role::Knot) continue;
    const auto key = told_key(current.now.snapshot, thread);
    const auto known = told_.find(key);
    if (known != told_.end() && (known->second || !is_deadlock)) continue;
    any_new = true;
    told_[key] = is_deadlock;
  }
  return any_new;
}

void Judge::name_threads(Case& current, model::Finding& finding) {
  for (model::FindingThread& thread : finding.threads) {
    if (index_of(thread.process) >= current.processes.size()) continue;
    WatchedProcess& process = *current.processes[index_of(thread.process)];
    if (thread.name.empty() && process.tasks() != nullptr) {
      thread.name = process.tasks()->comm(thread.tid).value_or("");
    }
    process.remember_name(current.now.snapshot.threads[index_of(thread.id)].uid, thread.name);
  }
}

process::ProcessView* Judge::view_of(const model::Process& process, bool by_id) {
  if (by_id) {
    const size_t index = index_of(process.id);
    return index < processes_.size() ? &processes_[index]->view() : nullptr;
  }
  const auto known = latest_.find(process.pid);
  return known == latest_.end() ? nullptr : &known->second->view();
}

void Judge::complete(model::Finding& finding) {
  process::FindingCompleter([&](const model::Process& process) {
    return view_of(process, false);
  }).complete(finding);
}

analysis::Hazards Judge::find_hazards(bool refuted) {
  std::vector<trace::ProcessLog> logs;
  for (const auto& process : processes_) logs.push_back(process->history_source());
  const model::History history = trace::read_history(logs);

  analysis::HazardOptions options;
  options.refuted = refuted;
  std::set<uint64_t> routines;
  for (const model::HistoryThread& thread : history.threads) {
    if (thread.start_routine == 0 || !routines.insert(thread.start_routine).second) continue;
    if (is_trampoline(processes_[index_of(thread.process)]->view().symbols(),
                      thread.start_routine)) {
      options.trampolines.push_back(thread.start_routine);
    }
  }
  analysis::Hazards hazards = analysis::find_hazards(history, options);
  const process::FindingCompleter completer(
      [&](const model::Process& process) { return view_of(process, true); });
  for (model::Finding& finding : hazards.findings) completer.complete(finding);
  return hazards;
}

}  // namespace gordian::watch
