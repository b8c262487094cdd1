// SPDX-License-Identifier: Apache-2.0
#include "faults.h"

#include <chrono>
#include <csignal>
#include <functional>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace soak {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Leases from before it prove nothing any more; nor, where a server may have taken the place of
// another, those from before all agree again.
void forgetting(Board& board, Servers& servers, const std::function<void()>& fault) {
  ++board.losses;
  fault();
  servers.settle();
  ++board.losses;
}

}  // namespace

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
    // The pace of the faults. While masters change nothing can be proved: there is time in between.
    std::this_thread::sleep_for(some_time(servers.fail_over() ? 1500 : 300));
    const unsigned server = up_to(servers.count());
    const unsigned process = up_to(fleet.count());
    redis_test::Proxy& proxy = servers.proxy(server);
    // Whoever is not heard of for a while is replaced, where there is somebody for it.
    const auto out_of_reach = [&](const std::function<void()>& fault) {
      if (servers.fail_over())
        forgetting(*board, servers, fault);
      else
        fault();
    };
    ++done;
    switch (up_to(servers.fail_over() ? 11 : 9)) {
      case 0:  // longer than a lease lasts, now and then
        fleet.stop_for(process, some_time(static_cast<unsigned>(board->validity_ms) * 3 / 2));
        break;
      case 1:
        fleet.kill_and_start(process);
        break;
      case 2:
        out_of_reach([&] {
          servers.pause(server);
          std::this_thread::sleep_for(some_time(1500));
          servers.resume(server);
        });
        break;
      case 3:
        forgetting(*board, servers, [&] {
          servers.kill(server);
          // Back before anybody has missed it, or after.
          if (up_to(2) == 0)
            std::this_thread::sleep_for(some_time(servers.fail_over() ? 2500 : 50));
          servers.start(server);
        });
        break;
      case 4:
        proxy.cut();
        break;
      case 5:  // late, and then lost or not
        out_of_reach([&] {
          proxy.hold_replies(true);
          std::this_thread::sleep_for(some_time(800));
          if (up_to(2) == 0) proxy.cut();
          proxy.hold_replies(false);
        });
        break;
      case 6:
        out_of_reach([&] {
          proxy.hold_commands(true);
          std::this_thread::sleep_for(some_time(800));
          if (up_to(2) == 0) proxy.cut();
          proxy.hold_commands(false);
        });
        break;
      case 7:
        forgetting(*board, servers, [&] { servers.flush(server); });
        break;
      case 8:
        board->processes[process].clock_skew_s = static_cast<int64_t>(up_to(7200)) - 3600;
        break;
      case 9:
        forgetting(*board, servers, [&] { servers.switch_master(server); });
        break;
      default:
        servers.disturb_sentinel(server, some_time(1500));
    }
  }
  return done;
}

}  // namespace soak
