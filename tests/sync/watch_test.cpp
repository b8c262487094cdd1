// SPDX-License-Identifier: Apache-2.0
// Watching: histograms, the longest waiter and its holder, the watchdog, Prometheus' text.
#include "blocked.h"
#include <gordian/sync.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using namespace std::chrono_literals;
using gordian::hold;
using sync_test::Blocker;
using testing::HasSubstr;

const gordian::watched_lock* find(const gordian::watch_summary& report, const std::string& name) {
  for (const auto& lock : report.locks) {
    if (lock.name == name) return &lock;
  }
  return nullptr;
}

TEST(Watch, CountsWaitsAndSamplesHolds) {
  gordian::start_watching({.sample_every = 1, .limit = 0ns, .on_long_wait = nullptr});
  gordian::mutex mutex("counted");
  for (int i = 0; i < 10; ++i) hold once(mutex);
  const auto report = gordian::watch_report();
  gordian::stop_watching();
  const auto* lock = find(report, "counted");
  ASSERT_NE(lock, nullptr);
  EXPECT_EQ(lock->waits.count, 10U);
  EXPECT_EQ(lock->holds.count, 10U);
  EXPECT_EQ(lock->waits.counts[0], 10U);  // none waited
  for (int i = 0; i < 10; ++i) hold once(mutex);
  EXPECT_EQ(find(gordian::watch_report(), "counted")->waits.count, 10U);  // off again
}

TEST(Watch, SamplesOneInSoMany) {
  gordian::start_watching({.sample_every = 8, .limit = 0ns, .on_long_wait = nullptr});
  gordian::mutex mutex("sampled");
  for (int i = 0; i < 80; ++i) hold once(mutex);
  const auto report = gordian::watch_report();
  gordian::stop_watching();
  EXPECT_EQ(find(report, "sampled")->holds.count, 10U);
}

TEST(Watch, TellsTheLongestWaiterAndItsHolder) {
  std::atomic<int> alarms{0};
  std::string told;
  gordian::start_watching({.sample_every = 64, .limit = 1ms, .on_long_wait = [&](const auto& wait) {
                             told = wait.lock + "|" + wait.holder;
                             ++alarms;
                           }});
  gordian::mutex mutex("slow \"one\"");
  std::unique_lock lock(mutex);
  Blocker waiter([&] { hold wanted(mutex); });
  ASSERT_TRUE(waiter.wait_until_blocked());
  while (alarms == 0) std::this_thread::yield();
  const auto report = gordian::watch_report();
  ASSERT_EQ(report.waiting.size(), 1U);
  EXPECT_EQ(report.waiting[0].lock, "slow \"one\"");
  EXPECT_THAT(report.waiting[0].holder, HasSubstr("thread "));
  EXPECT_GE(report.waiting[0].waited, 1ms);
  EXPECT_THAT(gordian::prometheus_text(),
              HasSubstr("gordian_lock_longest_wait_seconds{lock=\"slow \\\"one\\\"\"} "));
  lock.unlock();
  waiter.join();
  gordian::stop_watching();
  EXPECT_EQ(alarms, 1);
  EXPECT_THAT(told, HasSubstr("|thread "));
  const std::string text = gordian::prometheus_text();
  EXPECT_THAT(text, HasSubstr("gordian_lock_wait_seconds_count{lock=\"slow \\\"one\\\"\"} 2"));
  EXPECT_THAT(text, HasSubstr("# TYPE gordian_lock_hold_seconds histogram"));
  // Digits and a point, whatever the locale.
  EXPECT_THAT(text, HasSubstr("{lock=\"slow \\\"one\\\"\",le=\"0.000128000\"} "));
}

TEST(Watch, MayBeStoppedByItsOwnCallbackAndByOthersAtOnce) {
  std::atomic<int> step{0};
  gordian::start_watching({.limit = 1ms, .on_long_wait = [&](const auto&) {
                             step = 1;
                             while (step != 2) std::this_thread::yield();
                             gordian::stop_watching();
                           }});
  gordian::mutex mutex("slow");
  std::unique_lock lock(mutex);
  Blocker waiter([&] { hold wanted(mutex); });
  while (step != 1) std::this_thread::yield();
  lock.unlock();
  Blocker stopper([] { gordian::stop_watching(); });
  ASSERT_TRUE(stopper.wait_until_blocked());  // the callback runs
  step = 2;
}

// A scrape with bytes that are no UTF-8 is thrown away as a whole.
TEST(Watch, WritesNamesThatPrometheusCanRead) {
  gordian::start_watching({.sample_every = 1});
  gordian::mutex odd("a\"b\\c\nd\xff \xc3\xa9 \xc0\xaf \xed\xa0\x80 \xe2\x82");
  { hold once(odd); }
  gordian::stop_watching();
  EXPECT_THAT(gordian::prometheus_text(),
              HasSubstr("_count{lock=\"a\\\"b\\\\c\\nd\\\\xff \xc3\xa9 \\\\xc0\\\\xaf "
                        "\\\\xed\\\\xa0\\\\x80 \\\\xe2\\\\x82\"} 1"));
}

}  // namespace
