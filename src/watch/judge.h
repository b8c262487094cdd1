// SPDX-License-Identifier: Apache-2.0
// Looks at the boards again and again, and says so when threads can never go on.
//
// Most looks cost one cache line a thread. Only when a wait that has lasted from one look to the
// next could belong to a knot (its thread holds something, somebody joins it, every thread of the
// process waits...) the cards are read and the solver is asked; only when the solver finds stuck
// threads, /proc is.
#pragma once

#include "analysis/find_hazards.h"
#include "model/finding.h"
#include "watch/evidence.h"
#include "watch/outsiders.h"
#include "watch/watched_process.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace gordian::watch {

class Judge {
 public:
  struct Options {
    std::chrono::nanoseconds stall{0};  // --stall; zero: off
  };
  explicit Judge(Options options) : options_(options) {}

  void add(std::unique_ptr<WatchedProcess> process);
  void finish(int pid);  // it has exited
  void finish_ended();   // all that have, by their descriptors

  [[nodiscard]] const std::vector<std::unique_ptr<WatchedProcess>>& processes() const {
    return processes_;
  }
  [[nodiscard]] bool has_live() const;
  [[nodiscard]] bool has_seen(int pid) const { return latest_.contains(pid); }

  // One look. New findings, with thread names and the names of static locks, but no stacks.
  std::vector<model::Finding> look();
  // When to look next.
  [[nodiscard]] std::chrono::milliseconds interval() const { return interval_; }

  // Stacks, and names of all locks.
  void complete(model::Finding& finding);
  // What the run did not hit but could have, over all processes seen.
  analysis::Hazards find_hazards(bool refuted);

  [[nodiscard]] uint64_t examinations() const { return examinations_; }

 private:
  struct Reading {
    std::optional<process::ThreadReading> first, second;
  };
  struct Spinner {
    uint64_t first = 0, second = 0;
  };
  // Everything one examination gathers.
  struct Case {
    std::vector<WatchedProcess*> processes;  // in the order of the snapshot
    std::vector<trace::ProcessBoard> boards;
    trace::BoardSnapshot now;
    std::map<std::pair<size_t, int>, Reading> readings;  // process, tid
    std::vector<Outsider> outsiders;  // unwatched, and able to reach what is waited for
  };
  using Tids = std::set<std::pair<size_t, int>>;  // process, tid
  // Whose evidence is needed.
  struct Candidates {
    Tids owned;  // of knots of owners, as far as the cards tell; told before all else
    Tids all;
  };
  struct Look {
    bool worth = false;      // something could be a knot
    uint64_t signature = 0;  // of all long waits
  };

  void look_at(WatchedProcess& process, Look& look);
  bool is_worth_examining(WatchedProcess& process, bool thread_ended);
  static bool is_live(WatchedProcess& process, uint64_t uid);
  static bool has_free_thread(WatchedProcess& process, const std::vector<format::WaitWord>& waits);
  std::vector<model::Finding> examine();
  Case open_case();
  Candidates find_candidates(Case& current);
  std::vector<model::Finding> weigh_up(Case& current, const Tids& tids, bool deadlocks_only);
  void read_all(Case& current, const Tids& tids, bool second);
  void gather_objects(Case& current, std::vector<WaitFacts>& facts, std::vector<bool>& gone);
  void attest_spinning(Case& current, std::vector<WaitFacts>& facts);
  void apply(Case& current, const std::vector<WaitFacts>& facts, const std::vector<bool>& gone);
  // Threads by what apply_owner() asks for: a thousand victims must not be a million looks.
  struct Holders {
    std::unordered_map<uint64_t, std::vector<size_t>> of_resource;
    std::unordered_map<uint32_t, std::vector<size_t>> by_card_tid;
  };
  void apply_owner(Case& current, size_t index, const Testimony& testimony, bool owner_gone,
                   Holders& holders);
  void enrich(Case& current);
  void settle_contradictions(Case& current, const std::vector<WaitFacts>& facts);
  bool is_left_held(Case& current, size_t process, format::Kind kind, uint64_t address,
                    uint32_t holders);
  void add_file_lock_holders(Case& current);
  void gather_outsiders(Case& current);
  void add_outsiders(Case& current);
  void note_signal_handlers(Case& current);
  void add_unknown_threads(Case& current, const std::set<std::pair<size_t, int>>& tids);
  ObjectBytes read_object(Case& current, size_t process, format::Kind kind, uint64_t address);
  static std::tuple<int, uint32_t, uint64_t> told_key(const model::Snapshot& snapshot,
                                                      const model::FindingThread& thread);
  [[nodiscard]] bool is_told(const model::Snapshot& snapshot, const model::Finding& finding) const;
  bool is_new(const Case& current, const model::Finding& finding);
  void name_threads(Case& current, model::Finding& finding);
  process::ProcessView* view_of(const model::Process& process, bool by_id);

  Options options_;
  std::vector<std::unique_ptr<WatchedProcess>> processes_;
  std::map<int, WatchedProcess*> latest_;
  std::vector<format::WaitWord> words_;  // scratch of a look
  std::vector<uint32_t> joined_;

  std::chrono::milliseconds interval_{20};
  std::chrono::nanoseconds credit_{0};  // processor time we may still use
  std::chrono::steady_clock::time_point last_look_{};
  std::chrono::steady_clock::time_point last_examination_{};
  std::chrono::milliseconds backoff_{0};
  uint64_t last_signature_ = 0;
  uint64_t examinations_ = 0;

  // Told before: thread (pid, card uid), wait number -> as a deadlock.
  std::map<std::tuple<int, uint32_t, uint64_t>, bool> told_;
};

}  // namespace gordian::watch
