// SPDX-License-Identifier: Apache-2.0
// Looks at the boards again and again, and says so when threads can never go on.
//
// Most looks cost one cache line a thread (long_waits.h). Only when a wait that has lasted from one
// look to the next could belong to a knot (its thread holds something, somebody joins it, every
// thread of the process waits...) the cards are read and the solver is asked (candidates.h); only
// when the solver finds stuck threads, /proc is. What no board shows is looked for more seldom
// (unseen_waits.h).
#pragma once

#include "model/finding.h"
#include "watch/candidates.h"
#include "watch/case.h"
#include "watch/told_waits.h"
#include "watch/unseen_waits.h"
#include "watch/watched_process.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
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
  // All that have, by their descriptors; but for that whose end the caller hears of anyway.
  void finish_ended(int except = 0);

  [[nodiscard]] const std::vector<std::unique_ptr<WatchedProcess>>& processes() const {
    return processes_;
  }
  [[nodiscard]] bool has_live() const;
  [[nodiscard]] bool has_seen(int pid) const { return latest_.contains(pid); }

  // One look. New findings, with thread names and the names of static locks; most without stacks.
  std::vector<model::Finding> look();
  // When to look next.
  [[nodiscard]] std::chrono::milliseconds interval() const { return interval_; }

  // Stacks, and names of all locks.
  void complete(model::Finding& finding);

  [[nodiscard]] uint64_t examinations() const { return examinations_; }

 private:
  static constexpr std::chrono::nanoseconds kMaxCredit = std::chrono::milliseconds(60);

  struct Look {
    bool worth = false;      // something could be a knot
    uint64_t signature = 0;  // of all long waits
  };

  void look_at(WatchedProcess& process, Look& look);
  void settle_account();
  std::vector<model::Finding> examine();
  std::vector<model::Finding> weigh_up(Case& current, const Tasks& tasks, const Tasks& idle,
                                       bool deadlocks_only);
  void name_threads(const Case& current, model::Finding& finding);
  process::FindingCompleter completer();

  Options options_;
  std::vector<std::unique_ptr<WatchedProcess>> processes_;
  std::map<int, WatchedProcess*> latest_;  // by pid: its last image

  std::chrono::milliseconds interval_{20};
  std::chrono::nanoseconds credit_ = kMaxCredit;  // processor time we may still use
  std::chrono::nanoseconds accounted_{0};         // of our own, what is off the credit already
  std::chrono::nanoseconds last_cost_{0};         // of the last examination
  int looks_ = 0;                                 // since the account was last settled
  std::chrono::steady_clock::time_point last_look_{};
  std::chrono::steady_clock::time_point last_examination_{};
  std::chrono::milliseconds backoff_{0};
  uint64_t last_signature_ = 0;
  uint64_t examinations_ = 0;

  ToldWaits told_;
  UnseenWaits unseen_;
};

}  // namespace gordian::watch
