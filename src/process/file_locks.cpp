// SPDX-License-Identifier: Apache-2.0
#include "process/file_locks.h"

#include "base/file.h"

#include <algorithm>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>

namespace gordian::process {
namespace {

constexpr uint64_t kOfdSetLockWait = 38;  // F_OFD_SETLKW

std::string_view next_word(std::string_view& line) {
  const size_t begin = line.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return line = {};
  line.remove_prefix(begin);
  const std::string_view word = line.substr(0, line.find_first_of(" \t"));
  line.remove_prefix(word.size());
  return word;
}

uint64_t number(std::string_view text, int base = 10) {
  return strtoull(std::string(text).c_str(), nullptr, base);
}

// "1: -> POSIX  ADVISORY  WRITE 3570 fd:00:2531452 0 EOF"
std::optional<FileLock> parse_line(std::string_view line) {
  FileLock lock;
  const std::string_view id = next_word(line);
  if (id.empty() || id.back() != ':') return std::nullopt;
  lock.id = number(id);
  std::string_view word = next_word(line);
  while (word == "->") {
    lock.waiting = true;
    word = next_word(line);
  }
  if (word == "FLOCK") {
    lock.family = FileLockFamily::Flock;
  } else if (word == "POSIX") {
    lock.family = FileLockFamily::Posix;
  } else if (word == "OFDLCK") {
    lock.family = FileLockFamily::OpenDescription;
  } else {
    return std::nullopt;  // leases
  }
  next_word(line);  // ADVISORY
  lock.exclusive = next_word(line) == "WRITE";
  lock.pid = atoi(std::string(next_word(line)).c_str());
  std::string_view file = next_word(line);
  const size_t first = file.find(':');
  const size_t second = file.find(':', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos) return std::nullopt;
  lock.major = static_cast<uint32_t>(number(file.substr(0, first), 16));
  lock.minor = static_cast<uint32_t>(number(file.substr(first + 1, second - first - 1), 16));
  lock.inode = number(file.substr(second + 1));
  lock.range = next_word(line);
  lock.range += ' ';  // one statement a word: operands are evaluated in no order
  lock.range += next_word(line);
  return lock;
}

}  // namespace

std::optional<FileLockFamily> file_lock_wait(int64_t syscall, uint64_t command) {
  if (syscall == SYS_flock) return FileLockFamily::Flock;
  if (syscall != SYS_fcntl) return std::nullopt;
  if (command == F_SETLKW) return FileLockFamily::Posix;
  if (command == kOfdSetLockWait) return FileLockFamily::OpenDescription;
  return std::nullopt;
}

bool FileLock::same_lock(const FileLock& other) const {
  return family == other.family && exclusive == other.exclusive && pid == other.pid &&
         major == other.major && minor == other.minor && inode == other.inode &&
         range == other.range;
}

std::vector<FileLock> parse_file_locks(std::string_view text) {
  std::vector<FileLock> locks;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.starts_with("lock:")) line.remove_prefix(5);
    if (auto lock = parse_line(line)) locks.push_back(std::move(*lock));
  }
  return locks;
}

std::vector<FileLock> read_file_locks() {
  const Result<std::string> text = gordian::read_file("/proc/locks");
  return text ? parse_file_locks(*text) : std::vector<FileLock>{};
}

std::vector<FileLock> read_held_file_locks(int pid) {
  std::vector<FileLock> locks;
  const std::string folder = "/proc/" + std::to_string(pid) + "/fdinfo";
  DIR* const entries = opendir(folder.c_str());
  if (entries == nullptr) return locks;
  while (const dirent* const entry = readdir(entries)) {
    if (entry->d_name[0] == '.') continue;
    const Result<std::string> text = gordian::read_file(folder + "/" + entry->d_name);
    if (!text || text->find("lock:") == std::string::npos) continue;
    for (FileLock& lock : parse_file_locks(*text)) {
      if (!lock.waiting) locks.push_back(std::move(lock));
    }
  }
  closedir(entries);
  return locks;
}

}  // namespace gordian::process
