// SPDX-License-Identifier: Apache-2.0
#include "process/search_time.h"

#include <ctime>

namespace gordian::process {
namespace {

constexpr int kWaiting = 5;  // times the limit

std::chrono::nanoseconds processor_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

SearchTime::SearchTime(std::chrono::milliseconds limit)
    : processor_end_(processor_time() + limit),
      wall_end_(std::chrono::steady_clock::now() + kWaiting * limit) {}

bool SearchTime::is_over() const {
  return std::chrono::steady_clock::now() > wall_end_ || processor_time() > processor_end_;
}

}  // namespace gordian::process
