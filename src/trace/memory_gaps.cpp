// SPDX-License-Identifier: Apache-2.0
#include "trace/memory_gaps.h"

#include "base/text.h"
#include "format/memory.h"
#include "format/recording.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace gordian::trace {

namespace {

// By file name. The last two are ours; linux-vdso is the kernel's, and the others exist for old
// programs only.
constexpr std::array<std::string_view, 12> kTrusted = {
    "libc.so.6",       "libm.so.6",       "libstdc++.so.6", "libgcc_s.so.1",
    "libpthread.so.0", "libdl.so.2",      "librt.so.1",     "ld-linux-x86-64.so.2",
    "linux-vdso.so.1", "linux-gate.so.1", "libgordian.so",  "libgordian_memory.so",
};

bool is_trusted(const RecordedModule& module) {
  const std::string_view name = base_name(module.path);
  return std::find(kTrusted.begin(), kTrusted.end(), name) != kTrusted.end();
}

}  // namespace

std::string missed_memory(const RecordingFacts& facts) {
  if ((facts.memory & format::kMemoryTold) == 0)
    return "the program was not built with gordian cc, or did not end under gordian run";
  if ((facts.memory & format::kMemoryLateObject) != 0) return "an object was loaded while it ran";
  if ((facts.memory & format::kMemoryNested) != 0)
    return "a signal handler ran in the middle of an access";
  if ((facts.memory & (format::kMemoryNotRecorded | format::kMemoryNoShadow)) != 0)
    return "there was no room to record all reads";
  if ((facts.memory & format::kMemoryAfterEnd) != 0) return "a thread read after its end";
  if ((facts.memory & ~uint64_t{format::kMemoryTold}) != 0)
    return "it used something that cannot be seen";
  if (facts.lost != 0 || facts.left_out != 0 || facts.dropped_objects != 0 ||
      facts.dropped_threads != 0)
    return "the recording has gaps";
  if (!facts.damage.empty()) return "the recording is damaged";
  if (facts.modules.empty()) return "its objects are not known";
  for (const RecordedModule& module : facts.modules) {
    if (is_trusted(module)) continue;
    const std::string name(base_name(module.path));
    if ((module.flags & format::kModuleTellsMemory) == 0)
      return name + " was not built with gordian cc";
    if ((module.flags & format::kModuleCallsUnfollowed) != 0)
      return std::string(name)
          .append(" calls functions of libc that are not followed (readelf -p .note.gordian ")
          .append(name)
          .append(" names them)");
    if ((module.flags & format::kModuleHasHoles) != 0)
      return std::string("not all of ")
          .append(name)
          .append(" was built with gordian cc and a compiler it knows (readelf -p .note.gordian ")
          .append(name)
          .append(" names what was not)");
  }
  return {};
}

}  // namespace gordian::trace
