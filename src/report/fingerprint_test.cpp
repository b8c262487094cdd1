// SPDX-License-Identifier: Apache-2.0
#include "report/fingerprint.h"

#include "report/sample_findings.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gordian::report {
namespace {

using model::Finding;

TEST(Fingerprint, IsSixteenHexDigits) {
  EXPECT_THAT(fingerprint(sample::videoroom()), testing::MatchesRegex("[0-9a-f]{16}"));
}

// Users keep fingerprints in files: a change here breaks their suppressions.
TEST(Fingerprint, StaysWhatItWas) {
  EXPECT_EQ(fingerprint_text(sample::videoroom()),
            "lock-order\n"
            "holds glib-mutex Handle::mutex exclusive in admin_handle_info; wants glib-mutex "
            "Participant::streams_mutex exclusive in query_session\n"
            "holds glib-mutex Participant::streams_mutex exclusive in incoming_rtp; wants "
            "glib-mutex Handle::mutex exclusive in send_keyframe_request\n");
  EXPECT_EQ(fingerprint(sample::videoroom()), "4ff774ad9afe123d");
}

TEST(Fingerprint, DoesNotDependOnTheOrderOfThreadsAndLocks) {
  Finding turned = sample::two_joiners();
  std::rotate(turned.threads.begin(), turned.threads.begin() + 1, turned.threads.end());
  std::reverse(turned.resources.begin(), turned.resources.end());

  EXPECT_EQ(fingerprint(turned), fingerprint(sample::two_joiners()));
}

TEST(Fingerprint, DoesNotDependOnAddressesLinesTimesOrTids) {
  Finding moved = sample::videoroom();
  for (auto& resource : moved.resources) {
    resource.address += 0x5000;
    ++resource.generation;
  }
  for (auto& thread : moved.threads) {
    thread.tid += 100;
    thread.wants->waited *= 2;
    for (auto& frame : thread.wants->stack.frames) {
      frame.line += 7;
      frame.pc += 64;
    }
  }

  EXPECT_EQ(fingerprint(moved), fingerprint(sample::videoroom()));
}

TEST(Fingerprint, DoesNotDependOnHowManyThreadsDoTheSame) {
  Finding more = sample::redis_lock();
  model::FindingThread another = more.threads[1];
  another.id = model::ThreadId(more.threads.size());
  more.threads.push_back(another);

  EXPECT_EQ(fingerprint(more), fingerprint(sample::redis_lock()));
}

TEST(Fingerprint, DoesNotDependOnVictimsOrVerdict) {
  Finding finding = sample::replication();
  std::erase_if(finding.threads,
                [](const auto& thread) { return thread.role != model::Role::Knot; });
  finding.verdict = model::Verdict::Possible;

  EXPECT_EQ(fingerprint(finding), fingerprint(sample::replication()));
}

TEST(Fingerprint, OfALockWithoutNameUsesItsClassWithoutTheLine) {
  Finding moved = sample::three_cycle();
  for (auto& resource : moved.resources) resource.class_name = "init at bank.cc:99 in open_account";
  Finding other = sample::three_cycle();
  for (auto& resource : other.resources)
    resource.class_name = "init at bank.cc:14 in close_account";

  EXPECT_EQ(fingerprint(moved), fingerprint(sample::three_cycle()));
  EXPECT_NE(fingerprint(other), fingerprint(sample::three_cycle()));
}

TEST(Fingerprint, OfAMemberDoesNotDependOnTheVariableItWasFoundThrough) {
  Finding other = sample::videoroom();
  other.resources[1].name = "h->mutex";

  EXPECT_EQ(fingerprint(other), fingerprint(sample::videoroom()));
}

TEST(Fingerprint, TellsDifferentKnotsApart) {
  Finding renamed = sample::videoroom();
  renamed.resources[0].name = "other";
  Finding moved = sample::videoroom();
  moved.threads[0].wants->stack.frames[1].function = "elsewhere";

  EXPECT_NE(fingerprint(renamed), fingerprint(sample::videoroom()));
  EXPECT_NE(fingerprint(moved), fingerprint(sample::videoroom()));
}

}  // namespace
}  // namespace gordian::report
