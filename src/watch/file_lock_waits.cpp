// SPDX-License-Identifier: Apache-2.0
#include "watch/file_lock_waits.h"

#include "process/file_locks.h"
#include "process/live.h"
#include "watch/file_lock_holders.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <tuple>
#include <unistd.h>

namespace gordian::watch {
namespace {

using process::FileLock;
using process::FileLockFamily;
using process::ProcessFacts;

struct FileWait {
  size_t process = 0;
  size_t thread = 0;  // of its process
  FileLockFamily family = FileLockFamily::Flock;
  uint64_t device = 0;
  uint64_t inode = 0;
  std::string name;
};

std::optional<FileLockFamily> family_of(const process::ThreadFacts& thread) {
  if (!thread.blocked) return std::nullopt;
  return process::file_lock_wait(thread.syscall, thread.args[1]);
}

std::vector<FileWait> find_waits(std::span<const ProcessFacts> processes) {
  std::vector<FileWait> waits;
  for (size_t i = 0; i < processes.size(); ++i) {
    for (size_t j = 0; j < processes[i].threads.size(); ++j) {
      const process::ThreadFacts& thread = processes[i].threads[j];
      const auto family = family_of(thread);
      if (!family) continue;
      const std::string path = "/proc/" + std::to_string(processes[i].process.pid) + "/fd/" +
                               std::to_string(static_cast<int>(thread.args[0]));
      struct stat status {};
      if (stat(path.c_str(), &status) != 0) continue;
      FileWait wait;
      wait.process = i;
      wait.thread = j;
      wait.family = *family;
      wait.device = status.st_dev;
      wait.inode = status.st_ino;
      char text[4096];
      const ssize_t size = readlink(path.c_str(), text, sizeof text);
      if (size > 0) wait.name.assign(text, static_cast<size_t>(size));
      wait.name.erase(0, wait.name.rfind('/') + 1);
      waits.push_back(std::move(wait));
    }
  }
  return waits;
}

// The locks that stand in the way of this wait.
std::vector<FileLock> find_blockers(const FileWait& wait, int pid,
                                    const std::vector<FileLock>& all) {
  std::vector<FileLock> blockers;
  for (const FileLock& waiting : all) {
    const bool is_this = waiting.waiting && waiting.family == wait.family &&
                         waiting.inode == wait.inode && (waiting.pid == -1 || waiting.pid == pid);
    if (!is_this) continue;
    for (const FileLock& blocker : all)
      if (!blocker.waiting && blocker.id == waiting.id) blockers.push_back(blocker);
  }
  return blockers;
}

bool holds(int pid, const std::vector<FileLock>& blockers) {
  for (const FileLock& lock : process::read_held_file_locks(pid)) {
    for (const FileLock& blocker : blockers)
      if (lock.same_lock(blocker)) return true;
  }
  return false;
}

}  // namespace

std::vector<int> find_file_lock_holders(std::span<const ProcessFacts> processes) {
  std::vector<int> holders;
  const std::vector<FileWait> waits = find_waits(processes);
  if (waits.empty()) return holders;
  const std::vector<FileLock> all = process::read_file_locks();
  for (const FileWait& wait : waits) {
    const int pid = processes[wait.process].process.pid;
    const std::vector<FileLock> blockers = find_blockers(wait, pid, all);
    if (blockers.empty()) continue;
    // Its number is that of who took it, who may have left it to a child.
    for (const int other : process::list_processes())
      if (other != pid && holds(other, blockers)) holders.push_back(other);
  }
  return holders;
}

void add_file_lock_waits(process::DecodedWaits& decoded, std::span<const ProcessFacts> processes) {
  const std::vector<FileWait> waits = find_waits(processes);
  if (waits.empty()) return;
  const std::vector<FileLock> all = process::read_file_locks();
  model::Snapshot& snapshot = decoded.snapshot;
  std::vector<size_t> first(processes.size(), 0);
  for (size_t i = 1; i < processes.size(); ++i)
    first[i] = first[i - 1] + processes[i - 1].threads.size();

  std::map<std::tuple<uint64_t, uint64_t, bool>, model::ResourceId> resources;
  std::vector<std::pair<const FileWait*, model::ResourceId>> wanted;
  for (const FileWait& wait : waits) {
    // The two families do not see each other.
    const auto [place, is_new] =
        resources.try_emplace({wait.device, wait.inode, wait.family == FileLockFamily::Flock},
                              model::ResourceId{static_cast<uint32_t>(snapshot.resources.size())});
    if (is_new) {
      model::Resource resource;
      resource.id = place->second;
      resource.kind = model::ResourceKind::FileLock;
      resource.process = model::ProcessId{static_cast<uint32_t>(wait.process)};
      resource.address = wait.device;
      resource.process_shared = true;
      resource.name = wait.name;
      snapshot.resources.push_back(std::move(resource));
    }
    model::Thread& thread = snapshot.threads[first[wait.process] + wait.thread];
    thread.activity = model::Activity::Waiting;
    model::Wait file_wait;
    file_wait.resource = place->second;
    file_wait.definite = true;
    thread.wait = std::move(file_wait);
    wanted.emplace_back(&wait, place->second);
  }
  for (const auto& [wait, resource] : wanted) {
    const std::vector<FileLock> blockers =
        find_blockers(*wait, processes[wait->process].process.pid, all);
    for (size_t i = 0; i < processes.size() && !blockers.empty(); ++i) {
      if (holds(processes[i].process.pid, blockers))
        add_file_lock_hold(snapshot, i, resource, blockers.front().exclusive);
    }
  }
}

}  // namespace gordian::watch
