// SPDX-License-Identifier: Apache-2.0
#include "servers.h"

#include <chrono>
#include <cstdio>
#include <map>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace soak {
namespace {

using namespace std::chrono_literals;
using redis_test::Proxy;
using redis_test::RedisCluster;
using redis_test::RedisServer;

constexpr unsigned kSentinels = 3;
constexpr unsigned kWatched = 3;
constexpr auto kPatience = 60s;

void write(std::array<char[64], kMaxServers>& urls, size_t number, const std::string& url) {
  std::snprintf(urls.at(number), sizeof urls[number], "%s", url.c_str());
}

// Who is what, as a server of a cluster sees it: "<id> master <slots>" or "<id> slave <master>",
// sorted. Empty while it knows of a failure.
std::map<std::string, std::string> roles_in(const std::string& nodes) {
  std::map<std::string, std::string> roles;
  std::istringstream lines(nodes);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id, address, flags, master, ping, pong, epoch, link, slots;
    words >> id >> address >> flags >> master >> ping >> pong >> epoch >> link;
    std::getline(words, slots);
    if (flags.find("fail") != std::string::npos || link != "connected") return {};
    const bool is_master = flags.find("master") != std::string::npos;
    roles[id] = is_master ? "master" + slots : "slave " + master;
  }
  return roles;
}

}  // namespace

Servers::Servers(const std::string& topology) {
  if (topology == "sentinel") {
    make_watched();
  } else if (topology == "cluster") {
    std::vector<unsigned> ports;
    for (unsigned i = 0; i < 2 * RedisCluster::kMasters; ++i) {
      proxies_.push_back(std::make_unique<Proxy>());
      ports.push_back(proxies_.back()->port());
    }
    cluster_ = std::make_unique<RedisCluster>(
        ports, [this](unsigned index, unsigned port) { proxies_[index]->lead_to(port); });
    live_ = 2 * RedisCluster::kMasters;
  } else if (topology == "one" || topology == "independent") {
    live_ = topology == "one" ? 1 : 3;
    for (unsigned i = 0; i < live_; ++i) {
      proxies_.push_back(std::make_unique<Proxy>());
      add_server({});
    }
    if (topology == "one") return;
    servers_.back()->kill();
    live_ -= 1;
  } else {
    throw std::runtime_error("no such topology: " + topology);
  }
}

// With the proxy that has the same number.
void Servers::add_server(const std::vector<std::string>& words) {
  servers_.push_back(std::make_unique<RedisServer>(words));
  proxies_[servers_.size() - 1]->lead_to(servers_.back()->port());
}

void Servers::make_watched() {
  for (unsigned i = 0; i < kWatched; ++i) proxies_.push_back(std::make_unique<Proxy>());
  const std::string master = std::to_string(proxies_.front()->port());
  for (unsigned i = 0; i < kWatched; ++i) {
    std::vector<std::string> words{"--replica-announce-port",
                                   std::to_string(proxies_[i]->port()),
                                   "--replica-announce-ip",
                                   "127.0.0.1",
                                   "--repl-diskless-sync-delay",
                                   "0",
                                   "--repl-timeout",
                                   "5"};
    add_server(words);
    if (i != 0) servers_.back()->run({"REPLICAOF", "127.0.0.1", master});
  }
  live_ = kWatched;
  for (unsigned i = 0; i < kSentinels; ++i)
    sentinels_.push_back(std::make_unique<RedisServer>(
        std::vector<std::string>{"--sentinel"},
        std::string("sentinel monitor ") + kSentinelMaster + " 127.0.0.1 " + master +
            " 2\nsentinel down-after-milliseconds " + kSentinelMaster +
            " 500\nsentinel failover-timeout " + kSentinelMaster + " 2000\n"));
  settle();
}

void Servers::write_urls(Board& board) const {
  for (unsigned side = 0; side < 2; ++side) {
    const bool through_proxies = side == 1 && board.faults;
    for (size_t i = 0; i < sentinels_.size(); ++i) write(board.urls[side], i, sentinels_[i]->url());
    if (!sentinels_.empty()) continue;
    for (size_t i = 0; i < proxies_.size(); ++i)
      write(board.urls[side], i,
            cluster_ || through_proxies ? proxies_[i]->url() : servers_[i]->url());
  }
}

void Servers::flush(unsigned server) {
  if (at(server).info("role") == "master") at(server).run({"FLUSHALL"});
}

void Servers::switch_master(unsigned server) {
  try {
    if (!sentinels_.empty())
      sentinels_[server % sentinels_.size()]->run({"SENTINEL", "FAILOVER", kSentinelMaster});
    else if (cluster_ && at(server).info("role") == "slave")
      at(server).run({"CLUSTER", "FAILOVER"});
  } catch (const std::runtime_error&) {
    // There was one a moment ago, or no replica is good enough.
  }
}

void Servers::disturb_sentinel(unsigned number, std::chrono::milliseconds time) {
  if (sentinels_.empty()) return;
  RedisServer& sentinel = *sentinels_[number % sentinels_.size()];
  if (time.count() % 2 == 0) {
    sentinel.kill();
    sentinel.start();
    return;
  }
  sentinel.pause();
  std::this_thread::sleep_for(time);  // the fault itself
  sentinel.resume();
}

bool Servers::sentinels_agree() {
  std::string master;
  for (const auto& sentinel : sentinels_) {
    const auto named = sentinel->run({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", kSentinelMaster});
    if (named->type != REDIS_REPLY_ARRAY || named->elements != 2) return false;
    const std::string port = named->element[1]->str;
    if (!master.empty() && port != master) return false;
    master = port;
    const auto fields = sentinel->run({"SENTINEL", "MASTER", kSentinelMaster});
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
      const std::string name = fields->element[i]->str, value = fields->element[i + 1]->str;
      if (name == "flags" && value != "master") return false;
      if (name == "num-other-sentinels" && value != std::to_string(kSentinels - 1)) return false;
      if (name == "num-slaves" && value != std::to_string(kWatched - 1)) return false;
    }
  }
  for (size_t i = 0; i < servers_.size(); ++i) {
    RedisServer& server = *servers_[i];
    const bool is_master = std::to_string(proxies_[i]->port()) == master;
    if (server.info("role") != (is_master ? "master" : "slave")) return false;
    if (!is_master &&
        (server.info("master_port") != master || server.info("master_link_status") != "up"))
      return false;
  }
  return true;
}

bool Servers::cluster_agrees() {
  std::map<std::string, std::string> roles;
  for (unsigned i = 0; i < live_; ++i) {
    RedisServer& server = at(i);
    if (server.text({"CLUSTER", "INFO"}).find("cluster_state:ok") == std::string::npos)
      return false;
    const auto seen = roles_in(server.text({"CLUSTER", "NODES"}));
    if (seen.size() != live_ || (!roles.empty() && seen != roles)) return false;
    roles = seen;
    if (server.info("role") == "slave" && server.info("master_link_status") != "up") return false;
  }
  unsigned masters = 0;
  for (const auto& [id, role] : roles) masters += role.starts_with("master") ? 1 : 0;
  return masters == RedisCluster::kMasters;
}

void Servers::settle() {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (fail_over() && !(cluster_ ? cluster_agrees() : sentinels_agree())) {
    if (std::chrono::steady_clock::now() > until)
      throw std::runtime_error("the servers do not agree on their masters");
    std::this_thread::sleep_for(20ms);  // a rate: servers tell nobody when they agree
  }
  std::vector<bool> masters;
  for (unsigned i = 0; fail_over() && i < live_; ++i)
    masters.push_back(at(i).info("role") == "master");
  if (!masters_.empty() && masters != masters_) failovers_ += 1;
  masters_ = masters;
}

}  // namespace soak
