// SPDX-License-Identifier: Apache-2.0
// A real Redis Cluster for a test: three masters with a third of the slots each, and a replica of
// each.
#pragma once

#include "redis_server.h"

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace redis_test {

class RedisCluster {
 public:
  static constexpr unsigned kMasters = 3;

  // Returns once every server knows of all, and every replica has its data.
  RedisCluster() : RedisCluster({}, nullptr) {}
  // The servers say that they are at these ports, where somebody passes on to those that `started`
  // is told.
  RedisCluster(const std::vector<unsigned>& announced_ports,
               const std::function<void(unsigned index, unsigned port)>& started);

  // 0 .. 2 were made masters, 3 .. 5 the replicas of 0 .. 2.
  RedisServer& operator[](unsigned index) { return *servers_[index]; }
  [[nodiscard]] std::vector<std::string> urls() const;
  // A third of them: of the first, the second or the last of three masters.
  static void give_slots(RedisServer& server, unsigned master);
  // Which of the first three had the key's slot in the beginning.
  static unsigned master_of(std::string_view key);
  // A lock's name whose key (below the prefix, number 0) is there.
  static std::string name_on(unsigned master, const std::string& hint);

 private:
  std::array<std::unique_ptr<RedisServer>, 2 * kMasters> servers_;
};

}  // namespace redis_test
