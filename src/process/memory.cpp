// SPDX-License-Identifier: Apache-2.0
#include "process/memory.h"

#include "process/live.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/uio.h>

namespace gordian::process {
namespace {

ssize_t read_process(int pid, const iovec* local, size_t count, const iovec* remote) {
  const ssize_t got = process_vm_readv(pid, local, count, remote, count, 0);
  if (got >= 0 || errno != ESRCH) return got;
  const int tid = find_memory_thread(pid);
  return tid == 0 ? got : process_vm_readv(tid, local, count, remote, count, 0);
}

}  // namespace

std::optional<uint64_t> MemoryReader::read_word(uint64_t address, size_t size) const {
  uint64_t word = 0;
  if (size == 0 || size > sizeof word) return std::nullopt;
  if (!read(address, std::as_writable_bytes(std::span(&word, 1)).first(size))) return std::nullopt;
  return word;
}

std::optional<std::string> MemoryReader::read_text(uint64_t address, size_t max) const {
  // In pieces that end at a page border: the text may stand at the end of the last readable page.
  std::string text;
  while (text.size() < max) {
    const uint64_t at = address + text.size();
    const size_t piece = std::min<size_t>(max - text.size(), 4096 - at % 4096);
    std::string bytes(piece, '\0');
    if (!read(at, std::as_writable_bytes(std::span(bytes)))) {
      if (text.empty()) return std::nullopt;
      return text;
    }
    const size_t end = bytes.find('\0');
    text.append(bytes, 0, end);
    if (end != std::string::npos) return text;
  }
  return text;
}

bool ProcessMemory::read(uint64_t address, std::span<std::byte> to) const {
  if (to.empty()) return true;
  iovec local{to.data(), to.size()};
  iovec remote{reinterpret_cast<void*>(address), to.size()};
  return read_process(pid_, &local, 1, &remote) == static_cast<ssize_t>(to.size());
}

void ProcessMemory::read_all(std::span<MemoryRange> ranges) const {
  constexpr size_t kBatch = 512;  // the kernel takes at most 1024
  size_t next = 0;
  while (next < ranges.size()) {
    const size_t count = std::min(kBatch, ranges.size() - next);
    std::array<iovec, kBatch> local;
    std::array<iovec, kBatch> remote;
    for (size_t i = 0; i < count; ++i) {
      const MemoryRange& range = ranges[next + i];
      local[i] = {range.to.data(), range.to.size()};
      remote[i] = {reinterpret_cast<void*>(range.address), range.to.size()};
    }
    ssize_t got = read_process(pid_, local.data(), count, remote.data());
    // The kernel stops at the first range it cannot read whole; that one is lost, the next call
    // goes on behind it.
    size_t done = 0;
    for (; done < count && got >= static_cast<ssize_t>(ranges[next + done].to.size()); ++done) {
      got -= static_cast<ssize_t>(ranges[next + done].to.size());
      ranges[next + done].read = true;
    }
    next += done < count ? done + 1 : done;
  }
}

const CachedMemory::Line* CachedMemory::find_line(uint64_t start) const {
  const auto [place, is_new] = lines_.try_emplace(start);
  if (is_new) {
    auto line = std::make_unique_for_overwrite<Line>();
    if (source_.read(start, *line)) place->second = std::move(line);
  }
  return place->second.get();
}

void CachedMemory::read_ahead(std::span<const uint64_t> addresses, size_t size) {
  std::vector<MemoryRange> ranges;
  ranges.reserve(addresses.size() * (size / kLine + 1));
  for (const uint64_t address : addresses) {
    for (uint64_t at = address & ~uint64_t{kLine - 1}; at < address + size; at += kLine) {
      const auto [place, is_new] = lines_.try_emplace(at);
      if (!is_new) continue;
      place->second = std::make_unique_for_overwrite<Line>();
      ranges.push_back({.address = at, .to = *place->second});
    }
  }
  source_.read_all(ranges);
  for (const MemoryRange& range : ranges)
    if (!range.read) lines_.erase(range.address);  // asked for again, it is read as it is asked for
}

bool CachedMemory::read(uint64_t address, std::span<std::byte> to) const {
  for (size_t done = 0; done < to.size();) {
    const uint64_t at = address + done;
    if (at < address) return false;
    const uint64_t start = at & ~uint64_t{kLine - 1};
    const size_t size = std::min<size_t>(to.size() - done, start + kLine - at);
    const auto* const line = find_line(start);
    if (line == nullptr) {
      if (!source_.read(at, to.subspan(done, size))) return false;
    } else {
      std::memcpy(to.data() + done, line->data() + (at - start), size);
    }
    done += size;
  }
  return true;
}

bool StackSlice::read(uint64_t address, std::span<std::byte> to) const {
  if (address < start_) return false;
  const uint64_t offset = address - start_;
  if (offset > bytes_.size() || to.size() > bytes_.size() - offset) return false;
  std::memcpy(to.data(), bytes_.data() + offset, to.size());
  return true;
}

bool LayeredMemory::read(uint64_t address, std::span<std::byte> to) const {
  return top_.read(address, to) || (below_ != nullptr && below_->read(address, to));
}

}  // namespace gordian::process
