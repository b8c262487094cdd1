// SPDX-License-Identifier: Apache-2.0
// Deadlocks over the locks of several clients: each is found, broken by one victim, and nothing
// else is called one.
#include "gordian/redis_lock.h"
#include "redis/wait_record.h"
#include "redis_server.h"

#include <atomic>
#include <barrier>
#include <chrono>
#include <fstream>
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
  EXPECT_LT(Clock::now() - closed, 1s);
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

// Blocked in the kernel: nothing it holds is let go before somebody lets it go on.
void until_it_sleeps(pid_t thread) {
  const std::string path = "/proc/self/task/" + std::to_string(thread) + "/stat";
  while (true) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    const size_t paren = line.rfind(')');
    if (paren != std::string::npos && line.compare(paren + 2, 1, "S") == 0) return;
    std::this_thread::yield();
  }
}

// One thread holds the lease and waits inside its process; another one there waits for the lease
// of the other client.
TEST(Deadlock, ThroughAMutexOfOneProcessIsFound) {
  RedisServer server;
  std::mutex ledger;
  std::atomic<pid_t> holder{0};
  std::atomic<int> victims{0};
  std::barrier start(3);
  lock_client here(options_for(server.url(), deadlock_mode::raise));
  lock_client there(options_for(server.url(), deadlock_mode::raise));
  std::thread holds_lease([&] {
    const lease invoices = here.acquire("invoices");
    start.arrive_and_wait();
    holder = gettid();
    const std::lock_guard want(ledger);
  });
  std::thread holds_mutex([&] {
    const std::lock_guard hold(ledger);
    start.arrive_and_wait();
    while (holder == 0) std::this_thread::yield();
    until_it_sleeps(holder);
    try {
      const lease orders = here.acquire("orders");
    } catch (const gordian::redis::deadlock_error& error) {
      ++victims;
      ASSERT_EQ(error.cycle().size(), 2U);
      const deadlock_member& own = error.cycle().front();
      EXPECT_EQ(own.thread, gettid());
      ASSERT_EQ(own.local_waits.size(), 1U);
      EXPECT_NE(own.local_waits[0].find("thread " + std::to_string(holder) + " "),
                std::string::npos);
      EXPECT_NE(own.local_waits[0].find("waits for the mutex at 0x"), std::string::npos);
      EXPECT_FALSE(own.stack.empty());
      EXPECT_NE(std::string(error.what()).find(own.local_waits[0]), std::string::npos);
    }
  });
  std::thread other([&] {
    const lease orders = there.acquire("orders");
    start.arrive_and_wait();
    try {
      const lease invoices = there.acquire("invoices");
    } catch (const gordian::redis::deadlock_error&) {
      ++victims;
    }
  });
  for (std::thread* const thread : {&holds_lease, &holds_mutex, &other}) thread->join();
  EXPECT_EQ(victims, 1);
}

// The same with a join, and with one client: then there is no other process in it at all.
TEST(Deadlock, ThroughAJoinIsFound) {
  RedisServer server;
  lock_client client(options_for(server.url(), deadlock_mode::raise));
  std::atomic<int> victims{0};
  {
    const lease invoices = client.acquire("invoices");
    std::thread worker([&] {
      try {
        const lease want = client.acquire("invoices");
      } catch (const gordian::redis::deadlock_error& error) {
        ++victims;
        ASSERT_EQ(error.cycle().front().local_waits.size(), 1U);
        EXPECT_NE(error.cycle().front().local_waits[0].find("waits for the end of thread"),
                  std::string::npos);
      }
    });
    worker.join();
  }
  EXPECT_EQ(victims, 1);
}

// The lease lies where another thread finds it, and that one is busy with it: no deadlock.
TEST(Deadlock, IsNotClaimedWhereAnotherThreadMayReleaseTheLease) {
  RedisServer server;
  std::atomic<bool> told{false};
  client_options options = options_for(server.url(), deadlock_mode::raise);
  options.on_deadlock = [&](const std::vector<deadlock_member>&) { told = true; };
  lock_client left(options), right(options);
  auto moved = std::make_unique<lease>(left.acquire("left"));
  std::barrier both(2);
  std::thread other([&] {
    const lease own = right.acquire("right");
    both.arrive_and_wait();
    EXPECT_TRUE(right.acquire("left").valid());
  });
  both.arrive_and_wait();
  std::thread worker([&] {
    std::this_thread::sleep_for(900ms);  // work under the lease
    moved->release();
  });
  EXPECT_TRUE(left.acquire("right").valid());
  other.join();
  worker.join();
  EXPECT_FALSE(told);
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
