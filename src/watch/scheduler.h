// SPDX-License-Identifier: Apache-2.0
// Lets one thread go on at a time, by priorities that a seed draws: every thread stops at every
// synchronisation point, and the one with the highest priority whose request can be met goes on
// until it stops again.
//
//   Pct       a priority for each thread; at depth - 1 random steps the running one gets the lowest
//             (Burckhardt, Kothari, Musuvathi, Nagarakatte: "A randomized scheduler with
//             probabilistic guarantees of finding bugs", ASPLOS 2010)
//   Pos       a priority for each request, drawn anew when another thread took the same object
//             (Yuan, Yang, Gu: "Partial order aware concurrency sampling", CAV 2018)
//   Targeted  as Pos, but whoever asks for a second lock comes last, and the first few of them wait
//             a while for others that are on their way: those that hold one gather
//
// All draws depend on the seed, the thread's number and the count of its stops, never on time. What
// the seed does not decide: plain memory, timed waits, system calls.
//
// A thread that does not stop again for a while (it computes, spins, or sleeps in a system call) is
// not waited for. Requests that cannot be met are let through only when nobody else can go on: if
// that is a deadlock, it is a real one then, and the judge sees it.
#pragma once

#include "watch/steering.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <vector>

namespace gordian::watch {

enum class Draw : uint8_t { Pct, Pos, Targeted };

class Scheduler final : public Strategy {
 public:
  struct Options {
    uint64_t seed = 0;
    Draw draw = Draw::Pct;
    uint32_t depth = 3;
    std::chrono::milliseconds busy{20};     // a thread that computes is not waited for longer
    std::chrono::milliseconds asleep{2};    // ... nor one that sleeps in a system call
    std::chrono::milliseconds nobody{30};   // nobody can go on, but somebody is not there yet
    std::chrono::milliseconds gather{200};  // Targeted: how long they gather
    uint32_t gatherings = 5;                // ... and how often
  };
  explicit Scheduler(const Options& options);

  [[nodiscard]] bool stops_everywhere() const override { return true; }
  Decision decide(std::span<const SteeredThread> threads, SteerClock::time_point now) override;
  [[nodiscard]] SteerAccount account() const override { return account_; }

 private:
  struct Progress {
    uint64_t moves = 0;
    SteerClock::time_point since;
    uint64_t stops = 0;    // gates it came to
    uint64_t redraws = 0;  // of the request it stands at
    uint32_t arrival = 0;
    uint64_t demoted = 0;  // Pct: 0 no; else lower than all that are not
  };

  void follow(std::span<const SteeredThread> threads, SteerClock::time_point now);
  [[nodiscard]] static bool can_be_met(const SteeredThread& thread,
                                       std::span<const SteeredThread> threads);
  [[nodiscard]] uint64_t priority(const SteeredThread& thread) const;
  [[nodiscard]] bool gathers(const SteeredThread& thread) const;
  void let_go(const SteeredThread& thread, std::span<const SteeredThread> threads,
              SteerClock::time_point now, Decision& decision);

  Options options_;
  std::vector<uint64_t> change_points_;    // Pct: steps
  std::map<uint32_t, Progress> progress_;  // by uid
  SteerClock::time_point nobody_since_;
  bool nobody_ = false;
  uint32_t gathered_ = 0;
  SteerAccount account_;
};

}  // namespace gordian::watch
