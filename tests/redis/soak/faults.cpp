// SPDX-License-Identifier: Apache-2.0
#include "faults.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace soak {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Leases from before it prove nothing any more.
class Loss {
 public:
  explicit Loss(Board& board) : board_(board) { ++board_.losses; }
  ~Loss() { ++board_.losses; }
  Loss(const Loss&) = delete;
  Loss& operator=(const Loss&) = delete;

 private:
  Board& board_;
};

}  // namespace

Servers::Servers(const std::string& topology) {
  const unsigned count = topology == "independent" ? 3 : 1;
  if (topology != "independent" && topology != "one")
    throw std::runtime_error("no such topology: " + topology);
  for (unsigned i = 0; i < count; ++i) {
    servers_.push_back(std::make_unique<redis_test::RedisServer>());
    proxies_.push_back(std::make_unique<redis_test::Proxy>(servers_.back()->port()));
  }
  live_ = count;
  if (count == 1) return;
  servers_.back()->kill();
  live_ -= 1;
}

void Servers::write_urls(Board& board) const {
  for (size_t i = 0; i < servers_.size(); ++i) {
    std::snprintf(board.urls[0][i], sizeof board.urls[0][i], "%s", servers_[i]->url().c_str());
    std::snprintf(board.urls[1][i], sizeof board.urls[1][i], "%s",
                  (board.faults ? proxies_[i]->url() : servers_[i]->url()).c_str());
  }
}

gordian::redis::client_options Servers::options(const Board& board) const {
  gordian::redis::client_options options;
  options.servers.clear();
  for (const auto& server : servers_) options.servers.push_back(server->url());
  if (servers_.size() > 1) options.kind = gordian::redis::topology::independent;
  options.fencing = board.fencing;
  return options;
}

void Servers::restart(unsigned server) {
  servers_[server]->kill();
  servers_[server]->start();
}

Fleet::Fleet(SharedBoard& board, unsigned processes, std::string role)
    : board_(board), role_(std::move(role)) {
  for (unsigned process = 0; process < processes; ++process) pids_.push_back(start(process));
}

Fleet::~Fleet() {
  for (const pid_t pid : pids_) {
    if (pid <= 0) continue;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
}

pid_t Fleet::start(unsigned process) const {
  const std::string fd = std::to_string(board_.fd()), number = std::to_string(process);
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl("/proc/self/exe", "redis_soak", role_.c_str(), fd.c_str(), number.c_str(), nullptr);
    _exit(127);
  }
  return pid;
}

void Fleet::stop_for(unsigned process, milliseconds time) {
  std::atomic<uint32_t>& stops = board_->processes[process].stops;
  ++stops;
  kill(pids_[process], SIGSTOP);
  waitpid(pids_[process], nullptr, WUNTRACED);
  std::this_thread::sleep_for(time);  // the fault itself
  kill(pids_[process], SIGCONT);
  ++stops;
}

void Fleet::kill_and_start(unsigned process) {
  kill(pids_[process], SIGKILL);
  waitpid(pids_[process], nullptr, 0);
  pids_[process] = start(process);
}

unsigned Fleet::wait_for_end(std::chrono::seconds at_most) {
  const auto until = Clock::now() + at_most;
  unsigned left = 0;
  do {
    left = 0;
    for (pid_t& pid : pids_) {
      int status = 0;
      if (pid > 0 && waitpid(pid, &status, WNOHANG) == pid) {
        pid = 0;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
          board_->violation("a process ended with status " + std::to_string(status));
      }
      left += pid > 0 ? 1 : 0;
    }
    if (left != 0) std::this_thread::sleep_for(5ms);  // a rate
  } while (left != 0 && Clock::now() < until);
  return left;
}

unsigned run_faults(SharedBoard& board, Servers& servers, Fleet& fleet, std::mt19937& random,
                    Clock::time_point until) {
  unsigned done = 0;
  const auto up_to = [&random](unsigned limit) { return random() % limit; };
  const auto some_time = [&](unsigned most_ms) { return milliseconds(20 + up_to(most_ms)); };
  while (Clock::now() < until) {
    std::this_thread::sleep_for(some_time(300));  // the pace of the faults
    const unsigned server = up_to(servers.count());
    const unsigned process = up_to(fleet.count());
    ++done;
    switch (up_to(9)) {
      case 0:  // longer than a lease lasts, now and then
        fleet.stop_for(process, some_time(static_cast<unsigned>(board->validity_ms) * 3 / 2));
        break;
      case 1:
        fleet.kill_and_start(process);
        break;
      case 2:
        servers.pause(server);
        std::this_thread::sleep_for(some_time(1500));
        servers.resume(server);
        break;
      case 3: {
        const Loss loss(*board);
        servers.restart(server);
        break;
      }
      case 4:
        servers.proxy(server).cut();
        break;
      case 5:  // late, and then lost or not
        servers.proxy(server).hold_replies(true);
        std::this_thread::sleep_for(some_time(800));
        if (up_to(2) == 0) servers.proxy(server).cut();
        servers.proxy(server).hold_replies(false);
        break;
      case 6:
        servers.proxy(server).hold_commands(true);
        std::this_thread::sleep_for(some_time(800));
        if (up_to(2) == 0) servers.proxy(server).cut();
        servers.proxy(server).hold_commands(false);
        break;
      case 7: {
        const Loss loss(*board);
        servers.flush(server);
        break;
      }
      default:
        board->processes[process].clock_skew_s = static_cast<int64_t>(up_to(7200)) - 3600;
    }
  }
  return done;
}

}  // namespace soak
