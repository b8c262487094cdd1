// SPDX-License-Identifier: Apache-2.0
// Memory of somebody else: a live process, or a slice of a stack that was kept.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace gordian::process {

// What cannot be read is not there; there is no other kind of failure.
class MemoryReader {
 public:
  virtual ~MemoryReader() = default;
  // All of `to` or nothing.
  [[nodiscard]] virtual bool read(uint64_t address, std::span<std::byte> to) const = 0;

  // A little-endian word of up to 8 bytes.
  [[nodiscard]] std::optional<uint64_t> read_word(uint64_t address, size_t size = 8) const;
  // Up to `max` bytes; without a NUL in them the text is cut there.
  [[nodiscard]] std::optional<std::string> read_text(uint64_t address, size_t max) const;
};

struct MemoryRange {
  uint64_t address = 0;
  std::span<std::byte> to;
  bool read = false;  // filled in
};

// process_vm_readv: stops nobody. Needs the right to ptrace the process.
class ProcessMemory : public MemoryReader {
 public:
  explicit ProcessMemory(int pid) : pid_(pid) {}
  [[nodiscard]] bool read(uint64_t address, std::span<std::byte> to) const override;
  // Many small reads in few system calls. One unreadable range costs only itself.
  void read_all(std::span<MemoryRange> ranges) const;
  [[nodiscard]] int pid() const { return pid_; }

 private:
  int pid_;
};

// Remembers the lines it has read: many small reads in few system calls, what is in a line of one
// instant. Lines that cannot be read whole are read as asked for. A line is shorter than a page,
// for of a thousand stacks only the tips are wanted, and every page that they fill is a page fault.
class CachedMemory : public MemoryReader {
 public:
  explicit CachedMemory(const ProcessMemory& source) : source_(source) {}
  [[nodiscard]] bool read(uint64_t address, std::span<std::byte> to) const override;
  // The lines of these `size` bytes each, in few system calls.
  void read_ahead(std::span<const uint64_t> addresses, size_t size);
  void forget() { lines_.clear(); }

 private:
  static constexpr size_t kLine = 256;
  using Line = std::array<std::byte, kLine>;
  const Line* find_line(uint64_t start) const;

  const ProcessMemory& source_;
  mutable std::unordered_map<uint64_t, std::unique_ptr<Line>> lines_;
};

// A slice of a stack, starting at `start`. Does not own the bytes.
class StackSlice : public MemoryReader {
 public:
  StackSlice(uint64_t start, std::span<const std::byte> bytes) : start_(start), bytes_(bytes) {}
  [[nodiscard]] bool read(uint64_t address, std::span<std::byte> to) const override;

 private:
  uint64_t start_;
  std::span<const std::byte> bytes_;
};

// The slice where it reaches, else what lies behind it (the live process: its heap).
class LayeredMemory : public MemoryReader {
 public:
  LayeredMemory(const MemoryReader& top, const MemoryReader* below) : top_(top), below_(below) {}
  [[nodiscard]] bool read(uint64_t address, std::span<std::byte> to) const override;

 private:
  const MemoryReader& top_;
  const MemoryReader* below_;
};

}  // namespace gordian::process
