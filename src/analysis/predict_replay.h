// SPDX-License-Identifier: Apache-2.0
// The last word on a prediction: runs a schedule event by event under the rules of threads and
// locks, knowing nothing of how it was found.
#pragma once

#include "analysis/predict_index.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gordian::analysis {

// A thread that stops for ever: what it asks for then.
struct Stop {
  static constexpr uint32_t kAtEnd = UINT32_MAX;

  uint32_t thread = 0;
  uint32_t event =
      kAtEnd;  // its next event, a request that cannot be granted; or it asks at its end
};

class Replay {
 public:
  // `events` must outlive it. Without memory, reads may see any value.
  Replay(const std::vector<model::TraceEvent>& events, const model::TraceSize& size,
         bool with_memory);

  // Runs events[schedule[0]], events[schedule[1]], ... Empty: each event could run when its turn
  // came, each read saw what it saw when recorded, and afterwards every thread of `stops` stands
  // before its request and waits for the next one of `stops`. Else the rule that was broken.
  //
  // Costs the length of the schedule, whatever the length of the trace.
  std::string check(std::span<const uint32_t> schedule, std::span<const Stop> stops);

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Lock {
    uint32_t writer = kNone;
    std::vector<uint32_t> readers;
  };
  struct Waiter {
    uint32_t wait = 0;      // the Wait event
    uint32_t deadline = 0;  // when the schedule needs it awake
    bool woken = false;
  };
  struct Thread {
    std::vector<uint32_t> events;
    uint32_t next = 0;
    uint32_t fork = kNone;
  };

  void read_recorded(const model::TraceSize& size);
  void find_unexplained_wakes();
  void clear(std::span<const uint32_t> schedule);
  // Of a wake-up; kNone: it is none.
  [[nodiscard]] uint32_t wait_before(uint32_t event) const {
    return wake_wait_.empty() ? kNone : wake_wait_[event];
  }
  void set_rank(uint32_t event, uint32_t rank) {
    if (!rank_.empty()) rank_[event] = rank;
  }
  [[nodiscard]] uint32_t request_of(const Stop& stop) const {
    return stop.event != Stop::kAtEnd ? stop.event : threads_[stop.thread].events.back();
  }
  [[nodiscard]] bool is_awake(uint32_t event) const;
  [[nodiscard]] bool is_done(uint32_t event) const;
  void notify(const model::TraceEvent& event);
  std::string step(uint32_t event);
  std::string lock_step(uint32_t thread, const model::TraceEvent& event);
  [[nodiscard]] std::string check_stop(const Stop& stop, const Stop& other) const;

  const std::vector<model::TraceEvent>& events_;
  bool with_memory_;
  std::vector<uint32_t> relies_on_;  // a read: the write; a wake-up: the wait; a join: the count
  // Empty where nobody waits on a condition:
  std::vector<uint32_t> wake_of_;    // a wait: its wake-up
  std::vector<uint32_t> wake_wait_;  // a wake-up: its wait
  std::vector<uint32_t> rank_;       // of a wake-up in this schedule
  std::vector<Thread> threads_;
  std::vector<Lock> locks_;
  std::vector<uint32_t> memory_;
  std::vector<std::vector<Waiter>> waiters_;  // by condition
};

}  // namespace gordian::analysis
