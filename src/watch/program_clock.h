// SPDX-License-Identifier: Apache-2.0
// The time that a program has had: the time on the wall, without what its threads waited for a
// processor.
//
// On a busy machine a thread may need a second for what takes it a millisecond elsewhere. Who waits
// for a program "for a while" and means what it could have done meanwhile asks this clock.
#pragma once

#include "process/live.h"

#include <chrono>
#include <map>
#include <optional>

namespace gordian::watch {

class ProgramClock {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  // Of the time on the wall, whatever becomes of the program: nobody waits for ever by this clock.
  static constexpr int kSlowest = 10;  // a tenth

  // One that cannot be looked into (any more) has had all the time there was.
  explicit ProgramClock(int pid);

  // Never goes back. Looks at the threads at most every few milliseconds.
  time_point now();

 private:
  struct Ran {
    process::ScheduleReading reading;
    std::chrono::nanoseconds ahead{0};  // of a wait that is not over: what we counted already
  };

  std::chrono::nanoseconds starved(std::chrono::nanoseconds span);

  std::optional<process::TaskDirectory> tasks_;
  std::map<int, Ran> ran_;  // by tid
  time_point looked_;
  time_point time_;
  std::chrono::nanoseconds pause_;  // until the next look
};

}  // namespace gordian::watch
