// SPDX-License-Identifier: Apache-2.0
#include "process/libc_locks.h"

#include "process/debug_info.h"

#include <algorithm>
#include <array>
#include <span>
#include <unistd.h>

namespace gordian::process {
namespace {

// struct _IO_FILE
constexpr uint64_t kStreamMagic = 0xfbad0000;
constexpr uint64_t kStreamDescriptor = 112;
constexpr uint64_t kStreamLock = 136;
constexpr uint64_t kStreamSize = 224;  // with the pointer behind it; then comes its lock

// struct malloc_state
constexpr uint64_t kArenaTop = 96;
constexpr uint64_t kArenaBins = 112;
constexpr size_t kArenaBinCount = 127;
constexpr size_t kArenaEmptyBins = 32;  // so many at least are empty in any program
constexpr uint64_t kArenaNext = 2160;
constexpr size_t kMaxArenas = 1 << 14;

bool is_stream_with(const MemoryReader& memory, uint64_t stream, uint64_t lock) {
  const auto magic = memory.read_word(stream, 4);
  return magic && (*magic & 0xffff0000) == kStreamMagic &&
         memory.read_word(stream + kStreamLock) == lock;
}

struct StandardStream {
  const char* name = nullptr;
  uint64_t address = 0;
};

std::optional<StandardStream> find_standard(const Symbols& symbols, const MemoryReader& memory,
                                            uint64_t lock) {
  DebugInfo& info = symbols.debug_info();
  if (info.find_module(lock) == nullptr) return std::nullopt;
  constexpr std::array<const char*, 3> kNames = {"stdin", "stdout", "stderr"};
  constexpr std::array<std::string_view, 3> kSymbols = {"_IO_2_1_stdin_", "_IO_2_1_stdout_",
                                                        "_IO_2_1_stderr_"};
  const auto found = info.find_named(lock, kSymbols);
  for (size_t i = 0; i < kNames.size(); ++i)
    if (found[i] && is_stream_with(memory, found[i]->start, lock))
      return StandardStream{kNames[i], found[i]->start};
  return std::nullopt;
}

std::string file_of(int pid, uint64_t stream, const MemoryReader& memory) {
  const auto descriptor = memory.read_word(stream + kStreamDescriptor, 4);
  if (!descriptor || pid == 0 || static_cast<int32_t>(*descriptor) < 0) return {};
  const std::string path =
      "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(static_cast<int>(*descriptor));
  std::array<char, 512> text{};
  const ssize_t size = readlink(path.c_str(), text.data(), text.size());
  return size > 0 ? std::string(text.data(), static_cast<size_t>(size)) : std::string();
}

}  // namespace

std::optional<uint64_t> find_stream(const MemoryReader& memory, uint64_t lock) {
  if (lock < kStreamSize || !is_stream_with(memory, lock - kStreamSize, lock)) return std::nullopt;
  return lock - kStreamSize;
}

std::optional<std::string> find_standard_stream(const Symbols& symbols, const MemoryReader& memory,
                                                uint64_t lock) {
  const auto found = find_standard(symbols, memory, lock);
  return found ? std::optional<std::string>(found->name) : std::nullopt;
}

std::optional<uint64_t> find_any_stream(const Symbols& symbols, const MemoryReader& memory,
                                        uint64_t lock) {
  if (const auto stream = find_stream(memory, lock)) return stream;
  const auto standard = find_standard(symbols, memory, lock);
  return standard ? std::optional(standard->address) : std::nullopt;
}

bool is_malloc_arena(const MemoryReader& memory, uint64_t address) {
  std::array<uint64_t, 2 * kArenaBinCount> bins{};
  if (address % 8 != 0 ||
      !memory.read(address + kArenaBins, std::as_writable_bytes(std::span(bins))))
    return false;
  // A bin is a list whose head lies two words before its pointers.
  size_t empty = 0;
  for (size_t i = 0; i < kArenaBinCount; ++i) {
    const uint64_t head = address + kArenaTop + 16 * i;
    const uint64_t next = bins[2 * i];
    const uint64_t previous = bins[2 * i + 1];
    if (next % 8 != 0 || next == 0 || previous % 8 != 0 || previous == 0) return false;
    if ((next == head) != (previous == head)) return false;
    empty += next == head ? 1 : 0;
  }
  if (empty < kArenaEmptyBins) return false;
  // All arenas are one ring.
  uint64_t arena = address;
  for (size_t i = 0; i < kMaxArenas; ++i) {
    const auto next = memory.read_word(arena + kArenaNext);
    if (!next || *next == 0) return false;
    if (*next == address) return true;
    arena = *next;
  }
  return false;
}

bool is_malloc_function(std::string_view plain_name) {
  for (const std::string_view known :
       {"malloc",        "libc_malloc",    "int_malloc",   "free",
        "libc_free",     "int_free",       "cfree",        "realloc",
        "libc_realloc",  "int_realloc",    "calloc",       "libc_calloc",
        "memalign",      "libc_memalign",  "int_memalign", "mid_memalign",
        "aligned_alloc", "posix_memalign", "valloc",       "pvalloc",
        "malloc_trim",   "sysmalloc",      "systrim",      "malloc_consolidate",
        "mallinfo",      "mallinfo2",      "malloc_stats", "malloc_info",
        "mallopt"})
    if (plain_name == known || plain_name == std::string(known) + ".part.0") return true;
  return false;
}

std::string libc_lock_name(const Symbols& symbols, const MemoryReader& memory, uint64_t address,
                           int pid) {
  if (const auto standard = find_standard_stream(symbols, memory, address))
    return *standard + "'s lock";
  if (const auto stream = find_stream(memory, address)) {
    const std::string file = file_of(pid, *stream, memory);
    return file.empty() ? std::string() : "the lock of the stream on " + file;
  }
  if (!is_malloc_arena(memory, address)) return {};
  // The main one is a variable of libc; others lie at the beginning of their memory.
  return symbols.debug_info().find_module(address) != nullptr ? "malloc's main arena"
                                                              : "an arena of malloc";
}

}  // namespace gordian::process
