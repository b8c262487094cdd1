// SPDX-License-Identifier: Apache-2.0
// Locks on a master that sentinels watch: what becomes of them when another server takes its place.
#include "gordian/redis_lock.h"
#include "redis/installation.h"
#include "redis/sentinels.h"
#include "redis_server.h"

#include <array>
#include <atomic>
#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::lease;
using gordian::redis::lock_client;
using redis_test::parsed;
using redis_test::RedisServer;
using redis_test::wait_until;
using SteadyClock = std::chrono::steady_clock;

std::vector<std::string> replica_of(const RedisServer& master) {
  return {"--replicaof",
          "127.0.0.1 " + master.port_text(),
          "--repl-diskless-sync-delay",
          "0",
          "--repl-timeout",
          "5"};
}

std::string watching(const RedisServer& master) {
  return "sentinel monitor shop 127.0.0.1 " + master.port_text() +
         " 1\n"
         "sentinel down-after-milliseconds shop 300\n"
         "sentinel failover-timeout shop 2000\n";
}

// Of a list of names and values.
std::string_view field(const redisReply& fields, std::string_view name) {
  for (size_t i = 0; i + 1 < fields.elements; i += 2)
    if (fields.element[i]->str == name) return fields.element[i + 1]->str;
  return {};
}

// A master, its replica, and one sentinel whose word is enough; another one is named first and not
// there.
class Watched : public ::testing::Test {
 protected:
  void SetUp() override {
    wait_until([&] { return replica.info("master_link_status") == "up"; });
    wait_until([&] {
      const auto replicas = sentinel.run({"SENTINEL", "REPLICAS", "shop"});
      return replicas->elements == 1 && field(*replicas->element[0], "master-link-status") == "ok";
    });
  }
  client_options options() {
    client_options options;
    options.servers = {"redis://127.0.0.1:" + std::to_string(redis_test::free_port()),
                       sentinel.url()};
    options.kind = gordian::redis::topology::sentinel;
    options.sentinel_master = "shop";
    options.on_transport_error = gordian::redis::transport_policy::keep_trying;
    options.command_timeout = 300ms;
    return options;
  }
  RedisServer master{{"--repl-diskless-sync-delay", "0"}};
  RedisServer replica{replica_of(master)};
  RedisServer sentinel{{"--sentinel"}, watching(master)};
};

TEST_F(Watched, ALeaseOutlivesItsServerAndWaitersGoOnAtTheNextOne) {
  lock_client first(options()), second(options());
  lease held = first.acquire("a");
  const std::string value = master.text({"GET", "rueidislock:0:a"});
  wait_until([&] { return replica.text({"GET", "rueidislock:0:a"}) == value; });
  std::atomic<bool> has_it{false};
  std::jthread waiter([&] {
    const lease mine = second.acquire("a");
    has_it = true;
  });
  master.kill();
  wait_until([&] { return replica.info("role") == "master"; });
  // It is renewed there: it lives longer than it could have without.
  const auto renewed = [&] { return replica.number({"PTTL", "rueidislock:0:a"}) > 4700; };
  const auto at = SteadyClock::now();
  wait_until(renewed);
  EXPECT_LT(SteadyClock::now() - at, 4s);
  EXPECT_EQ(replica.text({"GET", "rueidislock:0:a"}), value);
  EXPECT_TRUE(held.valid());
  EXPECT_FALSE(has_it);
  held.release();
  waiter.join();
  EXPECT_TRUE(has_it);
}

// What the master had not passed on is gone with it: its holder is told, before the lease's end.
TEST_F(Watched, ALeaseTheReplicaNeverHeardOfIsLost) {
  client_options options = this->options();
  options.validity = 20s;
  lock_client client(options);
  lease held = client.acquire("a");
  // As if it had not been passed on.
  replica.run({"CONFIG", "SET", "replica-read-only", "no"});
  wait_until([&] { return replica.number({"DEL", "rueidislock:0:a"}) == 1; });
  std::atomic<bool> told{false};
  const std::stop_callback on_loss(held.lost(), [&] {
    told = true;
    told.notify_one();
  });
  const auto at = SteadyClock::now();
  master.kill();
  told.wait(false);
  EXPECT_LT(SteadyClock::now() - at, 9s);  // it would have been renewed after 10
  EXPECT_FALSE(held.valid());
  EXPECT_EQ(replica.info("role"), "master");
  EXPECT_THROW(held.release(), gordian::redis::lost_error);
  EXPECT_TRUE(client.acquire("a").valid());
}

// The former master goes on as a replica, and is not asked any more.
TEST_F(Watched, AnotherMasterIsFollowedWhileTheFormerOneLives) {
  lock_client client(options());
  const lease held = client.acquire("a");
  const std::string value = master.text({"GET", "rueidislock:0:a"});
  wait_until([&] { return replica.text({"GET", "rueidislock:0:a"}) == value; });
  sentinel.run({"SENTINEL", "FAILOVER", "shop"});
  wait_until([&] {
    const auto named = sentinel.run({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", "shop"});
    return named->element[1]->str == replica.port_text();
  });
  wait_until([&] { return replica.number({"PTTL", "rueidislock:0:a"}) > 4700; });
  EXPECT_TRUE(held.valid());
  const lease other = client.acquire("b");
  EXPECT_EQ(replica.number({"EXISTS", "rueidislock:0:b"}), 1);
}

// Who looks finds it behind the sentinels, with one of them gone.
TEST_F(Watched, WhoLooksFindsTheMaster) {
  using gordian::redis::parse_named_server;
  using gordian::redis::read_installation;
  lock_client client(options());
  const lease held = client.acquire("a");
  const std::string gone = "redis+sentinel://127.0.0.1:" + std::to_string(redis_test::free_port());
  const std::string here = "redis+sentinel://127.0.0.1:" + sentinel.port_text();
  const auto all =
      read_installation({*parse_named_server(gone + "/shop"), *parse_named_server(here + "/shop")},
                        "rueidislock", 5s);
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->servers.size(), 1U);
  EXPECT_EQ(all->servers[0].address.label(), "127.0.0.1:" + master.port_text());
  EXPECT_EQ(all->servers[0].what, "master \"shop\" of sentinels");
  EXPECT_EQ(all->missing.size(), 1U);
  ASSERT_EQ(all->locks.size(), 1U);
  EXPECT_EQ(all->locks[0].name, "a");
  const auto wrong = read_installation({*parse_named_server(here + "/stock")}, "rueidislock", 5s);
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, testing::HasSubstr("watches no master of this name"));
  const auto plain = read_installation({*parse_named_server(sentinel.url())}, "rueidislock", 5s);
  ASSERT_FALSE(plain);
  EXPECT_THAT(plain.error().message, testing::HasSubstr("it is a sentinel"));
  EXPECT_THAT(plain.error().message, testing::HasSubstr("\"shop\""));
}

TEST(NamedServer, IsAServerOrWhatASentinelWatches) {
  using gordian::redis::parse_named_server;
  const auto named = parse_named_server("redis+sentinel://ann:p%40ss@s.lan/shop/3");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->address.label(), "s.lan:26379");
  EXPECT_EQ(named->address.user, "");
  EXPECT_EQ(named->master, "shop");
  EXPECT_EQ(named->master_login.user, "ann");
  EXPECT_EQ(named->master_login.password, "p@ss");
  EXPECT_EQ(named->master_login.database, 3);
  EXPECT_EQ(parse_named_server("redis+sentinel://[::1]:7/shop")->address.label(), "[::1]:7");
  EXPECT_EQ(parse_named_server("redis://h")->master, "");
  for (const std::string_view bad :
       {"redis+sentinel://", "redis+sentinel://h", "redis+sentinel://h/", "redis+sentinel:///shop",
        "redis+sentinel://h/shop/x", "redis+sentinel://h:0/shop", "sentinel://h/shop"})
    EXPECT_FALSE(parse_named_server(bad)) << bad;
}

// Its sentinel still names it. Nothing can be written there, so nothing can be held there for long.
TEST_F(Watched, AMasterThatTurnsIntoAReplicaEndsItsLeasesInTime) {
  client_options options = this->options();
  options.validity = 600ms;
  options.on_transport_error = gordian::redis::transport_policy::fail;
  lock_client client(options);
  const lease held = client.acquire("a");
  const auto at = SteadyClock::now();
  std::atomic<bool> told{false};
  const std::stop_callback on_loss(held.lost(), [&] {
    told = true;
    told.notify_one();
  });
  master.run({"REPLICAOF", "127.0.0.1", replica.port_text()});
  try {
    const lease other = client.acquire("b");
    FAIL() << "acquired at a replica";
  } catch (const gordian::redis::transport_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("it is a replica and no master"));
  }
  told.wait(false);
  EXPECT_LT(SteadyClock::now() - at, 1s);
}

TEST_F(Watched, ANameNoSentinelKnowsIsSaidSo) {
  client_options options = this->options();
  options.sentinel_master = "stock";
  options.on_transport_error = gordian::redis::transport_policy::fail;
  try {
    lock_client client(options);
    FAIL() << "no error";
  } catch (const gordian::redis::transport_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("no sentinel names a master \"stock\""));
    EXPECT_THAT(error.what(), testing::HasSubstr("watches no master of this name"));
  }
}

TEST(SentinelAnswer, IsAnAddressOrNone) {
  const auto place_in = [](std::string_view bytes) {
    return gordian::redis::parse_master_place(parsed(bytes).get());
  };
  const auto place = place_in("*2\r\n$5\r\nh.lan\r\n$4\r\n6379\r\n");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->host, "h.lan");
  EXPECT_EQ(place->port, 6379U);
  for (const std::string_view bad :
       {"*-1\r\n", "$-1\r\n", "-IDONTKNOW\r\n", "+OK\r\n", "*0\r\n", "*1\r\n$1\r\na\r\n",
        "*2\r\n$1\r\na\r\n$5\r\n65536\r\n", "*2\r\n$1\r\na\r\n$1\r\n0\r\n",
        "*2\r\n$0\r\n\r\n$1\r\n1\r\n", "*2\r\n$2\r\na\n\r\n$1\r\n1\r\n", "*2\r\n:1\r\n:2\r\n"})
    EXPECT_FALSE(place_in(bad)) << bad;
}

TEST(SentinelAnswer, HasAnEpochOrCountsAsTheEarliest) {
  EXPECT_EQ(gordian::redis::parse_config_epoch(
                parsed("*4\r\n$4\r\nname\r\n$1\r\na\r\n$12\r\nconfig-epoch\r\n$2\r\n17\r\n").get()),
            17U);
  EXPECT_EQ(gordian::redis::parse_config_epoch(parsed("*1\r\n$12\r\nconfig-epoch\r\n").get()), 0U);
  EXPECT_EQ(gordian::redis::parse_config_epoch(parsed("-ERR\r\n").get()), 0U);
}

TEST(SentinelOptions, ADatabaseBelongsToTheMaster) {
  client_options options;
  options.kind = gordian::redis::topology::sentinel;
  options.servers = {"redis://127.0.0.1:1/3"};
  EXPECT_THROW(lock_client client(options), gordian::redis::misuse_error);
}

}  // namespace
