// SPDX-License-Identifier: Apache-2.0
#include "watch/candidates.h"

#include "analysis/find_stuck.h"
#include "watch/file_lock_holders.h"
#include "watch/idle_threads.h"
#include "watch/unclaimed_locks.h"

#include <algorithm>
#include <cstddef>
#include <set>

namespace gordian::watch {
namespace {

using model::ReasonCode;

class Collector {
 public:
  Collector(Case& current, const ToldWaits& told, std::chrono::nanoseconds stall_after)
      : current_(current), told_(told) {
    options_.stall_min_age = options_.stall_busy_age = std::chrono::nanoseconds(0);
    options_.stall_after = stall_after;
    options_.with_victims = false;
  }

  Candidates collect();

 private:
  void read(const trace::ReacquiresMutex& reacquires);
  void take(const model::Finding& finding);
  void take_victims();
  bool take(model::ThreadId thread, Tasks& of_owned);
  void find_idle();
  void add_whole_processes();

  Case& current_;
  const ToldWaits& told_;
  analysis::StuckOptions options_;
  Candidates found_;
  std::set<size_t> processes_;  // of the findings
  bool any_shared_ = false;     // they wait for signals in shared memory
};

Candidates Collector::collect() {
  read({});
  find_idle();
  // The same with every condition wait in its second phase: a thread that was signalled and finds
  // its mutex taken is part of a knot that the first view cannot show.
  const bool has_conditions = std::any_of(
      current_.now.origins.begin(), current_.now.origins.end(),
      [](const auto& origin) { return origin.has_wait && trace::is_condition(origin.wait.kind); });
  if (has_conditions) read([](size_t, uint32_t, const format::WaitWord&) { return true; });
  if (!found_.all.empty()) add_whole_processes();
  return std::move(found_);
}

void Collector::find_idle() {
  const model::Snapshot& snapshot = current_.now.snapshot;
  for (size_t i = 0; i < snapshot.threads.size(); ++i) {
    if (is_idle(snapshot, snapshot.threads[i]))
      found_.idle.emplace(current_.now.origins[i].process, snapshot.threads[i].tid);
  }
}

void Collector::read(const trace::ReacquiresMutex& reacquires) {
  current_.now = {};  // its memory is used again
  current_.now = trace::read_snapshot(current_.boards, reacquires);
  current_.now.snapshot.taken = std::chrono::steady_clock::now().time_since_epoch();
  add_file_lock_holders(current_);
  find_unclaimed_owners(current_);
  const std::vector<model::Finding> findings =
      analysis::find_stuck(current_.now.snapshot, options_);
  for (const model::Finding& finding : findings) take(finding);
  if (!findings.empty()) take_victims();
}

// True: others than the one owner of what it waits for could help it.
bool Collector::take(model::ThreadId id, Tasks& of_owned) {
  const model::Snapshot& snapshot = current_.now.snapshot;
  const model::Thread& thread = snapshot.threads[static_cast<size_t>(id)];
  const auto process = static_cast<size_t>(thread.process);
  const model::Resource* const wanted =
      thread.wait ? &snapshot.resources[static_cast<size_t>(thread.wait->resource)] : nullptr;
  const bool owned = wanted != nullptr && has_one_waker(*wanted);
  processes_.insert(process);
  found_.all.emplace(process, thread.tid);
  if (owned) of_owned.emplace(process, thread.tid);
  any_shared_ |= !owned && wanted != nullptr && wanted->process_shared;
  return !owned;
}

// With a knot of owners those are asked that wait for an owner, too, and the others if they are
// few.
void Collector::take_victims() {
  constexpr size_t kFew = 64;
  Tasks of_owned, others;
  for (const model::ThreadId id : analysis::find_stuck_threads(current_.now.snapshot)) {
    if (!take(id, of_owned)) continue;
    const model::Thread& thread = current_.now.snapshot.threads[static_cast<size_t>(id)];
    others.emplace(static_cast<size_t>(thread.process), thread.tid);
  }
  if (found_.owned.empty()) return;
  found_.owned.merge(of_owned);
  if (others.size() <= kFew) found_.owned.merge(others);
}

void Collector::take(const model::Finding& finding) {
  bool any_signal = false;
  Tasks of_owned;
  for (const model::FindingThread& thread : finding.threads)
    any_signal |= take(thread.id, of_owned);
  // Where somebody else could help, he must be looked at too: is he at work?
  const bool depends_on_others = finding.reason.code == ReasonCode::WakerMayExist ||
                                 finding.reason.code == ReasonCode::OwnerUnknown ||
                                 finding.reason.code == ReasonCode::StuckForLong;
  if (!any_signal && !depends_on_others && !told_.has_told(current_.now.snapshot, finding))
    found_.owned.merge(of_owned);
}

// What lies in shared memory can be signalled from everywhere, also by a process whose threads have
// no card yet.
void Collector::add_whole_processes() {
  for (size_t process = 0; process < current_.processes.size(); ++process) {
    if (!any_shared_ && !processes_.contains(process)) continue;
    const process::TaskDirectory* const tasks = current_.processes[process]->tasks();
    if (tasks == nullptr) continue;
    for (const int tid : tasks->list()) found_.all.emplace(process, tid);
  }
}

}  // namespace

Candidates find_candidates(Case& current, const ToldWaits& told,
                           std::chrono::nanoseconds stall_after) {
  return Collector(current, told, stall_after).collect();
}

}  // namespace gordian::watch
