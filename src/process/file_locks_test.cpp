// SPDX-License-Identifier: Apache-2.0
#include "process/file_locks.h"

#include <gtest/gtest.h>

namespace gordian::process {
namespace {

TEST(FileLocks, AWaiterCarriesTheIdOfWhatBlocksIt) {
  const auto locks = parse_file_locks(
      "1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 0 EOF\n"
      "1: -> POSIX  ADVISORY  READ 3570 fd:00:2531452 0 EOF\n"
      "2: FLOCK  ADVISORY  READ 699 08:12:17 0 EOF\n");

  ASSERT_EQ(locks.size(), 3U);
  EXPECT_FALSE(locks[0].waiting);
  EXPECT_TRUE(locks[0].exclusive);
  EXPECT_EQ(locks[0].pid, 3568);
  EXPECT_EQ(locks[0].major, 0xfdU);
  EXPECT_EQ(locks[0].inode, 2531452U);
  EXPECT_TRUE(locks[1].waiting);
  EXPECT_EQ(locks[1].id, locks[0].id);
  EXPECT_EQ(locks[2].family, FileLockFamily::Flock);
  EXPECT_EQ(locks[2].minor, 0x12U);
}

TEST(FileLocks, DescriptorLinesAreTheSame) {
  const auto held = parse_file_locks(
      "pos:\t0\nflags:\t02\nlock:\t1: FLOCK  ADVISORY  WRITE 699 08:12:17 0 EOF\n");

  ASSERT_EQ(held.size(), 1U);
  EXPECT_EQ(held[0].pid, 699);
  EXPECT_EQ(held[0].range, "0 EOF");
}

TEST(FileLocks, NonsenseIsSkipped) {
  EXPECT_TRUE(parse_file_locks("").empty());
  EXPECT_TRUE(
      parse_file_locks("1:\n::\n1: LEASE ACTIVE WRITE 1 a:b:3 0 EOF\n1: POSIX\n\n").empty());
}

}  // namespace
}  // namespace gordian::process
