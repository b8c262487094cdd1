// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <cerrno>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace gordian {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error("is odd", "give an even number");
  return number / 2;
}

Result<void> must_be_small(int number) {
  if (number > 100) return Error("is too large");
  return {};
}

Result<std::string> quarter_as_text(int number) {
  GORDIAN_TRY(, must_be_small(number));
  GORDIAN_TRY(const int first, half(number));
  GORDIAN_TRY(const int second, half(first).in("the half"));
  return std::to_string(second);
}

TEST(Result, CarriesAValueThroughTry) {
  const Result<std::string> result = quarter_as_text(12);
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, "3");
  EXPECT_EQ(result->size(), 1u);
}

TEST(Result, ReturnsTheFirstErrorFromTry) {
  EXPECT_EQ(quarter_as_text(3).error().message, "is odd");
  EXPECT_EQ(quarter_as_text(104).error().message, "is too large");
}

TEST(Result, TheCallerNamesTheObject) {
  const Result<std::string> result = quarter_as_text(6);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message, "the half: is odd");
  EXPECT_EQ(result.error().hint, "give an even number");
}

TEST(Result, MovesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  const std::unique_ptr<int> value = *std::move(result);
  EXPECT_EQ(*value, 7);
}

TEST(Result, FallsBackToAnotherValue) {
  EXPECT_EQ(half(3).value_or(-1), -1);
  EXPECT_EQ(half(4).value_or(-1), 2);
}

TEST(Result, TakesWhatConvertsToItsType) {
  const Result<std::string> result = "text";
  EXPECT_EQ(*result, "text");
}

TEST(ResultDeathTest, TheValueOfAFailureIsOurBug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH({ (void)*half(3); }, "internal error");
}

TEST(Error, SpellsOutErrno) {
  EXPECT_EQ(Error::from_errno("cannot open", ENOENT).in("x.json").message,
            "x.json: cannot open: No such file or directory");
}

TEST(Error, IsPrintedWithItsHintAndWithoutControlCharacters) {
  EXPECT_EQ(to_text(Error("is \x1b[31mred", "look")), "gordian: is \\x1b[31mred\n  hint: look\n");
}

}  // namespace
}  // namespace gordian
