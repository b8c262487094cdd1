// SPDX-License-Identifier: Apache-2.0
// The last step of every reader: checks the locks, leaves out what changes nothing, hands out
// blocks.
#pragma once

#include "model/trace.h"
#include "trace/lock_rules.h"
#include "trace/std_reader.h"

#include <array>
#include <cstddef>
#include <string>

namespace gordian::trace {

class EventWriter {
 public:
  explicit EventWriter(const EventSink& sink) : sink_(sink) {}

  void put(const model::TraceEvent& event) {
    block_[count_] = event;
    if (++count_ == block_.size()) flush();
  }

  // False: the locks forbid it.
  bool acquire(model::TraceEvent event) {
    const LockStep step =
        rules_.acquire(static_cast<uint32_t>(event.thread), event.object, event.mode);
    if (step == LockStep::Changes) [[likely]] {
      put(event);
      return true;
    }
    if (step == LockStep::Upgrade) exchange(event, model::Mode::Exclusive);
    return step != LockStep::Illegal;
  }

  bool release(model::TraceEvent event) {
    const LockStep step =
        rules_.release(static_cast<uint32_t>(event.thread), event.object, event.mode);
    if (step == LockStep::Changes) [[likely]] {
      put(event);
      return true;
    }
    if (step == LockStep::Downgrade) exchange(event, model::Mode::Shared);
    return step != LockStep::Illegal;
  }

  void wait(const model::TraceEvent& event) {
    if (rules_.give_up(static_cast<uint32_t>(event.thread), event.object)) {
      model::TraceEvent release = event;
      release.op = model::TraceOp::Release;
      put(release);
    }
    put(event);
  }

  [[nodiscard]] uint32_t holder(uint32_t lock) const { return rules_.holder(lock); }

  void flush() {
    if (count_ > 0) sink_({block_.data(), count_});
    count_ = 0;
  }

 private:
  // One hold ends and another begins in the same moment: one event, lest an order come between.
  void exchange(model::TraceEvent event, model::Mode mode) {
    event.op = model::TraceOp::Exchange;
    event.mode = mode;
    event.by_try = true;
    put(event);
  }

  const EventSink& sink_;
  LockRules rules_;
  size_t count_ = 0;
  std::array<model::TraceEvent, 512> block_;
};

}  // namespace gordian::trace
