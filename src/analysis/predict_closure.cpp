// SPDX-License-Identifier: Apache-2.0
#include "analysis/predict_closure.h"

#include <algorithm>

namespace gordian::analysis {

PrefixClosure::PrefixClosure(const TraceIndex& index, bool locks)
    : index_(index),
      locks_rule_(locks),
      wanted_(index.threads().size()),
      done_(index.threads().size()),
      cause_(index.threads().size(), kAsked),
      is_queued_(index.threads().size()),
      locks_(locks ? index.lock_count() : 0) {
  reset();
}

void PrefixClosure::reset() {
  ++epoch_;
  is_feasible_ = true;
  for (const uint32_t thread : touched_) {
    wanted_[thread] = 0;
    done_[thread] = 0;
    is_queued_[thread] = 0;
  }
  touched_.clear();
  queue_.clear();
}

void PrefixClosure::include(uint32_t thread, uint32_t position, uint32_t cause) {
  if (position <= wanted_[thread]) return;
  cause_[thread] = cause;
  if (wanted_[thread] == 0) touched_.push_back(thread);
  wanted_[thread] = position;
  if (is_queued_[thread] != 0) return;
  is_queued_[thread] = 1;
  queue_.push_back(thread);
}

bool PrefixClosure::close() {
  while (is_feasible_ && !queue_.empty()) {
    const uint32_t thread = queue_.back();
    queue_.pop_back();
    is_queued_[thread] = 0;
    advance(thread);
  }
  return is_feasible_;
}

void PrefixClosure::advance(uint32_t thread) {
  const ThreadSteps& own = index_.threads()[thread];
  const uint32_t from = done_[thread];
  const uint32_t to = wanted_[thread];
  done_[thread] = to;
  constexpr uint32_t kLookUp = 12;  // what a binary search costs, in steps walked
  if (to - from <= own.groups.size() * kLookUp) {
    work_ += to - from;
    for (uint32_t i = from; i < to; ++i) apply(thread, own.steps[i]);
    return;
  }
  // Of the steps of one sort only the last matters: those before it are implied by it.
  work_ += own.groups.size() * kLookUp;
  for (const StepGroup& group : own.groups) {
    const uint32_t* const begin = own.grouped.data() + group.begin;
    const uint32_t* const end = own.grouped.data() + group.end;
    const uint32_t* const after = std::lower_bound(begin, end, to);
    if (after != begin && after[-1] >= from) apply(thread, own.steps[after[-1]]);
  }
}

void PrefixClosure::apply(uint32_t thread, const TraceStep& step) {
  if (step.is_edge()) {
    include(step.source(), step.a, step.what);
  } else if (locks_rule_) {
    acquire({step.a, thread, step.b}, step);
  }
}

void PrefixClosure::free(const Held& held, uint32_t cause) {
  if (held.release == TraceStep::kNever) {
    is_feasible_ = false;
  } else {
    include(held.thread, held.release, cause);
  }
}

void PrefixClosure::acquire(Held held, const TraceStep& step) {
  Lock& lock = locks_[step.lock()];
  if (lock.epoch != epoch_) {
    lock.epoch = epoch_;
    lock.is_written = false;
    lock.readers.clear();
  }
  const auto later = [](const Held& a, const Held& b) { return a.order > b.order; };
  if (lock.is_written && held.order < lock.writer.order) {
    free(held, step.what);
    return;
  }
  if (lock.is_written) free(lock.writer, step.what);
  if (step.shared()) {
    lock.readers.push_back(held);
    std::push_heap(lock.readers.begin(), lock.readers.end(), later);
    return;
  }
  while (!lock.readers.empty() && lock.readers.front().order < held.order) {
    free(lock.readers.front(), step.what);
    std::pop_heap(lock.readers.begin(), lock.readers.end(), later);
    lock.readers.pop_back();
  }
  if (!lock.readers.empty()) free(held, step.what);
  lock.writer = held;
  lock.is_written = true;
}

}  // namespace gordian::analysis
