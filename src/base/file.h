// SPDX-License-Identifier: Apache-2.0
// Files as the tools need them: whole, bounded, and never through a link somebody else planted.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace gordian {

// Owns a descriptor; -1 is none.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~FileDescriptor() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

inline constexpr size_t kMaxFileBytes = 64 << 20;

// The whole file, also one of /proc that claims to be empty. More than `max_bytes` is an error: a
// foreign file must not eat the memory. Errors name the path.
Result<std::string> read_file(const std::string& path, size_t max_bytes = kMaxFileBytes);

// Replaces the file in one step: a reader sees the old text or the new, never half; on failure the
// old file stays. Readable by the owner alone, since reports speak of other people's programs. A
// link at `path` is refused, not followed. A device or a pipe is simply written to.
Result<void> write_file(const std::string& path, std::string_view text);

// A new, empty file without a name, which is gone with its last descriptor; in TMPDIR, else in
// /var/tmp, else in /tmp: a large one may not fit into a /tmp in memory. None: no folder takes it.
FileDescriptor create_nameless();

// Half of what is free where the file lies, in bytes; nullopt: the file system does not tell.
std::optional<uint64_t> half_of_free_space(int fd);

// The file of the program that calls.
Result<std::string> find_own_file();

// All of `text`, through short writes and interruptions.
Result<void> write_all(int fd, std::string_view text);

}  // namespace gordian
