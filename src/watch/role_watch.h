// SPDX-License-Identifier: Apache-2.0
// Who of a steered run plays which role of a plan, and how far the run came along it, in words.
//
// A thread plays a role if it asks from the role's place and holds what it took at the role's other
// places. Nothing has to be known of addresses, and no thread or lock of another run is mistaken
// for one of this.
#pragma once

#include "watch/steering.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gordian::watch {

struct SteerRole {
  std::string thread = {};            // what the finding calls it, for words
  CodePlace request = {};             // where it asks for what it never gets
  std::vector<CodePlace> holds = {};  // where it took what it holds by then
};

// In the order of the circle: each wants what the next one holds.
struct SteerPlan {
  std::vector<SteerRole> roles;
};

class RoleWatch {
 public:
  explicit RoleWatch(SteerPlan plan);

  [[nodiscard]] size_t role_count() const { return plan_.roles.size(); }
  [[nodiscard]] std::vector<CodePlace> places() const;
  // The same places in this process, in the order of places(); 0: not loaded (yet).
  void set_addresses(const std::vector<uint64_t>& sites) { sites_ = sites; }

  // A thread has come to its gate: the roles that it plays there. Once for each arrival.
  std::vector<size_t> arrive(const SteeredThread& thread);
  // How many came in this role so far.
  [[nodiscard]] uint64_t came(size_t role) const { return roles_[role].came; }
  // Those who stand at their gates at this moment: the roles of each, none of them without.
  void stand(const std::vector<std::vector<size_t>>& threads);

  // Where the run left the plan.
  [[nodiscard]] std::string divergence() const;

 private:
  struct Seen {
    uint64_t came = 0;
    uint64_t came_without = 0;  // at the place, but not holding what the role holds
  };

  [[nodiscard]] std::string missing(size_t role, uint64_t site) const;

  SteerPlan plan_;
  std::vector<uint64_t> sites_;  // requests, then holds, role by role
  std::vector<Seen> roles_;
  size_t together_ = 0;  // the most that stood there at once, each for a role of its own
};

}  // namespace gordian::watch
