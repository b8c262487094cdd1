// SPDX-License-Identifier: Apache-2.0
#include "watch/contradictions.h"

#include "watch/evidence.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gordian::watch {
namespace {

using format::Kind;

struct Claims {
  std::vector<std::pair<model::Thread*, model::Hold*>> all;
  uint32_t exclusive = 0;
  uint32_t reads = 0;
  uint32_t readers = UINT32_MAX;  // that the lock counts

  [[nodiscard]] bool are_contradictory() const {
    return exclusive > 1 || (exclusive == 1 && all.size() > 1) || reads > readers;
  }
};

using ClaimsByLock = std::unordered_map<model::ResourceId, Claims>;

ClaimsByLock gather_claims(model::Snapshot& snapshot, const std::vector<WaitFacts>& facts) {
  ClaimsByLock locks;
  for (size_t i = 0; i < facts.size(); ++i) {
    const model::Thread& thread = snapshot.threads[i];
    if (!thread.wait || !thread.wait->definite) continue;
    Claims& claims = locks[thread.wait->resource];
    const Kind kind = facts[i].wait.kind;
    const bool counts = (kind == Kind::RwLock || kind == Kind::GlibRwLock) &&
                        !facts[i].object.bytes.empty() && !read_owner(kind, facts[i].object).known;
    if (counts) claims.readers = count_nameless_holders(kind, facts[i].object);
  }
  for (model::Thread& thread : snapshot.threads) {
    for (model::Hold& hold : thread.holds) {
      const auto lock = locks.find(hold.resource);
      if (lock == locks.end()) continue;
      lock->second.all.emplace_back(&thread, &hold);
      if (hold.mode == model::Mode::Exclusive) {
        ++lock->second.exclusive;
      } else {
        lock->second.reads += hold.count;
      }
    }
  }
  return locks;
}

// What is refuted gets the count 0.
void settle(Claims& claims) {
  const auto definite = std::count_if(claims.all.begin(), claims.all.end(),
                                      [](const auto& claim) { return claim.second->definite; });
  const bool any_moves = std::any_of(claims.all.begin(), claims.all.end(), [](const auto& claim) {
    return claim.first->activity == model::Activity::Running;
  });
  for (const auto& [thread, hold] : claims.all) {
    // The lock itself has named one of them.
    const bool is_refuted = definite == 1 && !hold->definite;
    const bool waits = thread->activity == model::Activity::Waiting;
    if (is_refuted || (definite != 1 && any_moves && waits)) hold->count = 0;
    if (definite != 1) hold->definite = false;
  }
}

}  // namespace

void settle_contradictions(Case& current, const CaseFacts& facts) {
  ClaimsByLock locks = gather_claims(current.now.snapshot, facts.waits);
  for (auto& [lock, claims] : locks) {
    if (claims.are_contradictory()) settle(claims);
  }
  // Only now: until here the claims pointed to them.
  for (model::Thread& thread : current.now.snapshot.threads)
    std::erase_if(thread.holds, [](const model::Hold& hold) { return hold.count == 0; });
}

}  // namespace gordian::watch
