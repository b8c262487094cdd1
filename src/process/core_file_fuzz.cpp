// SPDX-License-Identifier: Apache-2.0
// A core file that somebody else wrote: headers, notes, memory, modules.
// Reads: core_modules modules
#include "process/core_file.h"
#include "process/core_modules.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <sys/mman.h>

namespace gordian::process {
namespace {

void read_all(std::string_view bytes) {
  FileDescriptor fd(memfd_create("core", MFD_CLOEXEC));
  if (!fd || !write_all(fd.get(), bytes)) return;
  const Result<CoreFile> core = CoreFile::from_descriptor(std::move(fd));
  if (!core) return;
  uint64_t end = 0;
  for (const CoreSegment& segment : core->segments()) {
    if (segment.start < end || segment.end() < segment.start || segment.file_size > segment.size)
      std::abort();
    end = segment.end();
    std::byte last{};
    if (segment.file_size > 0 &&
        !core->read(segment.start + segment.file_size - 1, std::span(&last, 1)))
      std::abort();
  }
  const Result<CoreModules> modules = find_core_modules(*core, {});
  if (!modules) return;
  const CoreMemory memory(*core, modules->modules);
  for (const CoreThread& thread : core->threads()) {
    (void)memory.read_word(thread.registers.get(kRegisterRsp).value_or(0));
    (void)memory.read_word(thread.registers.get(kRegisterPc).value_or(0), 2);
  }
}

}  // namespace
}  // namespace gordian::process

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gordian::process::read_all({reinterpret_cast<const char*>(data), size});
  return 0;
}
