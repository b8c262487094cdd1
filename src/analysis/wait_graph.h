// SPDX-License-Identifier: Apache-2.0
// A snapshot as threads that wait for gates.
//
// A gate opens when `needed` of its members are free: all holders of a lock, the joined thread, any
// thread of a process. A thread goes on when all its gates are open. Gates are shared by everybody
// who waits for the same thing, so 10,000 threads on one condition variable are 10,000 edges, not
// 10,000 squared.
#pragma once

#include "analysis/components.h"
#include "model/snapshot.h"

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace gordian::analysis {

struct Gate {
  std::vector<uint32_t> members;  // threads, in order of id
  uint32_t needed = 0;            // more than members.size(): never opens
};

class WaitGraph {
 public:
  explicit WaitGraph(const model::Snapshot& snapshot);

  // Reduction to the fixpoint: 1 for each thread that can never go on.
  [[nodiscard]] std::vector<char> stuck() const;

  // The knots of the stuck threads, each in order of id, those that depend on no other knot first.
  [[nodiscard]] std::vector<std::vector<uint32_t>> knots(const std::vector<char>& stuck) const;

  // What the thread waits for; empty for a thread that can move by itself.
  [[nodiscard]] const std::vector<uint32_t>& gates_of(uint32_t thread) const {
    return gates_of_[thread];
  }
  [[nodiscard]] const std::vector<uint32_t>& memberships_of(uint32_t thread) const {
    return member_of_[thread];
  }
  [[nodiscard]] const std::vector<uint32_t>& waiters_at(uint32_t gate) const {
    return waiters_[gate];
  }
  [[nodiscard]] const Gate& gate(uint32_t index) const { return gates_[index]; }
  [[nodiscard]] size_t gate_count() const { return gates_.size(); }

  // The gate of a wait opens when one of several threads moves: they are not owners.
  [[nodiscard]] bool waits_for_any(uint32_t thread) const { return waits_for_any_[thread] != 0; }
  // It wants a lock nobody is known to hold. Such a wait has no gates: it proves nothing.
  [[nodiscard]] bool owner_unknown(uint32_t thread) const { return owner_unknown_[thread] != 0; }
  // What it waits for will never come because the owner has gone.
  [[nodiscard]] bool owner_gone(uint32_t thread) const { return owner_gone_[thread] != 0; }

  [[nodiscard]] const std::vector<uint32_t>& exclusive_holders(model::ResourceId resource) const {
    return exclusive_[static_cast<uint32_t>(resource)];
  }
  [[nodiscard]] const std::vector<uint32_t>& shared_holders(model::ResourceId resource) const {
    return shared_[static_cast<uint32_t>(resource)];
  }
  [[nodiscard]] const std::vector<uint32_t>& waiting_writers(model::ResourceId resource) const {
    return writers_[static_cast<uint32_t>(resource)];
  }

 private:
  struct Scratch {
    std::vector<uint32_t> inside, missing;  // by gate
    std::vector<uint32_t> closed;           // by thread
    Adjacency waiters;                      // by gate
  };

  // Which of `threads` stay stuck if all other threads that still live could move.
  std::vector<uint32_t> stuck_among(const std::vector<uint32_t>& threads, Scratch& scratch) const;
  void add_wait(uint32_t thread);
  void add_join(uint32_t thread, const model::Resource& target);
  void add_lock(uint32_t thread, const model::Resource& lock);
  void add_signal(uint32_t thread, const model::Resource& object);
  uint32_t any_thread_of(std::vector<uint32_t> processes, uint32_t needed);
  uint32_t all_of(const std::vector<uint32_t>& members, std::vector<int32_t>& known, uint32_t key);
  uint32_t add_gate(Gate gate);
  [[nodiscard]] bool is_gone(uint32_t thread) const;

  const model::Snapshot& snapshot_;
  std::vector<Gate> gates_;
  std::vector<std::vector<uint32_t>> gates_of_, member_of_, waiters_;
  std::vector<std::vector<uint32_t>> exclusive_, shared_, writers_;  // by resource
  std::vector<std::vector<uint32_t>> live_;                          // by process
  std::vector<int32_t> exclusive_gate_, shared_gate_, writers_gate_, closed_gate_, joined_gate_;
  std::map<std::pair<std::vector<uint32_t>, uint32_t>, uint32_t> any_gate_;
  std::vector<char> waits_for_any_, owner_unknown_, owner_gone_;
};

}  // namespace gordian::analysis
