// SPDX-License-Identifier: Apache-2.0
#include "runtime/lock_table.h"

#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace gordian::runtime {
namespace {

using format::Kind;
using format::LockEntry;

class LockTable : public testing::Test {
 protected:
  void SetUp() override { ensure_started(); }
};

TEST_F(LockTable, OneAddressIsOneLock) {
  const LockEntry* entry = register_lock(0x10000, Kind::Mutex, 1);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(register_lock(0x10000, Kind::Mutex, 2), entry);
  EXPECT_EQ(entry->birth_site, 1U);
  EXPECT_EQ(find_lock(0x10000), entry);
  EXPECT_EQ(find_lock(0x10008), nullptr);
}

TEST_F(LockTable, ALockAtTheAddressOfADeadOneIsAnother) {
  const uint32_t id = register_lock(0x20000, Kind::Mutex, 1)->id;
  const uint32_t generation = generation_of(0x20000);
  lock_ended(0x20000);
  EXPECT_EQ(find_lock(0x20000), nullptr);
  EXPECT_NE(generation_of(0x20000), generation);
  EXPECT_NE(register_lock(0x20000, Kind::Mutex, 1)->id, id);
}

TEST_F(LockTable, InitialisingEndsWhatLayThere) {
  const uint32_t id = register_lock(0x30000, Kind::RwLock, 1)->id;
  lock_born(0x30000, Kind::RwLock, 2, format::kLockPrefersWriters, 7);
  const LockEntry* entry = find_lock(0x30000);
  ASSERT_NE(entry, nullptr);
  EXPECT_NE(entry->id, id);
  EXPECT_EQ(entry->birth_site, 7U);
  EXPECT_EQ(entry->flags, format::kLockPrefersWriters | format::kLockBornByInit);
}

TEST_F(LockTable, AnotherKindAtTheAddressIsAnotherLock) {
  const uint32_t id = register_lock(0x40000, Kind::Mutex, 1)->id;
  EXPECT_NE(register_lock(0x40000, Kind::RwLock, 1)->id, id);
}

TEST_F(LockTable, TheEndOfABlockEndsTheLocksInItAndNoOthers) {
  register_lock(0x50ff8, Kind::Mutex, 1);
  register_lock(0x51000, Kind::Mutex, 1);
  register_lock(0x8fff8, Kind::Mutex, 1);
  register_lock(0x90000, Kind::Mutex, 1);
  EXPECT_TRUE(may_contain_locks(0x51000));
  locks_ended(0x51000, 0x90000);
  EXPECT_NE(find_lock(0x50ff8), nullptr);
  EXPECT_EQ(find_lock(0x51000), nullptr);
  EXPECT_EQ(find_lock(0x8fff8), nullptr);
  EXPECT_NE(find_lock(0x90000), nullptr);
}

TEST_F(LockTable, FilesAreToldApartByDeviceAndInode) {
  const Request one{.address = 5, .object = 100, .kind = Kind::Flock};
  const Request other{.address = 5, .object = 101, .kind = Kind::Flock};
  EXPECT_NE(register_lock(one, 1), register_lock(other, 1));
  EXPECT_EQ(register_lock(one, 2), register_lock(one, 3));
}

// Threads register and end locks of their own and of one shared range; afterwards each lock is
// there exactly if its last event was a registration.
TEST_F(LockTable, SurvivesManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kLocks = 2000;
  std::vector<std::vector<bool>> expected(kThreads, std::vector<bool>(kLocks));
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([t, &expected] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int step = 0; step < 20000; ++step) {
        const auto i = static_cast<int>(random() % kLocks);
        // Neighbours in memory belong to different threads: every bucket is shared.
        const uint64_t address = 0x1000000 + 64 * static_cast<uint64_t>(i * kThreads + t);
        const bool live = random() % 2 == 0;
        if (live) {
          while (register_lock(address, Kind::Mutex, 1) == nullptr) {
          }
        } else {
          // A bucket that is kept too long drops the event, and counts that: then once more.
          uint64_t dropped = 0;
          do {
            dropped = __atomic_load_n(&board.header->dropped_locks, __ATOMIC_RELAXED);
            lock_ended(address);
          } while (__atomic_load_n(&board.header->dropped_locks, __ATOMIC_RELAXED) != dropped);
        }
        expected[static_cast<size_t>(t)][static_cast<size_t>(i)] = live;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < kThreads; ++t) {
    for (int i = 0; i < kLocks; ++i) {
      const uint64_t address = 0x1000000 + 64 * static_cast<uint64_t>(i * kThreads + t);
      EXPECT_EQ(find_lock(address) != nullptr,
                expected[static_cast<size_t>(t)][static_cast<size_t>(i)]);
    }
  }
}

}  // namespace
}  // namespace gordian::runtime
