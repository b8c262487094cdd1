// SPDX-License-Identifier: Apache-2.0
#include "analysis/find_stuck.h"

#include "analysis/finding_kind.h"
#include "analysis/stuck_finding.h"
#include "analysis/wait_graph.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

namespace gordian::analysis {

using model::Activity;
using model::Finding;
using model::Reason;
using model::ReasonCode;
using model::Resource;
using model::ResourceKind;
using model::Snapshot;
using model::Thread;
using model::ThreadId;
using model::Verdict;
using std::chrono::nanoseconds;

namespace {

class Judge {
 public:
  Judge(const Snapshot& snapshot, const StuckOptions& options)
      : snapshot_(snapshot),
        options_(options),
        graph_(snapshot),
        stuck_(graph_.stuck()),
        told_(snapshot.threads.size(), 0) {}

  std::vector<Finding> findings() {
    judge_knots();
    judge_signal_waits();
    if (options_.stall_after > nanoseconds(0)) judge_old_waits();
    std::sort(findings_.begin(), findings_.end(), [](const Finding& a, const Finding& b) {
      return std::tuple(a.verdict != Verdict::Deadlock, oldest(a)) <
             std::tuple(b.verdict != Verdict::Deadlock, oldest(b));
    });
    return std::move(findings_);
  }

 private:
  struct Knot {
    std::vector<uint32_t> core;     // what the reader must see
    std::vector<uint32_t> passive;  // stuck with it, could have signalled, but nobody needs them
    Reason doubt;                   // None: deadlock
  };

  static ThreadId oldest(const Finding& finding) {
    ThreadId id = finding.threads[0].id;
    for (const model::FindingThread& thread : finding.threads) id = std::min(id, thread.id);
    return id;
  }

  [[nodiscard]] const Thread& thread(uint32_t index) const { return snapshot_.threads[index]; }
  [[nodiscard]] const Resource& wanted(uint32_t index) const {
    return snapshot_.resources[index_of(thread(index).wait->resource)];
  }
  [[nodiscard]] bool is_blocked(uint32_t index) const {
    return thread(index).activity == Activity::Waiting && thread(index).wait &&
           !thread(index).wait->timed;
  }
  [[nodiscard]] nanoseconds age(uint32_t index) const {
    return snapshot_.taken - thread(index).wait->since;
  }
  [[nodiscard]] bool wants_lock(uint32_t index) const {
    return !is_signalled(wanted(index)) && !model::is_end_of_thread(wanted(index).kind);
  }

  void judge_knots();
  [[nodiscard]] std::vector<Knot> find_knots() const;
  [[nodiscard]] Knot split_passive(const std::vector<uint32_t>& members) const;
  [[nodiscard]] Reason doubt_of(const std::vector<uint32_t>& members) const;
  [[nodiscard]] Reason doubt_of_holders(uint32_t waiter,
                                        const std::vector<uint32_t>& members) const;
  [[nodiscard]] bool has_free_thread(model::ProcessId process) const;
  [[nodiscard]] bool is_worth_telling(const Knot& knot) const;
  [[nodiscard]] std::vector<std::vector<uint32_t>> find_victims(
      const std::vector<Knot>& knots) const;

  void judge_signal_waits();
  void find_lock_gates();
  void judge_signal_wait(uint32_t root);
  std::optional<Reason> who_could_help(uint32_t root, const std::map<uint32_t, bool>& behind,
                                       bool* busy) const;
  void judge_old_waits();

  // What a finding shows of its victims; they are in it all the same.
  std::vector<uint32_t> take(const std::vector<uint32_t>& victims) {
    for (const uint32_t victim : victims) told_[victim] = 1;
    return options_.with_victims ? victims : std::vector<uint32_t>();
  }

  void tell(Finding finding, Verdict verdict, Reason reason) {
    finding.verdict = verdict;
    finding.reason = std::move(reason);
    if (finding.reason.resource) {
      mention(finding, snapshot_.resources[index_of(*finding.reason.resource)]);
    }
    if (const auto helper = finding.reason.thread) {
      finding.reason.thread_name = snapshot_.threads[index_of(*helper)].name;
    }
    for (const model::FindingThread& entry : finding.threads) told_[index_of(entry.id)] = 1;
    findings_.push_back(std::move(finding));
  }

  const Snapshot& snapshot_;
  const StuckOptions& options_;
  const WaitGraph graph_;
  const std::vector<char> stuck_;
  std::vector<char> told_;  // in a finding already
  // By member: the gates at which somebody waits for a lock or an end, not for a signal.
  std::vector<std::vector<uint32_t>> lock_gates_of_;
  std::vector<Finding> findings_;
};

void Judge::judge_knots() {
  const std::vector<Knot> knots = find_knots();
  if (knots.empty()) return;
  const std::vector<std::vector<uint32_t>> victims = find_victims(knots);
  for (size_t i = 0; i < knots.size(); ++i) {
    const Knot& knot = knots[i];
    if (!is_worth_telling(knot)) continue;
    const std::vector<uint32_t> core = in_cycle_order(snapshot_, graph_, knot.core);
    tell(make_stuck_finding(snapshot_, graph_, core, take(victims[i])),
         knot.doubt.code == ReasonCode::None ? Verdict::Deadlock : Verdict::Stall, knot.doubt);
  }
}

std::vector<Judge::Knot> Judge::find_knots() const {
  std::vector<Knot> knots;
  std::map<uint32_t, size_t> orphans;  // resource -> knot: all who wait for one gone owner
  for (const std::vector<uint32_t>& members : graph_.knots(stuck_)) {
    Knot knot = split_passive(members);
    knot.doubt = doubt_of(members);
    if (members.size() == 1 && graph_.owner_gone(members[0])) {
      const auto [place, is_new] =
          orphans.try_emplace(index_of(wanted(members[0]).id), knots.size());
      if (!is_new) {
        Knot& first = knots[place->second];
        first.core.push_back(members[0]);
        if (first.doubt.code == ReasonCode::None) first.doubt = knot.doubt;
        continue;
      }
    }
    knots.push_back(std::move(knot));
  }
  return knots;
}

// Where a signal is waited for, everybody who could give it belongs to the component. Joiners and
// idle waiters that nobody needs tell nothing about the cause.
Judge::Knot Judge::split_passive(const std::vector<uint32_t>& members) const {
  Knot knot;
  if (std::none_of(members.begin(), members.end(),
                   [this](uint32_t member) { return graph_.waits_for_any(member); })) {
    knot.core = members;
    return knot;
  }
  std::map<uint32_t, uint32_t> needed_by;  // number of core members that certainly wait for it
  for (const uint32_t member : members) needed_by[member];
  std::map<uint32_t, std::vector<uint32_t>> blockers;
  for (const uint32_t member : members) {
    blockers[member] = blockers_of(snapshot_, graph_, member);
    for (const uint32_t blocker : blockers[member]) {
      if (blocker != member && needed_by.count(blocker) != 0) ++needed_by[blocker];
    }
  }
  const auto remove_if = [&](auto is_candidate) {
    std::vector<uint32_t> work;
    for (const auto& [member, count] : needed_by) {
      if (count == 0 && is_candidate(member)) work.push_back(member);
    }
    while (!work.empty() && needed_by.size() > 1) {
      const uint32_t member = work.back();
      work.pop_back();
      needed_by.erase(member);
      knot.passive.push_back(member);
      for (const uint32_t blocker : blockers[member]) {
        const auto found = needed_by.find(blocker);
        if (blocker == member || found == needed_by.end()) continue;
        if (--found->second == 0 && is_candidate(blocker)) work.push_back(blocker);
      }
    }
  };
  remove_if([this](uint32_t member) { return model::is_end_of_thread(wanted(member).kind); });
  if (std::any_of(needed_by.begin(), needed_by.end(),
                  [this](const auto& entry) { return !graph_.waits_for_any(entry.first); })) {
    remove_if([this](uint32_t member) { return is_signalled(wanted(member)); });
  }
  for (const auto& [member, count] : needed_by) knot.core.push_back(member);
  return knot;
}

Reason Judge::doubt_of(const std::vector<uint32_t>& members) const {
  for (const uint32_t member : members) {
    const Resource& resource = wanted(member);
    const ThreadId id = thread(member).id;
    if (is_signalled(resource) &&
        (resource.posted_in_handler || resource.posts_from_handler_possible)) {
      return {ReasonCode::SignalHandlerMayPost, resource.id, id, {}};
    }
    // A signal ends such a call with EINTR (flock(2)): the usual way to give it a time limit.
    const model::Process& process = snapshot_.processes[index_of(thread(member).process)];
    if (resource.kind == ResourceKind::FileLock && process.handles_signals)
      return {ReasonCode::SignalHandlerMayPost, resource.id, id, {}};
    if (thread(member).inexact) return {ReasonCode::InexactCard, {}, id, {}};
    Reason holders = doubt_of_holders(member, members);
    if (holders.code != ReasonCode::None) return holders;
    if (!thread(member).wait->definite) {
      return {ReasonCode::NoKernelEvidence, resource.id, id, thread(member).wait->doubt};
    }
    // A barrier may stay closed although some threads are free. They could start others.
    for (const uint32_t gate : graph_.gates_of(member)) {
      if (!graph_.waits_for_any(member) || resource.wakers_closed) continue;
      for (const uint32_t waker : graph_.gate(gate).members) {
        if (!stuck_[waker]) return {ReasonCode::WakerMayExist, resource.id, thread(waker).id, {}};
      }
    }
  }
  return {};
}

Reason Judge::doubt_of_holders(uint32_t waiter, const std::vector<uint32_t>& members) const {
  const Resource& resource = wanted(waiter);
  if (is_signalled(resource) || resource.kind == ResourceKind::Thread) return {};
  for (const uint32_t holder : blockers_of(snapshot_, graph_, waiter)) {
    const bool gone = thread(holder).activity == Activity::Gone;
    if (!gone && !std::binary_search(members.begin(), members.end(), holder)) continue;
    if (gone && thread(holder).inexact) {
      return {ReasonCode::InexactCard, {}, thread(holder).id, {}};
    }
    for (const model::Hold& hold : thread(holder).holds) {
      if (hold.resource == resource.id && !hold.definite) {
        return {ReasonCode::OwnerInferred, resource.id, thread(holder).id, {}};
      }
    }
  }
  return {};
}

bool Judge::has_free_thread(model::ProcessId process) const {
  for (uint32_t i = 0; i < stuck_.size(); ++i) {
    if (!stuck_[i] && thread(i).process == process && thread(i).activity != Activity::Gone) {
      return true;
    }
  }
  return false;
}

// A stall must be old, and a set of threads that all merely wait for signals is how an idle program
// looks when its evidence is weak: without a lock somebody waits for it is not told.
bool Judge::is_worth_telling(const Knot& knot) const {
  if (options_.stall_min_age == nanoseconds(0)) return true;
  for (const uint32_t member : knot.core) {
    if (graph_.owner_gone(member) && age(member) < options_.orphan_min_age &&
        has_free_thread(thread(member).process)) {
      return false;
    }
  }
  if (knot.doubt.code == ReasonCode::None) return true;
  bool signals = false, locks = false;
  for (const uint32_t member : knot.core) {
    if (age(member) < options_.stall_min_age) return false;
    // Who has the other end of a pipe is known: no idle program looks like that, unless its signal
    // handlers write to it.
    const bool is_other_end =
        (wanted(member).kind == ResourceKind::Pipe || wanted(member).kind == ResourceKind::Child) &&
        !wanted(member).posts_from_handler_possible;
    signals |= is_signalled(wanted(member)) && !is_other_end;
    locks |= wants_lock(member);
  }
  return locks || !signals;
}

// Goes from the knots to whoever waits for them; who can be reached from several goes to the
// nearest.
std::vector<std::vector<uint32_t>> Judge::find_victims(const std::vector<Knot>& knots) const {
  constexpr int32_t kNone = -1;
  std::vector<int32_t> knot_of(snapshot_.threads.size(), kNone);
  std::vector<uint32_t> distance(snapshot_.threads.size(), 0);
  std::vector<char> seen(graph_.gate_count(), 0);
  std::vector<std::vector<uint32_t>> victims(knots.size());
  std::deque<uint32_t> work;
  for (size_t i = 0; i < knots.size(); ++i) {
    for (const auto* members : {&knots[i].core, &knots[i].passive}) {
      for (const uint32_t member : *members) {
        knot_of[member] = static_cast<int32_t>(i);
        work.push_back(member);
      }
    }
    victims[i] = knots[i].passive;
    for (const uint32_t member : knots[i].passive) distance[member] = 1;
  }
  while (!work.empty()) {
    const uint32_t blocker = work.front();
    work.pop_front();
    for (const uint32_t gate : graph_.memberships_of(blocker)) {
      if (std::exchange(seen[gate], 1)) continue;
      for (const uint32_t waiter : graph_.waiters_at(gate)) {
        if (!stuck_[waiter] || knot_of[waiter] != kNone) continue;
        knot_of[waiter] = knot_of[blocker];
        distance[waiter] = distance[blocker] + 1;
        victims[static_cast<size_t>(knot_of[waiter])].push_back(waiter);
        work.push_back(waiter);
      }
    }
  }
  for (std::vector<uint32_t>& list : victims) {
    std::sort(list.begin(), list.end(), [&](uint32_t a, uint32_t b) {
      return std::tuple(distance[a], wanted(a).id, a) < std::tuple(distance[b], wanted(b).id, b);
    });
  }
  return victims;
}

// Threads that wait for a signal somebody could still give, and meanwhile hold up others.
void Judge::judge_signal_waits() {
  find_lock_gates();
  for (uint32_t i = 0; i < snapshot_.threads.size(); ++i) {
    if (told_[i] || stuck_[i] || !is_blocked(i) || thread(i).holds.empty()) continue;
    if (age(i) < options_.stall_min_age) continue;
    if (graph_.waits_for_any(i) || (graph_.owner_unknown(i) && wants_lock(i))) {
      judge_signal_wait(i);
    }
  }
}

// A thousand threads may be able to give each of a thousand signals: those gates are not looked at
// for each of the threads.
void Judge::find_lock_gates() {
  lock_gates_of_.assign(snapshot_.threads.size(), {});
  for (uint32_t gate = 0; gate < graph_.gate_count(); ++gate) {
    const std::vector<uint32_t>& waiters = graph_.waiters_at(gate);
    if (std::all_of(waiters.begin(), waiters.end(),
                    [this](uint32_t waiter) { return is_signalled(wanted(waiter)); }))
      continue;
    for (const uint32_t member : graph_.gate(gate).members) lock_gates_of_[member].push_back(gate);
  }
}

void Judge::judge_signal_wait(uint32_t root) {
  std::map<uint32_t, bool> behind;  // thread -> wants a lock, rather than to join
  std::vector<uint32_t> knot{root}, victims;
  std::deque<uint32_t> work{root};
  nanoseconds longest{0};
  while (!work.empty()) {
    const uint32_t blocker = work.front();
    work.pop_front();
    for (const uint32_t gate : lock_gates_of_[blocker]) {
      for (const uint32_t waiter : graph_.waiters_at(gate)) {
        if (waiter == root || told_[waiter] || behind.count(waiter) != 0) continue;
        if (is_signalled(wanted(waiter))) continue;
        const std::vector<uint32_t> blockers = blockers_of(snapshot_, graph_, waiter);
        if (!std::binary_search(blockers.begin(), blockers.end(), blocker)) continue;
        behind[waiter] = wants_lock(waiter);
        (wants_lock(waiter) ? knot : victims).push_back(waiter);
        if (wants_lock(waiter)) longest = std::max(longest, age(waiter));
        work.push_back(waiter);
      }
    }
  }
  if (knot.size() == 1 && options_.stall_min_age > nanoseconds(0)) return;
  if (knot.size() == 1 || longest < options_.stall_min_age) return;
  bool busy = false;
  const std::optional<Reason> reason = who_could_help(root, behind, &busy);
  if (!reason) return;
  const nanoseconds enough = busy ? options_.stall_busy_age : options_.stall_min_age;
  if (longest < enough || age(root) < enough) return;
  tell(make_stuck_finding(snapshot_, graph_, knot, take(victims)), Verdict::Stall, *reason);
}

// The first free thread that could give the signal; one that can move by itself before one that
// would have to be woken first.
std::optional<Reason> Judge::who_could_help(uint32_t root, const std::map<uint32_t, bool>& behind,
                                            bool* busy) const {
  const Resource& resource = wanted(root);
  if (graph_.owner_unknown(root)) {
    *busy = true;
    return Reason{ReasonCode::OwnerUnknown, resource.id, thread(root).id, {}};
  }
  if (resource.kind == ResourceKind::FileLock) {
    // Held by a thread that is not stuck behind the root: somebody is simply at work.
    for (const uint32_t holder : blockers_of(snapshot_, graph_, root)) {
      if (holder != root && behind.count(holder) == 0) return {};
    }
  }
  std::optional<uint32_t> waker;
  size_t others = 0;
  const auto rank = [this](uint32_t index) {
    return thread(index).activity == Activity::Running ? 0 : is_blocked(index) ? 2 : 1;
  };
  for (const uint32_t gate : graph_.gates_of(root)) {
    for (const uint32_t member : graph_.gate(gate).members) {
      if (member == root || stuck_[member] || behind.count(member) != 0) continue;
      *busy |= thread(member).activity == Activity::Running && thread(member).busy;
      if (waker) ++others;
      if (!waker || rank(member) < rank(*waker)) waker = member;
    }
  }
  if (!waker) return {};
  Reason reason{ReasonCode::WakerMayExist, resource.id, thread(*waker).id, {}};
  if (others > 0) reason.detail = "and " + std::to_string(others) + " more";
  return reason;
}

// --stall: what has waited for so long, grouped by what is waited for and by who holds it.
void Judge::judge_old_waits() {
  std::vector<uint32_t> group(snapshot_.threads.size() + snapshot_.resources.size());
  for (uint32_t i = 0; i < group.size(); ++i) group[i] = i;
  const auto find = [&](uint32_t node) {
    while (group[node] != node) node = group[node] = group[group[node]];
    return node;
  };
  const auto is_old = [&](uint32_t index) {
    return !told_[index] && is_blocked(index) && age(index) >= options_.stall_after;
  };
  const auto threads = static_cast<uint32_t>(snapshot_.threads.size());
  for (uint32_t i = 0; i < threads; ++i) {
    if (!is_old(i)) continue;
    group[find(i)] = find(threads + index_of(wanted(i).id));
    for (const uint32_t blocker : blockers_of(snapshot_, graph_, i)) {
      if (is_old(blocker)) group[find(blocker)] = find(i);
    }
  }
  std::map<uint32_t, std::vector<uint32_t>> groups;
  for (uint32_t i = 0; i < threads; ++i) {
    if (is_old(i)) groups[find(i)].push_back(i);
  }
  for (const auto& [root, members] : groups) {
    Reason reason{ReasonCode::StuckForLong, {}, {}, {}};
    for (const uint32_t member : members) {
      if (!graph_.owner_unknown(member) || !wants_lock(member)) continue;
      reason = {ReasonCode::OwnerUnknown, wanted(member).id, thread(member).id, {}};
    }
    tell(make_stuck_finding(snapshot_, graph_, in_cycle_order(snapshot_, graph_, members), {}),
         Verdict::Stall, reason);
  }
}

}  // namespace

std::vector<Finding> find_stuck(const Snapshot& snapshot, const StuckOptions& options) {
  return Judge(snapshot, options).findings();
}

std::vector<ThreadId> find_stuck_threads(const Snapshot& snapshot) {
  const std::vector<char> stuck = WaitGraph(snapshot).stuck();
  std::vector<ThreadId> threads;
  for (uint32_t i = 0; i < stuck.size(); ++i) {
    if (stuck[i]) threads.push_back(snapshot.threads[i].id);
  }
  return threads;
}

}  // namespace gordian::analysis
