// SPDX-License-Identifier: Apache-2.0
// Readers: together, never beside an exclusive holder of whatever client, and not for ever in front
// of a writer.
#include "gordian/redis_lock.h"
#include "redis/wire.h"
#include "redis_server.h"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <random>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::lease;
using gordian::redis::lock_client;
using redis_test::options_for;
using redis_test::RedisServer;
using Clock = std::chrono::steady_clock;

// Until the server has a key; the test's own time limit ends it otherwise.
void wait_for_key(RedisServer& server, std::string_view key) {
  while (server.number({"EXISTS", key}) == 0) std::this_thread::sleep_for(1ms);
}

TEST(Shared, ReadersAreTogetherAndAWriterWaitsForTheLast) {
  RedisServer server;
  lock_client one(options_for(server)), other(options_for(server)), writer(options_for(server));
  lease first = one.acquire_shared("a"), second = other.acquire_shared("a");
  EXPECT_TRUE(first.valid() && second.valid());
  EXPECT_FALSE(writer.try_acquire("a"));
  first.release();
  EXPECT_FALSE(writer.try_acquire("a"));
  EXPECT_TRUE(second.valid());
  std::atomic<bool> has_it{false};
  Clock::time_point got;
  std::thread waiter([&] {
    const lease held = writer.acquire("a");
    got = Clock::now();
    has_it = true;
  });
  wait_for_key(server, "writer:{rueidislock:0:a}");
  EXPECT_FALSE(has_it);
  const Clock::time_point released = Clock::now();
  second.release();
  waiter.join();
  EXPECT_LT(got - released, 500ms);  // told, not found out by its timer
}

TEST(Shared, OfOneClientAndOfItsWriters) {
  RedisServer server;
  lock_client client(options_for(server));
  std::atomic<int> inside{0};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  std::atomic<int> readers_in{0};
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      const lease held = client.acquire_shared("a");
      ++readers_in;
      while (readers_in < 3) std::this_thread::sleep_for(1ms);  // only possible together
    });
  for (std::thread& thread : threads) thread.join();
  threads.clear();
  const auto end = Clock::now() + 400ms;
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&, i] {
      while (Clock::now() < end) {
        if (i % 3 == 0) {
          const lease held = client.acquire("a");
          if (inside.fetch_add(1000) != 0) ++wrong;
          inside -= 1000;
        } else {
          const lease held = client.acquire_shared("a");
          if (inside.fetch_add(1) >= 1000) ++wrong;
          inside -= 1;
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Shared, AWaitingWriterComesBeforeLaterReaders) {
  RedisServer server;
  lock_client one(options_for(server)), other(options_for(server)), writer(options_for(server));
  lease early = one.acquire_shared("a");
  std::thread waiter([&] {
    const lease held = writer.acquire("a");
    EXPECT_TRUE(held.valid());
  });
  wait_for_key(server, "writer:{rueidislock:0:a}");
  EXPECT_THROW((void)other.acquire_shared("a", Clock::now() + 100ms),
               gordian::redis::deadline_error);
  EXPECT_TRUE(early.valid());
  early.release();
  waiter.join();
  EXPECT_TRUE(other.acquire_shared("a", Clock::now() + 5s).valid());
}

TEST(Shared, AWriterThatGivesUpKeepsNobodyOut) {
  RedisServer server;
  lock_client one(options_for(server)), other(options_for(server)), writer(options_for(server));
  const lease early = one.acquire_shared("a");
  EXPECT_THROW((void)writer.acquire("a", Clock::now() + 100ms), gordian::redis::deadline_error);
  const auto begin = Clock::now();
  EXPECT_TRUE(other.acquire_shared("a").valid());
  EXPECT_LT(Clock::now() - begin, 500ms);
}

// The published protocol: set if absent, and a value nobody parses.
TEST(Shared, IsSafeAgainstAnExclusiveLockerOfThePublishedProtocol) {
  RedisServer server;
  lock_client client(options_for(server));
  {
    const lease reader = client.acquire_shared("a");
    const auto reply =
        server.run({"SET", "rueidislock:0:a", "foreign, 24 raw bytes ..", "NX", "PX", "60000"});
    EXPECT_EQ(reply->type, REDIS_REPLY_NIL);
  }
  while (server.number({"EXISTS", "rueidislock:0:a"}) != 0) std::this_thread::sleep_for(1ms);
  server.run({"SET", "rueidislock:0:a", "foreign, 24 raw bytes ..", "NX", "PX", "60000"});
  EXPECT_THROW((void)client.acquire_shared("a", Clock::now() + 100ms),
               gordian::redis::deadline_error);
  server.run({"DEL", "rueidislock:0:a"});
  EXPECT_TRUE(client.acquire_shared("a", Clock::now() + 5s).valid());
}

TEST(Shared, HasTheDocumentedBytes) {
  RedisServer server;
  lock_client one(options_for(server)), other(options_for(server));
  lease first = one.acquire_shared("a");
  const std::string value = server.text({"GET", "rueidislock:0:a"});
  const auto identity = gordian::redis::decode(value);
  ASSERT_TRUE(identity);
  EXPECT_TRUE(identity->shared);
  EXPECT_EQ(identity->thread, static_cast<uint32_t>(gettid()));
  EXPECT_EQ(server.number({"ZCARD", "readers:{rueidislock:0:a}"}), 1);
  const lease second = other.acquire_shared("a");
  EXPECT_EQ(server.text({"GET", "rueidislock:0:a"}), value);
  EXPECT_EQ(server.number({"ZCARD", "readers:{rueidislock:0:a}"}), 2);
  EXPECT_GT(server.number({"PTTL", "readers:{rueidislock:0:a}"}), 0);
  first.release();
  EXPECT_EQ(server.text({"GET", "rueidislock:0:a"}), value);
  EXPECT_EQ(server.number({"ZCARD", "readers:{rueidislock:0:a}"}), 1);
  EXPECT_THROW((void)one.acquire_shared("}{"), gordian::redis::misuse_error);
}

TEST(Shared, IsRenewedAndEndsWithACrashedReader) {
  RedisServer server;
  client_options options = options_for(server);
  options.validity = 600ms;
  options.extend_interval = 50ms;
  const pid_t child = fork();
  if (child == 0) {
    lock_client client(options);
    const lease held = client.acquire_shared("a");
    for (;;) pause();
  }
  wait_for_key(server, "rueidislock:0:a");
  lock_client client(options), writer(options);
  {
    const lease held = client.acquire_shared("a");
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    EXPECT_THROW((void)writer.acquire("a", Clock::now() + 900ms), gordian::redis::deadline_error);
    EXPECT_TRUE(held.valid());
  }
  const auto begin = Clock::now();
  EXPECT_TRUE(writer.acquire("a", Clock::now() + 5s).valid());
  EXPECT_LT(Clock::now() - begin, 1s);
}

// Between two groups of readers somebody else had it: the earlier ones are not taken for later
// ones.
TEST(Shared, ALostReaderIsNotOneOfTheNextGroup) {
  RedisServer server;
  client_options options = options_for(server);
  options.tracking = false;  // it shall find out when it renews
  options.validity = 600ms;
  lock_client early(options), late(options_for(server));
  const lease lost = early.acquire_shared("a");
  server.run({"SET", "rueidislock:0:a", "foreign, 24 raw bytes ..", "PX", "60000"});
  server.run({"DEL", "rueidislock:0:a"});
  const lease held = late.acquire_shared("a");
  while (!lost.lost().stop_requested()) std::this_thread::sleep_for(1ms);
  EXPECT_FALSE(lost.valid());
  EXPECT_TRUE(held.valid());
  EXPECT_EQ(server.number({"ZCARD", "readers:{rueidislock:0:a}"}), 1);
}

TEST(Shared, IsLostWhenSomebodyForcesTheLock) {
  RedisServer server;
  lock_client reader(options_for(server)), forcer(options_for(server));
  const lease held = reader.acquire_shared("a"), own = forcer.acquire_shared("a");
  const lease forced = forcer.force_acquire("a");
  while (!held.lost().stop_requested()) std::this_thread::sleep_for(1ms);
  EXPECT_FALSE(held.valid());
  EXPECT_FALSE(own.valid());
  EXPECT_TRUE(forced.valid());
}

TEST(Shared, AThreadDoesNotWaitForItself) {
  RedisServer server;
  lock_client client(options_for(server));
  {
    const lease held = client.acquire_shared("a");
    EXPECT_THROW((void)client.acquire("a"), gordian::redis::reentry_error);
    EXPECT_THROW((void)client.acquire_shared("a"), gordian::redis::reentry_error);
  }
  {
    const lease held = client.acquire("b");
    EXPECT_THROW((void)client.acquire_shared("b"), gordian::redis::reentry_error);
  }
  client_options allowing = options_for(server);
  allowing.allow_reentry = true;
  lock_client again(allowing);
  lease outer = again.acquire_shared("c");
  {
    const lease inner = again.acquire_shared("c");
    EXPECT_TRUE(inner.valid());
  }
  EXPECT_TRUE(outer.valid());
  EXPECT_EQ(server.number({"EXISTS", "rueidislock:0:c"}), 1);
  outer.release();
  EXPECT_EQ(server.number({"EXISTS", "rueidislock:0:c"}), 0);
}

// Several clients, a lock over three keys.
TEST(Shared, NeverHasAReaderAndAWriterAtOnce) {
  RedisServer server;
  std::atomic<int> inside{0};
  std::atomic<int> wrong{0};
  std::atomic<long> done{0};
  std::vector<std::thread> threads;
  const auto end = Clock::now() + 1200ms;
  for (int number = 0; number < 4; ++number)
    threads.emplace_back([&, number] {
      client_options options = options_for(server);
      options.majority = 2;
      lock_client client(options);
      std::mt19937 random(static_cast<unsigned>(number));
      while (Clock::now() < end) {
        if (random() % 3 == 0) {
          const lease held = client.acquire("a");
          if (inside.fetch_add(1000) != 0) ++wrong;
          inside -= 1000;
        } else {
          const lease held = client.acquire_shared("a");
          if (inside.fetch_add(1) >= 1000) ++wrong;
          inside -= 1;
        }
        ++done;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(done, 20);
}

}  // namespace
