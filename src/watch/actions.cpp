// SPDX-License-Identifier: Apache-2.0
#include "watch/actions.h"

#include "base/file.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace gordian::watch {
namespace {

constexpr int kCoreTimeoutMs = 30'000;  // a large program writes its core for long

// A hexadecimal mask of /proc/PID/status.
uint64_t read_mask(const std::string& status, const std::string& field) {
  const size_t at = status.find("\n" + field + ":");
  if (at == std::string::npos) return 0;
  return strtoull(status.c_str() + at + field.size() + 2, nullptr, 16);
}

std::string core_pattern() {
  std::string pattern = read_file("/proc/sys/kernel/core_pattern").value_or("core");
  pattern.erase(std::find(pattern.begin(), pattern.end(), '\n'), pattern.end());
  return pattern;
}

}  // namespace

void kill_processes(const std::vector<int>& pids) {
  for (const int pid : pids) kill(pid, SIGKILL);
}

std::string dump_core(int pid) {
  const std::string status = read_file("/proc/" + std::to_string(pid) + "/status").value_or("");
  if (status.empty()) return "process " + std::to_string(pid) + " has ended already";
  const uint64_t handled =
      read_mask(status, "SigCgt") | read_mask(status, "SigIgn") | read_mask(status, "SigBlk");
  rlimit limit{};
  if (prlimit(pid, RLIMIT_CORE, nullptr, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    prlimit(pid, RLIMIT_CORE, &limit, nullptr);
  }
  const bool limited = limit.rlim_max == 0;
  const FileDescriptor pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  // By name: which of them a program leaves alone differs.
  for (const int signal :
       {SIGABRT, SIGQUIT, SIGTRAP, SIGSYS, SIGXCPU, SIGXFSZ, SIGBUS, SIGFPE, SIGILL, SIGSEGV}) {
    if ((handled >> (signal - 1) & 1) != 0) continue;
    if (kill(pid, signal) != 0) return "process " + std::to_string(pid) + " has ended already";
    pollfd end{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    poll(&end, 1, kCoreTimeoutMs);
    const std::string by = std::string("SIG") + sigabbrev_np(signal);
    if (limited) {
      return "process " + std::to_string(pid) + " was ended by " + by +
             " without a core file: its limit is 0 (ulimit -c unlimited)";
    }
    return "process " + std::to_string(pid) + " was made to dump core by " + by +
           " (where to: core_pattern is \"" + core_pattern() + "\")";
  }
  return "process " + std::to_string(pid) + " catches every signal that dumps core; gcore " +
         std::to_string(pid) + " would do it with --on-deadlock=keep";
}

}  // namespace gordian::watch
