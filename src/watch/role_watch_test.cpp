// SPDX-License-Identifier: Apache-2.0
#include "watch/role_watch.h"

#include <gtest/gtest.h>

namespace gordian::watch {
namespace {

constexpr uint64_t kAsksLeft = 0x1010, kTookLeft = 0x1000, kAsksRight = 0x2010;

RoleWatch house(const std::vector<uint64_t>& addresses = {kAsksLeft, kTookLeft, kAsksRight}) {
  RoleWatch watch({.roles = {{.thread = "\"left\"",
                              .request = {.module = "/bin/house", .words = "left()"},
                              .holds = {{.module = "/bin/house"}}},
                             {.thread = "\"right\"",
                              .request = {.module = "/lib/right.so", .words = "right()"}}}});
  watch.set_addresses(addresses);
  return watch;
}

SteeredThread stands_at(uint64_t site, uint64_t held_site = 0) {
  SteeredThread thread{.where = Whereabouts::AtGate, .site = site};
  if (held_site != 0) thread.holds.push_back({.address = 1, .site = held_site});
  return thread;
}

TEST(RoleWatch, KnowsARoleByItsPlaceAndWhatItHolds) {
  RoleWatch watch = house();

  EXPECT_EQ(watch.arrive(stands_at(kAsksLeft, kTookLeft)), (std::vector<size_t>{0}));
  EXPECT_EQ(watch.arrive(stands_at(kAsksRight)), (std::vector<size_t>{1}));
  EXPECT_TRUE(watch.arrive(stands_at(kAsksLeft)).empty());
  EXPECT_TRUE(watch.arrive(stands_at(kTookLeft)).empty());
  EXPECT_EQ(watch.came(0), 1U);
}

TEST(RoleWatch, SaysWhoCameWithoutWhatItsRoleHolds) {
  RoleWatch watch = house();
  watch.arrive(stands_at(kAsksRight));
  watch.arrive(stands_at(kAsksLeft));

  EXPECT_EQ(watch.divergence(),
            "no thread came to left() with what \"left\" holds there (1 time one came without it); "
            "\"right\" came 1 time");
}

TEST(RoleWatch, SaysWhatWasNotLoaded) {
  EXPECT_EQ(house({kAsksLeft, kTookLeft, 0}).divergence(),
            "no thread came to left() with what \"left\" holds there; "
            "right() was not there: right.so was not loaded");
}

TEST(RoleWatch, SaysThatTheyCameOneAfterTheOther) {
  RoleWatch watch = house();
  watch.arrive(stands_at(kAsksLeft, kTookLeft));
  watch.stand({{0}});
  watch.arrive(stands_at(kAsksRight));
  watch.arrive(stands_at(kAsksRight));
  watch.stand({{1}});

  EXPECT_EQ(
      watch.divergence(),
      "its threads never stood there at the same time: \"left\" came 1 time, \"right\" came 2 "
      "times");
}

TEST(RoleWatch, OneThreadInTwoRolesIsNotTwoThreads) {
  RoleWatch watch = house({kAsksLeft, kTookLeft, kAsksLeft});
  const std::vector<size_t> both = watch.arrive(stands_at(kAsksLeft, kTookLeft));
  ASSERT_EQ(both, (std::vector<size_t>{0, 1}));
  watch.stand({both});
  EXPECT_TRUE(watch.divergence().starts_with("its threads never stood there at the same time"));

  watch.stand({both, both});

  EXPECT_TRUE(watch.divergence().starts_with("its threads stood there at the same time"));
}

}  // namespace
}  // namespace gordian::watch
