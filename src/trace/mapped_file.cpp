// SPDX-License-Identifier: Apache-2.0
#include "trace/mapped_file.h"

#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gordian::trace {
namespace {

constexpr size_t kMaxPipeBytes = size_t{4} << 30;

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file) return Error::from_errno("cannot read").in(path);
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return Error::from_errno("cannot read").in(path);
  // One without an end would be read until there is no memory left. A terminal has an end: ^D.
  if (S_ISBLK(status.st_mode) || (S_ISCHR(status.st_mode) && isatty(file.get()) == 0))
    return Error("is a device", "a recording or a trace is a file, or comes through a pipe")
        .in(path);
  std::shared_ptr<MappedFile> mapped(new MappedFile);
  if (S_ISREG(status.st_mode) && status.st_size > 0) {
    const auto size = static_cast<size_t>(status.st_size);
    void* const address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (address == MAP_FAILED) return Error::from_errno("cannot map").in(path);
    madvise(address, size, MADV_SEQUENTIAL);
    mapped->address_ = address;
    mapped->bytes_ = {static_cast<const char*>(address), size};
  } else {
    GORDIAN_TRY(mapped->copy_ =, read_file(path, kMaxPipeBytes));
    mapped->bytes_ = mapped->copy_;
  }
  return std::shared_ptr<const MappedFile>(std::move(mapped));
}

MappedFile::~MappedFile() {
  if (address_ != nullptr) munmap(address_, bytes_.size());
}

}  // namespace gordian::trace
