// SPDX-License-Identifier: Apache-2.0
#include "watch/case.h"

#include "process/memory.h"

namespace gordian::watch {

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

void read_tasks(Case& current, const Tasks& tasks, Round round) {
  for (const auto& [process, tid] : tasks) {
    const process::TaskDirectory* const directory = current.processes[process]->tasks();
    if (directory == nullptr) continue;
    Reading& reading = current.readings[{process, tid}];
    (round == Round::First ? reading.first : reading.second) = directory->read(tid);
  }
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

bool has_one_waker(const model::Resource& resource) {
  return model::is_owned(resource.kind) && !resource.semaphore_like &&
         resource.kind != model::ResourceKind::FileLock;
}

}  // namespace gordian::watch
