// SPDX-License-Identifier: Apache-2.0
#include "watch/file_lock_holders.h"

#include "process/file_locks.h"

#include <algorithm>
#include <vector>

namespace gordian::watch {
namespace {

using format::Kind;
using process::FileLock;
using process::FileLockFamily;

FileLockFamily family_of(Kind kind) {
  return kind == Kind::Flock       ? FileLockFamily::Flock
         : kind == Kind::FcntlLock ? FileLockFamily::Posix
                                   : FileLockFamily::OpenDescription;
}

}  // namespace

void add_file_lock_hold(model::Snapshot& snapshot, size_t process, model::ResourceId lock,
                        bool exclusive) {
  model::Thread* best = nullptr;
  for (model::Thread& thread : snapshot.threads) {
    if (static_cast<size_t>(thread.process) != process) continue;
    const bool tells = thread.wait && thread.wait->resource != lock &&
                       snapshot.resources[static_cast<size_t>(thread.wait->resource)].kind !=
                           model::ResourceKind::Thread;
    if (best == nullptr) best = &thread;
    if (!tells) continue;
    best = &thread;
    break;
  }
  if (best == nullptr) return;
  const bool has = std::any_of(best->holds.begin(), best->holds.end(),
                               [&](const model::Hold& hold) { return hold.resource == lock; });
  if (has) return;
  best->holds.push_back(
      {.resource = lock, .mode = exclusive ? model::Mode::Exclusive : model::Mode::Shared});
}

void add_file_lock_holders(Case& current) {
  model::Snapshot& snapshot = current.now.snapshot;
  std::vector<FileLock> all;
  std::vector<std::vector<FileLock>> held;
  for (size_t i = 0; i < current.now.origins.size(); ++i) {
    const trace::ThreadOrigin& origin = current.now.origins[i];
    if (!snapshot.threads[i].wait || !trace::is_file_lock(origin.wait.kind)) continue;
    if (held.empty()) {
      all = process::read_file_locks();
      for (const WatchedProcess* const process : current.processes)
        held.push_back(process::read_held_file_locks(process->pid()));
    }
    const FileLockFamily family = family_of(origin.wait.kind);
    const model::ResourceId wanted = snapshot.threads[i].wait->resource;
    for (const FileLock& waiting : all) {
      const bool is_ours =
          waiting.waiting && waiting.family == family && waiting.inode == origin.wait.object &&
          (waiting.pid == -1 || waiting.pid == current.processes[origin.process]->pid());
      if (!is_ours) continue;
      for (const FileLock& blocker : all) {
        if (blocker.waiting || blocker.id != waiting.id) continue;
        for (size_t process = 0; process < held.size(); ++process) {
          const bool holds =
              std::any_of(held[process].begin(), held[process].end(),
                          [&](const FileLock& lock) { return lock.same_lock(blocker); });
          if (holds) add_file_lock_hold(snapshot, process, wanted, blocker.exclusive);
        }
      }
    }
  }
}

}  // namespace gordian::watch
