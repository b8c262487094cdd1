// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <gtest/gtest.h>
#include <random>

namespace gordian {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(Trimmed, LosesWhatIsBlankAtBothEnds) {
  EXPECT_EQ(trimmed(" \t a  b\r\n"), "a  b");
  EXPECT_EQ(trimmed("a"), "a");
  EXPECT_EQ(trimmed(" \n"), "");
  EXPECT_EQ(trimmed(""), "");
}

TEST(EscapeForTerminal, KeepsOrdinaryText) {
  EXPECT_EQ(escape_for_terminal("handle->mutex <größe> 锁"), "handle->mutex <größe> 锁");
}

TEST(EscapeForTerminal, ShowsControlCharacters) {
  EXPECT_EQ(escape_for_terminal("a\x1b[2Jb\n\t\r\x7f"), "a\\x1b[2Jb\\n\\t\\r\\x7f");
  EXPECT_EQ(escape_for_terminal(std::string_view("\0", 1)), "\\x00");
}

TEST(EscapeForTerminal, ShowsEightBitControlsAndDirectionOverrides) {
  EXPECT_EQ(escape_for_terminal("\u009b2J"), "\\x9b2J");
  EXPECT_EQ(escape_for_terminal("\u202ekcol"), "\\u{202e}kcol");
}

TEST(EscapeForTerminal, ShowsBytesThatAreNotUtf8) {
  EXPECT_EQ(escape_for_terminal("\xff"), "\\xff");
  EXPECT_EQ(escape_for_terminal("\xc0\x80"), "\\xc0\\x80");           // overlong
  EXPECT_EQ(escape_for_terminal("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(escape_for_terminal("a\xe4\xb8"), "a\\xe4\\xb8");         // cut off
}

TEST(EscapeForTerminal, LeavesNothingToActOnInRandomBytes) {
  constexpr unsigned kSeed = 20260101;
  SCOPED_TRACE(kSeed);
  std::mt19937 random(kSeed);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    const std::string escaped = escape_for_terminal(bytes);
    EXPECT_EQ(escape_for_terminal(escaped), escaped);
    EXPECT_EQ(to_valid_utf8(escaped), escaped);
    EXPECT_LE(escaped.size(), bytes.size() * 8);
    for (const char byte : escaped) EXPECT_GE(static_cast<unsigned char>(byte), 0x20);
  }
}

TEST(ToValidUtf8, ReplacesWhatIsNotUtf8AndNothingElse) {
  EXPECT_EQ(to_valid_utf8("a\xff\x1b锁"), "a\xef\xbf\xbd\x1b锁");
}

TEST(CountOf, KnowsOne) {
  EXPECT_EQ(count_of(1, "thread"), "1 thread");
  EXPECT_EQ(count_of(0, "thread"), "0 threads");
  EXPECT_EQ(count_of(12, "lock"), "12 locks");
}

TEST(ParseDuration, TakesEveryUnit) {
  EXPECT_EQ(*parse_duration("10ns"), nanoseconds(10));
  EXPECT_EQ(*parse_duration("200us"), microseconds(200));
  EXPECT_EQ(*parse_duration("500ms"), milliseconds(500));
  EXPECT_EQ(*parse_duration("30s"), seconds(30));
  EXPECT_EQ(*parse_duration("2m"), minutes(2));
  EXPECT_EQ(*parse_duration("1h"), hours(1));
  EXPECT_EQ(*parse_duration("1.5s"), milliseconds(1500));
  EXPECT_EQ(*parse_duration("0"), seconds(0));
}

TEST(ParseDuration, ABareNumberIsSeconds) { EXPECT_EQ(*parse_duration("30"), seconds(30)); }

TEST(ParseDuration, RefusesTheRestAndSaysHowToWriteIt) {
  for (const char* text :
       {"", "s", "-1s", "+1s", "1e3", "inf", "nan", "5 s", "5sec", "9999999999h", " 1"}) {
    const auto result = parse_duration(text);
    ASSERT_FALSE(result.has_value()) << text;
    EXPECT_NE(result.error().hint, "") << text;
  }
}

TEST(DurationText, HasTwoOrThreeDigits) {
  EXPECT_EQ(to_text(nanoseconds(850)), "850 ns");
  EXPECT_EQ(to_text(microseconds(12)), "12 us");
  EXPECT_EQ(to_text(milliseconds(3200)), "3.2 s");
  EXPECT_EQ(to_text(seconds(245)), "4 min 5 s");
  EXPECT_EQ(to_text(minutes(130)), "2 h 10 min");
  EXPECT_EQ(to_text(minutes(60)), "1 h");
}

}  // namespace
TEST(Text, SplitsAndLeavesOutWhatIsEmpty) {
  EXPECT_EQ(split("::a:bc::", ':'), (std::vector<std::string_view>{"a", "bc"}));
  EXPECT_EQ(split("a b", ':'), std::vector<std::string_view>{"a b"});
  EXPECT_TRUE(split("", ':').empty());
}

}  // namespace gordian
