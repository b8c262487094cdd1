// SPDX-License-Identifier: Apache-2.0
// The executable and the libraries of a process, and how to get at their files.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "process/memory.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gordian::process {

struct Module {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t bias = 0;
  std::string path = {};      // as the process names it; "[vdso]" for the vdso
  std::string build_id = {};  // raw bytes; empty: unknown
  std::string file = {};      // where its file lies on this machine, if not at `path`

  [[nodiscard]] bool contains(uint64_t address) const { return address >= start && address < end; }
};

// From /proc/PID/maps; ELF files only, sorted by address.
Result<std::vector<Module>> read_modules(int pid);

// Sorts and drops what overlaps: an object that was unloaded leaves its record, and a later one may
// lie at its place. Later entries win.
std::vector<Module> tidy_modules(std::vector<Module> modules);

const Module* find_module(const std::vector<Module>& modules, uint64_t address);

// The file the process really mapped: through /proc/PID/root (a container's files), else
// /proc/PID/map_files or /proc/PID/exe (deleted or replaced), else by path. pid 0: the process has
// gone, by path alone. A file with another build-id is refused: wrong names are worse than none.
Result<FileDescriptor> open_module(const Module& module, int pid);

// Of an ELF file; empty: it has none. Bounded, never trusts the file.
std::string read_build_id(int fd);

// An ELF object as the loader laid it out in memory.
struct LoadedElf {
  uint64_t bias = 0;
  uint64_t end = 0;      // of its last segment, zero-filled part included
  std::string build_id;  // raw bytes; empty: none, or out of reach
};
// `start`: where its first segment was mapped. Absent: no ELF header can be read there.
std::optional<LoadedElf> read_loaded_elf(const MemoryReader& memory, uint64_t start);

// Of an ELF file: the parts that no process changes, as the loader maps them.
struct ConstantPart {
  uint64_t address = 0;  // without the bias
  uint64_t size = 0;
  uint64_t offset = 0;  // in the file
};
std::vector<ConstantPart> read_constant_parts(int fd);

// Of an ELF file: the symbols it takes from others. Absent: it is not linked dynamically, or is
// damaged.
std::optional<std::vector<std::string>> read_imports(int fd);

}  // namespace gordian::process
