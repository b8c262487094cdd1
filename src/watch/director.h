// SPDX-License-Identifier: Apache-2.0
// Steers along a finding: each thread of its circle is held before its last request until all of
// them stand there at once, then all go on. Everybody else runs freely.
//
// A thread plays a role if it asks from the role's place and holds what it took at the role's other
// places. Whether the circle is closed is read off the board, by the very locks of this run: each
// one's request is for what the next one holds. So nothing has to be known of addresses, and no
// thread or lock of another run is mistaken for one of this.
//
// A held thread is let go when nobody else can go on (the circle cannot close as long as it stands
// there), when it has stood too long, or by the dice of a seed other than 0: the first to come need
// not be the one.
#pragma once

#include "watch/steering.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace gordian::watch {

struct SteerRole {
  std::string thread = {};            // its name in the finding, for words
  CodePlace request = {};             // where it asks for what it never gets
  std::vector<CodePlace> holds = {};  // where it took what it holds by then
};

// In the order of the circle: each wants what the next one holds.
struct SteerPlan {
  std::vector<SteerRole> roles;
};

class Director final : public Strategy {
 public:
  struct Options {
    uint64_t seed = 0;
    std::chrono::milliseconds patience{2000};  // how long a thread is held
    std::chrono::milliseconds grace{100};      // how long nobody else may have moved
  };
  Director(SteerPlan plan, Options options);

  [[nodiscard]] std::optional<std::vector<CodePlace>> places() const override;
  void on_addresses(const std::vector<uint64_t>& sites) override { sites_ = sites; }
  Decision decide(std::span<const SteeredThread> threads, SteerClock::time_point now) override;
  [[nodiscard]] SteerAccount account() const override;

 private:
  struct Stay {
    uint32_t arrival = 0;
    SteerClock::time_point since;
    std::vector<size_t> roles;
  };

  [[nodiscard]] std::vector<size_t> roles_of(const SteeredThread& thread) const;
  [[nodiscard]] bool leads_to(const SteeredThread& from, const SteeredThread& to) const;
  bool close(std::span<const SteeredThread> threads, std::vector<const SteeredThread*>& cast) const;
  [[nodiscard]] bool is_let_by(const SteeredThread& thread, size_t role) const;

  SteerPlan plan_;
  Options options_;
  std::vector<uint64_t> sites_;         // of places(): requests, then holds, role by role
  std::map<uint32_t, Stay> stays_;      // by uid: who is held
  std::vector<uint64_t> came_;          // by role: arrivals
  std::set<size_t> together_;           // roles of the fullest stage seen
  std::map<uint32_t, uint64_t> moves_;  // of those that are not held, by uid
  SteerClock::time_point moved_;
  uint64_t arrivals_ = 0;
  uint64_t released_stuck_ = 0;
  uint64_t released_late_ = 0;
  uint64_t closed_ = 0;
  uint64_t schedule_ = 0;
};

}  // namespace gordian::watch
