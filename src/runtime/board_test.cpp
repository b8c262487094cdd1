// SPDX-License-Identifier: Apache-2.0
#include "runtime/board.h"

#include <gtest/gtest.h>

namespace gordian::runtime {
namespace {

TEST(BoardLayout, RegionsFollowEachOtherAndFillTheBoard) {
  format::BoardHeader header{};
  ASSERT_TRUE(lay_out(header, 0));
  EXPECT_LT(header.waits_offset, header.cards_offset);
  EXPECT_LE(header.waits_offset + header.card_capacity * sizeof(format::WaitWord),
            header.cards_offset);
  EXPECT_LE(header.cards_offset + header.card_capacity * sizeof(format::Card),
            header.blocks_offset);
  EXPECT_LE(header.locks_offset + header.lock_capacity * sizeof(format::LockEntry),
            header.log_offset);
  EXPECT_EQ(header.log_offset + header.log_size, header.board_size);
  EXPECT_GE(header.card_capacity, 10000U);
  EXPECT_GE(header.lock_capacity, 1000000U);
}

TEST(BoardLayout, ASmallLimitGivesASmallBoard) {
  format::BoardHeader header{};
  ASSERT_TRUE(lay_out(header, 8 << 20));
  EXPECT_LE(header.board_size, uint64_t{8} << 20);
  EXPECT_GE(header.card_capacity, 64U);
}

TEST(BoardLayout, ATinyLimitGivesNone) {
  format::BoardHeader header{};
  EXPECT_FALSE(lay_out(header, 100000));
}

}  // namespace
}  // namespace gordian::runtime
