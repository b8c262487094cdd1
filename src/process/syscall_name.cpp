// SPDX-License-Identifier: Apache-2.0
#include "process/syscall_name.h"

namespace gordian::process {
namespace {

struct SyscallName {
  int64_t number;
  std::string_view name;
};

constexpr SyscallName kSyscalls[] = {
    {0, "read"},
    {1, "write"},
    {7, "poll"},
    {17, "pread64"},
    {18, "pwrite64"},
    {19, "readv"},
    {20, "writev"},
    {23, "select"},
    {34, "pause"},
    {35, "nanosleep"},
    {42, "connect"},
    {43, "accept"},
    {44, "sendto"},
    {45, "recvfrom"},
    {46, "sendmsg"},
    {47, "recvmsg"},
    {61, "wait4"},
    {65, "semop"},
    {70, "msgrcv"},
    {72, "fcntl"},
    {73, "flock"},
    {74, "fsync"},
    {128, "rt_sigtimedwait"},
    {130, "rt_sigsuspend"},
    {202, "futex"},
    {220, "semtimedop"},
    {230, "clock_nanosleep"},
    {232, "epoll_wait"},
    {243, "mq_timedreceive"},
    {247, "waitid"},
    {270, "pselect6"},
    {271, "ppoll"},
    {281, "epoll_pwait"},
    {288, "accept4"},
    {299, "recvmmsg"},
    {208, "io_getevents"},
    {426, "io_uring_enter"},
    {441, "epoll_pwait2"},
    {449, "futex_waitv"},
};

}  // namespace

std::string_view syscall_name(int64_t number) {
  for (const SyscallName& known : kSyscalls)
    if (known.number == number) return known.name;
  return {};
}

}  // namespace gordian::process
