// SPDX-License-Identifier: Apache-2.0
#include "redis_cluster.h"

#include "redis/wire.h"

namespace redis_test {

using gordian::redis::kSlots;

namespace {

constexpr unsigned first_slot(unsigned master) { return master * kSlots / RedisCluster::kMasters; }

}  // namespace

RedisCluster::RedisCluster(const std::vector<unsigned>& announced_ports,
                           const std::function<void(unsigned index, unsigned port)>& started) {
  std::array<std::string, 2 * kMasters> bus_ports;
  for (unsigned i = 0; i < servers_.size(); ++i) {
    bus_ports[i] = std::to_string(free_port());
    std::vector<std::string> words{"--cluster-enabled",
                                   "yes",
                                   "--cluster-port",
                                   bus_ports[i],
                                   "--cluster-node-timeout",
                                   "800",
                                   "--cluster-replica-validity-factor",
                                   "0",
                                   "--repl-diskless-sync-delay",
                                   "0"};
    if (!announced_ports.empty())
      words.insert(words.end(), {"--cluster-announce-port", std::to_string(announced_ports[i])});
    servers_[i] = std::make_unique<RedisServer>(words);
    if (started) started(i, servers_[i]->port());
  }
  for (unsigned i = 0; i < kMasters; ++i) give_slots(*servers_[i], i);
  for (unsigned i = 1; i < servers_.size(); ++i)
    servers_[0]->run({"CLUSTER", "MEET", "127.0.0.1", servers_[i]->port_text(), bus_ports[i]});
  for (unsigned i = 0; i < kMasters; ++i) {
    const std::string master = servers_[i]->text({"CLUSTER", "MYID"});
    RedisServer& replica = *servers_[kMasters + i];
    wait_until([&] {
      return replica.text({"CLUSTER", "NODES"}).find(master) != std::string::npos;
    });
    replica.run({"CLUSTER", "REPLICATE", master});
  }
  const auto knows = [](RedisServer& server, std::string_view word) {
    return server.text({"CLUSTER", "INFO"}).find(word) != std::string::npos;
  };
  for (const auto& server : servers_)
    wait_until([&] {
      return knows(*server, "cluster_state:ok") && knows(*server, "cluster_known_nodes:6");
    });
  for (unsigned i = 0; i < kMasters; ++i)
    wait_until([&] {
      return servers_[kMasters + i]->info("master_link_status") == "up" &&
             servers_[i]->info("connected_slaves") == "1";
    });
}

std::vector<std::string> RedisCluster::urls() const {
  std::vector<std::string> urls;
  for (const auto& server : servers_) urls.push_back(server->url());
  return urls;
}

void RedisCluster::give_slots(RedisServer& server, unsigned master) {
  server.run({"CLUSTER", "ADDSLOTSRANGE", std::to_string(first_slot(master)),
              std::to_string(first_slot(master + 1) - 1)});
  server.run({"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(master + 1)});
}

unsigned RedisCluster::master_of(std::string_view key) {
  const unsigned slot = gordian::redis::slot_of(key);
  unsigned master = 0;
  while (slot >= first_slot(master + 1)) ++master;
  return master;
}

std::string RedisCluster::name_on(unsigned master, const std::string& hint) {
  for (unsigned turn = 0;; ++turn) {
    std::string name = hint + std::to_string(turn);
    if (master_of("rueidislock:0:" + name) == master) return name;
  }
}

}  // namespace redis_test
