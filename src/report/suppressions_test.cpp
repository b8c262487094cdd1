// SPDX-License-Identifier: Apache-2.0
#include "report/suppressions.h"

#include "report/fingerprint.h"
#include "report/sample_findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gordian::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::chrono::year_month_day kToday = 2026y / 11 / 20;

Suppressions rules(std::string_view text) {
  Result<Suppressions> result = Suppressions::parse(text, "known");
  EXPECT_TRUE(result) << (result ? "" : result.error().message);
  return result ? *result : Suppressions();
}

bool covers(std::string_view line, const model::Finding& finding) {
  Suppressions parsed = rules(line);
  return parsed.match(finding, kToday) != nullptr;
}

TEST(Suppressions, ALineIsKindPatternReasonAndDate) {
  const Suppressions parsed = rules("# ours\n\nlock:handle->*  # upstream 12  until=2027-01-31\n");

  ASSERT_EQ(parsed.rules().size(), 1U);
  const Suppression& rule = parsed.rules()[0];
  EXPECT_EQ(to_text(rule), "lock:handle->*");
  EXPECT_EQ(rule.reason, "upstream 12");
  EXPECT_EQ(rule.until, 2027y / 1 / 31);
  EXPECT_EQ(rule.where, "known:3");
}

TEST(Suppressions, TheDateMayStandInBrackets) {
  EXPECT_EQ(rules("lock:a # known [until=2027-01-31]").rules()[0].reason, "known");
}

TEST(Suppressions, AHashInsideAPatternIsPartOfIt) {
  EXPECT_EQ(rules("function:main::{lambda#1}*  # known").rules()[0].glob, "main::{lambda#1}*");
}

TEST(Suppressions, ABadLineIsNamedWithItsNumber) {
  const auto message = [](std::string_view text) {
    const Result<Suppressions> result = Suppressions::parse(text, "known");
    return result ? std::string() : result.error().message;
  };

  EXPECT_EQ(message("lock:a # fine\nmutex:b # x\n"), "known:2: no known kind of pattern");
  EXPECT_EQ(message("lock:a"), "known:1: no reason given");
  EXPECT_EQ(message("lock:a #  "), "known:1: no reason given");
  EXPECT_EQ(message("lock:a # until=2027-01-31"), "known:1: no reason given");
  EXPECT_EQ(message("lock: # why"), "known:1: the pattern is empty");
  EXPECT_EQ(message("lock:a # why until=2027-02-30"), "known:1: until=2027-02-30 is not a date");
  EXPECT_EQ(message("lock:a # why until=soon"), "known:1: until=soon is not a date");
  EXPECT_EQ(message("\xff\xff"), "known:1: no known kind of pattern");
}

TEST(Suppressions, AFileThatIsNotThereIsAnError) {
  EXPECT_THAT(Suppressions::read("/nonexistent/known").error().message,
              HasSubstr("/nonexistent/known"));
}

TEST(Suppressions, MatchLockFunctionFileLibraryAndFingerprint) {
  model::Finding finding = sample::videoroom();
  finding.fingerprint = fingerprint(finding);

  EXPECT_TRUE(covers("lock:participant->* # x", finding));
  EXPECT_TRUE(covers("function:send_keyframe_request # x", finding));
  EXPECT_TRUE(covers("file:ice.c # x", finding));
  EXPECT_TRUE(covers("file:*/plugins/* # x", finding));
  EXPECT_TRUE(covers("library:libstdc++.so* # x", finding));
  EXPECT_TRUE(covers("fingerprint:" + finding.fingerprint + " # x", finding));
  EXPECT_FALSE(covers("lock:mutex # x", finding));
  EXPECT_FALSE(covers("function:keyframe # x", finding));
  EXPECT_FALSE(covers("file:ice # x", finding));
  EXPECT_FALSE(covers("fingerprint:0000000000000000 # x", finding));
}

TEST(Suppressions, AFunctionMatchesWithAndWithoutItsParameters) {
  EXPECT_TRUE(covers("function:chat::WebSocket::on_message # x", sample::self_lock()));
  EXPECT_TRUE(covers("function:chat::WebSocket::on_message(int) # x", sample::self_lock()));
}

// Else one known lock would hide every new knot that it queues behind.
TEST(Suppressions, OnlyTheKnotCounts) {
  EXPECT_FALSE(covers("function:Server::cron* # x", sample::replication()));
  EXPECT_FALSE(covers("lock:rooms_mutex # x", sample::refuted_by_gate()));
}

TEST(Suppressions, AnExpiredRuleCoversNothing) {
  EXPECT_TRUE(covers("lock:* # x until=2026-11-20", sample::videoroom()));
  EXPECT_FALSE(covers("lock:* # x until=2026-11-19", sample::videoroom()));
}

TEST(Suppressions, AByteOrderMarkIsNoPartOfTheFirstRule) {
  EXPECT_TRUE(covers("\xef\xbb\xbflock:handle* # x", sample::videoroom()));
}

TEST(Suppressions, UnusedAndExpiredRulesAreListed) {
  Suppressions parsed =
      rules("lock:handle* # a\nlock:nothing # b\nlock:old # c until=2020-01-01\n");
  parsed.match(sample::videoroom(), kToday);

  EXPECT_THAT(parsed.unused(kToday), ElementsAre("known:2: lock:nothing matched nothing",
                                                 "known:3: lock:old has expired on 2020-01-01"));
}

TEST(Glob, StarsAndQuestionMarks) {
  EXPECT_TRUE(glob_matches("", ""));
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("a*c", "abbbc"));
  EXPECT_TRUE(glob_matches("*a*b*", "xxaxxbxx"));
  EXPECT_TRUE(glob_matches("a?c", "abc"));
  EXPECT_TRUE(glob_matches("[x]", "[x]"));
  EXPECT_FALSE(glob_matches("a?c", "ac"));
  EXPECT_FALSE(glob_matches("a*c", "abcd"));
  EXPECT_FALSE(glob_matches("", "a"));
}

TEST(Glob, ManyStarsAreNotSlow) {
  const std::string stars = [] {
    std::string text;
    for (int i = 0; i < 50; ++i) text += "*a";
    return text + "b";
  }();

  EXPECT_FALSE(glob_matches(stars, std::string(2000, 'a')));
}

}  // namespace
}  // namespace gordian::report
