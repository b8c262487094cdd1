// SPDX-License-Identifier: Apache-2.0
#include "watch/director.h"

#include <gtest/gtest.h>

namespace gordian::watch {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kLeftWants = 0x1010, kLeftHolds = 0x1000;
constexpr uint64_t kRightWants = 0x2010, kRightHolds = 0x2000;
constexpr uint64_t kKitchen = 0xa000, kGarden = 0xb000, kCellar = 0xc000;

// Left holds the kitchen and wants the garden, right the reverse.
SteerPlan crossing() {
  return {.roles = {{.thread = "left",
                     .request = {.module = "/bin/house", .offset = kLeftWants, .words = "left()"},
                     .holds = {{.module = "/bin/house", .offset = kLeftHolds}}},
                    {.thread = "right",
                     .request = {.module = "/bin/house", .offset = kRightWants, .words = "right()"},
                     .holds = {{.module = "/bin/house", .offset = kRightHolds}}}}};
}

SteeredThread at_gate(uint32_t uid, uint64_t site, uint64_t wanted, uint64_t held,
                      uint64_t held_site) {
  return {.card = uid - 1,
          .uid = uid,
          .where = Whereabouts::AtGate,
          .moves = site,
          .holds = {{.address = held, .site = held_site}},
          .arrival = 1,
          .kind = format::Kind::Mutex,
          .address = wanted,
          .site = site};
}

SteeredThread left(uint32_t uid) { return at_gate(uid, kLeftWants, kGarden, kKitchen, kLeftHolds); }
SteeredThread right(uint32_t uid) {
  return at_gate(uid, kRightWants, kKitchen, kGarden, kRightHolds);
}
SteeredThread elsewhere(uint32_t uid, Whereabouts where) {
  return {.card = uid - 1, .uid = uid, .where = where};
}

Director directed(uint64_t seed = 0) {
  Director director(crossing(), {.seed = seed});
  director.on_addresses({kLeftWants, kLeftHolds, kRightWants, kRightHolds});
  return director;
}

constexpr SteerClock::time_point kBegin{};

TEST(Director, HoldsTheFirstUntilTheCircleIsClosed) {
  Director director = directed();
  const std::vector<SteeredThread> alone{left(1), elsewhere(2, Whereabouts::Running)};
  EXPECT_TRUE(director.decide(alone, kBegin).open.empty());

  const std::vector<SteeredThread> both{left(1), right(2)};
  const Decision decision = director.decide(both, kBegin + milliseconds(5));

  EXPECT_EQ(decision.open, (std::vector<uint32_t>{0, 1}));
  EXPECT_TRUE(director.account().closed);
}

TEST(Director, IsNotClosedByThreadsThatHoldOtherLocks) {
  Director director = directed();
  SteeredThread other_house = right(2);
  other_house.holds[0].address = kCellar;

  const std::vector<SteeredThread> both{left(1), other_house};

  EXPECT_TRUE(director.decide(both, kBegin).open.empty());
  EXPECT_FALSE(director.account().closed);
}

TEST(Director, LetsBySomebodyWhoDoesNotHoldWhatTheRoleHolds) {
  Director director = directed();
  SteeredThread free_handed = left(1);
  free_handed.holds.clear();

  const std::vector<SteeredThread> threads{free_handed};

  EXPECT_EQ(director.decide(threads, kBegin).open, (std::vector<uint32_t>{0}));
}

TEST(Director, LetsGoWhenNobodyElseCanMove) {
  Director director = directed();
  const std::vector<SteeredThread> stuck{left(1), elsewhere(2, Whereabouts::Waiting)};
  EXPECT_TRUE(director.decide(stuck, kBegin).open.empty());

  EXPECT_TRUE(director.decide(stuck, kBegin + milliseconds(90)).open.empty());

  const Decision decision = director.decide(stuck, kBegin + milliseconds(110));

  EXPECT_EQ(decision.open, (std::vector<uint32_t>{0}));
}

TEST(Director, KeepsHoldingWhileSomebodyStillMoves) {
  Director director = directed();
  const std::vector<SteeredThread> threads{left(1), elsewhere(2, Whereabouts::Asleep)};
  EXPECT_TRUE(director.decide(threads, kBegin).open.empty());

  EXPECT_TRUE(director.decide(threads, kBegin + milliseconds(1900)).open.empty());
}

TEST(Director, LetsGoWhoWasHeldTooLong) {
  Director director = directed();
  const std::vector<SteeredThread> threads{left(1), elsewhere(2, Whereabouts::Running)};
  EXPECT_TRUE(director.decide(threads, kBegin).open.empty());

  const Decision decision = director.decide(threads, kBegin + milliseconds(2100));

  EXPECT_EQ(decision.open, (std::vector<uint32_t>{0}));
}

TEST(Director, IsLessPatientWithWhoCameInVain) {
  Director director = directed();
  SteeredThread again = left(1);
  const std::vector<SteeredThread> first{again, elsewhere(2, Whereabouts::Running)};
  director.decide(first, kBegin);
  ASSERT_EQ(director.decide(first, kBegin + milliseconds(2100)).open.size(), 1U);
  again.arrival = 2;
  const std::vector<SteeredThread> second{again, elsewhere(2, Whereabouts::Running)};
  director.decide(second, kBegin + milliseconds(2200));

  EXPECT_TRUE(director.decide(second, kBegin + milliseconds(3100)).open.empty());
  EXPECT_EQ(director.decide(second, kBegin + milliseconds(3300)).open.size(), 1U);
}

// Left waits for the garden, which right holds; but right asks for the cellar first.
TEST(Director, LetsPassWhoIsOnItsWay) {
  Director director = directed();
  SteeredThread passing = right(2);
  passing.address = kCellar;
  const std::vector<SteeredThread> threads{left(1), passing};
  EXPECT_TRUE(director.decide(threads, kBegin).open.empty());

  EXPECT_EQ(director.decide(threads, kBegin + milliseconds(10)).open, (std::vector<uint32_t>{1}));

  SteeredThread arrived = right(2);
  arrived.arrival = 2;
  const std::vector<SteeredThread> both{left(1), arrived};
  EXPECT_EQ(director.decide(both, kBegin + milliseconds(15)).open, (std::vector<uint32_t>{0, 1}));
}

TEST(Director, HoldsOneOfEachIfThatIsItsWay) {
  Director all = directed();
  Director one(crossing(), {.one_of_each = true});
  one.on_addresses({kLeftWants, kLeftHolds, kRightWants, kRightHolds});
  const std::vector<SteeredThread> threads{left(1), left(2)};

  EXPECT_TRUE(all.decide(threads, kBegin).open.empty());
  EXPECT_EQ(one.decide(threads, kBegin).open, (std::vector<uint32_t>{1}));
}

TEST(Director, ClosesACircleThroughAJoin) {
  Director director({.roles = {{.thread = "stopper",
                                .request = {.offset = kLeftWants},
                                .holds = {{.offset = kLeftHolds}}},
                               {.thread = "worker", .request = {.offset = kRightWants}}}},
                    {});
  director.on_addresses({kLeftWants, kLeftHolds, kRightWants});
  SteeredThread stopper = left(1);
  stopper.kind = format::Kind::Join;
  stopper.address = 0x7000;
  stopper.object = 2;
  SteeredThread worker = right(2);
  worker.holds.clear();

  const std::vector<SteeredThread> both{stopper, worker};

  EXPECT_EQ(director.decide(both, kBegin).open, (std::vector<uint32_t>{0, 1}));
}

TEST(Director, DoesNotTakeTheJoinOfAnotherThreadForIt) {
  Director director({.roles = {{.thread = "stopper",
                                .request = {.offset = kLeftWants},
                                .holds = {{.offset = kLeftHolds}}},
                               {.thread = "worker", .request = {.offset = kRightWants}}}},
                    {});
  director.on_addresses({kLeftWants, kLeftHolds, kRightWants});
  SteeredThread stopper = left(1);
  stopper.kind = format::Kind::Join;
  stopper.object = 3;
  SteeredThread worker = right(2);
  worker.holds.clear();

  const std::vector<SteeredThread> both{stopper, worker};

  EXPECT_TRUE(director.decide(both, kBegin).open.empty());
}

TEST(Director, TwoReadersDoNotCloseACircle) {
  Director director = directed();
  SteeredThread reader = left(1);
  reader.shared = true;
  SteeredThread other = right(2);
  other.holds[0].shared = true;

  const std::vector<SteeredThread> both{reader, other};

  EXPECT_TRUE(director.decide(both, kBegin).open.empty());
}

TEST(Director, SaysWhoNeverCame) {
  Director director = directed();
  const std::vector<SteeredThread> threads{left(1), elsewhere(2, Whereabouts::Running)};
  director.decide(threads, kBegin);

  EXPECT_NE(director.account().diverged.find("no thread came to right()"), std::string::npos)
      << director.account().diverged;
}

TEST(Director, OneSeedDecidesTheSameTwice) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Director first = directed(seed);
    Director second = directed(seed);
    for (uint32_t uid = 1; uid < 20; ++uid) {
      const std::vector<SteeredThread> threads{left(uid)};
      ASSERT_EQ(first.decide(threads, kBegin).open, second.decide(threads, kBegin).open)
          << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace gordian::watch
