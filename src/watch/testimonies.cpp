// SPDX-License-Identifier: Apache-2.0
#include "watch/testimonies.h"

#include "watch/evidence.h"

#include <cstdint>
#include <set>
#include <unordered_map>
#include <vector>

namespace gordian::watch {
namespace {

size_t index_of(model::ResourceId id) { return static_cast<size_t>(id); }
size_t index_of(model::ThreadId id) { return static_cast<size_t>(id); }

class Court {
 public:
  explicit Court(Case& current)
      : origins_(current.now.origins),
        snapshot_(current.now.snapshot),
        holders_(snapshot_.resources.size()) {
    for (size_t i = 0; i < snapshot_.threads.size(); ++i) {
      by_card_tid_[origins_[i].card_tid].push_back(i);
      for (const model::Hold& hold : snapshot_.threads[i].holds)
        holders_[index_of(hold.resource)].push_back(i);
    }
  }

  void hear(size_t waiter, const Testimony& testimony, bool owner_gone);

 private:
  void hear_of_owner(size_t waiter, const Testimony& testimony, bool owner_gone);
  void hear_of_joined(model::Wait& wait, uint32_t joined_tid, bool owner_gone);
  bool settle_owner(size_t waiter, uint32_t owner_tid, bool owner_gone);

  const std::vector<trace::ThreadOrigin>& origins_;
  model::Snapshot& snapshot_;
  // Threads by what settle_owner() asks for: a thousand victims must not be a million looks.
  std::vector<std::vector<size_t>> holders_;  // by resource
  std::unordered_map<uint32_t, std::vector<size_t>> by_card_tid_;
};

void Court::hear(size_t waiter, const Testimony& testimony, bool owner_gone) {
  model::Thread& thread = snapshot_.threads[waiter];
  switch (testimony.standing) {
    case Standing::Moving:
      thread.activity = model::Activity::Running;
      thread.busy = true;
      thread.wait.reset();
      break;
    case Standing::Doubtful:
      thread.wait->definite = false;
      thread.wait->doubt = testimony.doubt;
      break;
    case Standing::Definite:
      thread.wait->definite = true;
      hear_of_owner(waiter, testimony, owner_gone);
      break;
  }
}

void Court::hear_of_owner(size_t waiter, const Testimony& testimony, bool owner_gone) {
  model::Thread& thread = snapshot_.threads[waiter];
  model::Resource& resource = snapshot_.resources[index_of(thread.wait->resource)];
  if (testimony.needed) resource.needed = *testimony.needed;
  if (testimony.joined_tid) {
    hear_of_joined(*thread.wait, *testimony.joined_tid, owner_gone);
    return;
  }
  if (!testimony.owner_known || resource.semaphore_like) return;
  if (testimony.owner_tid == 0) {
    // Nobody owns it: somebody is in the middle of giving it away.
    thread.activity = model::Activity::Running;
    thread.wait.reset();
    return;
  }
  if (!settle_owner(waiter, testimony.owner_tid, owner_gone) && owner_gone)
    resource.owner_gone = true;
}

void Court::hear_of_joined(model::Wait& wait, uint32_t joined_tid, bool owner_gone) {
  model::Resource& resource = snapshot_.resources[index_of(wait.resource)];
  resource.owner_gone = owner_gone;
  if (owner_gone) {
    resource.joined_known = false;
  } else if (resource.joined_known && origins_[index_of(resource.joined)].card_tid != joined_tid) {
    wait.definite = false;
    wait.doubt = "it sleeps on another thread than its card says";
  }
}

// What the object itself says about its owner, against what the cards say. False: nobody is it.
bool Court::settle_owner(size_t waiter, uint32_t owner_tid, bool owner_gone) {
  const model::Resource& resource =
      snapshot_.resources[index_of(snapshot_.threads[waiter].wait->resource)];
  const size_t process = origins_[waiter].process;
  bool confirmed = false;
  std::vector<size_t>& known = holders_[index_of(resource.id)];
  std::set<size_t> asked(known.begin(), known.end());
  const std::vector<size_t>& owners = by_card_tid_[owner_tid];
  asked.insert(owners.begin(), owners.end());
  for (const size_t i : asked) {
    model::Thread& thread = snapshot_.threads[i];
    const trace::ThreadOrigin& origin = origins_[i];
    const bool is_owner =
        origin.card_tid == owner_tid && (origin.process == process || resource.process_shared);
    bool holds = false;
    for (model::Hold& hold : thread.holds) {
      if (hold.resource != resource.id || hold.mode != model::Mode::Exclusive) continue;
      holds = true;
      // The owner word of a lock that came through fork names the parent's thread.
      const bool inherited = owner_gone && (origin.flags & format::kCardForked) != 0;
      if (is_owner || inherited) {
        confirmed = true;
      } else {
        hold.definite = false;
      }
    }
    if (is_owner && !holds) {
      thread.holds.push_back({.resource = resource.id, .definite = false});
      known.push_back(i);
      confirmed = true;
    }
  }
  return confirmed;
}

}  // namespace

void apply_testimonies(Case& current, const CaseFacts& facts) {
  Court court(current);
  for (size_t i = 0; i < facts.waits.size(); ++i) {
    model::Thread& thread = current.now.snapshot.threads[i];
    const Reading* const reading = current.find_reading(i);
    if (reading != nullptr) {
      if (reading->second) thread.name = reading->second->comm;
      if (thread.activity == model::Activity::Running) {
        thread.busy =
            !reading->first || !reading->second || !reading->first->same_moment(*reading->second);
      }
    }
    WaitFacts fact = facts.waits[i];
    const bool spins = (fact.wait.flags & format::kSpinning) != 0;
    if (!thread.wait || fact.wait.number == 0 || (!spins && reading == nullptr)) continue;
    if (reading != nullptr) fact.second = reading->second;
    court.hear(i, weigh(fact), facts.owner_gone[i]);
  }
}

void free_unheard(Case& current, const CaseFacts& facts) {
  for (size_t i = 0; i < facts.waits.size(); ++i) {
    model::Thread& thread = current.now.snapshot.threads[i];
    const bool spins = (facts.waits[i].wait.flags & format::kSpinning) != 0;
    if (!thread.wait || spins || current.find_reading(i) != nullptr) continue;
    thread.activity = model::Activity::Running;
    thread.wait.reset();
  }
}

}  // namespace gordian::watch
