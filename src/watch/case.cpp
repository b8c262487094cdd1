// SPDX-License-Identifier: Apache-2.0
#include "watch/case.h"

#include "process/memory.h"
#include "watch/idle_threads.h"

namespace gordian::watch {
namespace {

// So few are read twice whatever they do.
constexpr size_t kFewTasks = 64;

void read_again(Case& current, const TaskId& task) {
  const process::TaskDirectory* const directory = current.processes[task.first]->tasks();
  if (directory != nullptr) current.readings[task].second = directory->read(task.second);
}

bool stands_still(const Case& current, size_t process) {
  const auto first = current.processor_times.find(process);
  return first != current.processor_times.end() && first->second &&
         process::read_processor_time(current.processes[process]->pid()) == first->second;
}

Tasks find_idle(const Case& current, const Tasks& tasks) {
  Tasks idle;
  const model::Snapshot& snapshot = current.now.snapshot;
  for (size_t i = 0; i < snapshot.threads.size(); ++i) {
    if (!is_idle(snapshot, snapshot.threads[i])) continue;
    const TaskId task{current.now.origins[i].process, snapshot.threads[i].tid};
    if (tasks.contains(task)) idle.insert(task);
  }
  return idle;
}

}  // namespace

const Reading* Case::find_reading(size_t thread) const {
  const auto found = readings.find({now.origins[thread].process, now.snapshot.threads[thread].tid});
  return found == readings.end() ? nullptr : &found->second;
}

Case open_case(const std::map<int, WatchedProcess*>& processes) {
  Case current;
  for (const auto& [pid, process] : processes) {
    if (!process->is_alive() || process->board() == nullptr) continue;
    current.processes.push_back(process);
    current.boards.push_back(process->snapshot_source());
  }
  return current;
}

void read_first(Case& current, const Tasks& tasks, const Tasks& idle) {
  for (const TaskId& task : tasks) {
    const auto& [process, tid] = task;
    WatchedProcess& watched = *current.processes[process];
    const process::TaskDirectory* const directory = watched.tasks();
    if (directory == nullptr) continue;
    const auto [time, is_new] = current.processor_times.try_emplace(process);
    if (is_new) time->second = process::read_processor_time(watched.pid());
    const bool in_brief = time->second && tasks.size() > kFewTasks && idle.contains(task);
    current.readings[task] = {.first = in_brief ? directory->read_brief(tid) : directory->read(tid),
                              .second = {}};
  }
}

bool read_second(Case& current, const Tasks& tasks) {
  const Tasks idle = tasks.size() > kFewTasks ? find_idle(current, tasks) : Tasks{};
  for (const TaskId& task : tasks) {
    if (!idle.contains(task)) read_again(current, task);
  }
  // After all others: what they are seen to do must hold until the idle ones are known to sleep.
  std::map<size_t, bool> stood_still;
  for (const TaskId& task : idle) {
    const auto [still, is_new] = stood_still.try_emplace(task.first);
    if (is_new) still->second = stands_still(current, task.first);
    Reading& reading = current.readings[task];
    if (still->second) {
      reading.second = reading.first;
    } else if (reading.first && reading.first->is_brief) {
      return false;
    } else {
      read_again(current, task);
    }
  }
  return true;
}

ObjectBytes read_object(const Case& current, size_t process, format::Kind kind, uint64_t address) {
  ObjectBytes object{.address = address, .bytes = {}};
  const process::ProcessMemory memory(current.processes[process]->pid());
  if (is_indirect(kind)) {
    const auto pointer = memory.read_word(address);
    if (!pointer || *pointer == 0) return object;
    object.address = *pointer;
  }
  object.bytes.resize(object_size(kind));
  if (!object.bytes.empty() && !memory.read(object.address, object.bytes)) object.bytes.clear();
  return object;
}

}  // namespace gordian::watch
