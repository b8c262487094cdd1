// SPDX-License-Identifier: Apache-2.0
#include "analysis/wait_graph.h"

#include "analysis/finding_kind.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace gordian::analysis {

using model::Activity;
using model::Mode;
using model::Resource;
using model::ResourceKind;

namespace {

constexpr uint32_t kNever = std::numeric_limits<uint32_t>::max();

bool is_blocked(const model::Thread& thread) {
  return thread.activity == Activity::Waiting && thread.wait && !thread.wait->timed;
}

// Threads are visited in order of id, so a repeated hold of one thread is the last entry.
void add_once(std::vector<uint32_t>& threads, uint32_t thread) {
  if (threads.empty() || threads.back() != thread) threads.push_back(thread);
}

}  // namespace

WaitGraph::WaitGraph(const model::Snapshot& snapshot) : snapshot_(snapshot) {
  const size_t threads = snapshot.threads.size();
  const size_t resources = snapshot.resources.size();
  gates_of_.resize(threads);
  member_of_.resize(threads);
  exclusive_.resize(resources);
  shared_.resize(resources);
  writers_.resize(resources);
  live_.resize(snapshot.processes.size());
  for (auto* gates : {&exclusive_gate_, &shared_gate_, &writers_gate_, &closed_gate_}) {
    gates->assign(resources, -1);
  }
  joined_gate_.assign(threads, -1);
  for (auto* flags : {&waits_for_any_, &owner_unknown_, &owner_gone_}) flags->assign(threads, 0);

  for (uint32_t i = 0; i < threads; ++i) {
    const model::Thread& thread = snapshot.threads[i];
    if (thread.activity != Activity::Gone) live_[index_of(thread.process)].push_back(i);
    for (const model::Hold& hold : thread.holds) {
      auto& holders = hold.mode == Mode::Shared ? shared_ : exclusive_;
      add_once(holders[index_of(hold.resource)], i);
    }
    if (thread.activity == Activity::Waiting && thread.wait &&
        thread.wait->mode == Mode::Exclusive) {
      writers_[index_of(thread.wait->resource)].push_back(i);
    }
  }
  for (uint32_t i = 0; i < threads; ++i) {
    if (is_blocked(snapshot.threads[i])) add_wait(i);
  }
  for (uint32_t i = 0; i < gates_.size(); ++i) {
    for (const uint32_t member : gates_[i].members) member_of_[member].push_back(i);
  }
}

bool WaitGraph::is_gone(uint32_t thread) const {
  return snapshot_.threads[thread].activity == Activity::Gone;
}

uint32_t WaitGraph::add_gate(Gate gate) {
  gates_.push_back(std::move(gate));
  waiters_.emplace_back();
  return static_cast<uint32_t>(gates_.size() - 1);
}

// One gate for each `key`, made when the first thread waits there. A holder that has gone never
// lets go, so the gate of its lock never opens.
uint32_t WaitGraph::all_of(const std::vector<uint32_t>& members, std::vector<int32_t>& known,
                           uint32_t key) {
  if (known[key] < 0) {
    const bool gone = std::any_of(members.begin(), members.end(),
                                  [this](uint32_t member) { return is_gone(member); });
    known[key] = static_cast<int32_t>(
        add_gate({members, gone ? kNever : static_cast<uint32_t>(members.size())}));
  }
  return static_cast<uint32_t>(known[key]);
}

uint32_t WaitGraph::any_thread_of(std::vector<uint32_t> processes, uint32_t needed) {
  std::sort(processes.begin(), processes.end());
  processes.erase(std::unique(processes.begin(), processes.end()), processes.end());
  const auto [place, is_new] = any_gate_.try_emplace({processes, needed}, 0);
  if (is_new) {
    Gate gate{{}, needed};
    for (const uint32_t process : processes) {
      gate.members.insert(gate.members.end(), live_[process].begin(), live_[process].end());
    }
    std::sort(gate.members.begin(), gate.members.end());
    place->second = add_gate(std::move(gate));
  }
  return place->second;
}

void WaitGraph::add_wait(uint32_t thread) {
  const Resource& resource =
      snapshot_.resources[index_of(snapshot_.threads[thread].wait->resource)];
  if (resource.owner_gone) {
    owner_gone_[thread] = 1;
    gates_of_[thread].push_back(add_gate({{}, kNever}));
  } else if (resource.kind == ResourceKind::Thread) {
    add_join(thread, resource);
  } else if (is_signalled(resource)) {
    add_signal(thread, resource);
  } else {
    add_lock(thread, resource);
  }
  for (const uint32_t gate : gates_of_[thread]) waiters_[gate].push_back(thread);
}

// A joined thread that has gone lets its joiner go on; the second of two joiners, who never
// returns, is announced by owner_gone.
void WaitGraph::add_join(uint32_t thread, const Resource& target) {
  if (!target.joined_known) {
    owner_unknown_[thread] = 1;
    return;
  }
  const uint32_t joined = index_of(target.joined);
  if (is_gone(joined)) return;
  gates_of_[thread].push_back(all_of({joined}, joined_gate_, joined));
}

void WaitGraph::add_signal(uint32_t thread, const Resource& object) {
  waits_for_any_[thread] = 1;
  const uint32_t needed = object.kind == ResourceKind::Barrier ? object.needed : 1;
  if (needed == 0) return;
  if (object.wakers_closed) {
    int32_t& known = closed_gate_[index_of(object.id)];
    if (known < 0) {
      Gate gate{{}, needed};
      for (const model::ThreadId waker : object.only_wakers) {
        if (!is_gone(index_of(waker))) gate.members.push_back(index_of(waker));
      }
      std::sort(gate.members.begin(), gate.members.end());
      known = static_cast<int32_t>(add_gate(std::move(gate)));
    }
    gates_of_[thread].push_back(static_cast<uint32_t>(known));
    return;
  }
  std::vector<uint32_t> processes{index_of(snapshot_.threads[thread].process)};
  if (object.process_shared) {
    processes.resize(snapshot_.processes.size());
    std::iota(processes.begin(), processes.end(), 0U);
  }
  gates_of_[thread].push_back(any_thread_of(std::move(processes), needed));
}

void WaitGraph::add_lock(uint32_t thread, const Resource& lock) {
  const uint32_t id = index_of(lock.id);
  const std::vector<uint32_t>& exclusive = exclusive_[id];
  const std::vector<uint32_t>& shared = shared_[id];
  if (lock.kind == ResourceKind::FileLock) {
    // A process, or a description several processes share, owns a file lock: any thread of theirs
    // can release it, and any one is enough.
    std::vector<uint32_t> processes;
    for (const auto* holders : {&exclusive, &shared}) {
      for (const uint32_t holder : *holders) {
        processes.push_back(index_of(snapshot_.threads[holder].process));
      }
    }
    owner_unknown_[thread] = processes.empty();
    waits_for_any_[thread] = !processes.empty();
    if (!processes.empty()) gates_of_[thread].push_back(any_thread_of(std::move(processes), 1));
    return;
  }
  const bool recursive = lock.recursive || lock.kind == ResourceKind::GlibRecMutex;
  if (recursive && std::binary_search(exclusive.begin(), exclusive.end(), thread)) return;

  const bool reads = snapshot_.threads[thread].wait->mode == Mode::Shared;
  std::vector<uint32_t>& gates = gates_of_[thread];
  if (!exclusive.empty()) gates.push_back(all_of(exclusive, exclusive_gate_, id));
  if (!reads && !shared.empty()) gates.push_back(all_of(shared, shared_gate_, id));
  if (reads && lock.prefers_writers && !writers_[id].empty()) {
    gates.push_back(all_of(writers_[id], writers_gate_, id));
  }
  owner_unknown_[thread] = gates.empty();
  owner_gone_[thread] = std::any_of(
      gates.begin(), gates.end(), [this](uint32_t gate) { return gates_[gate].needed == kNever; });
}

std::vector<char> WaitGraph::stuck() const {
  std::vector<uint32_t> missing(gates_.size());
  for (size_t i = 0; i < gates_.size(); ++i) missing[i] = gates_[i].needed;
  std::vector<uint32_t> closed(gates_of_.size());
  std::vector<char> stuck(gates_of_.size(), 1);
  std::vector<uint32_t> work;
  for (uint32_t i = 0; i < gates_of_.size(); ++i) {
    closed[i] = static_cast<uint32_t>(gates_of_[i].size());
    if (closed[i] != 0) continue;
    stuck[i] = 0;
    if (!is_gone(i)) work.push_back(i);
  }
  while (!work.empty()) {
    const uint32_t thread = work.back();
    work.pop_back();
    for (const uint32_t gate : member_of_[thread]) {
      if (missing[gate] == kNever || missing[gate] == 0 || --missing[gate] != 0) continue;
      for (const uint32_t waiter : waiters_[gate]) {
        if (--closed[waiter] != 0) continue;
        stuck[waiter] = 0;
        work.push_back(waiter);
      }
    }
  }
  return stuck;
}

// Counts only what the set itself can add: members outside it are taken to be free already. Leaves
// the scratch as it found it, so that thousands of small sets cost no more than their size.
std::vector<uint32_t> WaitGraph::stuck_among(const std::vector<uint32_t>& threads,
                                             Scratch& scratch) const {
  for (const uint32_t thread : threads) {
    for (const uint32_t gate : member_of_[thread]) ++scratch.inside[gate];
  }
  std::vector<uint32_t> work;
  for (const uint32_t thread : threads) {
    uint32_t count = 0;
    for (const uint32_t gate : gates_of_[thread]) {
      const uint32_t outside =
          static_cast<uint32_t>(gates_[gate].members.size()) - scratch.inside[gate];
      if (gates_[gate].needed <= outside) continue;
      scratch.missing[gate] =
          gates_[gate].needed == kNever ? kNever : gates_[gate].needed - outside;
      scratch.waiters[gate].push_back(thread);
      ++count;
    }
    scratch.closed[thread] = count;
    if (count == 0) work.push_back(thread);
  }
  while (!work.empty()) {
    const uint32_t thread = work.back();
    work.pop_back();
    for (const uint32_t gate : member_of_[thread]) {
      uint32_t& missing = scratch.missing[gate];
      if (missing == kNever || missing == 0 || --missing != 0) continue;
      for (const uint32_t waiter : scratch.waiters[gate]) {
        if (--scratch.closed[waiter] == 0) work.push_back(waiter);
      }
    }
  }
  std::vector<uint32_t> rest;
  for (const uint32_t thread : threads) {
    if (scratch.closed[thread] != 0) rest.push_back(thread);
    for (const uint32_t gate : member_of_[thread]) scratch.inside[gate] = 0;
    for (const uint32_t gate : gates_of_[thread]) {
      scratch.missing[gate] = 0;
      scratch.waiters[gate].clear();
    }
  }
  return rest;
}

std::vector<std::vector<uint32_t>> WaitGraph::knots(const std::vector<char>& stuck) const {
  const auto threads = static_cast<uint32_t>(gates_of_.size());
  Adjacency graph(threads + gates_.size());
  for (uint32_t i = 0; i < threads; ++i) {
    if (!stuck[i]) continue;
    for (const uint32_t gate : gates_of_[i]) graph[i].push_back(threads + gate);
  }
  for (uint32_t i = 0; i < gates_.size(); ++i) {
    for (const uint32_t member : gates_[i].members) {
      if (stuck[member]) graph[threads + i].push_back(member);
    }
  }

  Scratch scratch{std::vector<uint32_t>(gates_.size()), std::vector<uint32_t>(gates_.size()),
                  std::vector<uint32_t>(threads), Adjacency(gates_.size())};
  std::vector<std::vector<uint32_t>> knots;
  std::vector<char> allowed(graph.size(), 1);
  std::vector<std::vector<uint32_t>> work(1);
  for (uint32_t i = 0; i < threads; ++i) {
    allowed[i] = stuck[i];
    if (stuck[i]) work[0].push_back(i);
  }
  // A component of which only a part is stuck by itself is looked at again without the rest. Each
  // round removes threads, so this ends.
  while (!work.empty()) {
    const std::vector<uint32_t> subset = std::move(work.back());
    work.pop_back();
    std::fill(allowed.begin(), allowed.begin() + threads, 0);
    for (const uint32_t thread : subset) allowed[thread] = 1;
    for (std::vector<uint32_t>& component : strong_components(graph, subset, allowed)) {
      while (!component.empty() && component.back() >= threads) component.pop_back();
      if (component.empty()) continue;
      std::vector<uint32_t> rest = stuck_among(component, scratch);
      if (rest.empty()) continue;
      if (rest.size() == component.size()) {
        knots.push_back(std::move(component));
      } else {
        work.push_back(std::move(rest));
      }
    }
  }
  return knots;
}

}  // namespace gordian::analysis
