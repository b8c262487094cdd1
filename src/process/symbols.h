// SPDX-License-Identifier: Apache-2.0
// Words for addresses: functions, files, lines, inlined frames.
//
// Two speeds. symbol_at() looks into the ELF symbol tables alone and serves the headline, which has
// 100 ms. Everything else reads DWARF, also from separate debug files (by build-id or
// .gnu_debuglink; debuginfod only if DEBUGINFOD_URLS is set), and the searches in it are
// bounded (search_budget.h).
#pragma once

#include "model/stack.h"
#include "process/memory.h"
#include "process/modules.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::process {

struct Symbol {
  std::string name;    // demangled and folded, see readable_name()
  uint64_t start = 0;  // absolute address
  uint64_t size = 0;   // 0: unknown
  bool is_object = false;
};

class DebugInfo;  // elfutils lives behind this name, in debug_info.h

class Symbols {
 public:
  // `pid` 0: the process has gone. `memory` is asked for the vdso only.
  Symbols(int pid, std::vector<Module> modules);
  ~Symbols();
  Symbols(Symbols&&) noexcept;
  Symbols& operator=(Symbols&&) noexcept;

  [[nodiscard]] const std::vector<Module>& modules() const;
  // Objects loaded since; keeps everything known of those that stay.
  void update_modules(std::vector<Module> modules);

  // ELF symbol tables only. An address in the middle of a symbol of known size is inside it.
  [[nodiscard]] std::optional<Symbol> symbol_at(uint64_t address) const;
  // "rooms_mutex", "locks+0x28"; empty: no symbol there.
  [[nodiscard]] std::string symbol_text(uint64_t address) const;

  // Fills every frame with words; inlined frames are inserted before the frame that contains them.
  // Frames that already have a function are left alone.
  void resolve(model::Stack& stack) const;
  // One program counter with its inlined frames, innermost first.
  [[nodiscard]] std::vector<model::Frame> resolve(uint64_t pc, bool is_return_address) const;
  // "room.c:12 in room_create", "room_create+0x1f", "libfoo.so+0x1234".
  [[nodiscard]] std::string describe_site(uint64_t return_address) const;

  [[nodiscard]] DebugInfo& debug_info() const;

 private:
  std::unique_ptr<DebugInfo> info_;
};

// Demangled, with inline namespaces folded: "std::__cxx11::" is "std::", "(anonymous namespace)::"
// is nothing. Never longer than 1 KiB; a name that would explode is left mangled.
std::string readable_name(std::string_view name);

// std::, __gnu_cxx, pthread_*, libc's, Gordian's and GLib's own: nothing a user wrote.
bool is_plumbing(std::string_view function, std::string_view module_path);

}  // namespace gordian::process
