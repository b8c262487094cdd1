// SPDX-License-Identifier: Apache-2.0
#include "redis/local_waits.h"

#include "base/file.h"
#include "redis/failure.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <execinfo.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace gordian::redis {
namespace {

constexpr size_t kMaxChain = 16;

std::string task_file(uint32_t thread, const char* file) {
  const Result<std::string> text =
      read_file("/proc/self/task/" + std::to_string(thread) + '/' + file, 512);
  return text ? *text : std::string();
}

// pthread_mutex_t of glibc on x86-64 and AArch64: lock word, count, owner, users, kind.
struct MutexWords {
  uint32_t lock;
  uint32_t count;
  uint32_t owner;
  uint32_t users;
  uint32_t kind;
};

// Through the kernel: what lies there may have been unmapped meanwhile.
bool read_memory(uint64_t address, void* into, size_t size) {
  const iovec local{.iov_base = into, .iov_len = size};
  const iovec remote{.iov_base = reinterpret_cast<void*>(address), .iov_len = size};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

bool exists(uint32_t thread) { return !task_file(thread, "schedstat").empty(); }

// The owner of a plain, recursive or error-checking mutex that somebody waits for.
uint32_t owner_of_mutex(uint64_t address) {
  MutexWords mutex{};
  if (!read_memory(address, &mutex, sizeof mutex)) return 0;
  constexpr uint32_t kElision = 0x300;
  if (mutex.lock != 2 || mutex.users == 0 || (mutex.kind & ~kElision) > 3) return 0;
  return mutex.owner;
}

// Where a thread's descriptor keeps the number that pthread_join() waits for; 0: not found.
size_t find_place_of_number() {
  const auto* const descriptor = reinterpret_cast<const char*>(pthread_self());
  const auto number = static_cast<uint32_t>(gettid());
  for (size_t at = 0x100; at < 0x400; at += sizeof number)
    if (std::memcmp(descriptor + at, &number, sizeof number) == 0) return at;
  return 0;
}

// A descriptor of glibc on x86-64 names itself in its third word.
bool is_number_of_thread(uint64_t address) {
#ifdef __x86_64__
  static const size_t place = find_place_of_number();
  uint64_t self = 0;
  return place != 0 && read_memory(address - place + 16, &self, sizeof self) &&
         self == address - place;
#else
  return address == 0;  // not known: never a join
#endif
}

}  // namespace

std::optional<LocalWait> read_local_wait(uint32_t thread) {
  LocalWait wait{.thread = thread};
  uint64_t on_processor = 0, waited = 0;
  if (std::sscanf(task_file(thread, "schedstat").c_str(), "%" SCNu64 " %" SCNu64 " %" SCNu64,
                  &on_processor, &waited, &wait.ran) != 3)
    return std::nullopt;
  long call = -1;
  uint64_t address = 0, operation = 0, value = 0, timeout = 0;
  if (std::sscanf(task_file(thread, "syscall").c_str(),
                  "%ld %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64, &call, &address, &operation,
                  &value, &timeout) != 5 ||
      call != SYS_futex || timeout != 0)
    return std::nullopt;
  if (operation == (FUTEX_WAIT | FUTEX_PRIVATE_FLAG) && (value & 0xffffffff) == 2) {
    wait.address = address;
    wait.for_thread = owner_of_mutex(address);
  } else if ((operation & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET &&
             (operation & FUTEX_PRIVATE_FLAG) == 0) {
    // A join: the kernel itself takes the number away when the thread ends.
    uint32_t number = 0;
    if (!is_number_of_thread(address) || !read_memory(address, &number, sizeof number) ||
        number != (value & 0xffffffff))
      return std::nullopt;
    wait.for_thread = number;
  }
  if (wait.for_thread == 0 || wait.for_thread == thread || !exists(wait.for_thread))
    return std::nullopt;
  return wait;
}

std::vector<LocalWait> read_local_waits(uint32_t thread) {
  std::vector<LocalWait> chain;
  for (uint32_t at = thread; chain.size() < kMaxChain; at = chain.back().for_thread) {
    const std::optional<LocalWait> wait = read_local_wait(at);
    if (!wait) break;
    chain.push_back(*wait);
  }
  for (const LocalWait& first : chain)
    if (read_local_wait(first.thread) != first) return {};
  return chain;
}

std::string thread_name(uint32_t thread) {
  const std::string text = task_file(thread, "comm");
  return text.substr(0, text.find('\n'));
}

std::string describe(const LocalWait& wait) {
  char address[32];
  std::snprintf(address, sizeof address, "0x%" PRIx64, wait.address);
  const std::string who = "thread " + std::to_string(wait.thread) + " " +
                          quoted(thread_name(wait.thread)) + " waits for ";
  const std::string whom = "thread " + std::to_string(wait.for_thread);
  return who + (wait.address == 0
                    ? "the end of " + whom
                    : "the mutex at " + std::string(address) + " that " + whom + " holds");
}

std::vector<std::string> own_stack() {
  void* frames[64];
  const int count = backtrace(frames, 64);
  std::vector<std::string> stack;
  char** const names = backtrace_symbols(frames, count);
  for (int i = 1; names != nullptr && i < count; ++i) stack.emplace_back(names[i]);
  free(names);
  return stack;
}

}  // namespace gordian::redis
