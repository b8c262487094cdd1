// SPDX-License-Identifier: Apache-2.0
// docs/redis-locks.md, byte by byte, on a real server: what another implementation may rely on.
#include "redis/wire.h"

#include "gordian/redis_lock.h"
#include "redis/scripts.h"
#include "redis_server.h"

#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::lease;
using gordian::redis::lock_client;
using redis_test::options_for;
using redis_test::RedisServer;

std::string byte_string(const std::string& value, size_t at, size_t size) {
  return value.substr(at, size);
}

TEST(Wire, AKeyIsThePrefixTheIndexAndTheName) {
  RedisServer server;
  client_options options = options_for(server);
  options.majority = 2;
  options.key_prefix = "p";
  lock_client client(options);
  const lease held = client.acquire("a:b");
  // The third key follows by itself.
  while (server.number({"DBSIZE"}) < 3) {
  }
  EXPECT_EQ(server.number({"EXISTS", "p:0:a:b", "p:1:a:b", "p:2:a:b"}), 3);
  const std::string value = server.text({"GET", "p:0:a:b"});
  EXPECT_EQ(server.text({"GET", "p:1:a:b"}), value);
  EXPECT_EQ(server.text({"GET", "p:2:a:b"}), value);
}

TEST(Wire, AValueIsTwentyFourBytesThatSayWhoseItIs) {
  RedisServer server;
  lock_client client(options_for(server)), other(options_for(server));
  const lease held = client.acquire("a"), next = client.acquire("b"), foreign = other.acquire("c");
  const std::string value = server.text({"GET", "rueidislock:0:a"});
  ASSERT_EQ(value.size(), 24U);
  EXPECT_EQ(byte_string(value, 0, 4), std::string("Gd\x01\0", 4));
  const uint32_t thread = static_cast<uint8_t>(value[4]) | static_cast<uint8_t>(value[5]) << 8 |
                          static_cast<uint8_t>(value[6]) << 16 |
                          static_cast<uint8_t>(value[7]) << 24;
  EXPECT_EQ(thread, static_cast<uint32_t>(gettid()));
  const std::string second = server.text({"GET", "rueidislock:0:b"});
  EXPECT_EQ(byte_string(second, 8, 8), byte_string(value, 8, 8)) << "one client, one incarnation";
  EXPECT_NE(byte_string(second, 16, 8), byte_string(value, 16, 8))
      << "every acquisition its number";
  EXPECT_NE(byte_string(server.text({"GET", "rueidislock:0:c"}), 8, 8), byte_string(value, 8, 8));
}

TEST(Wire, AKeyExpiresAfterTheValidity) {
  RedisServer server;
  lock_client client(options_for(server));
  const lease held = client.acquire("a");
  const long long left = server.number({"PTTL", "rueidislock:0:a"});
  EXPECT_GT(left, 4000);
  EXPECT_LE(left, 5000);
}

TEST(Wire, AForeignHolderOfThePublishedProtocolKeepsUsOut) {
  RedisServer server;
  lock_client client(options_for(server));
  server.run({"SET", "rueidislock:0:a", "\xff foreign, 24 raw bytes", "NX", "PX", "60000"});
  EXPECT_FALSE(client.try_acquire("a"));
  server.number({"DEL", "rueidislock:0:a"});
  EXPECT_TRUE(client.try_acquire("a"));
}

TEST(Wire, AFencingCounterIsBesideTheKeyAndExpires) {
  RedisServer server;
  client_options options = options_for(server);
  options.fencing = true;
  options.fencing_lifetime = 60s;
  lock_client client(options);
  const lease plain = client.acquire("a"), tagged = client.acquire("{t}b");
  const auto now_us = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                                std::chrono::system_clock::now().time_since_epoch())
                                                .count());
  EXPECT_LE(plain.fencing_token(), now_us);
  EXPECT_GT(plain.fencing_token(), now_us - 10'000'000);
  EXPECT_EQ(server.text({"GET", "fence:{rueidislock:0:a}"}), std::to_string(plain.fencing_token()));
  EXPECT_EQ(server.text({"GET", "fence:rueidislock:0:{t}b"}),
            std::to_string(tagged.fencing_token()));
  const long long left = server.number({"PTTL", "fence:{rueidislock:0:a}"});
  EXPECT_GT(left, 50'000);
  EXPECT_LE(left, 60'000);
  EXPECT_THROW((void)client.acquire("}{"), gordian::redis::misuse_error);
}

// A script that fails in its middle does not take back what it has done.
TEST(Wire, AFencingCounterOfAnotherKindLeavesNothingTaken) {
  RedisServer server;
  client_options options = options_for(server);
  options.fencing = true;
  options.validity = 60s;
  server.run({"RPUSH", "fence:{rueidislock:0:a}", "no number"});
  lock_client client(options);
  const auto wait_until_free = [&server] {
    redis_test::wait_until([&] { return server.number({"EXISTS", "rueidislock:0:a"}) == 0; });
  };
  EXPECT_THROW((void)client.acquire("a"), gordian::redis::transport_error);
  wait_until_free();
  EXPECT_THROW((void)client.try_acquire("a"), gordian::redis::transport_error);
  wait_until_free();
  EXPECT_THROW((void)client.force_acquire("a"), gordian::redis::transport_error);
  wait_until_free();
}

// Whoever forgot it: a flush, a restart without a file, a replica that takes over too early.
TEST(Wire, AFencingTokenIsLargerAlsoAfterTheCounterWasForgotten) {
  RedisServer server;
  client_options options = options_for(server);
  options.fencing = true;
  lock_client client(options);
  uint64_t last = client.acquire("a").fencing_token();
  server.run({"FLUSHALL"});
  uint64_t next = client.acquire("a").fencing_token();
  EXPECT_GT(next, last);
  // Nor does a counter that is ahead of the server's clock go back.
  server.run({"SET", "fence:{rueidislock:0:a}", "8000000000000000"});
  EXPECT_EQ(client.acquire("a").fencing_token(), 8000000000000001U);
  EXPECT_EQ(client.force_acquire("a").fencing_token(), 8000000000000002U);
}

TEST(Wire, ScriptsHaveTheHashesTheServerComputes) {
  RedisServer server;
  using gordian::redis::Script;
  for (const Script* script :
       {&gordian::redis::kAcquire, &gordian::redis::kForce, &gordian::redis::kRaise,
        &gordian::redis::kExtend, &gordian::redis::kRelease, &gordian::redis::kAcquireShared,
        &gordian::redis::kExtendShared, &gordian::redis::kReleaseShared})
    EXPECT_EQ(server.text({"SCRIPT", "LOAD", script->text}), script->sha1);
}

TEST(Wire, SideKeysAreInTheSlotOfTheLock) {
  using gordian::redis::side_key;
  using gordian::redis::slot_of;
  RedisServer server({"--cluster-enabled", "yes"});
  for (const std::string key : {"p:0:a", "p:0:{t}b", "p:1:x{y}z{w}", "p:0:"}) {
    const unsigned slot = slot_of(key);
    EXPECT_EQ(server.number({"CLUSTER", "KEYSLOT", key}), slot) << key;
    EXPECT_EQ(server.number({"CLUSTER", "KEYSLOT", side_key("fence", key).value()}), slot) << key;
  }
}

}  // namespace
