// SPDX-License-Identifier: Apache-2.0
// Locks in a cluster: found where their slots are, also while those move and servers die.
#include "gordian/redis_lock.h"
#include "redis/installation.h"
#include "redis/slot_map.h"
#include "redis/wire.h"
#include "redis_cluster.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <sstream>
#include <thread>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::lease;
using gordian::redis::lock_client;
using gordian::redis::ServerPlace;
using gordian::redis::slot_of;
using redis_test::parsed;
using redis_test::RedisCluster;
using redis_test::RedisServer;
using redis_test::wait_until;

// One for all tests: it takes a while to come together. The last test leaves it with a master less.
class Clustered : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { cluster = std::make_unique<RedisCluster>(); }
  static void TearDownTestSuite() { cluster.reset(); }
  static client_options options() {
    client_options options;
    options.servers = {(*cluster)[1].url()};
    options.kind = gordian::redis::topology::cluster;
    options.on_transport_error = gordian::redis::transport_policy::keep_trying;
    options.command_timeout = 300ms;
    return options;
  }
  static std::string key_of(const std::string& name) { return "rueidislock:0:" + name; }
  static inline std::unique_ptr<RedisCluster> cluster;
};

TEST_F(Clustered, EveryLockIsWhereItsSlotIs) {
  client_options fenced = options();
  fenced.fencing = true;
  lock_client client(fenced), other(fenced);
  std::vector<std::string> names;
  for (unsigned master = 0; master < RedisCluster::kMasters; ++master)
    names.push_back(RedisCluster::name_on(master, "a"));
  {
    const std::vector<lease> leases = client.acquire_all(names);
    ASSERT_EQ(leases.size(), names.size());
    const auto lease_of = [&leases](const std::string& name) {
      return std::find_if(leases.begin(), leases.end(),
                          [&name](const lease& one) { return one.name() == name; });
    };
    for (unsigned master = 0; master < RedisCluster::kMasters; ++master) {
      RedisServer& server = (*cluster)[master];
      EXPECT_EQ(server.number({"EXISTS", key_of(names[master])}), 1);
      EXPECT_EQ(server.text({"GET", "fence:{" + key_of(names[master]) + "}"}),
                std::to_string(lease_of(names[master])->fencing_token()));
      EXPECT_FALSE(other.try_acquire(names[master]).has_value());
    }
  }
  const lease reader = client.acquire_shared(names[0]);
  EXPECT_EQ((*cluster)[0].number({"ZCARD", "readers:{" + key_of(names[0]) + "}"}), 1);
  for (unsigned master = 1; master < RedisCluster::kMasters; ++master)
    EXPECT_TRUE(other.acquire(names[master]).valid());
}

// What a server was asked since it was last told to forget that, by command: of clients and of the
// scripts. Left out is what it is asked when nothing happens: by this test, to see that the
// connection lives, and by replicas.
void add_commands(std::map<std::string, long long>& counts, RedisServer& server) {
  std::istringstream text(server.text({"INFO", "commandstats"}));
  for (std::string line; std::getline(text, line);) {
    // cmdstat_get:calls=8,usec=12,usec_per_call=1.50,rejected_calls=0,failed_calls=0
    constexpr std::string_view kBegin = "cmdstat_",
                               kCalls = ":calls=", kRefused = "rejected_calls=";
    const size_t calls = line.find(kCalls), refused = line.find(kRefused);
    if (!line.starts_with(kBegin) || refused == std::string::npos) continue;
    const std::string name = line.substr(kBegin.size(), calls - kBegin.size());
    if (name == "info" || name == "ping" || name == "config|resetstat" || name == "replconf")
      continue;
    counts[name] += std::stoll(line.substr(calls + kCalls.size())) +
                    std::stoll(line.substr(refused + kRefused.size()));
  }
}

// However many servers there are: once it is known which has which slot, nobody is asked in vain.
TEST_F(Clustered, APairCostsWhatItCostsOnOneServer) {
  RedisServer alone;
  std::vector<std::string> names;
  for (unsigned master = 0; master < RedisCluster::kMasters; ++master)
    for (const char* const hint : {"c", "d"}) names.push_back(RedisCluster::name_on(master, hint));
  const auto count_pairs = [&names](client_options options,
                                    const std::vector<RedisServer*>& servers) {
    options.validity = 60s;  // nothing is renewed meanwhile
    options.command_timeout = 5s;
    lock_client client(options);
    const auto take_all = [&client, &names] {
      for (const std::string& name : names) client.acquire(name).release();
    };
    take_all();  // connected, the slots and the scripts known
    for (RedisServer* const server : servers) server->run({"CONFIG", "RESETSTAT"});
    take_all();
    std::map<std::string, long long> counts;
    for (RedisServer* const server : servers) add_commands(counts, *server);
    return counts;
  };
  std::vector<RedisServer*> masters, replicas;
  for (unsigned i = 0; i < RedisCluster::kMasters; ++i) {
    masters.push_back(&(*cluster)[i]);
    replicas.push_back(&(*cluster)[RedisCluster::kMasters + i]);
  }
  for (RedisServer* const server : replicas) server->run({"CONFIG", "RESETSTAT"});
  const auto on_one = count_pairs(options_for(alone), {&alone});
  const auto on_all = count_pairs(options(), masters);
  const auto pairs = static_cast<long long>(names.size());
  EXPECT_THAT(on_one, testing::Contains(testing::Pair("evalsha", 2 * pairs)));
  EXPECT_THAT(on_all, testing::ElementsAreArray(on_one));
  for (RedisServer* const server : replicas) EXPECT_EQ(server->number_of_errors("MOVED"), 0);
}

// Told by each server, not found out by trying: the waiter would look again only after a second.
TEST_F(Clustered, WaitersAreToldByWhicheverServerTheLockIsOn) {
  lock_client first(options()), second(options());
  for (unsigned master = 0; master < RedisCluster::kMasters; ++master) {
    const std::string name = RedisCluster::name_on(master, "w");
    RedisServer& server = (*cluster)[master];
    { const lease warm = second.acquire(name); }
    lease held = first.acquire(name);
    std::chrono::steady_clock::time_point got;
    std::thread waiter([&] {
      const lease mine = second.acquire(name);
      got = std::chrono::steady_clock::now();
    });
    // It has been refused once the server tracks its key for one connection more.
    const long long tries = server.number({"EXISTS", key_of(name)});
    EXPECT_EQ(tries, 1);
    wait_until([&] { return server.info("tracking_clients") >= "2"; });
    const auto released = std::chrono::steady_clock::now();
    held.release();
    waiter.join();
    EXPECT_LT(got - released, 500ms);
  }
}

// While a slot moves: ASK for what is not there any more, TRYAGAIN where two keys are wanted (the
// lock's and its counter's), MOVED at last.
TEST_F(Clustered, ALockIsFoundWhileItsSlotMoves) {
  client_options fenced = options();
  fenced.fencing = true;
  fenced.command_timeout = 2000ms;
  fenced.validity = 400ms;
  lock_client plain_client(options()), client(fenced);
  const std::string name = RedisCluster::name_on(0, "m");
  const std::string key = key_of(name), counter = "fence:{" + key + "}";
  RedisServer &from = (*cluster)[0], &to = (*cluster)[1];
  const std::string slot = std::to_string(slot_of(key));
  lease first = client.acquire(name);
  const uint64_t token = first.fencing_token();
  first.release();
  to.run({"CLUSTER", "SETSLOT", slot, "IMPORTING", from.text({"CLUSTER", "MYID"})});
  from.run({"CLUSTER", "SETSLOT", slot, "MIGRATING", to.text({"CLUSTER", "MYID"})});
  EXPECT_NO_THROW(plain_client.acquire(name).release());
  EXPECT_GT(from.number_of_errors("ASK"), 0);

  std::atomic<bool> has_it{false}, seen{false};
  std::jthread waiter([&] {
    const lease held = client.acquire(name);
    EXPECT_GT(held.fencing_token(), token);
    has_it = true;
    seen.wait(false);
    EXPECT_TRUE(held.valid());
  });
  wait_until([&] { return from.number_of_errors("TRYAGAIN") > 0; });
  EXPECT_FALSE(has_it);
  from.run({"MIGRATE", "127.0.0.1", to.port_text(), counter, "0", "1000"});
  for (RedisServer* const server : {&to, &from})
    server->run({"CLUSTER", "SETSLOT", slot, "NODE", to.text({"CLUSTER", "MYID"})});
  wait_until([&] { return has_it.load(); });
  // It is renewed where the slot is now: it stands for longer than it could otherwise.
  const auto until = std::chrono::steady_clock::now() + 3 * fenced.validity;
  wait_until([&] {
    EXPECT_EQ(to.number({"EXISTS", key}), 1);
    return std::chrono::steady_clock::now() > until;
  });
  seen = true;
  seen.notify_all();
  waiter.join();
  // Whoever has heard nothing of the move is told by the server it asks.
  EXPECT_NO_THROW(plain_client.acquire(name).release());
  EXPECT_GT(from.number_of_errors("MOVED"), 0);
}

// Any server of it will do to see all of it, and a ring over two of them. Named with others it
// still counts once.
TEST_F(Clustered, WhoLooksSeesTheLocksOfAllServers) {
  using gordian::redis::deadlock_mode;
  using gordian::redis::find_rings;
  using gordian::redis::Installation;
  using gordian::redis::InstalledLock;
  using gordian::redis::NamedServer;
  using gordian::redis::parse_named_server;
  using gordian::redis::read_installation;
  client_options waiting = options();
  waiting.deadlocks = deadlock_mode::report;
  lock_client first(waiting), second(waiting);
  const std::string one = RedisCluster::name_on(0, "i"), other = RedisCluster::name_on(1, "i");
  const auto look = [&](const std::vector<std::string>& urls) {
    std::vector<NamedServer> named;
    for (const std::string& url : urls) named.push_back(*parse_named_server(url));
    auto all = read_installation(named, "rueidislock", 5s);
    EXPECT_TRUE(all) << all.error().message;
    return std::move(*all);
  };
  std::barrier both_hold_one(2);
  std::atomic<bool> was_lost{false};
  std::thread ahead([&] {
    const lease held = first.acquire(one);
    both_hold_one.arrive_and_wait();
    const lease wanted = first.acquire(other);
  });
  std::thread back([&] {
    lease held = second.acquire(other);
    both_hold_one.arrive_and_wait();
    const lease wanted = second.acquire(one);
    wait_until([&] { return !held.valid(); });  // the server's word may come after the lock
    was_lost = true;
  });
  Installation seen;
  wait_until([&] {
    seen = look({(*cluster)[4].url()});  // a replica
    return seen.waits.size() == 2 && seen.locks.size() == 2;
  });
  EXPECT_EQ(seen.servers.size(), RedisCluster::kMasters);
  EXPECT_TRUE(seen.missing.empty());
  EXPECT_EQ(seen.servers[0].what, "master of a cluster");
  EXPECT_TRUE(seen.clients_known);
  for (const InstalledLock& lock : seen.locks) {
    EXPECT_EQ(lock.keys, 1U) << lock.name;
    ASSERT_TRUE(lock.holder);
    EXPECT_EQ(seen.clients.at(lock.holder->incarnation).pid, getpid());
  }
  const auto rings = find_rings(seen);
  ASSERT_EQ(rings.size(), 1U);
  EXPECT_EQ(rings[0].size(), 2U);
  EXPECT_EQ(look(cluster->urls()).servers.size(), RedisCluster::kMasters);
  (*cluster)[1].run({"DEL", key_of(other)});
  ahead.join();
  back.join();
  EXPECT_TRUE(was_lost);
}

TEST_F(Clustered, ALeaseOutlivesItsServerAndWaitersGoOnAtTheNextOne) {
  lock_client first(options()), second(options());
  const std::string name = RedisCluster::name_on(2, "f"), elsewhere = RedisCluster::name_on(0, "f");
  lease held = first.acquire(name);
  const lease untouched = first.acquire(elsewhere);
  RedisServer &master = (*cluster)[2], &replica = (*cluster)[5];
  wait_until([&] { return replica.info("db0").starts_with("keys="); });
  std::atomic<bool> has_it{false};
  std::jthread waiter([&] {
    const lease mine = second.acquire(name);
    has_it = true;
  });
  master.kill();
  wait_until([&] { return replica.info("role") == "master"; });
  wait_until([&] {
    try {
      return replica.number({"PTTL", key_of(name)}) > 4700;
    } catch (const std::runtime_error&) {
      return false;  // CLUSTERDOWN for a moment
    }
  });
  EXPECT_TRUE(held.valid());
  EXPECT_TRUE(untouched.valid());
  EXPECT_FALSE(has_it);
  // Who looks and names the one that is gone besides is told so, and sees the rest.
  const auto all =
      gordian::redis::read_installation({*gordian::redis::parse_named_server(master.url()),
                                         *gordian::redis::parse_named_server((*cluster)[0].url())},
                                        "rueidislock", 5s);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(all->servers.size(), RedisCluster::kMasters);
  EXPECT_EQ(all->missing.size(), 1U);
  EXPECT_FALSE(all->clients_known);
  EXPECT_EQ(all->locks.size(), 2U);
  held.release();
  waiter.join();
  EXPECT_TRUE(has_it);
}

TEST(ClusterOptions, OneServerIsNoCluster) {
  RedisServer server;
  client_options options = options_for(server);
  options.kind = gordian::redis::topology::cluster;
  try {
    lock_client client(options);
    FAIL() << "no error";
  } catch (const gordian::redis::transport_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("cluster support disabled"));
  }
  options.database = 1;
  EXPECT_THROW(lock_client client(options), gordian::redis::misuse_error);
}

TEST(SlotMap, TakesTheHostThatWasAskedForOneThatIsLeftOut) {
  const auto ranges =
      gordian::redis::parse_cluster_slots(parsed("*2\r\n"
                                                 "*3\r\n:0\r\n:99\r\n*2\r\n$1\r\na\r\n:1\r\n"
                                                 "*3\r\n:100\r\n:100\r\n*2\r\n$-1\r\n:2\r\n")
                                              .get(),
                                          "seed");
  ASSERT_TRUE(ranges);
  ASSERT_EQ(ranges->size(), 2U);
  EXPECT_EQ((*ranges)[0].master, (ServerPlace{"a", 1}));
  EXPECT_EQ((*ranges)[1].master, (ServerPlace{"seed", 2}));
}

TEST(SlotMap, RefusesWhatIsNone) {
  for (const std::string_view bad :
       {"+OK\r\n", "-ERR no\r\n", ":1\r\n", "*1\r\n:1\r\n", "*1\r\n*2\r\n:0\r\n:1\r\n",
        "*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:-1\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:4\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"})
    EXPECT_FALSE(gordian::redis::parse_cluster_slots(parsed(bad).get(), "seed")) << bad;
}

TEST(SlotMap, ReadsRedirections) {
  const auto moved = gordian::redis::parse_redirection("MOVED 3999 127.0.0.1:6381", "seed");
  ASSERT_TRUE(moved);
  EXPECT_TRUE(moved->for_good);
  EXPECT_EQ(moved->slot, 3999U);
  EXPECT_EQ(moved->to, (ServerPlace{"127.0.0.1", 6381}));
  const auto ask = gordian::redis::parse_redirection("ASK 1 ::1:6381", "seed");
  ASSERT_TRUE(ask);
  EXPECT_FALSE(ask->for_good);
  EXPECT_EQ(ask->to, (ServerPlace{"::1", 6381}));
  const auto here = gordian::redis::parse_redirection("MOVED 1 :6381", "seed");
  ASSERT_TRUE(here);
  EXPECT_EQ(here->to, (ServerPlace{"seed", 6381}));
  for (const std::string_view bad :
       {"MOVED", "MOVED ", "MOVED 1", "MOVED 1 a", "MOVED 16384 a:1", "MOVED 1 a:0",
        "MOVED 1 a:65536", "MOVED x a:1", "ERR MOVED 1 a:1", "MOVED a:1 2"})
    EXPECT_FALSE(gordian::redis::parse_redirection(bad, "seed")) << bad;
}

}  // namespace
