// SPDX-License-Identifier: Apache-2.0
// The executable and the libraries of a core, and their files, which may lie elsewhere: the core
// may come from another machine.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "process/core_file.h"
#include "process/memory.h"
#include "process/modules.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gordian::process {

struct CoreSearch {
  std::string exe = {};      // the program's file; empty: where it lay
  std::string sysroot = {};  // a folder that holds the other machine's files
};

struct CoreModules {
  std::vector<Module> modules;       // each with its `file`, if one was found
  std::vector<std::string> missing;  // what was not found, as sentences
  FileDescriptor vdso;               // a copy: keep it as long as the modules
};

// A file counts as found only with the build-id that the core shows. Error: `exe` is another
// program than that of the core.
Result<CoreModules> find_core_modules(const CoreFile& core, const CoreSearch& search);

// The memory of a core: what is in it, else what cannot have changed since it was mapped from a
// module's file (most cores leave that out).
class CoreMemory : public MemoryReader {
 public:
  // Both must outlive it.
  CoreMemory(const CoreFile& core, const std::vector<Module>& modules)
      : core_(core), modules_(modules) {}
  [[nodiscard]] bool read(uint64_t address, std::span<std::byte> to) const override;

 private:
  struct OpenModule {
    FileDescriptor fd;
    std::vector<ConstantPart> parts;
  };
  [[nodiscard]] bool read_from_module(uint64_t address, std::span<std::byte> to) const;

  const CoreFile& core_;
  const std::vector<Module>& modules_;
  mutable std::map<uint64_t, OpenModule> open_;  // by start
};

}  // namespace gordian::process
