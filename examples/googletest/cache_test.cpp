// SPDX-License-Identifier: Apache-2.0
// Each test alone is right. Together they take two locks in both orders, without any thread.
#include <gordian/gtest.h>

#include <gtest/gtest.h>
#include <mutex>

namespace {

std::mutex index_mutex;
std::mutex entry_mutex;

TEST(Cache, LooksUpTheIndexAndThenAnEntry) {
  std::lock_guard index(index_mutex);
  std::lock_guard entry(entry_mutex);
  SUCCEED();
}

TEST(Cache, LooksUpAnEntryAndThenTheIndex) {
  std::lock_guard entry(entry_mutex);
  std::lock_guard index(index_mutex);
  SUCCEED();
}

TEST(Cache, LooksUpTheIndexAlone) {
  std::lock_guard index(index_mutex);
  SUCCEED();
}

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  gordian::testing::watch_tests();
  return RUN_ALL_TESTS();
}
