// SPDX-License-Identifier: Apache-2.0
// Futex waits made through libc's syscall(): a wait with unknown owner, unless a hook of ours
// already published what it is for (GLib's slow paths come through here too).
#include "runtime/hook.h"

#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): the hooks are C
                                   // functions

using SystemCall = long(long, long, long, long, long, long, long);

extern "C" {
__attribute__((visibility("hidden"))) constinit SystemCall* gordian_real_syscall = nullptr;

// Finds libc's own, without starting anything: syscall() may be called by anybody at any time.
__attribute__((visibility("hidden"))) void gordian_find_real_syscall() {
  gordian_real_syscall = reinterpret_cast<SystemCall*>(find_next_symbol("syscall", ""));
}
}

namespace {

struct FutexWait {
  bool waits;
  bool timed;
};

FutexWait describe(int operation, long timeout) {
  switch (operation & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
    case FUTEX_WAIT_REQUEUE_PI:
      return {true, timeout != 0};
    default:
      return {false, false};
  }
}

// A hook further out published what this wait is for.
bool is_published(const CallSite& site) {
  const gordian::format::WaitWord* wait = this_thread.wait;
  return wait != nullptr && (wait->number & 1) != 0 && wait->frame > site.frame;
}

}  // namespace

extern "C" __attribute__((visibility("hidden"))) long gordian_futex_call(long number, long address,
                                                                         long operation, long value,
                                                                         long timeout,
                                                                         long address2,
                                                                         long value3) {
  const CallSite site = GORDIAN_CALL_SITE();
  if (gordian_real_syscall == nullptr) gordian_find_real_syscall();
  const FutexWait wait = describe(static_cast<int>(operation), timeout);
  if (!wait.waits) {
    return gordian_real_syscall(number, address, operation, value, timeout, address2, value3);
  }
  ensure_started();
  if (is_published(site)) {
    return gordian_real_syscall(number, address, operation, value, timeout, address2, value3);
  }
  uint8_t flags = wait.timed ? kTimed : 0;
  if ((operation & FUTEX_PRIVATE_FLAG) == 0) flags |= kShared;
  const Request request{
      .address = static_cast<uint64_t>(address), .kind = Kind::Futex, .flags = flags};
  return wait_for(request, site, [&] {
    return gordian_real_syscall(number, address, operation, value, timeout, address2, value3);
  });
}
