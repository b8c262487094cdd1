// SPDX-License-Identifier: Apache-2.0
// Waits for file locks. Who holds them the judge reads from /proc/locks: the kernel knows, also of
// locks that a close() released or that another process holds, and a card could only guess.
//
// A wait names the file: address is the device, object the inode.
#include "runtime/hook.h"
#include "runtime/system_calls.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

// Kind::None if there is no such file: then the real call says what is wrong.
Request file_request(int file, Kind kind, bool exclusive) {
  struct stat status;
  if (is_error(raw_call(SYS_fstat, file, reinterpret_cast<long>(&status)))) return {};
  return {.address = status.st_dev,
          .object = status.st_ino,
          .kind = kind,
          .flags = static_cast<uint8_t>(kShared | (exclusive ? 0 : kSharedMode))};
}

template <typename Call>
__attribute__((always_inline)) inline int wait_for_file(const Request& request,
                                                        const CallSite& site, Call call) {
  if (request.kind == Kind::None) return call();
  return wait_for(request, site, call);
}

// The command of a request that blocks, or Kind::None.
Kind blocking_kind(int command) {
  if (command == F_SETLKW) return Kind::FcntlLock;
  if (command == F_OFD_SETLKW) return Kind::OfdLock;
  return Kind::None;
}

template <typename Real>
__attribute__((always_inline)) inline int file_control(Real* real_call, int file, int command,
                                                       void* argument, const CallSite& site) {
  const Kind kind = blocking_kind(command);
  if (kind == Kind::None || argument == nullptr) return real_call(file, command, argument);
  static_assert(offsetof(struct flock, l_type) == 0 && sizeof(flock::l_type) == 2);
  // The kernel says EFAULT where no request can be read.
  const uint64_t at = address_of(argument);
  if (!is_readable(at) || !is_readable(at + 1)) return real_call(file, command, argument);
  const short type = static_cast<const struct flock*>(argument)->l_type;
  if (type == F_UNLCK) return real_call(file, command, argument);
  return wait_for_file(file_request(file, kind, type == F_WRLCK), site,
                       [&] { return real_call(file, command, argument); });
}

}  // namespace

GORDIAN_HOOK int flock(int file, int operation) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  if ((operation & (LOCK_NB | LOCK_UN)) != 0) return real.flock(file, operation);
  return wait_for_file(file_request(file, Kind::Flock, (operation & LOCK_EX) != 0), site,
                       [&] { return real.flock(file, operation); });
}

// Declared without the dots: on x86-64 the third argument is where a caller of the variadic
// function puts it.
extern "C" __attribute__((visibility("hidden"))) int hook_fcntl(int file, int command,
                                                                void* argument) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  return file_control(real.fcntl, file, command, argument, site);
}

extern "C" __attribute__((visibility("hidden"))) int hook_fcntl64(int file, int command,
                                                                  void* argument) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  return file_control(real.fcntl64, file, command, argument, site);
}

// The exported names. C++ cannot define a function declared variadic with fixed arguments; the
// assembler does not mind.
asm(".globl fcntl\n.type fcntl, @function\n.set fcntl, hook_fcntl\n"
    ".globl fcntl64\n.type fcntl64, @function\n.set fcntl64, hook_fcntl64");

GORDIAN_HOOK int lockf(int file, int command, off_t length) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  if (command != F_LOCK) return real.lockf(file, command, length);
  return wait_for_file(file_request(file, Kind::FcntlLock, true), site,
                       [&] { return real.lockf(file, command, length); });
}

GORDIAN_HOOK int lockf64(int file, int command, off64_t length) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  if (command != F_LOCK) return real.lockf64(file, command, length);
  return wait_for_file(file_request(file, Kind::FcntlLock, true), site,
                       [&] { return real.lockf64(file, command, length); });
}
