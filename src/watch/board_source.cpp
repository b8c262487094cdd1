// SPDX-License-Identifier: Apache-2.0
#include "watch/board_source.h"

#include "format/board.h"
#include "process/live.h"
#include "process/memory.h"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace gordian::watch {
namespace {

constexpr uint64_t kMaxBoard = uint64_t{64} << 30;

class MappedBoard final : public trace::BoardBytes {
 public:
  MappedBoard(const std::byte* bytes, uint64_t size) : bytes_(bytes), size_(size) {}
  ~MappedBoard() override { munmap(const_cast<std::byte*>(bytes_), size_); }

  [[nodiscard]] uint64_t size() const override { return size_; }
  [[nodiscard]] bool read(uint64_t offset, std::span<std::byte> to) const override {
    if (offset > size_ || to.size() > size_ - offset) return false;
    std::memcpy(to.data(), bytes_ + offset, to.size());
    return true;
  }

 private:
  const std::byte* bytes_;
  uint64_t size_;
};

class RemoteBoard final : public trace::BoardBytes {
 public:
  RemoteBoard(std::unique_ptr<process::MemoryReader> memory, uint64_t address, uint64_t size)
      : own_memory_(std::move(memory)), memory_(*own_memory_), address_(address), size_(size) {}
  RemoteBoard(const process::MemoryReader& memory, uint64_t address, uint64_t size)
      : memory_(memory), address_(address), size_(size) {}
  [[nodiscard]] uint64_t size() const override { return size_; }
  [[nodiscard]] bool read(uint64_t offset, std::span<std::byte> to) const override {
    if (offset > size_ || to.size() > size_ - offset) return false;
    return memory_.read(address_ + offset, to);
  }

 private:
  std::unique_ptr<process::MemoryReader> own_memory_;
  const process::MemoryReader& memory_;
  uint64_t address_;
  uint64_t size_;
};

}  // namespace

Result<std::unique_ptr<trace::BoardBytes>> map_board(FileDescriptor fd) {
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return Error::from_errno("fstat");
  if (!S_ISREG(status.st_mode)) return Error("the board is no memory file");
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size < sizeof(format::BoardHeader) || size > kMaxBoard)
    return Error("the board has no sane size");
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
    return Error("the board is not sealed against truncation");
  void* const bytes = mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (bytes == MAP_FAILED) return Error::from_errno("cannot map the board");
  return std::unique_ptr<trace::BoardBytes>(
      std::make_unique<MappedBoard>(static_cast<const std::byte*>(bytes), size));
}

std::unique_ptr<trace::BoardBytes> board_in_process(int pid, uint64_t address, uint64_t size) {
  return std::make_unique<RemoteBoard>(std::make_unique<process::ProcessMemory>(pid), address,
                                       std::min(size, kMaxBoard));
}

Result<std::unique_ptr<trace::BoardBytes>> find_board(int pid) {
  GORDIAN_TRY(const std::vector<process::Mapping> maps, process::read_maps(pid));
  const std::string name = std::string("/memfd:") + format::kBoardName;
  for (const process::Mapping& mapping : maps) {
    if (mapping.offset != 0 || !mapping.path.starts_with(name)) continue;
    // Parts with other rights are mappings of their own.
    uint64_t end = mapping.end;
    for (const process::Mapping& next : maps)
      if (next.start == end && next.inode == mapping.inode) end = next.end;
    return board_in_process(pid, mapping.start, end - mapping.start);
  }
  return Error("no board in its memory", "was it started with libgordian.so preloaded?");
}

Result<std::unique_ptr<trace::BoardBytes>> find_board(const process::CoreFile& core) {
  const std::string name = std::string("/memfd:") + format::kBoardName;
  for (const process::CoreMapping& mapping : core.mappings()) {
    if (mapping.offset != 0 || !mapping.path.starts_with(name)) continue;
    // What is never written into cores is a mapping of its own.
    uint64_t end = mapping.end;
    for (const process::CoreMapping& next : core.mappings())
      if (next.start == end && next.path == mapping.path) end = next.end;
    return std::unique_ptr<trace::BoardBytes>(std::make_unique<RemoteBoard>(
        core, mapping.start, std::min(end - mapping.start, kMaxBoard)));
  }
  return Error("no board in the core");
}

}  // namespace gordian::watch
