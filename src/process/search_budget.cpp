// SPDX-License-Identifier: Apache-2.0
#include "process/search_budget.h"

#include <ctime>

namespace gordian::process {
namespace {

// Many times what the steps of any search take where a machine is merely slow.
constexpr std::chrono::seconds kMaxProcessorTime{20};
constexpr std::chrono::seconds kMaxTime{60};
constexpr uint64_t kStepsBetweenLooks = 4096;

std::chrono::nanoseconds processor_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

SearchBudget::SearchBudget(uint64_t steps, SearchBudget* whole)
    : steps_(steps),
      whole_(whole),
      processor_end_(processor_time() + kMaxProcessorTime),
      end_(std::chrono::steady_clock::now() + kMaxTime) {}

bool SearchBudget::is_late() const {
  return processor_time() > processor_end_ || std::chrono::steady_clock::now() > end_;
}

bool SearchBudget::spend(uint64_t steps) {
  if (over_) return false;
  spent_ += steps;
  over_ = spent_ > steps_ || (whole_ != nullptr && !whole_->spend(steps));
  if (!over_ && whole_ == nullptr && spent_ >= next_look_) {
    next_look_ = spent_ + kStepsBetweenLooks;
    over_ = is_late();
  }
  return !over_;
}

}  // namespace gordian::process
