// SPDX-License-Identifier: Apache-2.0
// Recorded runs, as text and in the binary form.
// Reads: std_binary name_table lock_rules thread_rules
#include "trace/std_reader.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

// Both forms in every detail; what is fine in one is fine in the others, with the same counts.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace trace = gordian::trace;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  trace::StdReader reader = trace::StdReader::over(bytes, "input");
  bool was_fine = false;
  uint64_t events = 0;
  size_t names = 0;
  for (const trace::Detail detail :
       {trace::Detail::Locks, trace::Detail::Sites, trace::Detail::Memory, trace::Detail::Locks}) {
    const bool first = detail == trace::Detail::Locks && events == 0 && !was_fine;
    const bool fine = static_cast<bool>(
        reader.read(detail, [&](std::span<const gordian::model::TraceEvent> block) {
          for (const auto& event : block) {
            names += reader.thread_name(event.thread).size();
            names += reader.lock_name(event.object).size() + reader.site_name(event.site).size();
          }
        }));
    if (!first && (fine != was_fine || reader.size().events != events)) std::abort();
    was_fine = fine;
    events = reader.size().events;
  }
  volatile size_t used = names;
  static_cast<void>(used);
  return 0;
}
