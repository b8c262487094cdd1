// SPDX-License-Identifier: Apache-2.0
#include "process/search_budget.h"

#include <gtest/gtest.h>

namespace gordian::process {
namespace {

TEST(SearchBudget, AllowsSoManyStepsAndNoMore) {
  SearchBudget budget(3);
  EXPECT_TRUE(budget.spend());
  EXPECT_TRUE(budget.spend(2));
  EXPECT_FALSE(budget.is_over());
  EXPECT_FALSE(budget.spend());
  EXPECT_TRUE(budget.is_over());
  EXPECT_FALSE(budget.spend(0)) << "what is over stays over";
}

TEST(SearchBudget, SeveralShareAWholeOne) {
  SearchBudget whole(10);
  SearchBudget first(6, &whole);
  EXPECT_TRUE(first.spend(6));
  EXPECT_FALSE(first.spend());
  SearchBudget second(6, &whole);
  EXPECT_TRUE(second.spend(4)) << "what the first asked for in vain costs the whole nothing";
  EXPECT_FALSE(second.spend()) << "the whole one is spent, though this one is not";
  EXPECT_TRUE(whole.is_over());
  EXPECT_TRUE(second.is_over());
}

}  // namespace
}  // namespace gordian::process
