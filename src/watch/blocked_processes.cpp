// SPDX-License-Identifier: Apache-2.0
#include "watch/blocked_processes.h"

#include "process/decode_waits.h"
#include "process/live.h"
#include "process/live_facts.h"
#include "process/lock_names.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <unistd.h>

namespace gordian::watch {
namespace {

// Cheap, and says no of most: a thread asleep in futex without a limit.
bool could_be_blocked(const process::TaskDirectory& tasks, bool& unreadable) {
  for (const int tid : tasks.list()) {
    const auto reading = tasks.read_brief(tid);
    if (!reading) continue;
    if (!reading->readable) {
      unreadable = true;
      return false;
    }
    if (process::is_futex_call(*reading) && reading->args[3] == 0) return true;
  }
  return false;
}

std::optional<BlockedProcess> look_at(int pid, std::chrono::nanoseconds at_least) {
  auto opened = process::LiveProcess::open(pid);
  if (!opened || !(*opened)->obstacle().empty()) return std::nullopt;
  process::LiveProcess& live = **opened;
  const process::ProcessFacts& facts = live.read();
  const process::DecodedWaits decoded = process::decode_waits({&facts, 1});
  BlockedProcess result;
  result.pid = pid;
  result.exe = facts.process.exe;
  result.threads = facts.threads.size();
  std::map<model::ResourceId, size_t> wanted;
  for (size_t i = 0; i < decoded.snapshot.threads.size(); ++i) {
    const auto& wait = decoded.snapshot.threads[i].wait;
    if (!wait || wait->timed) continue;
    const model::Resource& resource =
        decoded.snapshot.resources[static_cast<size_t>(wait->resource)];
    if (!model::is_owned(resource.kind) || resource.kind == model::ResourceKind::Thread) continue;
    const auto age = live.sleeping_for(i);
    if (!age || *age < at_least || !live.stands_still(i)) continue;
    ++result.blocked;
    ++wanted[resource.id];
    result.longest = std::max(result.longest, *age);
  }
  if (result.blocked == 0) return std::nullopt;
  const auto most =
      std::max_element(wanted.begin(), wanted.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  const model::Resource& resource = decoded.snapshot.resources[static_cast<size_t>(most->first)];
  if (const auto name = process::find_static_name(*facts.symbols, resource.address))
    result.lock = name->name;
  return result;
}

}  // namespace

BlockedProcesses find_blocked_processes(std::chrono::nanoseconds at_least) {
  BlockedProcesses result;
  for (const int pid : process::list_processes()) {
    if (pid == getpid()) continue;
    const auto tasks = process::TaskDirectory::open(pid);
    if (!tasks) continue;
    bool unreadable = false;
    const bool worth = could_be_blocked(*tasks, unreadable);
    result.unreadable += unreadable ? 1 : 0;
    if (!worth) continue;
    if (auto blocked = look_at(pid, at_least)) result.processes.push_back(std::move(*blocked));
  }
  std::sort(result.processes.begin(), result.processes.end(),
            [](const BlockedProcess& a, const BlockedProcess& b) {
              return std::tuple(b.blocked, b.longest, a.pid) <
                     std::tuple(a.blocked, a.longest, b.pid);
            });
  return result;
}

}  // namespace gordian::watch
