// SPDX-License-Identifier: Apache-2.0
// Locks on independent servers, of which some are gone or know less than the others.
#include "gordian/redis_lock.h"
#include "redis_server.h"

#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::deadlock_mode;
using gordian::redis::lease;
using gordian::redis::lock_client;
using redis_test::RedisServer;

class ThreeServers : public ::testing::Test {
 protected:
  client_options options() {
    client_options options;
    options.servers.clear();
    for (const RedisServer& server : servers) options.servers.push_back(server.url());
    options.kind = gordian::redis::topology::independent;
    options.command_timeout = 300ms;
    return options;
  }
  std::array<RedisServer, 3> servers;
};

TEST_F(ThreeServers, TokensGrowWhicheverServersAreAsked) {
  client_options fenced = options();
  fenced.fencing = true;
  // The first server has seen more than the others; then it is the one that is missing.
  servers[0].run({"SET", "fence:{rueidislock:0:a}", "4000000000000000"});
  uint64_t first = 0, second = 0;
  {
    lock_client client(fenced);
    first = client.acquire("a").fencing_token();
  }
  EXPECT_GE(first, 4000000000000001U);
  servers[0].kill();
  {
    lock_client client(fenced);
    second = client.acquire("a").fencing_token();
  }
  EXPECT_GT(second, first);
  servers[0].start();
  servers[0].run({"DEL", "fence:{rueidislock:0:a}"});
  servers[1].kill();
  lock_client client(fenced);
  EXPECT_GT(client.acquire("a").fencing_token(), second);
}

// Also with the server gone that has the first key of every lock.
TEST_F(ThreeServers, ADeadlockIsFoundWithOneServerGone) {
  client_options raising = options();
  raising.deadlocks = deadlock_mode::raise;
  lock_client left(raising), right(raising);
  servers[0].kill();
  std::atomic<int> victims{0};
  std::barrier both(2);
  const auto body = [&](lock_client& client, const char* own, const char* other) {
    const lease held = client.acquire(own);
    both.arrive_and_wait();
    try {
      const lease wanted = client.acquire(other);
    } catch (const gordian::redis::deadlock_error&) {
      ++victims;
    }
  };
  std::thread one([&] { body(left, "a", "b"); });
  std::thread other([&] { body(right, "b", "a"); });
  one.join();
  other.join();
  EXPECT_EQ(victims, 1);
}

}  // namespace
