// SPDX-License-Identifier: Apache-2.0
#include "analysis/predict_replay.h"

#include <algorithm>
#include <utility>

namespace gordian::analysis {

using model::Mode;
using model::TraceEvent;
using model::TraceOp;

Replay::Replay(const std::vector<TraceEvent>& events, const model::TraceSize& size,
               bool with_memory)
    : events_(events), with_memory_(with_memory) {
  read_recorded(size);
}

// What each event relied on in the recorded run.
void Replay::read_recorded(const model::TraceSize& size) {
  threads_.resize(size.threads);
  locks_.resize(size.locks);
  memory_.assign(size.variables, kNone);
  waiters_.resize(size.locks);
  // Memory that is touched for the first time is what costs most here: as little as will do.
  relies_on_.assign(events_.size(), kNone);
  std::vector<uint32_t> counts(size.threads);
  bool has_waits = false;
  for (const TraceEvent& one : events_) {
    ++counts[static_cast<uint32_t>(one.thread)];
    has_waits = has_waits || one.op == TraceOp::Wait;
  }
  for (uint32_t id = 0; id < size.threads; ++id) threads_[id].events.reserve(counts[id]);
  if (has_waits) {
    wake_of_.assign(events_.size(), kNone);
    wake_wait_.assign(events_.size(), kNone);
    rank_.assign(events_.size(), kNone);
  }
  std::vector<uint32_t> last_write(size.variables, kNone);
  std::vector<uint32_t> waits(size.threads, kNone);
  for (uint32_t i = 0; i < events_.size(); ++i) {
    const TraceEvent& event = events_[i];
    const auto id = static_cast<uint32_t>(event.thread);
    if (waits[id] != kNone && event.op != TraceOp::Request) {
      wake_wait_[i] = std::exchange(waits[id], kNone);
      wake_of_[wake_wait_[i]] = i;
    }
    if (event.op == TraceOp::Read) relies_on_[i] = last_write[event.object];
    if (event.op == TraceOp::Write) last_write[event.object] = i;
    if (event.op == TraceOp::Wait) waits[id] = i;
    if (event.op == TraceOp::Fork && threads_[event.object].fork == kNone)
      threads_[event.object].fork = i;
    if (event.op == TraceOp::Join)
      relies_on_[i] = static_cast<uint32_t>(threads_[event.object].events.size());
    threads_[id].events.push_back(i);
  }
  // A request may come before the wake-up; but who stands there for ever has been woken.
  for (uint32_t id = 0; id < size.threads; ++id) {
    if (waits[id] == kNone) continue;
    const uint32_t last = threads_[id].events.back();
    if (events_[last].op != TraceOp::Request) continue;
    wake_wait_[last] = waits[id];
    wake_of_[waits[id]] = last;
  }
  if (has_waits) find_unexplained_wakes();
}

// A thread that nobody notified in time woke by itself, and may do so again.
void Replay::find_unexplained_wakes() {
  std::vector<std::vector<std::pair<uint32_t, bool>>> notes(locks_.size());  // event, used up
  for (uint32_t i = 0; i < events_.size(); ++i) {
    const TraceEvent& event = events_[i];
    if (const uint32_t wait = wake_wait_[i]; wait != kNone && event.op != TraceOp::Request) {
      auto& all = notes[events_[wait].object];
      auto at = std::lower_bound(all.begin(), all.end(), std::pair(wait, false));
      while (at != all.end() && at->second) ++at;
      if (at != all.end()) {
        at->second = events_[at->first].op == TraceOp::Notify;
      } else {
        wake_of_[wait] = kNone;
        wake_wait_[i] = kNone;
      }
    }
    if (event.op == TraceOp::Notify || event.op == TraceOp::NotifyAll)
      notes[event.object].emplace_back(i, false);
  }
}

bool Replay::is_done(uint32_t event) const {
  const Thread& thread = threads_[static_cast<uint32_t>(events_[event].thread)];
  return thread.next > 0 && thread.events[thread.next - 1] >= event;
}

bool Replay::is_awake(uint32_t event) const {
  const uint32_t wait = wait_before(event);
  if (wait == kNone) return true;
  const std::vector<Waiter>& waiters = waiters_[events_[wait].object];
  return std::any_of(waiters.begin(), waiters.end(),
                     [&](const Waiter& waiter) { return waiter.wait == wait && waiter.woken; });
}

// Any waiter may be the one that wakes: let it be the one that is needed first.
void Replay::notify(const TraceEvent& event) {
  std::vector<Waiter>& waiters = waiters_[event.object];
  if (event.op == TraceOp::NotifyAll) {
    for (Waiter& waiter : waiters) waiter.woken = true;
    return;
  }
  Waiter* first = nullptr;
  for (Waiter& waiter : waiters)
    if (!waiter.woken && (first == nullptr || waiter.deadline < first->deadline)) first = &waiter;
  if (first != nullptr) first->woken = true;
}

std::string Replay::lock_step(uint32_t thread, const TraceEvent& event) {
  Lock& lock = locks_[event.object];
  if (event.op == TraceOp::Acquire) {
    if (lock.writer != kNone || (event.mode == Mode::Exclusive && !lock.readers.empty()))
      return "a held lock is acquired";
    if (event.mode == Mode::Exclusive) {
      lock.writer = thread;
    } else {
      lock.readers.push_back(thread);
    }
    return {};
  }
  if (event.op == TraceOp::Exchange) {
    const bool is_upgrade = event.mode == Mode::Exclusive;
    const bool reads_alone = lock.readers.size() == 1 && lock.readers.front() == thread;
    if (is_upgrade ? !reads_alone : lock.writer != thread)
      return "a hold is exchanged that is not the only one";
    lock.writer = is_upgrade ? thread : kNone;
    lock.readers.assign(is_upgrade ? 0 : 1, thread);
    return {};
  }
  if (lock.writer == thread) {
    lock.writer = kNone;
    return {};
  }
  const auto it = std::find(lock.readers.begin(), lock.readers.end(), thread);
  if (it == lock.readers.end()) return "a lock is released that is not held";
  lock.readers.erase(it);
  return {};
}

std::string Replay::step(uint32_t i) {
  const TraceEvent& event = events_[i];
  const auto id = static_cast<uint32_t>(event.thread);
  Thread& thread = threads_[id];
  if (thread.next >= thread.events.size() || thread.events[thread.next] != i)
    return "the order of a thread is not kept";
  if (thread.fork < i && !is_done(thread.fork)) return "a thread runs before it is created";
  if (const uint32_t wait = wait_before(i); wait != kNone && event.op != TraceOp::Request) {
    if (!is_awake(i)) return "a thread goes on before it is woken";
    std::erase_if(waiters_[events_[wait].object],
                  [&](const Waiter& waiter) { return waiter.wait == wait; });
  }
  ++thread.next;
  switch (event.op) {
    case TraceOp::Acquire:
    case TraceOp::Release:
    case TraceOp::Exchange:
      return lock_step(id, event);
    case TraceOp::Read:
      if (with_memory_ && memory_[event.object] != relies_on_[i])
        return "a read sees another write";
      break;
    case TraceOp::Write:
      memory_[event.object] = i;
      break;
    case TraceOp::Join:
      if (threads_[event.object].next < relies_on_[i]) return "a thread is joined before its end";
      if (threads_[event.object].fork < i && !is_done(threads_[event.object].fork))
        return "a thread is joined before it is created";
      break;
    case TraceOp::Wait:
      // Who wakes by itself, or need not wake, takes no notification that another needs.
      if (const uint32_t wake = wake_of_[i]; wake != kNone && rank_[wake] != kNone)
        waiters_[event.object].push_back({i, rank_[wake], false});
      break;
    case TraceOp::Notify:
    case TraceOp::NotifyAll:
      notify(event);
      break;
    default:
      break;
  }
  return {};
}

std::string Replay::check_stop(const Stop& stop, const Stop& other) const {
  const Thread& thread = threads_[stop.thread];
  size_t at = thread.next;
  while (at < thread.events.size() && thread.events[at] != stop.event &&
         events_[thread.events[at]].op == TraceOp::Request)
    ++at;
  const bool at_end = stop.event == Stop::kAtEnd;
  if (at_end ? at != thread.events.size()
             : at >= thread.events.size() || thread.events[at] != stop.event)
    return "a thread does not come to its request";
  const uint32_t asks = request_of(stop);
  const TraceEvent& event = events_[asks];
  if (thread.fork < asks && !is_done(thread.fork)) return "a thread is not created";
  if (!is_awake(asks)) return "a thread is not woken";
  if (event.by_try) return "a try does not wait";
  if (event.op == TraceOp::Join) {
    if (event.object != other.thread) return "it joins another thread";
    return {};
  }
  if (event.op != TraceOp::Acquire && event.op != TraceOp::Request) return "no request";
  const Lock& lock = locks_[event.object];
  const bool reads =
      std::find(lock.readers.begin(), lock.readers.end(), other.thread) != lock.readers.end();
  if (lock.writer == other.thread || (reads && event.mode == Mode::Exclusive)) return {};
  return "the lock is not in its way";
}

void Replay::clear(std::span<const uint32_t> schedule) {
  for (Thread& thread : threads_) thread.next = 0;
  for (Lock& lock : locks_) {
    lock.writer = kNone;
    lock.readers.clear();
  }
  std::fill(memory_.begin(), memory_.end(), kNone);
  for (std::vector<Waiter>& waiters : waiters_) waiters.clear();
  // A request needs no wake-up in passing.
  for (uint32_t rank = 0; rank < schedule.size(); ++rank)
    if (events_[schedule[rank]].op != TraceOp::Request) set_rank(schedule[rank], rank);
}

std::string Replay::check(std::span<const uint32_t> schedule, std::span<const Stop> stops) {
  for (const uint32_t event : schedule)
    if (event >= events_.size()) return "no such event";
  clear(schedule);
  for (const Stop& stop : stops) set_rank(request_of(stop), static_cast<uint32_t>(schedule.size()));
  std::string broken;
  for (size_t i = 0; broken.empty() && i < schedule.size(); ++i) broken = step(schedule[i]);
  for (size_t i = 0; broken.empty() && i < stops.size(); ++i)
    broken = check_stop(stops[i], stops[(i + 1) % stops.size()]);
  for (const uint32_t event : schedule) set_rank(event, kNone);
  for (const Stop& stop : stops) set_rank(request_of(stop), kNone);
  return broken;
}

}  // namespace gordian::analysis
