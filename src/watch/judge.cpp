// SPDX-License-Identifier: Apache-2.0
#include "watch/judge.h"

#include "analysis/find_stuck.h"
#include "process/complete.h"
#include "process/live.h"
#include "process/processor_time.h"
#include "watch/case_facts.h"
#include "watch/contradictions.h"
#include "watch/file_lock_holders.h"
#include "watch/testimonies.h"
#include "watch/unclaimed_locks.h"
#include "watch/wakers.h"

#include <algorithm>
#include <poll.h>
#include <utility>

namespace gordian::watch {
namespace {

using format::WaitWord;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC, as the board's since_ns

constexpr milliseconds kInterval{20};
constexpr milliseconds kLongestInterval{50};
constexpr int kLooksPerAccount = 50;
// The judge's share of a core, in the long run: that of the looks alone, and of all. What it saves
// it may spend when something happens.
constexpr int kLooksDivisor = 250;
constexpr int kShareDivisor = 200;
constexpr int kHasteDivisor = 20;
constexpr milliseconds kFirstBackoff{20};
constexpr milliseconds kMaxBackoff{2000};

nanoseconds now_monotonic() { return Clock::now().time_since_epoch(); }

bool is_complete(const model::Finding& finding) {
  return std::any_of(finding.threads.begin(), finding.threads.end(), [](const auto& thread) {
    return thread.wants && !thread.wants->stack.frames.empty();
  });
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

void Judge::finish_ended(int except) {
  std::vector<pollfd> descriptors;
  std::vector<WatchedProcess*> owners;
  for (const auto& [pid, process] : latest_) {
    if (pid == except || !process->is_alive() || process->end_descriptor() < 0) continue;
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
  const Clock::time_point now = Clock::now();
  if (last_look_ != Clock::time_point{}) {
    credit_ = std::min(kMaxCredit, credit_ + (now - last_look_) / kShareDivisor);
  } else {
    accounted_ = process::own_processor_time();  // what came before is no judging
  }
  last_look_ = now;
  if (++looks_ == kLooksPerAccount) settle_account();

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
    // Out of credit, what is new is examined all the same, but not often; what is not new, about as
    // often as the share allows: it may still grow old enough for a stall.
    const nanoseconds pause = std::clamp<nanoseconds>(
        last_cost_ * (changed ? kHasteDivisor : kShareDivisor), kFirstBackoff * 4, kMaxBackoff);
    const bool affordable = credit_ > nanoseconds(0) || now - last_examination_ >= pause;
    if (affordable && now - last_examination_ >= backoff_) {
      last_signature_ = result.signature;
      last_examination_ = now;
      const nanoseconds started = process::own_processor_time();
      findings = examine();
      last_cost_ = process::own_processor_time() - started;
      credit_ -= last_cost_;
      accounted_ += last_cost_;
      backoff_ = std::min(kMaxBackoff, std::max(kFirstBackoff, backoff_ * 2));
    }
  }
  if (findings.empty()) findings = unseen_.look(latest_);
  for (const model::Finding& finding : findings) unseen_.note(finding);
  return findings;
}

// What the looks cost, with what it takes to wake up for them: now and then, for to ask costs as
// much as a look at a few threads.
void Judge::settle_account() {
  const nanoseconds used = process::own_processor_time() - accounted_;
  accounted_ += used;
  credit_ -= used;
  const nanoseconds affordable = used / looks_ * kLooksDivisor;
  interval_ = std::clamp(std::chrono::ceil<milliseconds>(affordable), kInterval, kLongestInterval);
  looks_ = 0;
}

void Judge::look_at(WatchedProcess& process, Look& look) {
  // The same waits may mean something else beside another process.
  const uint64_t seed = mix_signature(static_cast<uint64_t>(process.pid()), latest_.size());
  const LongWaits::Look waits = process.long_waits.look(*process.board(), seed);
  if (!waits.any) return;
  look.signature = mix_signature(look.signature, waits.signature);
  const bool is_old =
      options_.stall > nanoseconds(0) && now_monotonic() - waits.since >= options_.stall;
  look.worth |= waits.worth || is_old;
}

std::vector<model::Finding> Judge::examine() {
  ++examinations_;
  Case current = open_case(latest_);
  const Candidates candidates = find_candidates(current, told_, options_.stall);
  if (candidates.all.empty()) return {};
  // A knot of owners needs the evidence of its own threads alone: a thousand idle threads must not
  // delay its headline. Of those that were not asked it says nothing.
  if (!candidates.owned.empty()) {
    std::vector<model::Finding> findings = weigh_up(current, candidates.owned, {}, true);
    if (!findings.empty()) return findings;
    current = open_case(latest_);
  }
  return weigh_up(current, candidates.all, candidates.idle, false);
}

std::vector<model::Finding> Judge::weigh_up(Case& current, const Tasks& tasks, const Tasks& idle,
                                            bool deadlocks_only) {
  // All first readings, then cards and object words, then all second readings.
  read_first(current, tasks, idle);
  for (size_t i = 0; i < current.processes.size(); ++i) {
    current.processes[i]->read_signal_handlers();
    current.boards[i] = current.processes[i]->snapshot_source();
  }
  current.now = {};  // its memory is used again
  current.now =
      trace::read_snapshot(current.boards, [&](size_t process, uint32_t, const WaitWord& word) {
        const auto found =
            current.readings.find({process, current.processes[process]->outer_tid(word.tid)});
        return found != current.readings.end() && found->second.first &&
               sleeps_on_mutex(word, *found->second.first);
      });
  add_file_lock_holders(current);
  const CaseFacts facts = gather_facts(current);
  const std::vector<Outsider> outsiders = find_case_outsiders(current);
  if (!read_second(current, tasks)) {
    current = open_case(latest_);
    return weigh_up(current, tasks, {}, deadlocks_only);
  }

  apply_testimonies(current, facts);
  if (deadlocks_only) free_unheard(current, facts);
  find_unclaimed_owners(current);
  settle_contradictions(current, facts);
  add_case_outsiders(current, outsiders);
  add_unknown_threads(current, tasks);
  current.now.snapshot.taken = now_monotonic();

  analysis::StuckOptions options;
  options.stall_after = options_.stall;
  std::vector<model::Finding> findings;
  for (model::Finding& finding : analysis::find_stuck(current.now.snapshot, options)) {
    if (deadlocks_only && finding.verdict != model::Verdict::Deadlock) continue;
    if (!told_.tell(current.now.snapshot, finding)) continue;
    name_threads(current, finding);
    completer().name_statics(finding);
    findings.push_back(std::move(finding));
  }
  return findings;
}

void Judge::name_threads(const Case& current, model::Finding& finding) {
  for (model::FindingThread& thread : finding.threads) {
    const auto index = static_cast<size_t>(thread.process);
    if (thread.role != model::Role::Knot || index >= current.processes.size()) continue;
    WatchedProcess& process = *current.processes[index];
    if (thread.name.empty()) thread.name = process::read_comm(thread.tid);
    const model::Thread& source = current.now.snapshot.threads[static_cast<size_t>(thread.id)];
    process.remember_name(source.uid, thread.name);
  }
}

process::FindingCompleter Judge::completer() {
  return process::FindingCompleter([this](const model::Process& process) -> process::ProcessView* {
    const auto known = latest_.find(process.pid);
    return known == latest_.end() ? nullptr : &known->second->view();
  });
}

void Judge::complete(model::Finding& finding) {
  if (is_complete(finding)) return;
  for (model::FindingThread& thread : finding.threads) {
    if (thread.name.empty()) thread.name = process::read_comm(thread.tid);
  }
  completer().complete(finding);
}

}  // namespace gordian::watch
