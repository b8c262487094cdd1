// SPDX-License-Identifier: Apache-2.0
// elfutils, for the files of this folder only: opens modules when first asked, finds the DWARF that
// speaks of an address. Everything in those files is foreign: every walk is bounded.
#pragma once

#include "process/modules.h"
#include "process/symbols.h"

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gordian::process {

struct CallFrameInfo {
  Dwarf_CFI* cfi = nullptr;
  uint64_t bias = 0;
};

// The concrete blocks that contain an address: the subprogram first, then lexical blocks and
// inlined subroutines, innermost last.
struct Scopes {
  Dwarf_Die unit{};
  uint64_t bias = 0;
  std::vector<Dwarf_Die> dies;
};

struct ElfSymbol {
  std::string name;  // as in the table
  uint64_t start = 0;
  uint64_t size = 0;
  bool is_object = false;
};

using FrameRules = std::unique_ptr<Dwarf_Frame, decltype(&std::free)>;

class DebugInfo {
 public:
  DebugInfo(int pid, std::vector<Module> modules);
  ~DebugInfo();
  DebugInfo(const DebugInfo&) = delete;
  DebugInfo& operator=(const DebugInfo&) = delete;

  int pid() const { return pid_; }
  const std::vector<Module>& modules() const { return modules_; }
  void update_modules(std::vector<Module> modules);
  const Module* find_module(uint64_t address) const;

  // The module's own symbol tables, no separate files.
  std::optional<ElfSymbol> find_symbol(uint64_t address);
  // Also those of separate debug files.
  std::optional<ElfSymbol> find_symbol_everywhere(uint64_t address);

  // Symbols of the module at `address` by their names, in the order of these, in one pass; own
  // symbol tables only.
  std::vector<std::optional<ElfSymbol>> find_named(uint64_t address,
                                                   std::span<const std::string_view> names);
  std::optional<uint64_t> find_address(uint64_t address, std::string_view name);
  // The bytes of the module's file, as long as this lives; empty: not there.
  std::string_view file_bytes(uint64_t address);

  std::optional<CallFrameInfo> find_cfi(uint64_t pc);
  // The unwind rules at `pc`, until the next call; null: none. Remembered: threads wait at few
  // places.
  Dwarf_Frame* find_frame_rules(uint64_t pc);
  Dwfl_Module* find_dwfl(uint64_t address);  // null: no such file
  Dwarf* find_dwarf(uint64_t address, uint64_t* bias);
  std::optional<Scopes> find_scopes(uint64_t pc);  // remembered: everybody asks for the same few
  std::string function_name(Dwarf_Die& die);       // qualified; remembered too
  // Every unit of the module's DWARF until `visit` says false. Bounded.
  void each_unit(uint64_t address, const std::function<bool(Dwarf_Die&, uint64_t bias)>& visit);

 private:
  struct Loaded;
  Loaded* load(uint64_t address);
  std::optional<Scopes> search_scopes(uint64_t pc);

  int pid_;
  std::vector<Module> modules_;
  std::unordered_map<uint64_t, std::unique_ptr<Loaded>> loaded_;  // by start of the module
  std::unordered_map<uint64_t, std::optional<Scopes>> scopes_;    // by pc
  std::unordered_map<uint64_t, FrameRules> frame_rules_;          // by pc
  std::unordered_map<const void*, std::string> function_names_;   // by place of the DIE
};

// DIE helpers. `readable` names are folded; an unnamed DIE has an empty name.
std::string die_name(Dwarf_Die& die);
std::optional<Dwarf_Die> die_reference(Dwarf_Die& die, unsigned attribute);
bool die_has_flag(Dwarf_Die& die, unsigned attribute);
std::string declaration_file(Dwarf_Die& die);
// Standard headers hold plumbing only, also where a function's name does not show it.
bool is_system_header(std::string_view file);
std::optional<uint64_t> die_number(Dwarf_Die& die, unsigned attribute);

}  // namespace gordian::process
