// SPDX-License-Identifier: Apache-2.0
// The least prefix of a trace that contains some events, and can run with every lock taken in the
// recorded order (Tunc, Mathur, Pavlogiannis, Viswanathan: Sound Dynamic Deadlock Prediction in
// Linear Time, PLDI 2023).
//
// Two rules, to a fixpoint: what must come before an included event is included; of two included
// acquisitions that exclude each other, the earlier one is also released. The recorded trace, cut
// down to such a prefix, is itself a legal run. So a deadlock pattern whose requests stay outside
// of the prefix of their predecessors is a deadlock that can happen.
//
// The prefix only grows until reset(). Growing by few steps walks them, by many looks up the last
// step of each sort, so one closure costs at most the steps of the trace and usually far less.
#pragma once

#include "analysis/predict_index.h"

#include <cstdint>
#include <vector>

namespace gordian::analysis {

class PrefixClosure {
 public:
  // With `locks` false only the first rule holds: what no reordering whatever can avoid.
  PrefixClosure(const TraceIndex& index, bool locks);

  void reset();
  // Asks that `thread` has come to `position`.
  void include(uint32_t thread, uint32_t position) { include(thread, position, kAsked); }
  // False: a lock that has to be free is never released in this trace. Then it stays so.
  bool close();

  [[nodiscard]] uint32_t position(uint32_t thread) const { return wanted_[thread]; }
  [[nodiscard]] const std::vector<uint32_t>& positions() const { return wanted_; }
  // TraceStep::what of the step that last made a thread go further; kAsked: include() did.
  [[nodiscard]] uint32_t cause(uint32_t thread) const { return cause_[thread]; }
  static constexpr uint32_t kAsked = UINT32_MAX;
  [[nodiscard]] uint64_t work() const { return work_; }  // steps looked at, since construction

 private:
  struct Held {
    uint32_t order = 0;
    uint32_t thread = 0;
    uint32_t release = 0;
  };
  struct Lock {
    uint32_t epoch = 0;
    bool is_written = false;
    Held writer;                // the last included exclusive acquisition
    std::vector<Held> readers;  // included shared ones after it: a heap, the earliest on top
  };

  void include(uint32_t thread, uint32_t position, uint32_t cause);
  void advance(uint32_t thread);
  void apply(uint32_t thread, const TraceStep& step);
  void acquire(Held held, const TraceStep& step);
  void free(const Held& held, uint32_t cause);

  const TraceIndex& index_;
  const bool locks_rule_;
  bool is_feasible_ = true;
  uint32_t epoch_ = 0;
  uint64_t work_ = 0;
  std::vector<uint32_t> wanted_;  // by thread
  std::vector<uint32_t> done_;
  std::vector<uint32_t> cause_;
  std::vector<char> is_queued_;
  std::vector<uint32_t> queue_;
  std::vector<uint32_t> touched_;  // threads to reset
  std::vector<Lock> locks_;
};

}  // namespace gordian::analysis
