// SPDX-License-Identifier: Apache-2.0
// A paste is foreign text through and through: every format, the snapshot made of it, its words.
// Reads: dump lines frame_text names read_native read_go read_java read_python waits holders
// reading
#include "dump/reading.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (gordian::dump::Dump& dump : gordian::dump::read_dumps(text)) {
    const size_t threads = dump.threads.size();
    const gordian::dump::Reading reading(std::move(dump));
    const auto& snapshot = reading.snapshot();
    // What analysis/ relies on: ids are positions, and every id exists.
    if (snapshot.threads.size() != threads) std::abort();
    for (size_t i = 0; i < snapshot.threads.size(); ++i) {
      const auto& thread = snapshot.threads[i];
      if (static_cast<size_t>(thread.id) != i) std::abort();
      if (thread.wait && static_cast<size_t>(thread.wait->resource) >= snapshot.resources.size())
        std::abort();
      for (const auto& hold : thread.holds)
        if (static_cast<size_t>(hold.resource) >= snapshot.resources.size()) std::abort();
    }
    for (const auto& resource : snapshot.resources)
      if (resource.joined_known && static_cast<size_t>(resource.joined) >= threads) std::abort();
    (void)reading.threads();
    (void)reading.open_questions();
  }
  return 0;
}
