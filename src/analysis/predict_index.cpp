// SPDX-License-Identifier: Apache-2.0
#include "analysis/predict_index.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace gordian::analysis {

using model::Mode;
using model::TraceEvent;
using model::TraceOp;

namespace {

// Locks held beyond are not in the lists of held locks: a gate may be overlooked there, but the
// closure sees every acquisition.
constexpr size_t kMaxListed = 64;
constexpr uint32_t kMaxDenseThreads = 2048;

uint64_t mixed(uint64_t value) {
  value ^= value >> 31;
  value *= 0x9e3779b97f4a7c15;
  return value ^ value >> 29;
}

}  // namespace

TraceIndex::TraceIndex(const Candidates& candidates, const model::TraceSize& size)
    : TraceIndex(candidates, size, Limits{}) {}

TraceIndex::TraceIndex(const Candidates& candidates, const model::TraceSize& size,
                       const Limits& limits)
    : candidates_(candidates),
      limits_(limits),
      lock_count_(size.locks),
      keeps_events_(size.events <= limits.kept_events),
      steps_(size.threads),
      threads_(size.threads),
      acquisitions_(size.locks),
      notifications_(size.locks) {
  if (size.threads <= kMaxDenseThreads)
    known_.resize(static_cast<size_t>(size.threads) * size.threads);
  if (keeps_events_) {
    events_.reserve(size.events);
    needs_.reserve(size.events);
  }
}

uint32_t& TraceIndex::known(uint32_t to, uint32_t source) {
  if (!known_.empty()) return known_[static_cast<size_t>(to) * threads_.size() + source];
  return known_sparse_[static_cast<uint64_t>(to) << 32 | source];
}

void TraceIndex::step(uint32_t thread, const TraceStep& step) {
  steps_[thread].steps.push_back(step);
  bytes_ += sizeof(TraceStep) + sizeof(uint32_t);
}

bool TraceIndex::edge(uint32_t to, uint32_t source, uint32_t position, OrderKind kind) {
  if (position == 0 || to == source) return false;
  uint32_t& so_far = known(to, source);
  if (so_far >= position) return false;
  so_far = position;
  step(to, {TraceStep::kEdge | static_cast<uint32_t>(kind) << TraceStep::kKindShift | source,
            position, 0});
  return true;
}

uint32_t TraceIndex::cell_of(uint32_t outer, const Hold& hold) {
  const uint64_t key = mixed(mixed(static_cast<uint64_t>(outer) << 32 | hold.lock) + hold.site);
  std::vector<uint32_t>& same = cell_index_[key];
  for (const uint32_t cell : same) {
    const HeldCell& known_cell = cells_[cell];
    if (known_cell.outer == outer && known_cell.lock == hold.lock && known_cell.site == hold.site &&
        known_cell.mode == hold.mode)
      return cell;
  }
  const auto cell = static_cast<uint32_t>(cells_.size());
  cells_.push_back({outer, hold.lock, hold.site, hold.mode});
  same.push_back(cell);
  return cell;
}

uint32_t TraceIndex::request_of(const TraceRequest& request) {
  const uint64_t key =
      mixed(mixed(mixed(static_cast<uint64_t>(request.thread) << 32 | request.wanted) +
                  (static_cast<uint64_t>(request.held) << 32 | request.site)) +
            (request.is_join ? 2 : 0) + static_cast<uint64_t>(request.mode));
  std::vector<uint32_t>& same = request_index_[key];
  for (const uint32_t id : same)
    if (requests_[id] == request) return id;
  const auto id = static_cast<uint32_t>(requests_.size());
  requests_.push_back(request);
  moments_.emplace_back();
  same.push_back(id);
  return id;
}

void TraceIndex::add(std::span<const TraceEvent> events) {
  for (const TraceEvent& event : events) {
    if (was_cut()) [[unlikely]]
      return;
    add_one(event);
    if (keeps_events_) keep(event);
  }
}

void TraceIndex::keep(const TraceEvent& event) {
  // More than the first pass counted, which sees no reads and writes of a recording.
  if (events_.size() >= limits_.kept_events) {
    keeps_events_ = false;
    events_ = std::vector<TraceEvent>();
    needs_ = std::vector<PrefixNeed>();
    return;
  }
  events_.push_back(event);
  const auto thread = static_cast<uint32_t>(event.thread);
  needs_.push_back({thread, position_of(thread)});
}

bool TraceIndex::wake(uint32_t id, Thread& thread) {
  std::vector<Notification>& all = notifications_[std::exchange(thread.waits_on, kNobody)];
  for (size_t i = thread.wait_since; i < all.size(); ++i) {
    Notification& one = all[i];
    if (one.used) continue;
    one.used = !one.is_all;
    edge(id, one.thread, one.position, OrderKind::Notify);
    return true;
  }
  return false;
}

void TraceIndex::add_one(const TraceEvent& event) {
  const auto id = static_cast<uint32_t>(event.thread);
  Thread& thread = threads_[id];
  if (!thread.has_acted) [[unlikely]] {
    thread.has_acted = true;
    if (candidates_.has_phantoms && candidates_.is_orphan[id] != 0)
      for (const Source& fork : phantom_forks_)
        edge(id, fork.thread, fork.position, OrderKind::Fork);
  }
  if (thread.waits_on != kNobody && event.op != TraceOp::Request) [[unlikely]]
    wake(id, thread);  // or it woke by itself, or its time was up
  thread.asks = false;
  switch (event.op) {
    case TraceOp::Acquire:
      acquire(id, thread, event);
      break;
    case TraceOp::Release:
      release(id, thread, event);
      break;
    case TraceOp::Exchange:
      exchange(id, thread, event);
      break;
    case TraceOp::Read: {
      if (event.object >= last_write_.size()) break;
      const Write& write = last_write_[event.object];
      if (write.thread != kNobody && write.thread != id)
        edge(id, write.thread, write.position, OrderKind::ReadsFrom);
      break;
    }
    case TraceOp::Write:
      if (event.object >= last_write_.size())
        last_write_.resize(event.object + 1 + event.object / 2);
      last_write_[event.object] = {id, position_of(id)};
      break;
    case TraceOp::Fork:
      if (candidates_.has_phantoms && candidates_.is_phantom[event.object] != 0)
        phantom_forks_.push_back({id, position_of(id)});
      edge(event.object, id, position_of(id), OrderKind::Fork);
      break;
    case TraceOp::Join:
      join(id, thread, event);
      break;
    case TraceOp::Request:
      thread.asked = event;
      thread.asks = true;
      break;
    case TraceOp::Wait:
      thread.waits_on = event.object;
      thread.wait_since = notifications_[event.object].size();
      break;
    case TraceOp::Notify:
    case TraceOp::NotifyAll:
      notifications_[event.object].push_back(
          {id, position_of(id), event.op == TraceOp::NotifyAll, false});
      break;
  }
}

bool TraceIndex::is_worth_asking(const Thread& thread, const TraceEvent& event) const {
  if (event.by_try) return false;
  if (candidates_.joins_while_holding) return true;
  if (!candidates_.is_in_cycle(event.object)) return false;
  // Readers may queue behind a writer who holds nothing.
  if (event.mode == Mode::Exclusive && candidates_.is_rwlock[event.object] != 0) return true;
  const uint32_t component = candidates_.component[event.object];
  return std::any_of(thread.held.begin(), thread.held.end(), [&](const Hold& hold) {
    return candidates_.component[hold.lock] == component;
  });
}

void TraceIndex::ask(uint32_t id, const Thread& thread, const TraceEvent& event) {
  const bool is_join = event.op == TraceOp::Join;
  const uint32_t request = request_of({.thread = id,
                                       .wanted = event.object,
                                       .held = thread.held.empty() ? 0 : thread.held.back().cell,
                                       .site = event.site,
                                       .mode = event.mode,
                                       .is_join = is_join});
  moments_[request].push_back({position_of(id), static_cast<uint32_t>(events_.size()), event.line});
  bytes_ += sizeof(Moment);
}

void TraceIndex::acquire(uint32_t id, Thread& thread, const TraceEvent& event) {
  if (is_worth_asking(thread, event)) ask(id, thread, event);
  Hold hold{.lock = event.object,
            .cell = thread.held.empty() ? 0 : thread.held.back().cell,
            .site = event.site,
            .mode = event.mode};
  if (thread.held.size() < kMaxListed) hold.cell = cell_of(hold.cell, hold);
  if (candidates_.matters[event.object] != 0) {
    hold.step = position_of(id);
    step(id, {event.object << 1 | (event.mode == Mode::Shared ? 1U : 0U),
              acquisitions_[event.object]++, TraceStep::kNever});
  }
  thread.held.push_back(hold);
}

void TraceIndex::release(uint32_t id, Thread& thread, const TraceEvent& event) {
  const auto it = std::find_if(thread.held.rbegin(), thread.held.rend(),
                               [&](const Hold& hold) { return hold.lock == event.object; });
  if (it == thread.held.rend()) return;
  if (it->step != TraceStep::kNever) steps_[id].steps[it->step].b = position_of(id);
  const auto next = thread.held.erase(std::next(it).base());
  uint32_t outer = next == thread.held.begin() ? 0 : std::prev(next)->cell;
  for (auto hold = next; hold != thread.held.end(); ++hold) {
    if (static_cast<size_t>(hold - thread.held.begin()) < kMaxListed) {
      hold->cell = cell_of(outer, *hold);
    } else {
      hold->cell = outer;
    }
    outer = hold->cell;
  }
}

void TraceIndex::exchange(uint32_t id, Thread& thread, const TraceEvent& event) {
  const auto it = std::find_if(thread.held.begin(), thread.held.end(),
                               [&](const Hold& hold) { return hold.lock == event.object; });
  const uint32_t old = it == thread.held.end() ? TraceStep::kNever : it->step;
  release(id, thread, event);
  acquire(id, thread, event);
  // No prefix has the end of the old section without the beginning of the new one.
  if (old != TraceStep::kNever) steps_[id].steps[old].b = position_of(id);
}

void TraceIndex::join(uint32_t id, Thread& thread, const TraceEvent& event) {
  if (candidates_.joins_while_holding && !event.by_try) {
    ask(id, thread, event);
    // The step that has to stay out of the prefix, also when the child's end is known already.
    step(id, {TraceStep::kEdge | static_cast<uint32_t>(OrderKind::Join) << TraceStep::kKindShift |
                  event.object,
              position_of(event.object), 0});
    known(id, event.object) = std::max(known(id, event.object), position_of(event.object));
  } else {
    edge(id, event.object, position_of(event.object), OrderKind::Join);
  }
  if (candidates_.has_phantoms && candidates_.is_phantom[event.object] != 0) {
    for (uint32_t orphan = 0; orphan < threads_.size(); ++orphan)
      if (candidates_.is_orphan[orphan] != 0)
        edge(id, orphan, position_of(orphan), OrderKind::Join);
  }
}

void TraceIndex::finish() {
  // Who asks at the end of the trace and never gets it, asks all the same.
  for (uint32_t id = 0; id < threads_.size(); ++id) {
    Thread& thread = threads_[id];
    if (!thread.asks) continue;
    if (thread.waits_on != kNobody && !wake(id, thread)) continue;
    const bool is_held = std::any_of(thread.held.begin(), thread.held.end(), [&](const Hold& hold) {
      return hold.lock == thread.asked.object;
    });
    if (!is_held && is_worth_asking(thread, thread.asked)) {
      ask(id, thread, thread.asked);
      moments_[request_of({.thread = id,
                           .wanted = thread.asked.object,
                           .held = thread.held.empty() ? 0 : thread.held.back().cell,
                           .site = thread.asked.site,
                           .mode = thread.asked.mode,
                           .is_join = false})]
          .back()
          .event = UINT32_MAX;
    }
  }
  for (ThreadSteps& thread : steps_) group(thread);
  known_.clear();
  known_sparse_.clear();
}

void TraceIndex::group(ThreadSteps& thread) {
  const auto key_of = [](const TraceStep& step) {
    return step.is_edge() ? TraceStep::kEdge | step.source() : step.what;
  };
  std::unordered_map<uint32_t, uint32_t> counts;
  uint32_t last_key = UINT32_MAX;
  uint32_t* last_count = nullptr;
  for (const TraceStep& step : thread.steps) {
    const uint32_t key = key_of(step);
    if (key != last_key || last_count == nullptr) last_count = &counts[key];
    last_key = key;
    ++*last_count;
  }
  thread.groups.reserve(counts.size());
  for (const auto& [what, count] : counts) thread.groups.push_back({what, 0, count});
  std::sort(thread.groups.begin(), thread.groups.end(),
            [](const StepGroup& a, const StepGroup& b) { return a.what < b.what; });
  uint32_t at = 0;
  for (StepGroup& group : thread.groups) {
    const uint32_t count = group.end;
    group.begin = group.end = at;
    counts[group.what] = at;
    at += count;
  }
  thread.grouped.resize(thread.steps.size());
  for (uint32_t i = 0; i < thread.steps.size(); ++i)
    thread.grouped[counts[key_of(thread.steps[i])]++] = i;
  for (StepGroup& group : thread.groups) group.end = counts[group.what];
}

}  // namespace gordian::analysis
