// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include "base/text.h"

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace gordian {
namespace {

constexpr mode_t kOwnerOnly = S_IRUSR | S_IWUSR;

Result<FileDescriptor> open_for(const std::string& path, int flags) {
  FileDescriptor file(::open(path.c_str(), flags | O_CLOEXEC, kOwnerOnly));
  if (!file) return Error::from_errno("cannot open").in(path);
  return file;
}

// A new file beside `path`, so that the rename stays inside one file system.
Result<std::pair<FileDescriptor, std::string>> create_beside(const std::string& path) {
  std::string name = path + ".XXXXXX";
  FileDescriptor file(::mkostemp(name.data(), O_CLOEXEC));  // made with mode 0600 and O_EXCL
  if (!file) return Error::from_errno("cannot create").in(path);
  return std::pair(std::move(file), std::move(name));
}

}  // namespace

void FileDescriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<std::string> read_file(const std::string& path, size_t max_bytes) {
  GORDIAN_TRY(const FileDescriptor file, open_for(path, O_RDONLY | O_NOCTTY));
  std::string text;
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno("cannot read").in(path);
    if (count == 0) return text;
    if (text.size() + static_cast<size_t>(count) > max_bytes) {
      return Error("larger than " + count_of(max_bytes, "byte"), "is it the right file?").in(path);
    }
    text.append(buffer.data(), static_cast<size_t>(count));
  }
}

FileDescriptor create_nameless() {
  const char* chosen = std::getenv("TMPDIR");
  for (const char* folder : {chosen, "/var/tmp", "/tmp"}) {
    if (folder == nullptr || *folder == '\0') continue;
    FileDescriptor fd(::open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, kOwnerOnly));
    if (fd) return fd;
    // Not every file system can do without a name.
    std::string name = std::string(folder) + "/gordian.XXXXXX";
    fd = FileDescriptor(::mkostemp(name.data(), O_CLOEXEC));
    if (!fd) continue;
    ::unlink(name.c_str());
    return fd;
  }
  return FileDescriptor();
}

std::optional<uint64_t> half_of_free_space(int fd) {
  struct statvfs space = {};
  if (::fstatvfs(fd, &space) != 0) return std::nullopt;
  return uint64_t{space.f_bavail} * space.f_frsize / 2;
}

Result<std::string> find_own_file() {
  std::array<char, PATH_MAX> path;
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0) return Error::from_errno("cannot find my own file");
  return std::string(path.data(), static_cast<size_t>(size));
}

Result<void> write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno("cannot write");
    text.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Result<void> write_file(const std::string& path, std::string_view text) {
  struct stat found = {};
  const bool exists = ::lstat(path.c_str(), &found) == 0;
  // /dev/stdout and its like are links of the system's own; replacing a device by a file would be
  // worse.
  const bool in_dev = path.starts_with("/dev/");
  if (exists && (in_dev || S_ISFIFO(found.st_mode) || S_ISCHR(found.st_mode))) {
    GORDIAN_TRY(const FileDescriptor file,
                open_for(path, O_WRONLY | O_NOCTTY | (in_dev ? 0 : O_NOFOLLOW)));
    return write_all(file.get(), text).in(path);
  }
  if (exists && !S_ISREG(found.st_mode)) {
    return Error(S_ISLNK(found.st_mode) ? "is a symbolic link" : "is not a file",
                 "name the file itself: a link could lead to somebody else's file")
        .in(path);
  }

  GORDIAN_TRY(const auto created, create_beside(path));
  const auto& [file, name] = created;
  Result<void> written = write_all(file.get(), text);
  if (written && ::rename(name.c_str(), path.c_str()) != 0)
    written = Error::from_errno("cannot replace");
  if (!written) ::unlink(name.c_str());
  return std::move(written).in(path);
}

}  // namespace gordian
