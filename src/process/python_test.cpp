// SPDX-License-Identifier: Apache-2.0
#include "process/python.h"

#include <gtest/gtest.h>
#include <string>

namespace gordian::process {
namespace {

// Entries by hand, after Objects/locations.md: head (0x80 | form << 3 | units - 1), then its bytes.
std::string table(std::initializer_list<int> bytes) {
  std::string text;
  for (const int byte : bytes) text += static_cast<char>(byte);
  return text;
}
constexpr int head(int form, int units) { return 0x80 | form << 3 | (units - 1); }

TEST(Python, LinesComeFromTheLocationTable) {
  const std::string lines = table({
      head(13, 1), 0x02,                    // unit 0: one line on
      head(11, 2), 4, 9,                    // units 1, 2: the next line
      head(3, 1), 0x21,                     // unit 3: the same line
      head(14, 3), 0x07, 0x00, 0x01, 0x05,  // units 4 to 6: three lines back
      head(15, 1),                          // unit 7: none
      head(13, 1), 0x40, 0x02,              // unit 8: 64 lines on
  });
  EXPECT_EQ(line_in_table(lines, 100, 0), 101);
  EXPECT_EQ(line_in_table(lines, 100, 1), 102);
  EXPECT_EQ(line_in_table(lines, 100, 2), 102);
  EXPECT_EQ(line_in_table(lines, 100, 3), 102);
  EXPECT_EQ(line_in_table(lines, 100, 4), 99);
  EXPECT_EQ(line_in_table(lines, 100, 6), 99);
  EXPECT_EQ(line_in_table(lines, 100, 7), 0);
  EXPECT_EQ(line_in_table(lines, 100, 8), 163);
  EXPECT_EQ(line_in_table(lines, 100, 9), 0);
}

TEST(Python, ADamagedTableHasNoLines) {
  EXPECT_EQ(line_in_table({}, 1, 0), 0);
  EXPECT_EQ(line_in_table(table({0x00, 0x01}), 1, 0), 0);
  const std::string cut = table({head(14, 8), 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f});
  for (size_t size = 0; size <= cut.size(); ++size)
    EXPECT_EQ(line_in_table(std::string_view(cut).substr(0, size), 1, 100), 0);
}

}  // namespace
}  // namespace gordian::process
