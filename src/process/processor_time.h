// SPDX-License-Identifier: Apache-2.0
// What the calling thread itself has cost so far.
#pragma once

#include <chrono>
#include <ctime>

namespace gordian::process {

inline std::chrono::nanoseconds own_processor_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace gordian::process
