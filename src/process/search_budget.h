// SPDX-License-Identifier: Apache-2.0
// How much a search for names may look at.
//
// It counts steps, not time: a slow or busy machine must not find other names than a fast and idle
// one. A step is about what it takes to look at one entry of debug information (some 100 ns). Time
// is only the last resort, for what no step explains: debug information that decompresses to
// gigabytes, a file system that hardly answers.
#pragma once

#include <chrono>
#include <cstdint>

namespace gordian::process {

class SearchBudget {
 public:
  // What is spent here is spent of `whole` too, and it ends when that one does. `whole` must
  // outlive it; null: nobody else counts.
  explicit SearchBudget(uint64_t steps, SearchBudget* whole = nullptr);

  // False: it is over. Most calls cost a few nanoseconds.
  bool spend(uint64_t steps = 1);
  [[nodiscard]] bool is_over() const { return over_; }
  [[nodiscard]] uint64_t spent() const { return spent_; }

 private:
  [[nodiscard]] bool is_late() const;

  const uint64_t steps_;
  SearchBudget* const whole_;
  const std::chrono::nanoseconds processor_end_;
  const std::chrono::steady_clock::time_point end_;
  uint64_t spent_ = 0;
  uint64_t next_look_ = 0;
  bool over_ = false;
};

inline constexpr uint64_t kPointerSteps = 8;    // a word read in another process
inline constexpr uint64_t kVariableSteps = 50;  // a variable found in a frame, location and type

}  // namespace gordian::process
