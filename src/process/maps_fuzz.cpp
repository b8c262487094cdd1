// SPDX-License-Identifier: Apache-2.0
// /proc/PID/maps of a program that chose its file names.
#include "process/live.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& mapping : gordian::process::parse_maps(text))
    if (mapping.end <= mapping.start) std::abort();
  return 0;
}
