// SPDX-License-Identifier: Apache-2.0
// The servers of a soak, with a proxy before each, and what is done to them and to the processes.
#pragma once

#include "board.h"
#include "proxy.h"
#include "redis_server.h"

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace soak {

class Servers {
 public:
  // "one", or "independent": three masters, of which the last is never started again once it is
  // gone.
  explicit Servers(const std::string& topology);

  // Direct ones, then those of the proxies.
  void write_urls(Board& board) const;
  [[nodiscard]] gordian::redis::client_options options(const Board& board) const;

  void pause(unsigned server) { servers_[server]->pause(); }
  void resume(unsigned server) { servers_[server]->resume(); }
  void restart(unsigned server);
  void flush(unsigned server) { servers_[server]->run({"FLUSHALL"}); }
  redis_test::Proxy& proxy(unsigned server) { return *proxies_[server]; }
  [[nodiscard]] unsigned count() const { return live_; }

 private:
  std::vector<std::unique_ptr<redis_test::RedisServer>> servers_;
  std::vector<std::unique_ptr<redis_test::Proxy>> proxies_;
  unsigned live_;
};

// The processes that run the workers.
class Fleet {
 public:
  // `role` is what the program is called with, see main.cpp.
  Fleet(SharedBoard& board, unsigned processes, std::string role = "worker");
  ~Fleet();  // kills those that are left
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  [[nodiscard]] unsigned count() const { return static_cast<unsigned>(pids_.size()); }
  void stop_for(unsigned process, std::chrono::milliseconds time);
  void kill_and_start(unsigned process);
  // Those that have not ended by themselves by then.
  unsigned wait_for_end(std::chrono::seconds at_most);

 private:
  pid_t start(unsigned process) const;

  SharedBoard& board_;
  const std::string role_;
  std::vector<pid_t> pids_;
};

// One thing after the other happens to them, until the time is over. Counts what it did.
unsigned run_faults(SharedBoard& board, Servers& servers, Fleet& fleet, std::mt19937& random,
                    std::chrono::steady_clock::time_point until);

}  // namespace soak
