// SPDX-License-Identifier: Apache-2.0
// System calls that the program makes by number. Which of them carries something from thread to
// thread is not known: all but those here count as something that was not seen.
#include "memory/real_functions.h"
#include "memory/thread.h"

#include <sys/syscall.h>

using namespace gordian::memory;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

constinit void* real_syscall = nullptr;
__attribute__((constructor)) void find_syscall() { real_syscall = find_next("syscall"); }

bool is_seen(long call, long third) {
  switch (call) {
    case SYS_futex:  // what it waits for the program reads itself
    case SYS_gettid:
    case SYS_getpid:
    case SYS_getppid:
    case SYS_sched_yield:
    case SYS_membarrier:
    case SYS_memfd_create:
    case SYS_pidfd_open:
    case SYS_exit:
    case SYS_exit_group:
      return true;
    case SYS_tgkill:  // is the thread there?
      return third == 0;
    default:
      return false;
  }
}

}  // namespace

// The address to go on at.
extern "C" __attribute__((visibility("hidden"))) void* gordian_before_raw_call(long call,
                                                                               long first,
                                                                               long second,
                                                                               long third) {
  static_cast<void>(second);
  if (real_syscall == nullptr) find_syscall();
  if (call == SYS_getrandom && may_tell()) {
    on_write_range(static_cast<uint64_t>(first), static_cast<uint64_t>(second));
  } else if (!is_seen(call, third)) {
    miss(gordian::format::kMemoryUnseenCause);
  }
  return real_syscall;
}
