// SPDX-License-Identifier: Apache-2.0
// What is done to the servers of a soak and to its processes.
#pragma once

#include "board.h"
#include "servers.h"

#include <chrono>
#include <random>
#include <string>
#include <vector>

namespace soak {

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
