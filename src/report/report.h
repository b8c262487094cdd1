// SPDX-License-Identifier: Apache-2.0
// Everything a command has to tell: the input of every output form.
//
// Findings arrive with stacks, names and classes filled in as far as they are known (process/ does
// that); an empty name is never an error. Strings may be any bytes: each form makes them harmless.
#pragma once

#include "model/finding.h"
#include "model/lock_order.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gordian::report {

// How a process ended: exactly one of the two.
struct ProcessExit {
  std::optional<int> code;
  std::optional<int> signal;
};

struct ReportProcess {
  int pid = 0;
  std::string exe;
  std::vector<std::string> argv;
  std::optional<ProcessExit> exit;  // empty: still running, or how it ended is not known
  std::string unwatched;            // why it could not be watched; empty: it was
};

// What did not fit and was counted instead. Zero everywhere is the normal case.
struct Dropped {
  uint64_t threads = 0;         // no card left for them
  uint64_t locks = 0;           // no entry left in the lock table
  uint64_t holds = 0;           // held locks beyond the room on a card
  uint64_t chains = 0;          // lock orders, because the log was full
  uint64_t blocks = 0;          // blocks of the log or of further holds
  uint64_t repeats = 0;         // lock orders already logged by enough threads: harmless
  uint64_t inexact_events = 0;  // records skipped by re-entry, cancellation or longjmp
  uint64_t searches = 0;        // searches for hazards that were ended at a limit
};

struct RunSummary {
  uint64_t threads = 0;
  uint64_t locks = 0;
  uint64_t acquisitions = 0;
  uint64_t nested = 0;          // of those, with another lock held
  uint64_t nested_threads = 0;  // that wanted something while holding something
  uint64_t lock_pairs = 0;      // distinct pairs "wanted this while holding that"
  uint64_t chains = 0;          // distinct chains logged
  uint64_t waits = 0;           // blocking waits
  std::chrono::nanoseconds longest_wait{0};
  std::chrono::nanoseconds elapsed{0};
  std::chrono::nanoseconds judge_cpu{0};  // processor time of the judge itself
};

// What a command read that looked at recorded runs.
struct TraceTotals {
  uint64_t files = 0;
  uint64_t runs = 0;  // processes of the recordings, and texts
  uint64_t events = 0;
  uint64_t threads = 0;
  uint64_t locks = 0;
  uint64_t acquisitions = 0;
  uint64_t nested = 0;
  uint64_t patterns = 0;   // circles of requests looked at
  uint64_t unchecked = 0;  // of those, not judged: too many
  bool patterns_cut = false;
  bool searches_cut = false;
  bool trace_cut = false;        // of a run only the beginning was judged, for want of memory
  bool complete_memory = false;  // in every run
  std::string memory_gap;        // why not, of the first run that is known of
  // Of recordings: what did not fit when they were made or depends on that, and whether one is
  // damaged or ends before its program did.
  uint64_t missing = 0;
  bool ends_early = false;
  std::chrono::nanoseconds elapsed{0};

  // All that the files should show was seen.
  [[nodiscard]] bool is_whole() const { return missing == 0 && !ends_early; }
};

// One steered run of a program.
struct SteeredAttempt {
  uint64_t finding = 0;  // `gordian confirm`: number of the finding, from 1; else 0
  uint64_t seed = 0;
  std::string way = {};       // how it was steered
  uint64_t arrivals = 0;      // of threads at gates
  uint64_t schedule = 0;      // equal: the same schedule
  uint64_t new_nestings = 0;  // pairs of places that nest locks, seen in no earlier run
  bool confirmed = false;
  std::string diverged = {};  // why there was no deadlock, as far as it is known
  std::chrono::nanoseconds elapsed{0};
};

// A finding that a rule of --suppress took out. `rule` is the pattern, `where` its FILE:LINE.
struct SuppressedFinding {
  model::Finding finding;
  std::string rule;
  std::string where;
  std::string reason;
};

// What a run showed beside a lock-order file.
struct OrderReport {
  std::string file;
  bool learns = false;  // what is new was added to the file
  std::vector<model::Finding> samples;
  std::vector<model::SeenPair> seen;
  model::OrderOutcome outcome;
  size_t nameless = 0;  // pairs left out because a lock has no name that lasts
  bool cut = false;     // there were more than could be looked at
};

struct Report {
  std::string command;  // "run", "attach", ...
  std::string version;  // of gordian
  std::string host;
  std::vector<ReportProcess> processes;
  std::vector<model::Finding> findings;
  Dropped dropped;
  std::vector<SuppressedFinding> suppressed;
  std::vector<std::string>
      unused_suppressions;  // as sentences: "FILE:LINE: lock:x matched nothing"
  RunSummary run;
  std::optional<TraceTotals> trace;      // then `run` says nothing
  std::vector<SteeredAttempt> attempts;  // then `run` may have nothing to say either
  std::optional<OrderReport> order;
};

}  // namespace gordian::report
