// SPDX-License-Identifier: Apache-2.0
// The servers of a soak, with a proxy before each.
#pragma once

#include "board.h"
#include "proxy.h"
#include "redis_cluster.h"
#include "redis_server.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace soak {

class Servers {
 public:
  // "one"; "independent": three masters, of which the last is gone and never started again;
  // "sentinel": a master and two replicas, watched by three sentinels; "cluster": three masters
  // with a replica each. Of the last two everybody, also servers and sentinels, knows a server by
  // its proxy alone.
  explicit Servers(const std::string& topology);

  // For even processes, then for odd ones: those go through proxies, if there are faults.
  void write_urls(Board& board) const;

  // Those to which faults may happen.
  [[nodiscard]] unsigned count() const { return live_; }
  void pause(unsigned server) { at(server).pause(); }
  void resume(unsigned server) { at(server).resume(); }
  void kill(unsigned server) { at(server).kill(); }
  void start(unsigned server) { at(server).start(); }  // with nothing: no server has a file
  void flush(unsigned server);                         // where it is a master
  redis_test::Proxy& proxy(unsigned server) { return *proxies_[server]; }

  // One may take the place of another.
  [[nodiscard]] bool fail_over() const { return cluster_ || !sentinels_.empty(); }
  // As an operator asks for it, if that can be now.
  void switch_master(unsigned server);
  // Stops one for a time, or starts it anew.
  void disturb_sentinel(unsigned number, std::chrono::milliseconds time);
  // Returns once all agree on who is a master, and the others are its replicas and have its data:
  // at once where nobody takes anybody's place. Throws if that does not come.
  void settle();
  // How often others were masters after settle() than before.
  [[nodiscard]] unsigned failovers() const { return failovers_; }

 private:
  redis_test::RedisServer& at(unsigned server) {
    return cluster_ ? (*cluster_)[server] : *servers_[server];
  }
  void add_server(const std::vector<std::string>& words);
  void make_watched();
  [[nodiscard]] bool sentinels_agree();
  [[nodiscard]] bool cluster_agrees();

  std::vector<std::unique_ptr<redis_test::Proxy>> proxies_;
  std::vector<std::unique_ptr<redis_test::RedisServer>> servers_;
  std::vector<std::unique_ptr<redis_test::RedisServer>> sentinels_;
  std::unique_ptr<redis_test::RedisCluster> cluster_;
  unsigned live_ = 0;
  std::vector<bool> masters_;
  unsigned failovers_ = 0;
};

}  // namespace soak
