// SPDX-License-Identifier: Apache-2.0
// Traces for tests, written as they happen; and prediction as a command runs it.
#pragma once

#include "analysis/predict.h"
#include "model/trace.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace gordian::analysis {

class TestTrace {
 public:
  using Op = model::TraceOp;

  // Sites default to the number of the event.
  TestTrace& add(uint32_t thread, Op op, uint32_t object, uint32_t site = 0,
                 model::Mode mode = model::Mode::Exclusive, bool by_try = false) {
    model::TraceEvent event;
    event.line = events_.size() + 1;
    event.thread = model::ThreadId{thread};
    event.object = object;
    event.site = site == 0 ? static_cast<uint32_t>(event.line) : site;
    event.op = op;
    event.mode = mode;
    event.by_try = by_try;
    events_.push_back(event);
    return *this;
  }
  TestTrace& acquire(uint32_t thread, uint32_t lock) { return add(thread, Op::Acquire, lock); }
  TestTrace& release(uint32_t thread, uint32_t lock) { return add(thread, Op::Release, lock); }
  TestTrace& share(uint32_t thread, uint32_t lock) {
    return add(thread, Op::Acquire, lock, 0, model::Mode::Shared);
  }
  TestTrace& unshare(uint32_t thread, uint32_t lock) {
    return add(thread, Op::Release, lock, 0, model::Mode::Shared);
  }
  TestTrace& exchange(uint32_t thread, uint32_t lock, model::Mode mode) {
    return add(thread, Op::Exchange, lock, 0, mode, true);
  }
  TestTrace& read(uint32_t thread, uint32_t variable) { return add(thread, Op::Read, variable); }
  TestTrace& write(uint32_t thread, uint32_t variable) { return add(thread, Op::Write, variable); }
  TestTrace& fork(uint32_t thread, uint32_t child) { return add(thread, Op::Fork, child); }
  TestTrace& join(uint32_t thread, uint32_t child) { return add(thread, Op::Join, child); }
  // Takes `outer`, then `inner`, and gives both back.
  TestTrace& nested(uint32_t thread, uint32_t outer, uint32_t inner) {
    return acquire(thread, outer)
        .acquire(thread, inner)
        .release(thread, inner)
        .release(thread, outer);
  }

  [[nodiscard]] const std::vector<model::TraceEvent>& events() const { return events_; }

  [[nodiscard]] model::TraceSize size() const {
    model::TraceSize size;
    size.events = events_.size();
    for (const model::TraceEvent& event : events_) {
      size.threads = std::max(size.threads, static_cast<uint32_t>(event.thread) + 1);
      const bool is_memory = event.op == Op::Read || event.op == Op::Write;
      const bool is_thread = event.op == Op::Fork || event.op == Op::Join;
      size.has_memory = size.has_memory || is_memory;
      uint32_t& count = is_memory ? size.variables : is_thread ? size.threads : size.locks;
      count = std::max(count, event.object + 1);
    }
    size.acts.assign(size.threads, 0);
    for (const model::TraceEvent& event : events_)
      size.acts[static_cast<uint32_t>(event.thread)] = 1;
    if (!events_.empty()) size.first_actor = static_cast<uint32_t>(events_.front().thread);
    return size;
  }

  [[nodiscard]] Candidates candidates() const {
    LockOrderScan scan;
    scan.add(events_);
    return scan.finish(size());
  }

  [[nodiscard]] Prediction predict(PredictOptions options = {.complete_memory = true},
                                   const TraceIndex::Limits& limits = {}) const {
    const model::TraceSize all = size();
    const Candidates candidates = this->candidates();
    if (!candidates.any()) return {};
    TraceIndex index(candidates, all, limits);
    index.add(events_);
    index.finish();
    return analysis::predict(index, candidates, all, options);
  }

 private:
  std::vector<model::TraceEvent> events_;
};

}  // namespace gordian::analysis
