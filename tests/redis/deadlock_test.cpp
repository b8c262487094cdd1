// SPDX-License-Identifier: Apache-2.0
// Deadlocks over the locks of several clients: each is found, broken by one victim, and nothing
// else is called one.
#include "gordian/redis_lock.h"
#include "redis/wait_record.h"
#include "redis_server.h"

#include <atomic>
#include <barrier>
#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <mutex>
#include <random>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::deadlock_member;
using gordian::redis::deadlock_mode;
using gordian::redis::lease;
using gordian::redis::lock_client;
using redis_test::RedisServer;
using Clock = std::chrono::steady_clock;

client_options options_for(const std::string& url, deadlock_mode mode) {
  client_options options;
  options.servers = {url};
  options.deadlocks = mode;
  return options;
}

std::string lock_name(int number) { return "ring-" + std::to_string(number); }

// Each of `size` clients takes its own lock, then wants the next one's. True: it was the victim.
bool take_two(lock_client& client, int number, int size, const std::function<void()>& meet) {
  lease own = client.acquire(lock_name(number));
  meet();
  try {
    const lease next = client.acquire(lock_name((number + 1) % size));
    return false;
  } catch (const gordian::redis::deadlock_error& error) {
    EXPECT_EQ(error.cycle().size(), static_cast<size_t>(size)) << error.what();
    EXPECT_EQ(error.cycle().front().thread, gettid());
    EXPECT_EQ(error.cycle().front().pid, getpid());
    EXPECT_EQ(error.cycle().front().wants, lock_name((number + 1) % size));
    return true;
  }
}

void run_ring(int size) {
  RedisServer server;
  std::barrier everybody_holds_one(size);
  std::atomic<int> victims{0};
  Clock::time_point closed;
  std::vector<std::thread> threads;
  for (int number = 0; number < size; ++number)
    threads.emplace_back([&, number] {
      lock_client client(options_for(server.url(), deadlock_mode::raise));
      const bool was_victim = take_two(client, number, size, [&] {
        everybody_holds_one.arrive_and_wait();
        if (number == 0) closed = Clock::now();
      });
      if (was_victim) ++victims;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(victims, 1);
  EXPECT_LT(Clock::now() - closed, 2s);
}

TEST(Deadlock, OfTwoClientsHasOneVictim) { run_ring(2); }
TEST(Deadlock, OfEightClientsHasOneVictim) { run_ring(8); }

TEST(Deadlock, OfThreeProcessesHasOneVictim) {
  RedisServer server;
  constexpr int kProcesses = 3;
  int ready[2], go[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(go), 0);
  std::vector<pid_t> children;
  for (int number = 0; number < kProcesses; ++number) {
    const pid_t child = fork();
    if (child == 0) {
      int status = 2;
      try {
        lock_client client(options_for(server.url(), deadlock_mode::raise));
        const bool was_victim = take_two(client, number, kProcesses, [&] {
          char byte = 'x';
          if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1) _exit(3);
        });
        status = ::testing::Test::HasFailure() ? 4 : was_victim ? 1 : 0;
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
      }
      _exit(status);
    }
    children.push_back(child);
  }
  char bytes[kProcesses];
  for (int number = 0; number < kProcesses; ++number) ASSERT_EQ(read(ready[0], bytes, 1), 1);
  ASSERT_EQ(write(go[1], "xxx", kProcesses), kProcesses);
  int victims = 0;
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_LE(WEXITSTATUS(status), 1);
    victims += WEXITSTATUS(status);
  }
  EXPECT_EQ(victims, 1);
  for (const int fd : {ready[0], ready[1], go[0], go[1]}) close(fd);
}

TEST(Deadlock, IsOnlyReportedOnRequestAndToEverybody) {
  RedisServer server;
  std::atomic<int> told{0};
  client_options options = options_for(server.url(), deadlock_mode::report);
  options.on_deadlock = [&](const std::vector<deadlock_member>& cycle) {
    EXPECT_EQ(cycle.size(), 2U);
    ++told;
    told.notify_all();
  };
  lock_client left(options), right(options);
  lease left_own = left.acquire("left");
  std::barrier both(2);
  std::thread other([&] {
    lease right_own = right.acquire("right");
    both.arrive_and_wait();
    EXPECT_THROW((void)right.acquire("left"), gordian::redis::lock_error);
  });
  both.arrive_and_wait();
  std::thread breaker([&] {
    for (int count = told; count < 2; count = told) told.wait(count);
    server.kill();  // what ends it here: a report alone does not
  });
  EXPECT_THROW((void)left.acquire("right"), gordian::redis::lock_error);
  other.join();
  breaker.join();
  EXPECT_EQ(told, 2);
}

// One of the two gives up by itself: there is nothing to claim.
TEST(Deadlock, IsNotClaimedWhereSomebodyHasADeadline) {
  RedisServer server;
  std::atomic<bool> told{false};
  client_options options = options_for(server.url(), deadlock_mode::raise);
  options.on_deadlock = [&](const std::vector<deadlock_member>&) { told = true; };
  lock_client left(options), right(options);
  lease left_own = left.acquire("left");
  std::barrier both(2);
  std::thread other([&] {
    {
      lease right_own = right.acquire("right");
      both.arrive_and_wait();
      EXPECT_THROW((void)right.acquire("left", Clock::now() + 900ms),
                   gordian::redis::deadline_error);
    }
  });
  both.arrive_and_wait();
  EXPECT_TRUE(left.acquire("right").valid());
  other.join();
  EXPECT_FALSE(told);
}

// Nor in traffic that always moves, however long its queues are.
TEST(Deadlock, IsNotClaimedInOrderedTraffic) {
  RedisServer server;
  std::atomic<int> told{0};
  std::vector<std::thread> threads;
  const auto end = Clock::now() + 1500ms;
  for (int number = 0; number < 4; ++number)
    threads.emplace_back([&, number] {
      client_options options = options_for(server.url(), deadlock_mode::raise);
      options.deadlock_delay = 10ms;
      options.on_deadlock = [&](const std::vector<deadlock_member>&) { ++told; };
      lock_client client(options);
      std::mt19937 random(static_cast<unsigned>(number));
      while (Clock::now() < end) {
        const lease first = client.acquire(lock_name(static_cast<int>(random() % 3)));
        const lease second = client.acquire(lock_name(3 + static_cast<int>(random() % 3)));
        if (random() % 4 == 0) std::this_thread::sleep_for(25ms);  // work, longer than the delay
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(told, 0);
}

TEST(WaitRecord, IsReadAsItWasWrittenAndNothingElseIs) {
  gordian::redis::WaitRecord record{.host = "a host", .pid = 7, .edition = 3, .owners = {}};
  record.owners.push_back({.thread = 8,
                           .wait = 9,
                           .priority = -1,
                           .since_ms = 10,
                           .thread_name = "",
                           .wants = std::string("a\0 b\n", 5),
                           .holds = {"c", ""}});
  const std::string text = to_text(record);
  const auto read = gordian::redis::parse_wait_record(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(to_text(*read), text);
  EXPECT_EQ(read->owners[0].wants, record.owners[0].wants);
  EXPECT_EQ(read->owners[0].holds, record.owners[0].holds);
  for (size_t size = 0; size < text.size(); ++size) {
    const auto part = gordian::redis::parse_wait_record(text.substr(0, size));
    EXPECT_TRUE(!part || part->owners.empty()) << size;
  }
  EXPECT_FALSE(gordian::redis::parse_wait_record(text + "1 2 3\n"));
}

}  // namespace
