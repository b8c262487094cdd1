// SPDX-License-Identifier: Apache-2.0
#include "analysis/predict_scan.h"

#include "analysis/components.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <utility>

namespace gordian::analysis {

using model::Mode;
using model::TraceEvent;
using model::TraceOp;
using model::TraceSize;

namespace {

// A thread that holds more is beyond belief; the rest is not looked at, which can only hide a
// cycle.
constexpr size_t kMaxHeld = 256;

}  // namespace

LockOrderScan::Thread& LockOrderScan::thread_of(const TraceEvent& event) {
  const auto id = static_cast<uint32_t>(event.thread);
  if (id >= threads_.size()) threads_.resize(id + 1 + id / 2);
  return threads_[id];
}

void LockOrderScan::order(uint32_t held, uint32_t wanted, bool by_try) {
  const uint64_t pair = static_cast<uint64_t>(held) << 32 | wanted | (by_try ? kTry : 0);
  uint64_t& slot = cache_[(pair * 0x9e3779b97f4a7c15) >> 52];
  if (slot == pair + 1) return;
  slot = pair + 1;
  if (orders_.size() < max_orders_) {
    orders_.insert(pair);
  } else {
    orders_cut_ = true;
  }
}

void LockOrderScan::use(uint32_t thread, uint32_t lock) {
  if (lock >= user_.size()) {
    user_.resize(lock + 1 + lock / 2, kNobody);
    is_shared_.resize(user_.size());
    is_rwlock_.resize(user_.size());
    is_marked_.resize(user_.size());
  }
  if (user_[lock] == kNobody) user_[lock] = thread;
  if (user_[lock] != thread) is_shared_[lock] = 1;
}

void LockOrderScan::acquire(Thread& thread, const TraceEvent& event) {
  const uint32_t lock = event.object;
  use(static_cast<uint32_t>(event.thread), lock);
  if (event.mode == Mode::Shared) is_rwlock_[lock] = 1;
  ++acquisitions_;
  if (!thread.held.empty()) {
    ++nested_;
    for (const uint32_t held : thread.held) order(held, lock, event.by_try);
  }
  if (thread.held.size() < kMaxHeld) {
    thread.held.push_back(lock);
  } else {
    holds_beyond_belief_ = true;
  }
}

void LockOrderScan::mark_held(Thread& thread) {
  for (; thread.marked < thread.held.size(); ++thread.marked)
    is_marked_[thread.held[thread.marked]] = 1;
}

void LockOrderScan::add(std::span<const TraceEvent> events) {
  for (const TraceEvent& event : events) {
    Thread& thread = thread_of(event);
    thread.asks = false;
    switch (event.op) {
      case TraceOp::Acquire:
        acquire(thread, event);
        break;
      case TraceOp::Release: {
        if (!thread.held.empty() && thread.held.back() == event.object) {
          thread.held.pop_back();
        } else {
          const auto it = std::find(thread.held.rbegin(), thread.held.rend(), event.object);
          if (it == thread.held.rend()) break;
          const auto at = std::next(it).base();
          if (static_cast<size_t>(at - thread.held.begin()) < thread.marked) --thread.marked;
          thread.held.erase(at);
        }
        thread.marked = std::min(thread.marked, thread.held.size());
        break;
      }
      case TraceOp::Exchange:
        is_rwlock_[event.object] = 1;
        for (const uint32_t held : thread.held) order(held, event.object, true);
        break;
      case TraceOp::Request:
        thread.asks = true;
        use(static_cast<uint32_t>(event.thread), event.object);
        for (const uint32_t held : thread.held) order(held, event.object, false);
        break;
      case TraceOp::Fork:
        if (event.object >= threads_.size()) threads_.resize(event.object + 1 + event.object / 2);
        threads_[event.object].is_created = true;
        mark_held(threads_[event.object]);  // odd: it acts already
        break;
      case TraceOp::Join:
        joins_while_holding_ = joins_while_holding_ || (!event.by_try && !thread.held.empty());
        mark_held(thread);
        break;
      case TraceOp::Wait:
        waits_while_holding_ = waits_while_holding_ || !thread.held.empty();
        mark_held(thread);
        break;
      default:
        break;
    }
  }
}

Candidates LockOrderScan::finish(const TraceSize& size) {
  Candidates out;
  out.acquisitions = acquisitions_;
  out.nested = nested_;
  out.joins_while_holding = joins_while_holding_;
  out.has_waits_while_holding = waits_while_holding_;
  out.orders_cut = orders_cut_;
  for (const uint32_t user : user_) out.used_locks += user != kNobody ? 1 : 0;
  is_shared_.resize(size.locks);
  is_rwlock_.resize(size.locks);
  threads_.resize(size.threads);
  out.is_shared = std::move(is_shared_);
  out.is_rwlock = std::move(is_rwlock_);

  out.is_phantom.resize(size.threads);
  out.is_orphan.resize(size.threads);
  bool orphans = false;
  bool phantoms = false;
  for (uint32_t id = 0; id < size.threads; ++id) {
    out.has_pending = out.has_pending || threads_[id].asks;
    const bool is_created = threads_[id].is_created;
    const bool acts = id < size.acts.size() && size.acts[id] != 0;
    out.is_phantom[id] = is_created && !acts;
    out.is_orphan[id] = acts && !is_created && id != size.first_actor;
    phantoms = phantoms || out.is_phantom[id] != 0;
    orphans = orphans || out.is_orphan[id] != 0;
  }
  out.has_phantoms = phantoms && orphans;

  Adjacency graph(size.locks);
  for (const uint64_t pair : orders_) {
    if ((pair & kTry) != 0) continue;
    const auto held = static_cast<uint32_t>(pair >> 32);
    const auto wanted = static_cast<uint32_t>(pair);
    if (held != wanted) graph[held].push_back(wanted);
  }
  for (std::vector<uint32_t>& next : graph) std::sort(next.begin(), next.end());
  std::vector<char> allowed(size.locks);
  for (uint32_t lock = 0; lock < size.locks; ++lock) allowed[lock] = out.is_shared[lock];
  std::vector<uint32_t> roots(size.locks);
  std::iota(roots.begin(), roots.end(), 0U);
  out.component.resize(size.locks, Candidates::kNone);
  uint32_t number = Candidates::kNone;
  for (const std::vector<uint32_t>& component : strong_components(graph, roots, allowed)) {
    if (component.size() < 2) continue;
    ++number;
    for (const uint32_t lock : component) out.component[lock] = number;
  }
  out.is_any = number != Candidates::kNone || joins_while_holding_;
  // Reads wait for their writers, and were not seen by this pass.
  find_what_matters(out, joins_while_holding_ || holds_beyond_belief_ || orders_cut_ ||
                             size.has_memory || size.has_other_orders);
  return out;
}

void LockOrderScan::find_what_matters(Candidates& out, bool all) const {
  out.matters = out.is_shared;
  if (all || !out.is_any) return;
  const auto locks = static_cast<uint32_t>(out.is_shared.size());
  Adjacency outer(locks);  // by lock: in whose sections it was taken
  for (const uint64_t pair : orders_)
    outer[static_cast<uint32_t>(pair)].push_back(static_cast<uint32_t>((pair & ~kTry) >> 32));
  std::vector<char> reached(locks);
  std::vector<uint32_t> queue;
  for (uint32_t lock = 0; lock < locks; ++lock) {
    const bool is_marked = lock < is_marked_.size() && is_marked_[lock] != 0;
    if (!is_marked && !out.is_in_cycle(lock)) continue;
    reached[lock] = 1;
    queue.push_back(lock);
  }
  while (!queue.empty()) {
    const uint32_t lock = queue.back();
    queue.pop_back();
    // One that a single thread uses is no step itself; but one taken in it may be.
    for (const uint32_t next : outer[lock])
      if (std::exchange(reached[next], 1) == 0) queue.push_back(next);
  }
  for (uint32_t lock = 0; lock < locks; ++lock)
    out.matters[lock] = out.is_shared[lock] != 0 && reached[lock] != 0;
}

bool has_order_cycle(std::span<const std::pair<uint32_t, uint32_t>> nestings) {
  std::unordered_map<uint32_t, uint32_t> nodes;
  const auto node_of = [&](uint32_t lock) {
    return nodes.try_emplace(lock, static_cast<uint32_t>(nodes.size())).first->second;
  };
  Adjacency graph;
  for (const auto& [held, wanted] : nestings) {
    const uint32_t from = node_of(held);
    const uint32_t to = node_of(wanted);
    graph.resize(nodes.size());
    if (from != to) graph[from].push_back(to);
  }
  std::vector<uint32_t> roots(graph.size());
  std::iota(roots.begin(), roots.end(), 0U);
  const std::vector<char> allowed(graph.size(), 1);
  const auto components = strong_components(graph, roots, allowed);
  return std::any_of(components.begin(), components.end(),
                     [](const auto& component) { return component.size() > 1; });
}

}  // namespace gordian::analysis
