// SPDX-License-Identifier: Apache-2.0
#include "analysis/stuck_finding.h"

#include "analysis/find_stuck.h"
#include "analysis/finding_kind.h"

#include <algorithm>
#include <set>
#include <unordered_set>
#include <utility>

namespace gordian::analysis {

using model::AssumptionCode;
using model::Finding;
using model::FindingKind;
using model::FindingThread;
using model::Resource;
using model::ResourceKind;
using model::ThreadId;

namespace {

const Resource& wanted_by(const model::Snapshot& snapshot, uint32_t thread) {
  return snapshot.resources[index_of(snapshot.threads[thread].wait->resource)];
}

const model::Process& process_of(const model::Snapshot& snapshot, uint32_t thread) {
  return snapshot.processes[index_of(snapshot.threads[thread].process)];
}

void append(std::vector<uint32_t>& to, const std::vector<uint32_t>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

void make_set(std::vector<uint32_t>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

bool holds(const model::Snapshot& snapshot, uint32_t thread, model::ResourceId resource) {
  const auto& holds = snapshot.threads[thread].holds;
  return std::any_of(holds.begin(), holds.end(),
                     [&](const model::Hold& hold) { return hold.resource == resource; });
}

FindingKind kind_of(const model::Snapshot& snapshot, const WaitGraph& graph,
                    const std::vector<uint32_t>& knot) {
  std::vector<const Resource*> wanted;
  for (const uint32_t thread : knot) {
    if (graph.owner_gone(thread)) return FindingKind::Orphan;
    wanted.push_back(&wanted_by(snapshot, thread));
  }
  if (knot.size() == 1 && !is_signalled(*wanted[0]) && holds(snapshot, knot[0], wanted[0]->id)) {
    return FindingKind::SelfLock;
  }
  return kind_of_wants(wanted);
}

// Joins, waits for signals and F_SETLKW are cancellation points; locks are none.
bool is_cancellable(const Resource& resource) {
  return resource.kind == ResourceKind::Thread || resource.kind == ResourceKind::FileLock ||
         is_signalled(resource);
}

bool has_free_thread(const model::Snapshot& snapshot, model::ProcessId process) {
  return std::any_of(
      snapshot.threads.begin(), snapshot.threads.end(), [&](const model::Thread& thread) {
        return thread.process == process &&
               (thread.activity == model::Activity::Running || (thread.wait && thread.wait->timed));
      });
}

std::vector<AssumptionCode> assumptions_of(const model::Snapshot& snapshot,
                                           const std::vector<uint32_t>& knot) {
  std::set<AssumptionCode> codes;
  for (const uint32_t thread : knot) {
    const Resource& resource = wanted_by(snapshot, thread);
    if (is_signalled(resource)) {
      codes.insert(AssumptionCode::NoOutsideWaker);
      codes.insert(AssumptionCode::NoSignalHandlerPosts);
    } else if (resource.kind == ResourceKind::Lease) {
      codes.insert(AssumptionCode::NoKeyDeleted);
    } else if (resource.kind != ResourceKind::Thread) {
      codes.insert(AssumptionCode::OwnersRelease);
    }
    if (!is_signalled(resource) && process_of(snapshot, thread).handles_signals)
      codes.insert(AssumptionCode::NoSignalHandlerReleases);
    if (resource.kind == ResourceKind::FileLock) codes.insert(AssumptionCode::NoOutsideWaker);
    const bool announced = resource.wakers_closed && resource.kind != model::ResourceKind::Pipe &&
                           resource.kind != model::ResourceKind::Child;
    if (announced) codes.insert(AssumptionCode::ClosedWakers);
    if (is_cancellable(resource) && has_free_thread(snapshot, snapshot.threads[thread].process)) {
      codes.insert(AssumptionCode::NotCancelled);
    }
    if (resource.address_may_be_reused) codes.insert(AssumptionCode::AddressNotReused);
  }
  return {codes.begin(), codes.end()};
}

model::FindingHold to_finding(const model::Hold& hold) {
  model::FindingHold result;
  result.resource = hold.resource;
  result.mode = hold.mode;
  result.site = hold.site;
  result.frame = hold.frame;
  return result;
}

model::FindingWant to_finding(const model::Wait& wait, std::chrono::nanoseconds now) {
  model::FindingWant result;
  result.resource = wait.resource;
  result.mode = wait.mode;
  result.site = wait.site;
  result.frame = wait.frame;
  result.registers = wait.registers;
  result.has_registers = wait.has_registers;
  result.waited = now - wait.since;
  return result;
}

}  // namespace

void mention(Finding& finding, const Resource& resource) {
  const auto& known = finding.resources;
  if (std::none_of(known.begin(), known.end(),
                   [&](const Resource& other) { return other.id == resource.id; })) {
    finding.resources.push_back(resource);
  }
}

void mention(Finding& finding, const model::Process& process) {
  const auto& known = finding.processes;
  if (std::none_of(known.begin(), known.end(),
                   [&](const model::Process& other) { return other.id == process.id; })) {
    finding.processes.push_back(process);
  }
}

std::vector<uint32_t> blockers_of(const model::Snapshot& snapshot, const WaitGraph& graph,
                                  uint32_t thread) {
  std::vector<uint32_t> blockers;
  const Resource& resource = wanted_by(snapshot, thread);
  if (!graph.waits_for_any(thread)) {
    for (const uint32_t gate : graph.gates_of(thread)) append(blockers, graph.gate(gate).members);
  } else if (resource.kind == ResourceKind::FileLock) {
    append(blockers, graph.exclusive_holders(resource.id));
    append(blockers, graph.shared_holders(resource.id));
  } else if (resource.wakers_closed) {
    for (const ThreadId waker : resource.only_wakers) blockers.push_back(index_of(waker));
  }
  make_set(blockers);
  return blockers;
}

std::vector<uint32_t> in_cycle_order(const model::Snapshot& snapshot, const WaitGraph& graph,
                                     const std::vector<uint32_t>& knot) {
  std::vector<uint32_t> by_age = knot;
  std::sort(by_age.begin(), by_age.end(), [&](uint32_t a, uint32_t b) {
    const auto age_a = snapshot.threads[a].wait->since;
    const auto age_b = snapshot.threads[b].wait->since;
    return std::pair(age_a, a) < std::pair(age_b, b);
  });
  std::unordered_set<uint32_t> left(knot.begin(), knot.end());
  std::vector<uint32_t> order;
  for (const uint32_t start : by_age) {
    uint32_t thread = start;
    bool more = left.count(thread) != 0;
    while (more) {
      left.erase(thread);
      order.push_back(thread);
      more = false;
      for (const uint32_t next : blockers_of(snapshot, graph, thread)) {
        if (left.count(next) == 0) continue;
        thread = next;
        more = true;
        break;
      }
    }
  }
  return order;
}

Finding make_stuck_finding(const model::Snapshot& snapshot, const WaitGraph& graph,
                           const std::vector<uint32_t>& knot,
                           const std::vector<uint32_t>& victims) {
  Finding finding;
  finding.kind = kind_of(snapshot, graph, knot);
  finding.assumptions = assumptions_of(snapshot, knot);

  std::unordered_set<uint32_t> wanted;
  std::set<uint32_t> resources, processes;
  for (const auto* threads : {&knot, &victims}) {
    for (const uint32_t thread : *threads) {
      wanted.insert(index_of(snapshot.threads[thread].wait->resource));
    }
  }
  finding.threads.reserve(knot.size() + victims.size());
  const auto add = [&](uint32_t index, model::Role role) {
    const model::Thread& thread = snapshot.threads[index];
    FindingThread entry;
    entry.id = thread.id;
    entry.process = thread.process;
    entry.tid = thread.tid;
    entry.name = thread.name;
    entry.role = role;
    entry.start_routine = thread.start_routine;
    for (const bool others_want_it : {true, false}) {
      for (const model::Hold& hold : thread.holds) {
        if ((wanted.count(index_of(hold.resource)) != 0) != others_want_it) continue;
        entry.holds.push_back(to_finding(hold));
        resources.insert(index_of(hold.resource));
      }
    }
    entry.wants = to_finding(*thread.wait, snapshot.taken);
    std::vector<uint32_t> owners = blockers_of(snapshot, graph, index);
    if (owners.empty() && graph.waits_for_any(index)) {
      for (size_t i = 0; i < knot.size() && owners.size() < kMaxOwners; ++i) {
        if (knot[i] != index) owners.push_back(knot[i]);
      }
    }
    if (owners.size() > kMaxOwners) owners.resize(kMaxOwners);
    for (const uint32_t owner : owners) {
      entry.wants->owners.push_back(snapshot.threads[owner].id);
    }
    resources.insert(index_of(thread.wait->resource));
    processes.insert(index_of(thread.process));
    finding.threads.push_back(std::move(entry));
  };
  for (const uint32_t thread : knot) add(thread, model::Role::Knot);
  for (const uint32_t thread : victims) add(thread, model::Role::Victim);
  for (const uint32_t id : resources) finding.resources.push_back(snapshot.resources[id]);
  for (const uint32_t id : processes) finding.processes.push_back(snapshot.processes[id]);
  return finding;
}

}  // namespace gordian::analysis
