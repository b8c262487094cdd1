// SPDX-License-Identifier: Apache-2.0
// Who holds and who waits for locks on files: flock, fcntl, lockf. The kernel knows; nobody else
// does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::process {

enum class FileLockFamily : uint8_t { Flock, Posix, OpenDescription };

// What a thread that sleeps in this system call waits for; nullopt: no lock on a file. `command` is
// the call's second argument.
std::optional<FileLockFamily> file_lock_wait(int64_t syscall, uint64_t command);

struct FileLock {
  uint64_t id = 0;  // waiters carry the id of the lock that blocks them
  FileLockFamily family = FileLockFamily::Flock;
  bool waiting = false;
  bool exclusive = false;
  int pid = 0;  // who asked for it; -1: a lock of an open description
  uint32_t major = 0, minor = 0;
  uint64_t inode = 0;
  std::string range;  // "0 EOF"

  // Apart from who waits and the number of its line.
  [[nodiscard]] bool same_lock(const FileLock& other) const;
};

// Of /proc/locks, or the "lock:" lines of /proc/PID/fdinfo/FD.
std::vector<FileLock> parse_file_locks(std::string_view text);

std::vector<FileLock> read_file_locks();

// The locks that any descriptor of the process holds: also of descriptions it has inherited.
std::vector<FileLock> read_held_file_locks(int pid);

}  // namespace gordian::process
