// SPDX-License-Identifier: Apache-2.0
// `gordian run` without words: starts the program, passes signals, listens for boards, asks the
// judge, acts on a deadlock, and at the end gathers what the run has shown.
#pragma once

#include "base/result.h"
#include "model/finding.h"
#include "model/lock_order.h"
#include "watch/recorder.h"
#include "watch/steering.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace gordian::watch {

enum class OnDeadlock : uint8_t {
  Kill,  // report, then end the program
  Keep,  // report, and go on watching
  Core,  // report, then let it dump core
};

// A steered run: threads stop at gates, and a strategy opens them.
struct Steering {
  std::function<std::unique_ptr<Strategy>()> make_strategy;  // one for each process
  std::chrono::milliseconds patience{10'000};                // no thread stays longer at one gate
};

struct RunOptions {
  std::vector<std::string> command;
  bool children = true;
  OnDeadlock on_deadlock = OnDeadlock::Kill;
  std::chrono::nanoseconds stall{0};
  bool refuted = false;
  RecordOptions record;
  std::optional<Steering> steering = {};
  bool silent = false;                // what the program prints goes nowhere
  std::chrono::nanoseconds limit{0};  // the program is ended after so long; zero: never
  bool hazards = true;                // look for what the run did not hit
  bool order = false;                 // also gather in which order locks were taken
};

// Told of everything as it happens.
class Audience {
 public:
  virtual ~Audience() = default;
  // At once: which threads and locks. Stacks and the names of members are still to come.
  virtual void on_headline(const model::Finding& finding) = 0;
  // The same finding, complete. True: it counts (nobody has suppressed it).
  virtual bool on_finding(const model::Finding& finding) = 0;
  // Something that the user should know now: one sentence.
  virtual void on_notice(const std::string& notice) = 0;
};

struct ProcessOutcome {
  int pid = 0;
  std::string exe;
  std::vector<std::string> argv;
  std::optional<int> code;
  std::optional<int> signal;
  std::string unwatched;  // why; empty: it was watched
};

struct Totals {
  uint64_t threads = 0, locks = 0, acquisitions = 0, nested = 0, nested_threads = 0, lock_pairs = 0,
           chains = 0, waits = 0;
  std::chrono::nanoseconds longest_wait{0};
  uint64_t dropped_threads = 0, dropped_locks = 0, dropped_holds = 0, dropped_chains = 0,
           dropped_blocks = 0, dropped_repeats = 0, inexact_events = 0, capped_searches = 0;
};

struct RunOutcome {
  int code = 0;    // exit status of the program, or
  int signal = 0;  // the signal it died of
  bool ended_by_judge = false;
  bool over_limit = false;
  int asked_to_end = 0;  // the signal by which somebody asked us to end, and the program too
  std::vector<ProcessOutcome> processes;
  std::vector<model::Finding> hazards;
  model::Nestings lock_order;  // if asked for
  Totals totals;
  std::optional<Recorder::Totals> recorded;
  std::chrono::nanoseconds elapsed{0};
  std::chrono::nanoseconds judge_cpu{0};
  // Of the process with the most arrivals at gates; empty: none was steered.
  std::optional<SteerAccount> steered = {};
  // Steered runs: pairs of code places "asked for a lock here while holding one taken there".
  std::set<std::pair<std::string, std::string>> nestings = {};
};

Result<RunOutcome> run(const RunOptions& options, Audience& audience);

}  // namespace gordian::watch
