// SPDX-License-Identifier: Apache-2.0
// Steers along a finding: each thread of its circle is held before its last request until all of
// them stand there at once, then all go on. Everybody else runs freely.
//
// Whether the circle is closed is read off the board, by the very locks of this run: each one's
// request is for what the next one holds.
//
// A held thread is let go
//   - when nobody else can go on: the circle cannot close as long as it stands there;
//   - when it has stood too long; shorter each time that its role was held in vain, else a place
//     that is passed a hundred times would hold the program up for minutes;
//   - when another waits for what it holds, but it asks for something else: it is on its way, and
//     may come back asking for the right thing;
//   - by the dice of a seed other than 0: the first to come need not be the one.
#pragma once

#include "watch/role_watch.h"
#include "watch/steering.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace gordian::watch {

class Director final : public Strategy {
 public:
  struct Options {
    uint64_t seed = 0;
    // Of those that play one role and ask for the same, hold the first alone: the others may be
    // needed to bring the next role about.
    bool one_of_each = false;
    std::chrono::milliseconds patience{2000};  // how long a thread is held
    std::chrono::milliseconds grace{100};      // how long nobody else may have moved
    std::chrono::milliseconds passing{5};      // how long one is held that is on its way
  };
  Director(SteerPlan plan, Options options);

  [[nodiscard]] bool stops_everywhere() const override { return false; }
  [[nodiscard]] std::vector<CodePlace> places() const override { return roles_.places(); }
  void on_addresses(const std::vector<uint64_t>& sites) override { roles_.set_addresses(sites); }
  Decision decide(std::span<const SteeredThread> threads, SteerClock::time_point now) override;
  [[nodiscard]] SteerAccount account() const override;

 private:
  struct Stay {
    uint32_t arrival = 0;
    SteerClock::time_point since;
    std::vector<size_t> roles;
  };

  [[nodiscard]] bool leads_to(const SteeredThread& from, const SteeredThread& to) const;
  bool close(std::span<const SteeredThread> threads, std::vector<const SteeredThread*>& cast) const;
  [[nodiscard]] bool is_let_by(const SteeredThread& thread, size_t role) const;
  [[nodiscard]] bool is_one_more(std::span<const SteeredThread> threads,
                                 const SteeredThread& thread,
                                 const std::vector<size_t>& roles) const;
  // Those who wait for what it holds, if it is on its way; else nobody.
  [[nodiscard]] std::vector<uint32_t> waiting_for(std::span<const SteeredThread> threads,
                                                  const SteeredThread& thread) const;
  [[nodiscard]] std::chrono::milliseconds patience_with(const Stay& stay) const;

  RoleWatch roles_;
  Options options_;
  std::map<uint32_t, Stay> stays_;      // by uid: who is held
  std::vector<uint32_t> in_vain_;       // by role: how often one was held too long
  uint32_t passed_ = 0;                 // those that were on their way
  std::map<uint32_t, uint64_t> moves_;  // of those that are not held, by uid
  SteerClock::time_point moved_;
  uint64_t arrivals_ = 0;
  uint64_t released_stuck_ = 0;
  uint64_t released_late_ = 0;
  uint64_t closed_ = 0;
  uint64_t schedule_ = 0;
};

}  // namespace gordian::watch
