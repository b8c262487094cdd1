// SPDX-License-Identifier: Apache-2.0
#include "watch/attach.h"

#include "analysis/find_stuck.h"
#include "base/file.h"
#include "process/complete.h"
#include "process/hold_sites.h"
#include "process/infer_holders.h"
#include "process/live.h"
#include "process/stopped_thread.h"
#include "process/unwind.h"
#include "watch/file_lock_waits.h"
#include "watch/idle_threads.h"
#include "watch/merge_board.h"
#include "watch/process_waits.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <set>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <utility>

namespace gordian::watch {
namespace {

using model::Activity;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using Clock = std::chrono::steady_clock;

constexpr size_t kMaxProcesses = 16;
constexpr size_t kMaxStopped = 64;
// Whoever sleeps for less is not worth stopping.
constexpr nanoseconds kShortSleep = milliseconds(100);
// Who does not seem to sleep long enough for a stall is seen to sleep on, so long and so many
// times: the kernel may not tell when it fell asleep, or an earlier look that stopped it for its
// registers made it fall asleep anew.
constexpr milliseconds kPatience{550};
constexpr int kMaxPatience = 2;

nanoseconds now_monotonic() { return Clock::now().time_since_epoch(); }

// The process that has a thread of this number; 0: none.
int process_of(uint32_t tid) {
  const Result<std::string> text = read_file("/proc/" + std::to_string(tid) + "/status", 1 << 14);
  if (!text) return 0;
  const size_t at = text->find("\nTgid:\t");
  return at == std::string::npos ? 0 : std::atoi(text->c_str() + at + 7);
}

// Where a signal could help, it takes more than one look to know.
void keep_deadlocks_by_owners(std::vector<model::Finding>& findings) {
  std::erase_if(findings, [](const model::Finding& finding) {
    const auto waits_for_owner = [&](const model::FindingThread& thread) {
      return thread.role != model::Role::Knot ||
             (thread.wants && std::any_of(finding.resources.begin(), finding.resources.end(),
                                          [&](const model::Resource& resource) {
                                            return resource.id == thread.wants->resource &&
                                                   model::is_owned(resource.kind);
                                          }));
    };
    return finding.verdict != model::Verdict::Deadlock ||
           !std::all_of(finding.threads.begin(), finding.threads.end(), waits_for_owner);
  });
}

}  // namespace

// Everything that one examination gathers. The index of a thread in the snapshot is that of its
// facts, counted on from process to process.
struct Attachment::Examination {
  process::DecodedWaits decoded;
  std::vector<std::pair<size_t, size_t>> places;  // process, thread of its facts
  std::set<size_t> ageless;                       // whose age is found out late, if at all
  std::vector<size_t> aged;                       // the others that wait
};

Result<Attachment> Attachment::open(int pid, AttachOptions options) {
  Attachment attachment(std::move(options));
  GORDIAN_TRY(std::unique_ptr<process::LiveProcess> process, process::LiveProcess::open(pid));
  if (!process->obstacle().empty())
    return Error("no permission to look into process " + std::to_string(pid), process->obstacle());
  attachment.processes_.push_back(std::move(process));
  return attachment;
}

bool Attachment::add(int pid) {
  if (pid <= 0 || pid == getpid() || processes_.size() >= kMaxProcesses) return false;
  const bool known = std::any_of(processes_.begin(), processes_.end(),
                                 [pid](const auto& process) { return process->pid() == pid; });
  if (known) return false;
  Result<std::unique_ptr<process::LiveProcess>> opened = process::LiveProcess::open(pid);
  if (!opened || !(*opened)->obstacle().empty()) return false;
  processes_.push_back(std::move(*opened));
  return true;
}

std::vector<process::ProcessFacts> Attachment::read_all(bool in_brief) {
  std::vector<process::ProcessFacts> facts;
  facts.reserve(processes_.size());
  for (const auto& process : processes_) {
    const size_t threads = (in_brief ? process->read_in_brief() : process->read()).threads.size();
    for (size_t thread = 0; options_.stop && thread < threads; ++thread)
      process->look_for_spin(thread);
    facts.push_back(process->facts());
  }
  return facts;
}

// Other processes that have a part in these waits: owners of process-shared locks, and whoever has
// the memory in which a shared semaphore or condition variable lies.
bool Attachment::follow(const process::DecodedWaits& decoded,
                        const std::vector<process::ProcessFacts>& facts) {
  bool more = false;
  for (const uint32_t tid : decoded.foreign_owners) more |= add(process_of(tid));
  for (const int pid : find_file_lock_holders(facts)) more |= add(pid);
  for (const int pid : find_partners(decoded, facts)) more |= add(pid);
  std::set<std::pair<uint64_t, uint64_t>> files;
  for (const model::Thread& thread : decoded.snapshot.threads) {
    if (!thread.wait || thread.wait->timed) continue;
    const model::Resource& resource = decoded.snapshot.resources[index_of(thread.wait->resource)];
    if (!resource.process_shared || model::is_owned(resource.kind)) continue;
    if (const auto place = facts[index_of(resource.process)].shared_place(resource.address))
      files.emplace(place->device, place->inode);
  }
  if (files.empty()) return more;
  for (const int pid : process::list_processes()) {
    const auto maps = process::read_maps(pid);
    if (!maps) continue;
    if (std::any_of(maps->begin(), maps->end(), [&](const process::Mapping& mapping) {
          return mapping.shared && files.contains({mapping.device, mapping.inode});
        })) {
      more |= add(pid);
    }
  }
  return more;
}

// A few threads do not tell what they wait for without all their registers, and who holds a lock
// that does not name its holder is read from stacks. They are stopped before anything else is read,
// and each once.
bool Attachment::learn_registers(const process::DecodedWaits& decoded) {
  bool more = false;
  bool too_early = false;
  std::vector<size_t> next(processes_.size(), 0);
  const bool nameless = process::has_nameless_holders(decoded);
  for (const process::DecodedThread& thread : decoded.threads) {
    const size_t index = next[thread.process]++;
    process::LiveProcess& process = *processes_[thread.process];
    const int tid = process.facts().threads[index].tid;
    if (asked_.contains(tid)) continue;
    bool could_hold = nameless && thread.futex != 0 && asked_.size() < kMaxStopped;
    if (could_hold && process.sleeping_for(index).value_or(kShortSleep) < kShortSleep) {
      could_hold = false;
      too_early = true;
    }
    if (!thread.needs_registers && !could_hold) continue;
    asked_.insert(tid);
    more |= process.learn_registers(index);
  }
  if (more || !too_early || waited_) return more;
  // They may have been asleep for long, but for another look that stopped them.
  waited_ = true;
  std::this_thread::sleep_for(kShortSleep);
  return true;
}

// Whoever asks for something every few milliseconds is awake now and then: not at each of several
// looks.
bool Attachment::may_see_more(const process::DecodedWaits& decoded, int looks) const {
  constexpr int kMaxLooks = 10;
  if (looks >= kMaxLooks ||
      std::none_of(decoded.threads.begin(), decoded.threads.end(),
                   [](const process::DecodedThread& thread) { return thread.may_poll; }))
    return false;
  std::this_thread::sleep_for(milliseconds(1));
  return true;
}

// Whether it is worth reading all again.
bool Attachment::learn_more(Examination& examination,
                            const std::vector<process::ProcessFacts>& facts, int looks) {
  if (options_.wants_deadlock) return false;
  return follow(examination.decoded, facts) || learn_registers(examination.decoded) ||
         may_see_more(examination.decoded, looks);
}

// Most hung processes stand still, and hang by owners: for these brief readings will do, and that
// none of their threads ran. If it was otherwise, all is read anew.
AttachOutcome Attachment::examine() { return examine(true); }

AttachOutcome Attachment::examine(bool in_brief) {
  Examination examination;
  std::vector<process::ProcessFacts> facts = read_all(in_brief);
  examination.decoded = process::decode_waits(facts);
  for (int looks = 0; learn_more(examination, facts, looks); ++looks) {
    facts = read_all(in_brief);
    examination.decoded = process::decode_waits(facts);
  }
  add_file_lock_waits(examination.decoded, facts);
  for (size_t i = 0; i < processes_.size(); ++i)
    merge_board(examination.decoded, i, processes_[i]->pid());
  if (!options_.wants_deadlock) {  // what these tell is never definite
    process::infer_holders(examination.decoded, facts);
    add_process_waits(examination.decoded, facts);
  }
  for (size_t process = 0; process < facts.size(); ++process) {
    for (size_t thread = 0; thread < facts[process].threads.size(); ++thread)
      examination.places.emplace_back(process, thread);
  }

  // All first readings have been taken, and every object read; now the second ones. Threads of a
  // process are read again only if somebody there could be stuck.
  AttachOutcome outcome;
  model::Snapshot& snapshot = examination.decoded.snapshot;
  snapshot.taken = now_monotonic();
  analysis::StuckOptions loose;
  loose.stall_min_age = loose.stall_busy_age = nanoseconds(0);
  loose.stall_after = options_.stall;
  loose.with_victims = false;
  std::vector<model::Finding> first_sight = analysis::find_stuck(snapshot, loose);
  if (options_.wants_deadlock) keep_deadlocks_by_owners(first_sight);
  if (in_brief && depends_on_signals(snapshot, first_sight)) return examine(false);
  if (!first_sight.empty()) {
    const std::vector<Outsider> outsiders = gather_outsiders(snapshot);
    if (!read_again(examination, in_brief)) return examine(false);
    process::keep_steady(examination.decoded, [&](size_t thread) {
      const auto& [process, index] = examination.places[thread];
      return examination.decoded.threads[thread].polls ? processes_[process]->waits_again(index)
                                                       : processes_[process]->is_steady(index);
    });
    drop_free_process_waits(snapshot);
    set_ages(examination);
    add_outsiders(snapshot, outsiders);
    analysis::StuckOptions options;
    options.stall_after = options_.stall;
    outcome.findings = analysis::find_stuck(snapshot, options);
    if (options_.wants_deadlock) {
      keep_deadlocks_by_owners(outcome.findings);
      std::erase_if(outcome.findings, std::not_fn(options_.wants_deadlock));
    }
    for (int i = 0; i < kMaxPatience && !options_.wants_deadlock; ++i) {
      if (outcome.findings.size() >= analysis::find_stuck(snapshot, loose).size()) break;
      grow_older(examination);
      outcome.findings = analysis::find_stuck(snapshot, options);
    }
  }
  if (options_.on_headline && !outcome.findings.empty() &&
      outcome.findings.front().verdict == model::Verdict::Deadlock) {
    model::Finding& first = outcome.findings.front();
    for (model::FindingThread& thread : first.threads) {
      if (thread.role == model::Role::Knot) set_name(examination, thread);
    }
    completer().name_statics(first);
    options_.on_headline(first);
  }
  for (model::Finding& finding : outcome.findings) {
    set_late_ages(examination, finding);
    complete(examination, finding);
  }
  if (options_.wants_deadlock) return outcome;
  outcome.processes = snapshot.processes;
  outcome.notes = examination.decoded.notes;
  for (const auto& process : processes_) {
    const size_t threads = process->facts().threads.size();
    bool stopped = threads > 0;
    for (size_t thread = 0; thread < threads; ++thread) stopped &= process->is_stopped(thread);
    if (!stopped) continue;
    outcome.notes.push_back("process " + std::to_string(process->pid()) +
                            " is stopped by a signal or a debugger: let it go on (kill -CONT " +
                            std::to_string(process->pid()) + ") to see what its threads wait for");
  }
  outcome.threads = examination.places.size();
  view_others(examination, outcome);
  return outcome;
}

// Then every thread that waits and could help must be known to sleep, also those that only wait for
// a signal.
bool Attachment::depends_on_signals(const model::Snapshot& snapshot,
                                    const std::vector<model::Finding>& findings) const {
  if (options_.stall > nanoseconds(0)) return true;
  return std::any_of(findings.begin(), findings.end(), [&](const model::Finding& finding) {
    return std::any_of(finding.threads.begin(), finding.threads.end(), [&](const auto& thread) {
      const auto& wait = snapshot.threads[index_of(thread.id)].wait;
      return thread.role == model::Role::Knot &&
             (!wait || !has_one_waker(snapshot.resources[index_of(wait->resource)]));
    });
  });
}

// Idle threads last and, if their process stood still, all of them by that: what the others are
// seen to do must hold until the idle ones are known to sleep. False: brief readings are worth
// nothing, for a process did not stand still.
bool Attachment::read_again(const Examination& examination, bool in_brief) {
  const model::Snapshot& snapshot = examination.decoded.snapshot;
  const std::vector<char> matters = threads_whose_age_matters(snapshot);
  std::vector<size_t> idle;
  for (size_t i = 0; i < examination.places.size(); ++i) {
    const auto& [process, thread] = examination.places[i];
    if (is_idle(snapshot, snapshot.threads[i]) && matters[i] == 0) {
      idle.push_back(i);
    } else {
      processes_[process]->read_again(thread);
    }
  }
  std::vector<char> stood_still(processes_.size());
  for (size_t i = 0; i < processes_.size(); ++i) {
    stood_still[i] = processes_[i]->has_not_run();
    if (in_brief && !stood_still[i]) return false;
  }
  for (const size_t i : idle) {
    const auto& [process, thread] = examination.places[i];
    if (stood_still[process]) {
      processes_[process]->repeat_reading(thread);
    } else {
      processes_[process]->read_again(thread);
    }
  }
  return true;
}

// Whoever else could give a signal: asked between the readings, as all that could free a thread.
std::vector<Outsider> Attachment::gather_outsiders(const model::Snapshot& snapshot) const {
  std::vector<SignalPlace> places;
  for (const model::Thread& thread : snapshot.threads) {
    if (!thread.wait || thread.wait->timed) continue;
    const model::Resource& resource = snapshot.resources[index_of(thread.wait->resource)];
    if (model::is_owned(resource.kind) || resource.wakers_closed) continue;
    places.push_back({.pid = snapshot.processes[index_of(thread.process)].pid,
                      .address = resource.address,
                      .shared = resource.process_shared});
  }
  if (places.empty()) return {};
  std::vector<int> known;
  for (const auto& process : processes_) known.push_back(process->pid());
  return find_outsiders(known, places);
}

// An idle thread that waits for a signal, holds nothing and is not joined is at most a victim: how
// long it has slept decides nothing, and of a thousand such it takes a while to find out.
std::vector<char> Attachment::threads_whose_age_matters(const model::Snapshot& snapshot) const {
  std::vector<char> matters(snapshot.threads.size(), 0);
  bool all = options_.stall > nanoseconds(0);
  for (const model::Resource& resource : snapshot.resources)
    all |= resource.wakers_closed || resource.kind == model::ResourceKind::FileLock;
  for (size_t i = 0; i < snapshot.threads.size(); ++i) {
    const model::Thread& thread = snapshot.threads[i];
    if (!thread.wait) continue;
    const model::Resource& resource = snapshot.resources[index_of(thread.wait->resource)];
    matters[i] |= all || !thread.holds.empty() || model::is_owned(resource.kind);
    if (resource.joined_known) matters[index_of(resource.joined)] = 1;
  }
  return matters;
}

void Attachment::set_late_ages(Examination& examination, model::Finding& finding) {
  for (model::FindingThread& thread : finding.threads) {
    const size_t i = index_of(thread.id);
    if (!thread.wants || !examination.ageless.contains(i)) continue;
    const auto& [process, index] = examination.places[i];
    thread.wants->waited = processes_[process]->sleeping_for(index).value_or(nanoseconds(0));
  }
}

void Attachment::set_ages(Examination& examination) {
  model::Snapshot& snapshot = examination.decoded.snapshot;
  const std::vector<char> matters = threads_whose_age_matters(snapshot);
  snapshot.taken = now_monotonic();
  for (size_t i = 0; i < snapshot.threads.size(); ++i) {
    model::Thread& thread = snapshot.threads[i];
    if (!thread.wait) continue;
    const auto& [process, index] = examination.places[i];
    if (thread.wait->since.count() != 0) continue;
    thread.wait->since = snapshot.taken;
    if (!matters[i]) {
      examination.ageless.insert(i);
      continue;
    }
    std::optional<nanoseconds> age;
    if (!examination.decoded.threads[i].polls) age = processes_[process]->sleeping_for(index);
    thread.wait->since -= std::min(age.value_or(nanoseconds(0)), snapshot.taken);
    examination.aged.push_back(i);
  }
}

// Waits a while. Those who are then found where they were have waited so much longer; the others
// can move.
void Attachment::grow_older(Examination& examination) {
  model::Snapshot& snapshot = examination.decoded.snapshot;
  std::this_thread::sleep_for(kPatience);
  for (const size_t i : examination.aged) {
    model::Thread& thread = snapshot.threads[i];
    if (!thread.wait) continue;
    const auto& [process, index] = examination.places[i];
    if (examination.decoded.threads[i].polls ? processes_[process]->waits_again(index)
                                             : processes_[process]->stands_still(index)) {
      thread.wait->since -= std::min<nanoseconds>(kPatience, thread.wait->since);
    } else {
      thread.activity = Activity::Running;
      thread.busy = true;
      thread.wait.reset();
    }
  }
}

process::FindingCompleter Attachment::completer() {
  return process::FindingCompleter(
      [this](const model::Process& process) { return view_of(process); });
}

process::ProcessView* Attachment::view_of(const model::Process& process) {
  for (const auto& live : processes_)
    if (live->pid() == process.pid) return &live->view();
  return nullptr;
}

void Attachment::read_registers(Examination& examination, model::FindingThread& thread) {
  if (!thread.wants || thread.wants->has_registers) return;
  const process::DecodedThread& decoded = examination.decoded.threads[index_of(thread.id)];
  const auto& [process, index] = examination.places[index_of(thread.id)];
  const process::ThreadFacts& facts = processes_[process]->facts().threads[index];
  if (decoded.futex == 0 && !options_.stop) return;
  const auto registers = process::read_registers_stopped(thread.tid);
  // It may have moved on since.
  const auto sp = facts.registers.get(process::kRegisterRsp);
  if (!registers || !sp || registers->rsp != *sp) return;
  thread.wants->registers = *registers;
  thread.wants->has_registers = true;
}

// Where the functions on its stack have taken what it holds.
void Attachment::find_sites(Examination& examination, model::Finding& finding,
                            model::FindingThread& thread) {
  if (!thread.wants || !thread.wants->has_registers || thread.holds.empty()) return;
  const auto& [process, index] = examination.places[index_of(thread.id)];
  const process::ProcessFacts& facts = processes_[process]->facts();
  process::find_hold_sites(facts, process::RegisterSet(thread.wants->registers), finding, thread);
}

// Brief readings have no names.
void Attachment::set_name(const Examination& examination, model::FindingThread& thread) const {
  if (!thread.name.empty()) return;
  thread.name = examination.decoded.snapshot.threads[index_of(thread.id)].name;
  const auto& [process, index] = examination.places[index_of(thread.id)];
  if (thread.name.empty()) thread.name = processes_[process]->name(index);
}

void Attachment::complete(Examination& examination, model::Finding& finding) {
  std::set<std::pair<size_t, model::ResourceId>> groups;
  size_t stopped = 0;
  for (model::FindingThread& thread : finding.threads) {
    set_name(examination, thread);
    const bool shown =
        thread.role == model::Role::Knot ||
        (thread.wants && groups.emplace(index_of(thread.process), thread.wants->resource).second);
    if (!shown || stopped++ >= kMaxStopped) continue;
    read_registers(examination, thread);
    find_sites(examination, finding, thread);
  }
  completer().complete(finding);
}

void Attachment::view_others(Examination& examination, AttachOutcome& outcome) {
  std::set<size_t> told;
  for (const model::Finding& finding : outcome.findings)
    for (const model::FindingThread& thread : finding.threads) told.insert(index_of(thread.id));
  const model::Snapshot& snapshot = examination.decoded.snapshot;
  for (size_t i = 0; i < examination.places.size(); ++i) {
    if ((told.contains(i) && !options_.threads) || snapshot.threads[i].activity == Activity::Gone)
      continue;
    const auto& [process, index] = examination.places[i];
    const process::ThreadFacts& facts = processes_[process]->facts().threads[index];
    ThreadView view;
    view.pid = snapshot.processes[process].pid;
    view.tid = snapshot.threads[i].tid;
    view.name = snapshot.threads[i].name;
    if (view.name.empty()) view.name = processes_[process]->name(index);
    view.call = facts.blocked ? examination.decoded.threads[i].call : "running";
    if (processes_[process]->is_stopped(index)) view.call = "stopped by a signal";
    if (facts.blocked && view.call.empty())
      view.call = facts.syscall < 0 ? "asleep" : "system call " + std::to_string(facts.syscall);
    if (options_.threads && facts.blocked) {
      process::RegisterSet registers = facts.registers;
      const bool may_stop = options_.stop || examination.decoded.threads[i].futex != 0;
      const auto exact = may_stop ? process::read_registers_stopped(view.tid) : std::nullopt;
      if (exact && exact->rsp == registers.get(process::kRegisterRsp))
        registers = process::RegisterSet(*exact);
      process::ProcessView& words = processes_[process]->view();
      view.stack = process::to_stack(
          process::unwind(words.symbols(), registers, *processes_[process]->facts().memory));
      words.resolve(view.tid, view.stack);
    }
    outcome.others.push_back(std::move(view));
  }
}

}  // namespace gordian::watch
