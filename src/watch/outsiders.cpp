// SPDX-License-Identifier: Apache-2.0
#include "watch/outsiders.h"

#include "base/text.h"
#include "process/live.h"

#include <algorithm>
#include <filesystem>
#include <linux/kcmp.h>
#include <map>
#include <set>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace gordian::watch {
namespace {

constexpr int kMaxFolderEntries = 10'000;

using FileId = std::pair<uint64_t, uint64_t>;  // device, inode

bool share_memory(int pid, int other) { return syscall(SYS_kcmp, pid, other, KCMP_VM, 0, 0) == 0; }

// Another name of the file in the same folder: sem_open makes the file under a name that it drops
// at once for the final one, and the map shows the first.
bool has_other_name(int pid, const process::Mapping& mapping) {
  const std::string folder = "/proc/" + std::to_string(pid) + "/root" +
                             mapping.path.substr(0, mapping.path.rfind('/') + 1);
  std::error_code error;
  int seen = 0;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    struct stat status {};
    if (++seen > kMaxFolderEntries) return true;  // too many to ask: it may well have one
    if (stat(entry->path().c_str(), &status) == 0 && status.st_ino == mapping.inode &&
        (uint64_t{major(status.st_dev)} << 32 | minor(status.st_dev)) == mapping.device)
      return true;
  }
  return false;
}

// System V segments have no name, but a number that everybody can attach to.
bool can_be_opened(int pid, const process::Mapping& mapping) {
  if (mapping.path.starts_with("/SYSV")) return true;
  if (!mapping.path.starts_with("/") || mapping.path.starts_with("/memfd:")) return false;
  return !mapping.deleted || has_other_name(pid, mapping);
}

}  // namespace

std::vector<Outsider> find_outsiders(const std::vector<int>& watched,
                                     const std::vector<SignalPlace>& places) {
  std::vector<Outsider> outsiders;
  std::set<FileId> files;
  std::set<int> memories;
  std::set<std::string> names;
  std::map<int, std::vector<process::Mapping>> maps_of;
  for (const SignalPlace& place : places) {
    const int pid = place.pid;
    if (!place.shared) {
      memories.insert(pid);
      continue;
    }
    // Read anew: a name may have gone since, and then only those who have the file already count.
    const auto [maps, is_new] = maps_of.try_emplace(pid);
    if (is_new) maps->second = process::read_maps(pid).value_or(std::vector<process::Mapping>{});
    for (const process::Mapping& mapping : maps->second) {
      if (place.address < mapping.start || place.address >= mapping.end || !mapping.shared)
        continue;
      if (!files.emplace(mapping.device, mapping.inode).second) break;
      if (can_be_opened(pid, mapping)) names.insert(mapping.path);
    }
  }
  outsiders.reserve(outsiders.size() + names.size());
  for (const std::string& name : names)
    outsiders.push_back(
        {.pid = 0, .exe = name, .argv = {}, .name = "any that opens " + name, .memory_of = 0});
  if (files.empty() && memories.empty()) return outsiders;

  for (const int pid : process::list_processes()) {
    const bool is_watched = std::find(watched.begin(), watched.end(), pid) != watched.end();
    if (is_watched || pid == getpid()) continue;
    const auto memory = std::find_if(memories.begin(), memories.end(),
                                     [pid](int other) { return share_memory(pid, other); });
    bool reaches = memory != memories.end();
    if (!reaches && !files.empty()) {
      const auto maps = process::read_maps(pid);
      reaches = maps && std::any_of(maps->begin(), maps->end(), [&](const auto& mapping) {
                  return mapping.shared && files.contains({mapping.device, mapping.inode});
                });
    }
    if (!reaches) continue;
    Outsider outsider{.pid = pid,
                      .exe = process::read_exe(pid),
                      .argv = process::read_argv(pid),
                      .name = {},
                      .memory_of = memory != memories.end() ? *memory : 0};
    outsider.name = std::string(base_name(outsider.exe));
    outsiders.push_back(std::move(outsider));
  }
  return outsiders;
}

void add_outsiders(model::Snapshot& snapshot, const std::vector<Outsider>& outsiders) {
  for (const Outsider& outsider : outsiders) {
    model::Thread thread;
    thread.id = model::ThreadId{static_cast<uint32_t>(snapshot.threads.size())};
    thread.tid = outsider.pid;
    thread.name = outsider.name;
    thread.busy = true;
    const auto host = std::find_if(
        snapshot.processes.begin(), snapshot.processes.end(), [&](const model::Process& process) {
          return outsider.memory_of != 0 && process.pid == outsider.memory_of;
        });
    if (host != snapshot.processes.end()) {
      thread.process = host->id;
    } else {
      model::Process process;
      process.id = model::ProcessId{static_cast<uint32_t>(snapshot.processes.size())};
      process.pid = outsider.pid;
      process.exe = outsider.exe;
      process.argv = outsider.argv;
      thread.process = process.id;
      snapshot.processes.push_back(std::move(process));
    }
    snapshot.threads.push_back(std::move(thread));
  }
}

}  // namespace gordian::watch
