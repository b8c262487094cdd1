// SPDX-License-Identifier: Apache-2.0
// The executable and the libraries of a process, and how to get at their files.
#pragma once

#include "base/file.h"
#include "base/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace gordian::process {

struct Module {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t bias = 0;
  std::string path = {};      // as the process names it; "[vdso]" for the vdso
  std::string build_id = {};  // raw bytes; empty: unknown

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

}  // namespace gordian::process
