// SPDX-License-Identifier: Apache-2.0
#include "model/lock_pattern.h"

#include <gtest/gtest.h>

namespace gordian::model {
namespace {

TEST(LockPattern, AStarIsAnyText) {
  EXPECT_TRUE(pattern_matches("*", ""));
  EXPECT_TRUE(pattern_matches("Server::*", "Server::mutex"));
  EXPECT_TRUE(pattern_matches("*mutex", "mutex mutex"));
  EXPECT_TRUE(pattern_matches("a*b*c", "axxbbyc"));
  EXPECT_FALSE(pattern_matches("a*b*c", "axxbby"));
  EXPECT_FALSE(pattern_matches("Server::*", "Servers::mutex"));
  EXPECT_FALSE(pattern_matches("", "x"));
}

TEST(LockPattern, ABackslashTakesTheNextSignAsItself) {
  EXPECT_TRUE(pattern_matches(R"(Slot<int\*>)", "Slot<int*>"));
  EXPECT_FALSE(pattern_matches(R"(Slot<int\*>)", "Slot<intx>"));
  EXPECT_TRUE(pattern_matches(R"(*\*)", "a*"));
  EXPECT_FALSE(pattern_matches(R"(*\*)", "ab"));
  EXPECT_FALSE(is_wildcard(R"(\*)"));
  EXPECT_TRUE(is_wildcard(R"(\\*)"));
}

TEST(LockPattern, EveryNameMatchesItsOwnPatternOnly) {
  for (const std::string name : {"a", "*", "\\", "Slot<int*>::m", "\\*", "**"}) {
    const std::string pattern = pattern_of_name(name);
    EXPECT_FALSE(is_wildcard(pattern)) << name;
    EXPECT_TRUE(pattern_matches(pattern, name)) << name;
    EXPECT_FALSE(pattern_matches(pattern, name + "x")) << name;
    EXPECT_EQ(name_of_pattern(pattern), name);
  }
}

TEST(LockPattern, ManyStarsDoNotTakeForEver) {
  std::string pattern;
  for (int i = 0; i < 500; ++i) pattern += "*a";
  EXPECT_FALSE(pattern_matches(pattern + "b", std::string(1000, 'a')));
}

}  // namespace
}  // namespace gordian::model
