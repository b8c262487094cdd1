// SPDX-License-Identifier: Apache-2.0
#include "process/glibc_layout.h"

#include "base/text.h"
#include "process/debug_info.h"

#include <charconv>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace gordian::process {
namespace {

constexpr size_t kTidOffset = 0x2d0;  // 2.25 to 2.41
constexpr size_t kOldSignals = 40;    // behind __g_refs
constexpr size_t kNewSignals = 32;    // 2.41: without __g_refs
constexpr int kOldestMinor = 25;      // new condition variables and rwlocks came with 2.25
constexpr int kNewSignalsMinor = 41;
constexpr int kNewestMinor = 41;
constexpr std::string_view kBanner = "GNU C Library (";
constexpr std::string_view kBannerVersion = "release version ";

bool is_libc(const Module& module) {
  const std::string_view name = base_name(module.path);
  return name.starts_with("libc.so.") || name.starts_with("libc-2.");
}

bool is_libpthread(const Module& module) {
  const std::string_view name = base_name(module.path);
  return name.starts_with("libpthread.so.") || name.starts_with("libpthread-2.");
}

// "GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36."
std::string version_in(std::string_view file) {
  const size_t banner = file.find(kBanner);
  if (banner == std::string_view::npos) return {};
  std::string_view text = file.substr(banner, 256);
  const size_t at = text.find(kBannerVersion);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + kBannerVersion.size());
  const size_t end = text.find_first_not_of("0123456789.");
  text = text.substr(0, end);
  while (text.ends_with('.')) text.remove_suffix(1);
  return std::string(text);
}

// For debuggers libc exports where a field lies: its size in bits, how many there are, its offset.
std::optional<size_t> exported_tid_offset(DebugInfo& info, const MemoryReader& memory,
                                          uint64_t library) {
  const auto entry = info.find_address(library, "_thread_db_pthread_tid");
  if (!entry) return std::nullopt;
  const auto bits = memory.read_word(*entry, 4);
  const auto offset = memory.read_word(*entry + 8, 4);
  if (bits != 32 || !offset || *offset > 4096) return std::nullopt;
  return *offset;
}

}  // namespace

GlibcLayout glibc_layout(const std::string& version) {
  GlibcLayout layout{.version = version,
                     .known = false,
                     .tid_offset = kTidOffset,
                     .condition_signals = kNewSignals};
  std::string_view text = version;
  if (!text.starts_with("2.")) return layout;
  text.remove_prefix(2);
  int minor = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), minor);
  if (error != std::errc()) return layout;
  layout.known = minor >= kOldestMinor && minor <= kNewestMinor;
  layout.condition_signals = minor >= kNewSignalsMinor ? kNewSignals : kOldSignals;
  return layout;
}

GlibcLayout find_glibc_layout(const Symbols& symbols, const MemoryReader& memory) {
  DebugInfo& info = symbols.debug_info();
  const Module* library = nullptr;
  const Module* threads = nullptr;
  for (const Module& module : symbols.modules()) {
    if (is_libc(module)) library = &module;
    if (is_libpthread(module)) threads = &module;
  }
  // A static program is its own libc.
  if (library == nullptr && !symbols.modules().empty()) library = &symbols.modules().front();
  if (library == nullptr) return glibc_layout({});
  GlibcLayout layout = glibc_layout(version_in(info.file_bytes(library->start)));
  for (const Module* module : {threads, library}) {
    if (module == nullptr) continue;
    const auto offset = exported_tid_offset(info, memory, module->start);
    if (!offset) continue;
    layout.tid_offset = *offset;
    break;
  }
  return layout;
}

}  // namespace gordian::process
