// SPDX-License-Identifier: Apache-2.0
#include "dump/reading.h"

#include "base/text.h"
#include "dump/lines.h"
#include "dump/names.h"
#include "model/loader_lock.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace gordian::dump {

using model::Activity;
using model::FindingKind;
using model::ReasonCode;
using model::ResourceId;
using model::ResourceKind;
using model::ThreadId;
using model::Verdict;

namespace {

std::string hex(uint64_t value) {
  std::array<char, 24> digits{};
  std::snprintf(digits.data(), digits.size(), "0x%llx", static_cast<unsigned long long>(value));
  return digits.data();
}

int to_int(int64_t tid) {
  return tid > 0 && tid <= std::numeric_limits<int>::max() ? static_cast<int>(tid) : 0;
}

bool is_signal(ResourceKind kind) { return !model::is_owned(kind); }

// The last part of a path or of a qualified name.
std::string_view last_part(std::string_view text, std::string_view separators) {
  const size_t at = text.find_last_of(separators);
  return at == std::string_view::npos ? text : text.substr(at + 1);
}

// "(*locker)" of "example.com/lock.(*locker)", "TlsTransport" of "rtc::impl::TlsTransport".
std::string short_class(std::string_view name) {
  std::string text(last_part(name, ":./"));
  std::erase_if(text, [](char c) { return c == '(' || c == ')' || c == '*'; });
  return text;
}

constexpr size_t kLongestName = 200;

}  // namespace

Reading::Reading(Dump dump) : dump_(std::move(dump)) {
  // Moved threads and other addresses must not change the answer: the number alone decides.
  std::stable_sort(dump_.threads.begin(), dump_.threads.end(),
                   [](const Thread& a, const Thread& b) { return a.tid < b.tid; });
  views_ = view_threads(dump_);
  lock_of_.assign(views_.size(), kNone);
  check_doubtful_addresses();
  collect_locks();
  apply_owner_facts();
  believe_java();
  guess_java_joins();
  find_holders(views_, dump_.has_hole, locks_);
  believe_go();
  build();
}

// Go prints stale registers, too. An address is believed where another goroutine shows the same, or
// where it lies inside the object whose method asks. A lock that then has none is the one lock of
// its kind which methods of the same class (and object, where shown) ask for, if there is but one.
void Reading::check_doubtful_addresses() {
  if (dump_.dialect != Dialect::Go) return;
  constexpr uint64_t kObjectBytes = 0x1000;
  const auto is_inside = [](uint64_t address, uint64_t object) {
    return address >= object && address - object < kObjectBytes;
  };
  struct Asking {
    std::string owner;  // class
    uint64_t object = 0;
  };
  std::vector<Asking> asking(views_.size());
  std::set<uint64_t> sure;
  const auto is_lock = [](const WaitFact& wait) {
    return wait.posture == Posture::Blocked && wait.kind != ResourceKind::Channel;
  };
  for (size_t i = 0; i < views_.size(); ++i) {
    const ThreadView& view = views_[i];
    if (!is_lock(view.wait) || view.own.empty()) continue;
    asking[i].owner = class_of(view.plain[view.own.front()], Dialect::Go);
    const GoAddress object = first_go_argument(view.thread->frames[view.own.front()].args);
    if (!object.is_doubtful) asking[i].object = object.value;
    if (view.wait.address != 0 && !view.wait.is_doubtful) sure.insert(view.wait.address);
  }
  std::map<std::pair<std::string, ResourceKind>, std::set<uint64_t>> of_class;
  for (size_t i = 0; i < views_.size(); ++i) {
    WaitFact& wait = views_[i].wait;
    if (!is_lock(wait)) continue;
    if (wait.is_doubtful && !sure.contains(wait.address) &&
        (asking[i].object == 0 || !is_inside(wait.address, asking[i].object)))
      wait.address = 0;
    if (wait.address != 0 && !asking[i].owner.empty())
      of_class[{asking[i].owner, wait.kind}].insert(wait.address);
  }
  for (size_t i = 0; i < views_.size(); ++i) {
    WaitFact& wait = views_[i].wait;
    const auto known = of_class.find({asking[i].owner, wait.kind});
    if (!is_lock(wait) || wait.address != 0 || known == of_class.end()) continue;
    if (known->second.size() > 1) continue;
    const uint64_t only = *known->second.begin();
    if (asking[i].object == 0 || is_inside(only, asking[i].object)) wait.address = only;
  }
}

void Reading::collect_locks() {
  std::map<std::tuple<bool, uint64_t, std::string>, uint32_t> known;
  std::unordered_map<uint64_t, uint32_t> by_pthread;
  std::unordered_map<int64_t, uint32_t> by_tid;
  for (uint32_t i = 0; i < views_.size(); ++i) {
    if (views_[i].thread->pthread != 0) by_pthread.emplace(views_[i].thread->pthread, i);
    if (views_[i].thread->tid != 0) by_tid.emplace(views_[i].thread->tid, i);
  }
  for (uint32_t i = 0; i < views_.size(); ++i) {
    const WaitFact& wait = views_[i].wait;
    if (wait.posture != Posture::Blocked && wait.posture != Posture::Waiting) continue;
    const bool is_join = wait.kind == ResourceKind::Thread;
    std::string place;
    uint64_t address = wait.address;
    std::optional<uint32_t> joined;
    if (is_join && wait.posture == Posture::Blocked) {
      constexpr uint64_t kTidOffset =
          0x2d0;  // of `tid` in glibc's struct pthread, x86-64 and aarch64
      if (const auto it = by_tid.find(wait.joined_tid); wait.joined_tid != 0 && it != by_tid.end())
        joined = it->second;
      for (const uint64_t pthread : {wait.joined, wait.address - kTidOffset}) {
        if (joined || wait.address + wait.joined == 0) break;
        if (const auto it = by_pthread.find(pthread); it != by_pthread.end()) joined = it->second;
      }
      address = joined ? *joined + 1 : wait.joined != 0 ? wait.joined : wait.address;
    }
    if (wait.is_gil) address = 1;
    // A lock whose address is not shown is told by where it is asked for; a signal stays alone.
    if (address == 0) {
      place = std::to_string(i);
      if (wait.posture == Posture::Blocked && !views_[i].own.empty() &&
          wait.kind != ResourceKind::Channel && !is_join) {
        // Everybody comes through the same wrapper of a lock: who calls that decides.
        const size_t frame = views_[i].own[std::max<size_t>(count_asking(views_[i]), 1) - 1];
        place = "@" + views_[i].plain[frame] + ":" +
                std::to_string(views_[i].thread->frames[frame].line);
      }
    }
    const auto [it, is_new] =
        known.try_emplace({is_join, address, place + (is_signal(wait.kind) ? "~" : "")},
                          static_cast<uint32_t>(locks_.size()));
    if (is_new) {
      Lock lock;
      lock.kind = wait.kind;
      lock.is_foreign = wait.is_foreign;
      lock.is_join = is_join;
      lock.address = is_join || wait.is_gil ? 0 : address;
      const bool is_named = wait.joined != 0 || wait.joined_tid != 0;
      if (joined) {
        lock.is_given = true;
        lock.holders.push_back({*joined, 0, Why::Shown});
      } else if (is_join && wait.joined_tid != 0) {
        // The word of its id is cleared when it ends: it is there, and was left out.
        lock.is_given = true;
        dump_.has_hole = true;
      } else if (is_join && is_named && views_.size() > 1) {
        lock.is_given = true;
        lock.is_absent = true;
        lock.address = wait.joined;
      }
      locks_.push_back(std::move(lock));
    }
    lock_of_[i] = it->second;
    if (wait.posture == Posture::Blocked && !wait.timed) locks_[it->second].waiters.push_back(i);
    // Reader or writer: a lock somebody reads is a read-write lock.
    if (wait.kind == ResourceKind::RwLock) locks_[it->second].kind = ResourceKind::RwLock;
  }
}

void Reading::apply_owner_facts() {
  std::unordered_map<int64_t, uint32_t> by_tid;
  std::map<std::string_view, uint32_t> by_name;
  for (uint32_t i = 0; i < views_.size(); ++i) {
    if (views_[i].thread->tid != 0) by_tid.emplace(views_[i].thread->tid, i);
    by_name.emplace(views_[i].thread->name, i);
  }
  std::unordered_map<uint64_t, uint32_t> by_address;
  std::map<std::string_view, uint32_t> by_symbol;
  for (uint32_t i = 0; i < views_.size(); ++i) {
    if (lock_of_[i] == kNone || is_signal(views_[i].wait.kind)) continue;
    if (const uint64_t address = locks_[lock_of_[i]].address; address != 0)
      by_address.emplace(address, lock_of_[i]);
    if (!views_[i].wait.symbol.empty()) by_symbol.emplace(views_[i].wait.symbol, lock_of_[i]);
  }
  const auto give = [&](Lock& lock, std::optional<uint32_t> owner) {
    if (!lock.is_given) lock.holders.clear();
    lock.is_given = true;
    lock.is_absent = !owner;
    if (owner) lock.holders.push_back({*owner, 0, Why::Shown});
  };
  // Printed twice, with different owners: it went on in between.
  std::map<std::pair<uint64_t, std::string_view>, std::set<int64_t>> owners;
  for (const OwnerFact& fact : dump_.owners)
    owners[{fact.address, fact.name}].insert(fact.owner_tid);
  for (const OwnerFact& fact : dump_.owners) {
    Lock* lock = nullptr;
    const bool is_native = dump_.dialect == Dialect::Native;
    if (is_native && owners[{fact.address, fact.name}].size() > 1) continue;
    if (const auto it = by_address.find(fact.address); it != by_address.end())
      lock = &locks_[it->second];
    if (const auto it = by_symbol.find(fact.name);
        lock == nullptr && !fact.name.empty() && it != by_symbol.end())
      lock = &locks_[it->second];
    if (lock == nullptr || lock->is_join || lock->is_given) continue;
    std::optional<uint32_t> owner;
    if (const auto it = by_tid.find(fact.owner_tid); fact.owner_tid != 0 && it != by_tid.end())
      owner = it->second;
    if (const auto it = by_name.find(fact.owner_name);
        !fact.owner_name.empty() && it != by_name.end())
      owner = it->second;
    if (!owner && fact.owner_tid == 0 && fact.owner_name.empty()) {
      // Free, or of a kind that does not say: readers leave no name.
      if (!fact.is_writer) lock->is_given = true;
      continue;
    }
    give(*lock, owner);
  }
  for (uint32_t i = 0; i < views_.size(); ++i) {
    for (const MonitorLine& line : views_[i].thread->monitors) {
      using What = MonitorLine::What;
      if (line.what != What::Locked && line.what != What::OwnsSynchronizer) continue;
      // Object.wait() gives it back until it returns.
      if (line.address == views_[i].wait.address) continue;
      const auto it = by_address.find(line.address);
      if (it == by_address.end()) continue;
      Lock& lock = locks_[it->second];
      const bool is_known = std::any_of(lock.holders.begin(), lock.holders.end(),
                                        [i](const Holder& holder) { return holder.thread == i; });
      if (!is_known) {
        if (!lock.is_given) lock.holders.clear();
        lock.is_given = true;
        // A list behind the stack does not say which frame took it.
        const bool is_placed = line.what == What::Locked;
        lock.holders.push_back({i, is_placed ? line.frame : 0, Why::Shown});
      } else {
        for (Holder& holder : lock.holders)
          if (holder.thread == i && line.what == What::Locked) holder.frame = line.frame;
      }
    }
  }
}

// Java prints who has a monitor; with -l, or where somebody owns one, other locks too.
void Reading::believe_java() {
  bool has_synchronizers = false;
  for (const ThreadView& view : views_)
    for (const MonitorLine& line : view.thread->monitors)
      has_synchronizers |= line.what == MonitorLine::What::OwnsSynchronizer;
  for (uint32_t i = 0; i < views_.size(); ++i) {
    if (lock_of_[i] == kNone || views_[i].thread->dialect != Dialect::Java) continue;
    const bool is_monitor = std::any_of(
        views_[i].thread->monitors.begin(), views_[i].thread->monitors.end(),
        [](const MonitorLine& line) { return line.what == MonitorLine::What::WaitingToLock; });
    if (is_monitor || has_synchronizers) locks_[lock_of_[i]].is_given = true;
  }
}

// jstack does not say whom Thread.join() waits for. If the joining thread owns monitors for which
// others wait, and no other thread is left that could be meant, then it is one of those.
void Reading::guess_java_joins() {
  if (dump_.dialect != Dialect::Java) return;
  std::vector<uint32_t> joiners;
  for (uint32_t i = 0; i < views_.size(); ++i) {
    const ThreadView& view = views_[i];
    if (view.wait.posture == Posture::Busy) return;
    const bool waits = view.wait.posture != Posture::Idle;
    if (waits && view.wait.kind == ResourceKind::Thread && !view.wait.timed) {
      joiners.push_back(i);
      continue;
    }
    const bool is_stuck = view.wait.posture == Posture::Blocked && !view.wait.timed;
    if (!is_stuck && !view.own.empty() && view.thread->name != "main") return;
  }
  if (joiners.size() != 1) return;
  const uint32_t joiner = joiners.front();
  Lock& join = locks_[lock_of_[joiner]];
  for (const Lock& lock : locks_) {
    const bool is_owned = std::any_of(
        lock.holders.begin(), lock.holders.end(),
        [&](const Holder& holder) { return holder.thread == joiner && holder.why == Why::Shown; });
    if (!is_owned || !lock.is_given || lock.waiters.empty() || !join.holders.empty()) continue;
    const uint32_t waiter = lock.waiters.front();
    join.holders.push_back({waiter, views_[waiter].wait.site, Why::Left});
  }
  if (join.holders.empty()) return;
  join.is_given = true;  // else the search would add more
  join.waiters.push_back(joiner);
  views_[joiner].wait.posture = Posture::Blocked;
}

// Where Go itself has found that nobody can go on, a lock for which no other holder shows is wanted
// again by who has come out of work on it, or nobody is left to release it.
void Reading::believe_go() {
  if (!dump_.all_asleep) return;
  for (Lock& lock : locks_) {
    const bool is_lock = !is_signal(lock.kind) && !lock.is_join && lock.address != 0;
    if (!is_lock || lock.waiters.empty() || !lock.holders.empty()) continue;
    for (const uint32_t waiter : lock.waiters)
      if (const auto frame = find_work_on(views_[waiter], lock.address))
        lock.holders.push_back({waiter, *frame, Why::Left});
    lock.is_absent = lock.holders.empty();
  }
}

void Reading::build() {
  snapshot_.taken = kAssumedAge;
  model::Process process;
  process.id = model::ProcessId{0};
  process.pid = to_int(dump_.pid);
  snapshot_.processes.push_back(std::move(process));
  for (uint32_t i = 0; i < locks_.size(); ++i) {
    const Lock& lock = locks_[i];
    model::Resource resource;
    resource.id = ResourceId{i};
    resource.kind = lock.kind;
    const bool is_made_up = dump_.dialect == Dialect::Java && lock.kind == ResourceKind::Once;
    resource.address = is_made_up ? 0 : lock.address;
    // A monitor may be entered again; who waits for one does not have it.
    resource.recursive = dump_.dialect == Dialect::Java && lock.kind == ResourceKind::Mutex;
    resource.owner_gone = lock.is_absent;
    resource.prefers_writers = dump_.dialect == Dialect::Go && lock.kind == ResourceKind::RwLock;
    if (lock.is_join && !lock.is_absent && lock.holders.size() == 1) {
      resource.joined = ThreadId{lock.holders.front().thread};
      resource.joined_known = true;
    }
    snapshot_.resources.push_back(std::move(resource));
  }
  std::vector<char> holds(views_.size(), 0);
  for (const Lock& lock : locks_)
    for (const Holder& holder : lock.holders) holds[holder.thread] |= lock.waiters.empty() ? 0 : 1;

  for (uint32_t i = 0; i < views_.size(); ++i) {
    const ThreadView& view = views_[i];
    model::Thread thread;
    thread.id = ThreadId{i};
    thread.process = model::ProcessId{0};
    thread.tid = to_int(view.thread->tid);
    thread.name = view.thread->name.substr(0, kLongestName);
    thread.busy = view.wait.posture == Posture::Busy;
    // Of a worker that waits for a signal the text does not show what it still could get.
    const bool waits = view.wait.posture == Posture::Blocked ||
                       (view.wait.posture == Posture::Waiting && (holds[i] || dump_.all_asleep));
    if (waits && lock_of_[i] != kNone) add_wait(i, thread);
    snapshot_.threads.push_back(std::move(thread));
  }
  for (uint32_t i = 0; i < locks_.size(); ++i) {
    if (locks_[i].is_join) continue;
    for (const Holder& holder : locks_[i].holders) {
      model::Hold hold;
      hold.resource = ResourceId{i};
      hold.definite = holder.why == Why::Shown || holder.why == Why::Runs;
      hold.frame = holder.frame + 1;
      if (lock_of_[holder.thread] == i) hold.mode = views_[holder.thread].wait.mode;
      snapshot_.threads[holder.thread].holds.push_back(hold);
    }
  }
}

void Reading::add_wait(uint32_t i, model::Thread& entry) {
  const WaitFact& fact = views_[i].wait;
  const Lock& lock = locks_[lock_of_[i]];
  model::Wait wait;
  wait.resource = ResourceId{lock_of_[i]};
  wait.mode = fact.mode;
  wait.timed = fact.timed;
  const auto is = [&](Why why) {
    return [why](const Holder& holder) { return holder.why == why; };
  };
  const bool is_shown = lock.is_given && !lock.is_absent && !lock.holders.empty() &&
                        std::all_of(lock.holders.begin(), lock.holders.end(), is(Why::Shown));
  wait.definite = is_shown || std::any_of(lock.holders.begin(), lock.holders.end(), is(Why::Runs));
  wait.number = 1;
  wait.frame = fact.site;
  entry.activity = Activity::Waiting;
  entry.wait = wait;
}

model::Stack Reading::stack_of(uint32_t i, size_t from) const {
  constexpr size_t kMostFrames = 256;
  const ThreadView& view = views_[i];
  model::Stack stack;
  for (size_t f = from; f < view.plain.size(); ++f) {
    if (stack.frames.size() >= kMostFrames) {
      stack.note = "the outer frames are left out";
      break;
    }
    const Frame& text = view.thread->frames[f];
    model::Frame frame;
    frame.pc = text.pc;
    frame.function = text.function.size() > 1024 ? view.plain[f] : std::string(text.function);
    std::replace(frame.function.begin(), frame.function.end(), '\n', ' ');
    frame.file = text.file;
    frame.line = text.line;
    frame.module = text.module;
    frame.plumbing = f < view.wait.site || is_plumbing(text, view.plain[f], view.thread->dialect);
    stack.frames.push_back(std::move(frame));
  }
  stack.complete = stack.note.empty();
  return stack;
}

// By symbol, else by the variable that points to the object around it.
std::string Reading::name_of_lock(uint32_t index) const {
  const Lock& lock = locks_[index];
  if (lock.is_join) return {};
  for (const uint32_t waiter : lock.waiters) {
    const WaitFact& wait = views_[waiter].wait;
    if (model::is_loader_state(wait.symbol)) return std::string(model::kLoaderLock);
    if (!wait.symbol.empty()) return std::string(wait.symbol.substr(0, kLongestName));
  }
  if (lock.address == 0 || dump_.dialect == Dialect::Java) return {};
  for (size_t w = 0; w < lock.waiters.size() && w < 4; ++w) {
    const ThreadView& view = views_[lock.waiters[w]];
    size_t seen = 0;
    for (const size_t frame : view.own) {
      if (++seen > 6) break;
      std::string_view args = view.thread->frames[frame].args;
      const bool is_go = view.thread->dialect == Dialect::Go;
      for (size_t at = args.find("0x"); at != args.npos; at = args.find("0x", at + 2)) {
        const auto value = parse_hex(args.substr(at, 20));
        if (!value || *value < 0x1000 || *value > lock.address || lock.address - *value > 0x1000)
          continue;
        if (*value == lock.address && !is_go) continue;
        const std::string offset =
            *value == lock.address ? std::string() : "+" + hex(lock.address - *value);
        const std::string owner = short_class(class_of(view.plain[frame], view.thread->dialect));
        if (is_go) return owner.empty() ? std::string() : owner + offset;
        const size_t equals = args.rfind('=', at);
        if (equals == args.npos) continue;
        std::string_view name = args.substr(0, equals);
        if (name.ends_with("@entry")) name.remove_suffix(6);
        name = last_part(name, " ,(\n");
        name = name.substr(0, name.find('='));
        if (name.ends_with("@entry")) name.remove_suffix(6);
        if (name == "this") return owner.empty() ? std::string() : owner + offset;
        if (!name.empty() && name.size() < 64) return std::string(name) + offset;
      }
    }
  }
  return {};
}

// The one command that would tell who holds it.
std::string Reading::settle(uint32_t index) const {
  const Lock& lock = locks_[index];
  const std::string address = hex(lock.address);
  switch (dump_.dialect) {
    case Dialect::Java:
      if (lock.is_join) return "jstack does not print whom a thread joins: the source shows it";
      return "`jstack -l PID` prints the owners of such locks";
    case Dialect::Go: {
      for (const Holder& holder : lock.holders) {
        const auto& frames = views_[holder.thread].thread->frames;
        if (holder.frame < frames.size() && !frames[holder.frame].file.empty())
          return "Go stores no owner: the source at " +
                 std::string(last_part(frames[holder.frame].file, "/")) + ":" +
                 std::to_string(frames[holder.frame].line) + " shows whether it is held there";
      }
      return "Go stores no owner: only the source shows whether it is held there";
    }
    case Dialect::Python:
      return "`py-spy dump --native --pid PID` or gdb shows more";
    case Dialect::Native:
      break;
  }
  if (lock.is_join) return "`info threads` in gdb shows whether that thread still exists";
  if (lock.address == 0)
    return "gdb's `thread apply all bt` with libc's debug information prints which locks they are";
  if (lock.is_foreign && (lock.kind == ResourceKind::Mutex || lock.kind == ResourceKind::RwLock))
    return "it stores no owner that gdb could print: only the source shows whether it is held "
           "there";
  switch (lock.kind) {
    case ResourceKind::Mutex:
      return "in gdb, `p ((pthread_mutex_t *) " + address + ")->__data.__owner` settles it";
    case ResourceKind::RwLock:
      return "in gdb, `p ((pthread_rwlock_t *) " + address + ")->__data.__cur_writer` settles it";
    default:
      return "it stores no owner that gdb could print: `gordian run` would know it";
  }
}

std::string Reading::evidence(uint32_t index) const {
  const Lock& lock = locks_[index];
  if (lock.holders.empty()) return {};
  const Holder& holder = lock.holders.front();
  const ThreadView& view = views_[holder.thread];
  const std::string who = view.thread->tid != 0 && dump_.dialect != Dialect::Go
                              ? "thread " + std::to_string(view.thread->tid)
                          : view.thread->name.empty() ? "a thread"
                                                      : view.thread->name.substr(0, 40);
  std::string where = "its stack";
  if (holder.frame < view.plain.size()) {
    where = view.plain[holder.frame].substr(0, 60);
    where += where.starts_with("lambda at ") ? "" : "()";
  }
  switch (holder.why) {
    case Why::Variable:
      return who + " has a guard of it in " + where;
    case Why::Object:
      return where + " of " + who + " works on the object around it";
    case Why::Reentered:
      return who + " has come through " + where + " into the same code again";
    case Why::Story:
    case Why::Layer:
      return who + " has come through " + where + ", which belongs to the same code";
    case Why::Signal:
      return "a signal interrupted " + where + " of " + who + ", and its handler came back to it";
    case Why::Left:
      return "no other thread is left that could have it but " + who;
    case Why::Shown:
    case Why::Runs:
      break;
  }
  return {};
}

bool Reading::complete(model::Finding& finding) const {
  const bool has_victims =
      std::any_of(finding.threads.begin(), finding.threads.end(),
                  [](const auto& thread) { return thread.role == model::Role::Victim; });
  const auto waited = [this](ThreadId id) {
    return std::chrono::minutes(views_[static_cast<uint32_t>(id)].thread->minutes);
  };
  // Somebody left out of the paste is no proof of a hang; that others hang behind the join is a
  // sign of one.
  if (finding.kind == FindingKind::Orphan && !has_victims) {
    const bool is_join = std::any_of(
        finding.resources.begin(), finding.resources.end(),
        [](const model::Resource& resource) { return resource.kind == ResourceKind::Thread; });
    if (is_join) return false;
  }
  std::optional<uint32_t> doubtful;
  bool is_absent = false;
  for (model::FindingThread& thread : finding.threads) {
    const auto i = static_cast<uint32_t>(thread.id);
    std::erase_if(thread.holds, [this](const model::FindingHold& hold) {
      const Lock& lock = locks_[static_cast<uint32_t>(hold.resource)];
      return !lock.is_given && lock.holders.size() > 1;
    });
    for (model::FindingHold& hold : thread.holds) {
      const Lock& lock = locks_[static_cast<uint32_t>(hold.resource)];
      for (const Holder& holder : lock.holders) {
        if (holder.thread != i) continue;
        hold.inferred = holder.why != Why::Shown && holder.why != Why::Runs;
        if (holder.why != Why::Shown || holder.frame > 0) {
          hold.stack = stack_of(i, holder.frame);
        } else {
          hold.stack.note = "the text does not say where";
        }
      }
      hold.frame = 0;
    }
    if (thread.wants) {
      thread.wants->waited = waited(thread.id);
      thread.wants->stack = stack_of(i, 0);
      thread.wants->frame = 0;
      const uint32_t index = static_cast<uint32_t>(thread.wants->resource);
      const Lock& lock = locks_[index];
      const bool is_known = snapshot_.threads[i].wait->definite;
      if (thread.role == model::Role::Knot && !is_known && !doubtful) {
        doubtful = index;
        is_absent = lock.is_absent;
      }
    }
    if (thread.name.empty() && dump_.dialect == Dialect::Native && thread.tid != 0)
      thread.name = "LWP " + std::to_string(thread.tid);
  }
  for (model::Resource& resource : finding.resources) {
    const auto index = static_cast<uint32_t>(resource.id);
    resource.name = name_of_lock(index);
    for (const uint32_t waiter : locks_[index].waiters)
      if (resource.class_name.empty()) resource.class_name = views_[waiter].wait.type;
  }
  if (dump_.pid == 0) finding.processes.clear();
  if (finding.verdict == Verdict::Deadlock) return true;

  model::Reason& reason = finding.reason;
  if (!doubtful) {
    for (const model::FindingThread& thread : finding.threads)
      for (const model::FindingHold& hold : thread.holds)
        if (!doubtful && !locks_[static_cast<uint32_t>(hold.resource)].is_given)
          doubtful = static_cast<uint32_t>(hold.resource);
  }
  reason.thread_name.clear();
  reason.thread.reset();
  // A wait for a signal under a lock: who holds that is the question.
  if (doubtful && is_signal(locks_[*doubtful].kind)) {
    for (const model::FindingThread& thread : finding.threads)
      if (thread.wants && !is_signal(locks_[static_cast<uint32_t>(thread.wants->resource)].kind)) {
        doubtful = static_cast<uint32_t>(thread.wants->resource);
        break;
      }
  }
  if (!doubtful) return true;
  const Lock& lock = locks_[*doubtful];
  reason.resource = ResourceId{*doubtful};
  if (is_absent) {
    reason.code = ReasonCode::OwnerNotListed;
    reason.detail = settle(*doubtful);
  } else {
    reason.code = ReasonCode::OwnerNotShown;
    const std::string why = evidence(*doubtful);
    reason.detail = why + (why.empty() ? "" : "; ") + settle(*doubtful);
    if (lock.holders.size() > 1)
      reason.detail = "which of the threads it is cannot be told; " + settle(*doubtful);
  }
  if (dump_.all_asleep)
    reason.detail = "Go itself found all goroutines asleep" +
                    (reason.detail.empty() ? "" : "; " + reason.detail);
  return true;
}

std::string Reading::describe(uint32_t i) const {
  const ThreadView& view = views_[i];
  const WaitFact& wait = view.wait;
  const std::string limit = wait.timed ? ", with a time limit" : "";
  const std::string top = view.plain.empty() ? std::string() : view.plain.front().substr(0, 60);
  if (!view.thread->state.empty() && wait.posture == Posture::Idle)
    return "idle: " + std::string(view.thread->state.substr(0, 60));
  switch (wait.posture) {
    case Posture::Idle:
      return wait.site > 0 && wait.site <= view.plain.size()
                 ? "idle in " + view.plain[wait.site - 1].substr(0, 60)
                 : "idle";
    case Posture::Busy:
      return top.empty() ? "at an unknown place" : "at work in " + top;
    case Posture::Blocked:
    case Posture::Waiting:
      break;
  }
  const uint32_t index = lock_of_[i];
  const std::string name = index == kNone ? std::string() : name_of_lock(index);
  const std::string at = wait.address != 0 && !wait.is_class_init ? " at " + hex(wait.address) : "";
  const auto what = [&](std::string_view noun) {
    return std::string(noun) + (name.empty() ? at : " " + name + at) + limit;
  };
  switch (wait.kind) {
    case ResourceKind::Thread:
      return "joins a thread" + limit;
    case ResourceKind::Condition:
    case ResourceKind::GlibCond:
      return "waits on the condition" + at + limit;
    case ResourceKind::Semaphore:
      return "waits on the semaphore" + at + limit;
    case ResourceKind::Barrier:
      return "waits at the barrier" + at + limit;
    case ResourceKind::Channel:
      return "in " + std::string(view.thread->state.substr(0, 60));
    case ResourceKind::Future:
      return "waits for a future" + limit;
    case ResourceKind::Futex:
      return "waits on a futex" + limit;
    case ResourceKind::RwLock:
    case ResourceKind::GlibRwLock:
      return what(wait.mode == model::Mode::Shared ? "wants to read the rwlock"
                                                   : "wants to write the rwlock");
    case ResourceKind::Once:
    case ResourceKind::Guard:
    case ResourceKind::GlibOnce:
      return what("waits for the initialisation");
    default:
      return what("wants the mutex");
  }
}

std::vector<ThreadLine> Reading::threads() const {
  std::vector<ThreadLine> lines;
  lines.reserve(views_.size());
  for (uint32_t i = 0; i < views_.size(); ++i)
    lines.push_back({views_[i].thread->name.substr(0, kLongestName), to_int(views_[i].thread->tid),
                     describe(i), stack_of(i, 0)});
  return lines;
}

std::vector<std::string> Reading::open_questions() const {
  std::vector<std::string> questions;
  constexpr size_t kMost = 8;
  if (dump_.dialect == Dialect::Python)
    questions.emplace_back(
        "a Python traceback shows neither locks nor owners: `py-spy dump --native --pid PID`, or "
        "`gdb -p PID -batch -ex 'thread apply all bt'`, shows which locks these threads want");
  for (uint32_t i = 0; i < locks_.size() && questions.size() < kMost; ++i) {
    const Lock& lock = locks_[i];
    if (lock.waiters.empty() || is_signal(lock.kind)) continue;
    if (lock.is_given && !lock.is_absent && !lock.holders.empty()) continue;
    std::string name = name_of_lock(i);
    if (name.empty()) name = lock.address != 0 ? hex(lock.address) : "whose address is not shown";
    std::string who =
        count_of(lock.waiters.size(), "thread") + (lock.waiters.size() == 1 ? " waits" : " wait");
    if (lock.is_join) {
      questions.push_back(
          who.append(" for the end of a thread that the text does not list: ").append(settle(i)));
    } else {
      questions.push_back(who.append(" for the lock ")
                              .append(name)
                              .append(", and the text does not show who holds it: ")
                              .append(settle(i)));
    }
  }
  if (dump_.cut) questions.emplace_back("the text is longer than what was read of it");
  return questions;
}

}  // namespace gordian::dump
