// SPDX-License-Identifier: Apache-2.0
#include "report/order_file.h"

#include "report/order_text.h"

#include <gtest/gtest.h>
#include <string>
#include <string_view>

namespace gordian::report {
namespace {

std::string error_of(std::string_view text) {
  const Result<OrderFile> file = OrderFile::parse(text, "locks.order");
  return file ? "" : to_text(file.error());
}

OrderFile parsed(std::string_view text) {
  Result<OrderFile> file = OrderFile::parse(text, "locks.order");
  EXPECT_TRUE(file) << (file ? "" : to_text(file.error()));
  return file ? std::move(*file) : OrderFile("empty");
}

TEST(OrderFile, ReadsPairsReasonsAndExceptions) {
  const OrderFile file = parsed(
      "# all of it\n\n[order]\nA::m -> B::m   # outer first\n\"init at a.c in f\" -> B::m\n"
      "[any]  # exceptions\nA::m <-> C::m # gated by G\n");

  ASSERT_EQ(file.order().order.size(), 2U);
  EXPECT_EQ(file.order().order[0].before, "A::m");
  EXPECT_EQ(file.order().order[0].reason, "outer first");
  EXPECT_EQ(file.order().order[0].line, 4U);
  EXPECT_EQ(file.order().order[1].before, "init at a.c in f");
  ASSERT_EQ(file.order().any.size(), 1U);
  EXPECT_EQ(file.order().any[0].reason, "gated by G");
}

TEST(OrderFile, IsWrittenAsItWasRead) {
  const std::string text =
      "# odd   spacing\n\n[order]\n  b -> c\t# kept\na -> b\n\n[any]\n x  <->  y # why\n# end\n";

  EXPECT_EQ(parsed(text).text(), text);
}

TEST(OrderFile, KeepsTheLineEndsOfItsAuthor) {
  OrderFile file = parsed("[order]\r\na -> b\r\n");

  file.add("b", "c");

  EXPECT_EQ(file.text(), "[order]\r\na -> b\r\nb -> c\r\n");
}

TEST(OrderFile, PutsWhatIsNewInItsPlaceAndMovesNothing) {
  OrderFile file = parsed(
      "# head\n[order]\n# of a\na -> b\n# of m,\n# two lines\nm -> n # why\n\n[any]\nq <-> r # "
      "s\n");

  file.add("c", "d");
  file.add("z", "a");
  file.add("a", "a");

  EXPECT_EQ(file.text(),
            "# head\n[order]\na -> a\n# of a\na -> b\nc -> d\n# of m,\n# two lines\nm -> n # why\n"
            "z -> a\n\n[any]\nq <-> r # s\n");
}

TEST(OrderFile, GetsASectionIfItHasNone) {
  OrderFile file = parsed("# nothing yet\n[any]\nq <-> r # s\n");

  file.add("a", "b");

  EXPECT_EQ(file.text(), "# nothing yet\n[any]\nq <-> r # s\n\n[order]\na -> b\n");
  EXPECT_EQ(parsed(file.text()).order().order.size(), 1U);
}

TEST(OrderFile, AnyNameSurvivesAWriteAndARead) {
  for (const std::string name :
       {"plain", "with blank", "a->b", "Slot<int*>::m", "back\\slash", "quo\"te", "#hash", "[x]",
        "f(int, char)::{lambda#1}", "->", "\\*", "ends\\"}) {
    OrderFile file("locks.order");

    file.add(name, "other");

    const OrderFile again = parsed(file.text());
    ASSERT_EQ(again.order().order.size(), 1U) << file.text();
    EXPECT_EQ(again.order().order[0].before, file.order().order[0].before) << file.text();
    EXPECT_EQ(order_word(name),
              file.text().substr(file.text().find("[order]\n") + 8, order_word(name).size()));
  }
}

TEST(OrderFile, NamesTheLineOfEveryMistake) {
  EXPECT_NE(error_of("[order]\na -> b\na b\n").find("locks.order:3"), std::string::npos);
  EXPECT_NE(error_of("a -> b\n").find("locks.order:1: a line before the first section"),
            std::string::npos);
  EXPECT_NE(error_of("[ordr]\n").find("no such section: [ordr]"), std::string::npos);
  EXPECT_NE(error_of("[order] a\n").find("behind a section's title"), std::string::npos);
  EXPECT_NE(error_of("[order]\na <-> b\n").find("no ->"), std::string::npos);
  EXPECT_NE(error_of("[any]\na <-> b\n").find("no reason given"), std::string::npos);
  EXPECT_NE(error_of("[order]\na ->\n").find("a name is missing"), std::string::npos);
  EXPECT_NE(error_of("[order]\na -> b c\n").find("behind the second name"), std::string::npos);
  EXPECT_NE(error_of("[order]\n\"a -> b\n").find("a quote is not closed"), std::string::npos);
  EXPECT_NE(error_of("[order]\n\"a\"b -> c\n").find("no blank behind"), std::string::npos);
  EXPECT_NE(error_of("[order]\na -> \"\"\n").find("a name is missing"), std::string::npos);
  EXPECT_NE(error_of("[order]\nN* -> N*\n").find("says nothing"), std::string::npos);
  EXPECT_NE(error_of("[order]\n<<<<<<< HEAD\n").find("a merge that was not finished"),
            std::string::npos);
  EXPECT_NE(error_of(std::string_view("[order]\na\0 -> b\n", 16)).find("control character"),
            std::string::npos);
}

TEST(OrderFile, ManyLinesAndLongNamesAreRefused) {
  std::string many = "[order]\n";
  for (size_t i = 0; i <= kMaxOrderLines; ++i) many += "\n";
  EXPECT_NE(error_of(many).find("more than"), std::string::npos);
  EXPECT_NE(error_of("[order]\n" + std::string(3000, 'x') + " -> b\n").find("longer than"),
            std::string::npos);
  std::string stars = "[order]\n";
  for (size_t i = 0; i <= kMaxWildcardLines; ++i) stars += "* -> b" + std::to_string(i) + "\n";
  EXPECT_NE(error_of(stars).find("with a *"), std::string::npos);
}

TEST(OrderDot, EscapesWhatGraphvizWouldRead) {
  const std::string dot = order_dot(parsed("[order]\n\"a\\\" b\" -> c # \"x\"\n").order());

  EXPECT_NE(dot.find(R"("a\" b" -> "c" [label="\"x\""];)"), std::string::npos) << dot;
}

}  // namespace
}  // namespace gordian::report
