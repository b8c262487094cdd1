// SPDX-License-Identifier: Apache-2.0
#include "process/search_time.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <thread>

namespace gordian::process {
namespace {

using std::chrono::milliseconds;

TEST(SearchTime, IsOverWhenItsProcessorTimeIsSpent) {
  const SearchTime time(milliseconds(1));
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!time.is_over()) ASSERT_LT(std::chrono::steady_clock::now(), give_up);
}

TEST(SearchTime, DoesNotCountWhatOthersUse) {
  const SearchTime time(milliseconds(50));
  // Longer than the limit, but spent by another thread.
  std::thread([] {
    const auto end = std::chrono::steady_clock::now() + milliseconds(80);
    while (std::chrono::steady_clock::now() < end) {
    }
  }).join();
  EXPECT_FALSE(time.is_over());
}

TEST(SearchTime, IsOverWhenNothingAnswersForLong) {
  const SearchTime time(milliseconds(1));
  poll(nullptr, 0, 6);  // waits and computes nothing, which is the case in question
  EXPECT_TRUE(time.is_over());
}

}  // namespace
}  // namespace gordian::process
