// SPDX-License-Identifier: Apache-2.0
#include "watch/wakers.h"

#include "watch/idle_threads.h"

#include <utility>

namespace gordian::watch {

std::vector<Outsider> find_case_outsiders(const Case& current) {
  const model::Snapshot& snapshot = current.now.snapshot;
  std::vector<SignalPlace> places;
  for (size_t i = 0; i < current.now.origins.size(); ++i) {
    const trace::ThreadOrigin& origin = current.now.origins[i];
    const auto& wait = snapshot.threads[i].wait;
    if (!wait || wait->timed || current.find_reading(i) == nullptr) continue;
    const model::Resource& resource = snapshot.resources[static_cast<size_t>(wait->resource)];
    if (has_one_waker(resource) || trace::is_file_lock(origin.wait.kind)) continue;
    places.push_back({.pid = current.processes[origin.process]->pid(),
                      .address = origin.wait.address,
                      .shared = resource.process_shared});
  }
  if (places.empty()) return {};
  std::vector<int> watched;
  for (const WatchedProcess* const process : current.processes) watched.push_back(process->pid());
  return find_outsiders(watched, places);
}

void add_case_outsiders(Case& current, const std::vector<Outsider>& outsiders) {
  add_outsiders(current.now.snapshot, outsiders);
  current.now.origins.resize(current.now.snapshot.threads.size(), {.process = SIZE_MAX});
}

void add_unknown_threads(Case& current, const Tasks& tasks) {
  Tasks known;
  for (size_t i = 0; i < current.now.origins.size(); ++i)
    known.emplace(current.now.origins[i].process, current.now.snapshot.threads[i].tid);
  for (const TaskId& task : tasks) {
    if (known.contains(task)) continue;
    const auto reading = current.readings.find(task);
    if (reading == current.readings.end() || !reading->second.second) continue;
    const auto& [first, second] = reading->second;
    model::Thread thread;
    thread.id = model::ThreadId{static_cast<uint32_t>(current.now.snapshot.threads.size())};
    thread.process = model::ProcessId{static_cast<uint32_t>(task.first)};
    thread.tid = task.second;
    thread.name = second->comm;
    thread.busy = !first || !first->same_moment(*second);
    current.now.snapshot.threads.push_back(std::move(thread));
    current.now.origins.push_back({.process = task.first});
  }
}

}  // namespace gordian::watch
