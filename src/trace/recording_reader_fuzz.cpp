// SPDX-License-Identifier: Apache-2.0
#include "trace/recording_reader.h"
#include "trace/recording_timeline.h"

#include <string_view>
#include <utility>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace trace = gordian::trace;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto file = trace::RecordingFile::over(bytes, "input");
  if (!file) return 0;
  // As facts of another recording would be: some fit these rings, some do not.
  const std::vector<trace::ReadPositions> read_from{{0, 1, 5}, {2, 1000}};
  for (const trace::RecordingFile::Chunk& chunk : file->chunks())
    trace::read_timeline(*file, chunk.process, read_from, [](const gordian::model::TimedEvent&) {});
  for (trace::RecordingRun& run : trace::runs_of(std::move(*file))) {
    static_cast<void>(run.sketch());
    run.read(trace::Detail::Locks, [](auto) {});
    run.read(trace::Detail::Sites, [](auto) {});
  }
  return 0;
}
