// SPDX-License-Identifier: Apache-2.0
// `gordian attach` without words: a live process that nobody watched from its start, read from
// outside and judged like any other.
//
// Nothing is stopped: all threads are read, their waits decoded, the solver asked; for those it
// finds stuck the kernel is asked again, all first readings before any second. Threads of a finding
// that sleep in futex calls are stopped afterwards, for at most 2 ms each, so that their stacks are
// exact.
#pragma once

#include "base/result.h"
#include "model/finding.h"
#include "model/stack.h"
#include "process/decode_waits.h"
#include "process/live_facts.h"
#include "watch/outsiders.h"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace gordian::watch {

struct AttachOptions {
  bool stop = false;                  // also threads outside futex may be stopped
  bool threads = false;               // the stack of every thread is wanted
  std::chrono::nanoseconds stall{0};  // as of gordian run
  // If set, only deadlocks by owners are told, of which it says yes. No thread is stopped but those
  // of such a finding, and nothing is waited for.
  std::function<bool(const model::Finding&)> wants_deadlock = {};
  // Told the first finding, if it is a deadlock, as soon as it is certain: without stacks, and of
  // the names only those that symbols tell.
  std::function<void(const model::Finding&)> on_headline = {};
};

// One thread, as far as it belongs to no finding.
struct ThreadView {
  int pid = 0;
  int tid = 0;
  std::string name;
  std::string call;  // what it sleeps in; "running"
  model::Stack stack;
};

struct AttachOutcome {
  std::vector<model::Finding> findings;  // complete
  std::vector<model::Process> processes;
  std::vector<ThreadView> others;
  std::vector<std::string> notes;
  size_t threads = 0;
};

class Attachment {
 public:
  // Error: no such process, or no right to look into it.
  static Result<Attachment> open(int pid, AttachOptions options);

  AttachOutcome examine();

 private:
  explicit Attachment(AttachOptions options) : options_(std::move(options)) {}
  struct Examination;

  AttachOutcome examine(bool in_brief);
  bool learn_more(Examination& examination, const std::vector<process::ProcessFacts>& facts,
                  int looks);
  std::vector<process::ProcessFacts> read_all(bool in_brief);
  bool follow(const process::DecodedWaits& decoded,
              const std::vector<process::ProcessFacts>& facts);
  bool learn_registers(const process::DecodedWaits& decoded);
  [[nodiscard]] bool may_see_more(const process::DecodedWaits& decoded, int looks) const;
  bool add(int pid);
  [[nodiscard]] std::vector<Outsider> gather_outsiders(const model::Snapshot& snapshot) const;
  [[nodiscard]] std::vector<char> threads_whose_age_matters(const model::Snapshot& snapshot) const;
  bool read_again(const Examination& examination, bool in_brief);
  [[nodiscard]] bool depends_on_signals(const model::Snapshot& snapshot,
                                        const std::vector<model::Finding>& findings) const;
  void set_ages(Examination& examination);
  void grow_older(Examination& examination);
  void set_late_ages(Examination& examination, model::Finding& finding);
  void set_name(const Examination& examination, model::FindingThread& thread) const;
  void complete(Examination& examination, model::Finding& finding);
  void find_sites(Examination& examination, model::Finding& finding, model::FindingThread& thread);
  void view_others(Examination& examination, AttachOutcome& outcome);
  void read_registers(Examination& examination, model::FindingThread& thread);
  process::FindingCompleter completer();
  process::ProcessView* view_of(const model::Process& process);

  AttachOptions options_;
  std::set<int> asked_;  // tids whose registers were asked for
  bool waited_ = false;  // for threads that seemed to have fallen asleep just before
  std::vector<std::unique_ptr<process::LiveProcess>> processes_;
};

}  // namespace gordian::watch
