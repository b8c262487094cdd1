// SPDX-License-Identifier: Apache-2.0
// A pasted backtrace as the snapshot that analysis/ judges, and the words of the text for what
// analysis/ finds in it.
#pragma once

#include "dump/dump.h"
#include "dump/holders.h"
#include "model/finding.h"
#include "model/snapshot.h"

#include <cstddef>
#include <string>
#include <vector>

namespace gordian::dump {

// What a thread does, for the list of all threads.
struct ThreadLine {
  std::string name;
  int tid = 0;
  std::string doing;  // "wants the mutex at 0x55d0", "idle in poll"
  model::Stack stack;
};

class Reading {
 public:
  explicit Reading(Dump dump);

  // Threads in the order of their ids, whatever the order in the text. Every wait began
  // kAssumedAge before `taken`: somebody who pastes a backtrace has waited. complete() takes that
  // out again.
  [[nodiscard]] const model::Snapshot& snapshot() const { return snapshot_; }
  [[nodiscard]] const Dump& dump() const { return dump_; }

  static constexpr std::chrono::nanoseconds kAssumedAge = std::chrono::seconds(1);

  // Fills in stacks and names; for a stall, why it is no deadlock and what would settle it. False:
  // the finding says too little to be told.
  bool complete(model::Finding& finding) const;

  // Every thread, and what cannot be known of the locks somebody waits for: sentences.
  [[nodiscard]] std::vector<ThreadLine> threads() const;
  [[nodiscard]] std::vector<std::string> open_questions() const;

 private:
  void check_doubtful_addresses();
  void collect_locks();
  void apply_owner_facts();
  void believe_java();
  void guess_java_joins();
  void believe_go();
  void build();
  void add_wait(uint32_t thread, model::Thread& entry);
  [[nodiscard]] uint32_t lock_of(uint32_t thread) const { return lock_of_[thread]; }
  [[nodiscard]] model::Stack stack_of(uint32_t thread, size_t from) const;
  [[nodiscard]] std::string name_of_lock(uint32_t lock) const;
  [[nodiscard]] std::string settle(uint32_t lock) const;
  [[nodiscard]] std::string evidence(uint32_t lock) const;
  [[nodiscard]] std::string describe(uint32_t thread) const;

  Dump dump_;
  std::vector<ThreadView> views_;
  std::vector<Lock> locks_;        // position = resource id
  std::vector<uint32_t> lock_of_;  // by thread; kNone
  model::Snapshot snapshot_;
  static constexpr uint32_t kNone = 0xffffffff;
};

}  // namespace gordian::dump
