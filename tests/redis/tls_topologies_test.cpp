// SPDX-License-Identifier: Apache-2.0
// Locks over TLS where servers tell of others: in a cluster, and behind sentinels.
#include "certificates.h"
#include "gordian/redis_lock.h"
#include "redis/installation.h"
#include "redis_cluster.h"
#include "redis_server.h"

#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#ifdef GORDIAN_HAS_TLS
namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::lease;
using gordian::redis::lock_client;
using gordian::redis::topology;
using redis_test::Certificates;
using redis_test::RedisCluster;
using redis_test::RedisServer;
using redis_test::wait_until;
using testing::HasSubstr;

// One that listens for TLS on a port of its own, and speaks TLS to its like.
struct SecureServer {
  SecureServer(const Certificates& certificates, const std::string& certificate,
               const std::vector<std::string>& more, const std::string& config = {})
      : server(words(certificates.server_words(certificate, port, false), more), config) {}
  static std::vector<std::string> words(std::vector<std::string> all,
                                        const std::vector<std::string>& more) {
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  [[nodiscard]] std::string label() const { return "127.0.0.1:" + std::to_string(port); }
  // Connections of clients of locks, over TLS or (what nobody shall do) in the plain.
  int connections(bool secure) {
    const std::string at =
        " laddr=127.0.0.1:" + (secure ? std::to_string(port) : server.port_text());
    std::istringstream list(server.text({"CLIENT", "LIST"}));
    int count = 0;
    for (std::string line; std::getline(list, line);)
      count += line.find(" name=gordian:") != std::string::npos &&
                       line.find(at + ' ') != std::string::npos
                   ? 1
                   : 0;
    return count;
  }

  unsigned port = redis_test::free_port();
  RedisServer server;
};

class SecureTopology : public redis_test::WithCertificates {
 protected:
  static client_options options_for(topology kind, const SecureServer& server) {
    client_options options;
    options.servers = {"rediss://" + server.label()};
    options.kind = kind;
    options.sentinel_master = "shop";
    options.tls.ca_file = certificates->path("ca", ".crt");
    return options;
  }
  static std::string failure_of(const client_options& options, const std::string& lock) {
    try {
      lock_client(options).acquire(lock).release();
      return "it works";
    } catch (const gordian::redis::lock_error& error) {
      return error.what();
    }
  }
  // Masters with a third of the slots each, and a replica of the first if there is a fourth.
  using Cluster = std::vector<std::unique_ptr<SecureServer>>;
  static Cluster make_cluster(const std::vector<std::string>& certificate_names) {
    Cluster cluster;
    for (const std::string& name : certificate_names) {
      const std::string bus = std::to_string(redis_test::free_port());
      cluster.push_back(std::make_unique<SecureServer>(
          *certificates, name,
          std::vector<std::string>{"--cluster-enabled", "yes", "--cluster-port", bus,
                                   "--cluster-node-timeout", "800", "--tls-cluster", "yes",
                                   "--tls-replication", "yes"}));
      if (cluster.size() <= RedisCluster::kMasters)
        RedisCluster::give_slots(cluster.back()->server, cluster.size() - 1);
      cluster.front()->server.run(
          {"CLUSTER", "MEET", "127.0.0.1", std::to_string(cluster.back()->port), bus});
    }
    const std::string all = "cluster_known_nodes:" + std::to_string(cluster.size());
    for (const auto& one : cluster)
      wait_until([&] {
        const std::string info = one->server.text({"CLUSTER", "INFO"});
        return info.find("cluster_state:ok") != std::string::npos &&
               info.find(all) != std::string::npos;
      });
    return cluster;
  }
  // Who looks goes the same ways.
  static std::vector<std::string> seen_by_who_looks(const std::string& url,
                                                    const client_options& options) {
    auto named = *gordian::redis::parse_named_server(url);
    named.address.tls = named.master_login.tls = *gordian::redis::TlsContext::make(options.tls);
    const auto all = gordian::redis::read_installation({named}, "rueidislock", 5s);
    if (!all) return {all.error().message};
    std::vector<std::string> seen;
    for (const auto& server : all->servers) seen.push_back(server.address.label());
    for (const auto& server : all->missing) seen.push_back(server.label + ": " + server.why);
    for (const auto& lock : all->locks) seen.push_back(lock.name);
    return seen;
  }
};

// Three masters, the last of which has a certificate for its name alone.
TEST_F(SecureTopology, OfAClusterAllServersAreAskedOverTlsAndProveWhoTheyAre) {
  const Cluster cluster = make_cluster({"server", "server", "named"});
  client_options options = options_for(topology::cluster, *cluster[0]);
  const std::string there = RedisCluster::name_on(2, "a");
  EXPECT_THAT(failure_of(options, there),
              HasSubstr(cluster[2]->label() +
                        ": TLS: the server's certificate is refused: IP address mismatch"));
  EXPECT_THAT(seen_by_who_looks(options.servers.front(), options),
              testing::UnorderedElementsAre(
                  cluster[0]->label(), cluster[1]->label(),
                  HasSubstr(cluster[2]->label() + ": TLS: the server's certificate is refused")));

  options.tls.server_name = "redis.test";
  lock_client client(options);
  for (unsigned i = 0; i < cluster.size(); ++i) {
    const std::string name = RedisCluster::name_on(i, "a");
    lease held = client.acquire(name);
    EXPECT_EQ(cluster[i]->server.number({"EXISTS", "rueidislock:0:" + name}), 1);
    EXPECT_GE(cluster[i]->connections(true), 1);
    EXPECT_EQ(cluster[i]->connections(false), 0);
    EXPECT_THAT(seen_by_who_looks(options.servers.front(), options),
                testing::UnorderedElementsAre(cluster[0]->label(), cluster[1]->label(),
                                              cluster[2]->label(), name));
    held.release();
    EXPECT_EQ(cluster[i]->server.number({"EXISTS", "rueidislock:0:" + name}), 0);
  }

  options.tls.ca_file = certificates->path("other-ca", ".crt");
  EXPECT_THAT(failure_of(options, there),
              HasSubstr(cluster[0]->label() + ": TLS: the server's certificate is refused"));
}

// The replica that takes over has a certificate for its name alone: it has to prove who it is too.
TEST_F(SecureTopology, AFailoverOfAClusterIsFollowedOverTls) {
  const Cluster cluster = make_cluster({"server", "server", "server", "named"});
  SecureServer& replica = *cluster[3];
  replica.server.run({"CLUSTER", "REPLICATE", cluster[0]->server.text({"CLUSTER", "MYID"})});
  wait_until([&] { return replica.server.info("master_link_status") == "up"; });
  client_options options = options_for(topology::cluster, *cluster[1]);
  options.on_transport_error = gordian::redis::transport_policy::keep_trying;
  lock_client distrustful(options);
  options.tls.server_name = "redis.test";
  lock_client client(options);
  const std::string name = RedisCluster::name_on(0, "a"), later = RedisCluster::name_on(0, "b");
  lease held = client.acquire(name);
  distrustful.acquire(later).release();
  const std::string key = "rueidislock:0:" + name, value = cluster[0]->server.text({"GET", key});
  wait_until([&] { return cluster[0]->server.number({"WAIT", "1", "0"}) == 1; });

  cluster[0]->server.kill();
  wait_until([&] { return replica.server.info("role") == "master"; });
  EXPECT_THROW((void)distrustful.acquire(later, std::chrono::steady_clock::now() + 3s),
               gordian::redis::deadline_error);
  client.acquire(later).release();
  EXPECT_EQ(replica.server.text({"GET", key}), value);
  EXPECT_TRUE(held.valid());
  EXPECT_GE(replica.connections(true), 1);
  EXPECT_EQ(replica.connections(false), 0);
  held.release();
  EXPECT_EQ(replica.server.number({"EXISTS", key}), 0);
}

// The master has a certificate for its name alone.
TEST_F(SecureTopology, SentinelsAndTheMasterTheyNameAreAskedOverTlsAndProveWhoTheyAre) {
  SecureServer master(*certificates, "named", {"--tls-replication", "yes"});
  SecureServer sentinel(*certificates, "server", {"--tls-replication", "yes", "--sentinel"},
                        "sentinel monitor shop 127.0.0.1 " + std::to_string(master.port) + " 1\n");
  client_options options = options_for(topology::sentinel, sentinel);
  const std::string url = "rediss+sentinel://" + sentinel.label() + "/shop";
  const std::string refused = ": TLS: the server's certificate is refused";
  EXPECT_THAT(failure_of(options, "a"),
              HasSubstr(master.label() + refused + ": IP address mismatch"));
  EXPECT_THAT(seen_by_who_looks(url, options),
              testing::ElementsAre(HasSubstr("certificate is refused")));

  options.tls.server_name = "redis.test";
  lock_client client(options);
  lease held = client.acquire("a");
  EXPECT_EQ(master.server.number({"EXISTS", "rueidislock:0:a"}), 1);
  EXPECT_GE(master.connections(true), 1);
  EXPECT_EQ(master.connections(false), 0);
  EXPECT_EQ(sentinel.connections(true), 1);
  EXPECT_THAT(seen_by_who_looks(url, options), testing::ElementsAre(master.label(), "a"));
  held.release();
  EXPECT_EQ(master.server.number({"EXISTS", "rueidislock:0:a"}), 0);

  options.tls.ca_file = certificates->path("other-ca", ".crt");
  EXPECT_THAT(failure_of(options, "a"), HasSubstr("sentinel " + sentinel.label() + refused));
}

TEST_F(SecureTopology, AFailoverOfSentinelsIsFollowedOverTls) {
  const std::vector<std::string> over_tls{"--tls-replication", "yes"};
  SecureServer master(*certificates, "server", over_tls);
  const std::string port = std::to_string(master.port);
  SecureServer replica(*certificates, "named",
                       {"--tls-replication", "yes", "--replicaof", "127.0.0.1 " + port});
  SecureServer sentinel(*certificates, "server", {"--tls-replication", "yes", "--sentinel"},
                        "sentinel monitor shop 127.0.0.1 " + port +
                            " 1\n"
                            "sentinel down-after-milliseconds shop 300\n"
                            "sentinel failover-timeout shop 2000\n");
  wait_until([&] { return replica.server.info("master_link_status") == "up"; });
  wait_until([&] {
    const auto replicas = sentinel.server.run({"SENTINEL", "REPLICAS", "shop"});
    return replicas->elements == 1;
  });
  client_options options = options_for(topology::sentinel, sentinel);
  options.tls.server_name = "redis.test";
  options.on_transport_error = gordian::redis::transport_policy::keep_trying;
  lock_client client(options);
  lease held = client.acquire("a");
  const std::string value = master.server.text({"GET", "rueidislock:0:a"});
  wait_until([&] { return replica.server.text({"GET", "rueidislock:0:a"}) == value; });

  master.server.kill();
  wait_until([&] { return replica.server.info("role") == "master"; });
  client.acquire("b").release();
  EXPECT_EQ(replica.server.text({"GET", "rueidislock:0:a"}), value);
  EXPECT_TRUE(held.valid());
  EXPECT_GE(replica.connections(true), 1);
  EXPECT_EQ(replica.connections(false), 0);
  held.release();
  EXPECT_EQ(replica.server.number({"EXISTS", "rueidislock:0:a"}), 0);
}

}  // namespace
#endif
