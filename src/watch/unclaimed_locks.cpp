// SPDX-License-Identifier: Apache-2.0
#include "watch/unclaimed_locks.h"

#include "watch/evidence.h"
#include "watch/owner_gone.h"

#include <map>
#include <unordered_map>
#include <vector>

namespace gordian::watch {
namespace {

using format::Kind;

// What the wait is for by now: a condition's waiter may wait for the mutex.
struct Wanted {
  Kind kind;
  uint64_t address;
};

Wanted wanted_by(const trace::ThreadOrigin& origin, const model::Resource& resource) {
  if (origin.wait.kind == Kind::Condition && resource.kind == model::ResourceKind::Mutex)
    return {.kind = Kind::Mutex, .address = origin.wait.object};
  return {.kind = origin.wait.kind, .address = origin.wait.address};
}

class Finder {
 public:
  explicit Finder(Case& current)
      : current_(current), claimed_(current.now.snapshot.resources.size(), false) {
    for (const model::Thread& thread : current_.now.snapshot.threads) {
      for (const model::Hold& hold : thread.holds)
        claimed_[static_cast<size_t>(hold.resource)] = true;
    }
  }

  void ask(size_t waiter);

 private:
  bool give(model::Resource& resource, size_t process, uint32_t owner);
  const LeftLocks& left_locks_of(size_t process);

  Case& current_;
  std::vector<bool> claimed_;  // or asked
  std::unordered_map<uint32_t, std::vector<size_t>> by_card_tid_;
  std::map<size_t, LeftLocks> left_;
};

void Finder::ask(size_t waiter) {
  const trace::ThreadOrigin& origin = current_.now.origins[waiter];
  const auto& wait = current_.now.snapshot.threads[waiter].wait;
  if (!wait || wait->timed) return;
  const auto index = static_cast<size_t>(wait->resource);
  model::Resource& resource = current_.now.snapshot.resources[index];
  if (claimed_[index] || resource.semaphore_like || resource.owner_gone) return;
  const Wanted wanted = wanted_by(origin, resource);
  if (object_size(wanted.kind) == 0) return;
  claimed_[index] = true;
  const ObjectBytes object = read_object(current_, origin.process, wanted.kind, wanted.address);
  const OwnerWord owner = read_owner(wanted.kind, object);
  if (!owner.known || owner.tid == 0) {
    resource.owner_gone =
        left_locks_of(origin.process)
            .are_all(wanted.kind, wanted.address, count_nameless_holders(wanted.kind, object));
  } else if (!give(resource, origin.process, owner.tid)) {
    resource.owner_gone =
        owner_has_gone(*current_.processes[origin.process], owner.tid, resource.process_shared);
  }
}

// False: no thread with a card has this number.
bool Finder::give(model::Resource& resource, size_t process, uint32_t owner) {
  const auto& origins = current_.now.origins;
  if (by_card_tid_.empty()) {
    for (size_t i = 0; i < origins.size(); ++i) by_card_tid_[origins[i].card_tid].push_back(i);
  }
  bool found = false;
  for (const size_t i : by_card_tid_[owner]) {
    if (origins[i].process != process && !resource.process_shared) continue;
    current_.now.snapshot.threads[i].holds.push_back({.resource = resource.id, .definite = false});
    found = true;
  }
  return found;
}

const LeftLocks& Finder::left_locks_of(size_t process) {
  return left_.try_emplace(process, *current_.processes[process]->board()).first->second;
}

}  // namespace

void find_unclaimed_owners(Case& current) {
  Finder finder(current);
  for (size_t i = 0; i < current.now.origins.size(); ++i) finder.ask(i);
}

}  // namespace gordian::watch
