// SPDX-License-Identifier: Apache-2.0
#include "analysis/told.h"

#include <gtest/gtest.h>

namespace gordian::analysis {
namespace {

using model::Finding;
using model::FindingKind;
using model::ResourceId;
using model::Verdict;

// Threads with tids from `first_tid` on, each wanting the lock at the next of the addresses.
Finding knot(Verdict verdict, const char* fingerprint, int first_tid,
             const std::vector<uint64_t>& addresses) {
  Finding finding;
  finding.verdict = verdict;
  finding.fingerprint = fingerprint;
  for (size_t i = 0; i < addresses.size(); ++i) {
    model::Resource& lock = finding.resources.emplace_back();
    lock.id = static_cast<ResourceId>(i);
    lock.address = addresses[i];
    model::FindingThread& thread = finding.threads.emplace_back();
    thread.tid = first_tid + static_cast<int>(i);
    thread.wants.emplace().resource = lock.id;
  }
  return finding;
}

TEST(Told, TheSameBugInAnotherInstanceIsNoNews) {
  Told told;
  EXPECT_TRUE(told.is_news(knot(Verdict::Possible, "a", 10, {0x100, 0x200})));
  EXPECT_FALSE(told.is_news(knot(Verdict::Possible, "a", 20, {0x300, 0x400})));
  EXPECT_TRUE(told.is_news(knot(Verdict::Possible, "b", 10, {0x100, 0x200})));
}

TEST(Told, WhatHappenedIsNoHazardToo) {
  Told told;
  told.add(knot(Verdict::Deadlock, "a", 10, {0x100, 0x200, 0x300}));
  EXPECT_FALSE(told.is_news(knot(Verdict::Possible, "a", 50, {0x900, 0x800})));
  // A part of it, with fewer names known.
  EXPECT_FALSE(told.is_news(knot(Verdict::Possible, "b", 11, {0x200, 0x300})));
  // The same threads and other locks, the same locks and other threads.
  EXPECT_TRUE(told.is_news(knot(Verdict::Possible, "c", 11, {0x200, 0x400})));
  EXPECT_TRUE(told.is_news(knot(Verdict::Possible, "d", 12, {0x200, 0x300})));
}

TEST(Told, RefutedPatternsEachHaveTheirReason) {
  Told told;
  EXPECT_TRUE(told.is_news(knot(Verdict::Refuted, "a", 10, {0x100, 0x200})));
  EXPECT_TRUE(told.is_news(knot(Verdict::Refuted, "a", 20, {0x300, 0x400})));
  EXPECT_TRUE(told.is_news(knot(Verdict::Possible, "a", 20, {0x300, 0x400})));
  EXPECT_FALSE(told.is_news(knot(Verdict::Refuted, "a", 20, {0x300, 0x400})));
}

TEST(Told, ALockSomebodyWaitsForIsNotAlsoLeftBehind) {
  Finding left = knot(Verdict::Possible, "a", 10, {0x100});
  left.kind = FindingKind::HeldAtExit;
  left.threads[0].wants.reset();
  Finding orphan = knot(Verdict::Deadlock, "b", 20, {0x100});
  orphan.kind = FindingKind::Orphan;
  Told told;
  told.add(orphan);
  EXPECT_FALSE(told.is_news(left));
  left.resources[0].address = 0x200;
  EXPECT_TRUE(told.is_news(left));
}

}  // namespace
}  // namespace gordian::analysis
