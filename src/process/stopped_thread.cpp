// SPDX-License-Identifier: Apache-2.0
#include "process/stopped_thread.h"

#include <cerrno>
#include <chrono>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <thread>

namespace gordian::process {
namespace {

using Clock = std::chrono::steady_clock;
// Until it gets a processor to stop on. Once stopped, it is let go as soon as its registers are
// read.
constexpr std::chrono::seconds kPatience{2};
constexpr std::chrono::microseconds kNap{20};

std::optional<int> wait_for_stop(int tid, Clock::time_point until) {
  do {
    int status = 0;
    const pid_t got = waitpid(tid, &status, __WALL | WNOHANG);
    if (got == tid) return status;
    if (got < 0 && errno != EINTR) return std::nullopt;
    std::this_thread::sleep_for(kNap);
  } while (Clock::now() < until);
  return std::nullopt;
}

}  // namespace

std::optional<model::Registers> read_registers_stopped(int tid) {
  const std::optional<StoppedCall> call = read_call_stopped(tid);
  if (!call) return std::nullopt;
  return call->registers;
}

std::optional<StoppedCall> read_call_stopped(int tid) {
  if (ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) != 0) return std::nullopt;
  std::optional<StoppedCall> result;
  std::optional<int> status;
  if (ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) == 0) {
    status = wait_for_stop(tid, Clock::now() + kPatience);
    user_regs_struct registers{};
    if (status && WIFSTOPPED(*status) && ptrace(PTRACE_GETREGS, tid, nullptr, &registers) == 0) {
      result = StoppedCall{.registers = {.rip = registers.rip,
                                         .rsp = registers.rsp,
                                         .rbp = registers.rbp,
                                         .rbx = registers.rbx,
                                         .r12 = registers.r12,
                                         .r13 = registers.r13,
                                         .r14 = registers.r14,
                                         .r15 = registers.r15},
                           .argument = registers.rdi};
    }
  }
  // A signal that arrived at the same time is handed on.
  const bool has_signal = status && WIFSTOPPED(*status) && (*status >> 16) == 0;
  const long signal = has_signal ? WSTOPSIG(*status) : 0;
  ptrace(PTRACE_DETACH, tid, nullptr, reinterpret_cast<void*>(signal));
  return result;
}

}  // namespace gordian::process
