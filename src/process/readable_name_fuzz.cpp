// SPDX-License-Identifier: Apache-2.0
// Names come out of foreign symbol tables: never long, never for ever.
#include "process/symbols.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (gordian::process::readable_name(text).size() > 1024) std::abort();
  (void)gordian::process::is_plumbing(text, text);
  return 0;
}
