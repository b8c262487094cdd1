// SPDX-License-Identifier: Apache-2.0
#include "process/search_budget.h"

#include "process/processor_time.h"

namespace gordian::process {
namespace {

// Many times what the steps of any search take where a machine is merely slow.
constexpr std::chrono::seconds kMaxProcessorTime{20};
constexpr std::chrono::seconds kMaxTime{60};
constexpr uint64_t kStepsBetweenLooks = 4096;

}  // namespace

SearchBudget::SearchBudget(uint64_t steps, SearchBudget* whole)
    : steps_(steps),
      whole_(whole),
      processor_end_(own_processor_time() + kMaxProcessorTime),
      end_(std::chrono::steady_clock::now() + kMaxTime) {}

bool SearchBudget::is_late() const {
  return own_processor_time() > processor_end_ || std::chrono::steady_clock::now() > end_;
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
