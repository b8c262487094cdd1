// SPDX-License-Identifier: Apache-2.0
#include "trace/recording_reader.h"

#include "format/memory.h"
#include "trace/memory_gaps.h"
#include "trace/recording_merge.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <set>
#include <utility>

namespace gordian::trace {

using format::ChunkType;

namespace {

// Before there was memory in it.
constexpr size_t kShortestEnd = offsetof(format::ProcessEndBody, memory);

template <typename Body>
bool read_body(const std::vector<std::byte>& bytes, Body& body) {
  if (bytes.size() < sizeof(body)) return false;
  std::memcpy(&body, bytes.data(), sizeof(body));
  return true;
}

}  // namespace

RecordingRun::RecordingRun(std::shared_ptr<const RecordingFile> file, uint32_t process)
    : file_(std::move(file)), process_(process) {
  facts_.damage = file_->damage();
  std::vector<std::byte> bytes;
  for (const RecordingFile::Chunk& chunk : file_->chunks()) {
    if (chunk.process != process_) continue;
    if (chunk.type == ChunkType::Records) {
      bytes_ += chunk.stored.size();
    } else if (chunk.type == ChunkType::Process && RecordingFile::unpack(chunk, bytes)) {
      format::ProcessBody body{};
      if (!read_body(bytes, body)) continue;
      pid_ = static_cast<int>(body.pid);
      const size_t size = std::min<size_t>(body.path_size, bytes.size() - sizeof(body));
      exe_.assign(reinterpret_cast<const char*>(bytes.data()) + sizeof(body), size);
    } else if (chunk.type == ChunkType::ProcessEnd && RecordingFile::unpack(chunk, bytes)) {
      format::ProcessEndBody body{};
      if (bytes.size() < kShortestEnd) continue;
      std::memcpy(&body, bytes.data(), std::min(bytes.size(), sizeof(body)));
      facts_.memory = body.memory;
      facts_.lost = body.lost;
      facts_.dropped_objects = body.dropped_objects;
      facts_.dropped_threads = body.dropped_threads;
      facts_.has_end = true;
    }
  }
}

void RecordingRun::read(Detail detail, const EventSink& sink, const ProgressSink& progress) {
  facts_.left_out = 0;
  RecordingMerge merge(facts_, detail, sink);
  std::vector<std::byte> bytes;
  uint64_t done = 0;
  for (const RecordingFile::Chunk& chunk : file_->chunks()) {
    if (chunk.process != process_ || chunk.type != ChunkType::Records) continue;
    if (!RecordingFile::unpack(chunk, bytes)) {
      // What follows in the same rings does not connect, and is left out by itself.
      facts_.damage = "a piece of it cannot be unpacked";
      continue;
    }
    merge.feed(bytes);
    done += chunk.stored.size();
    if (progress) progress(done, bytes_);
  }
  merge.finish();
  size_.events = merge.events();
  size_.threads = static_cast<uint32_t>(facts_.threads.size());
  size_.locks = static_cast<uint32_t>(facts_.locks.size());
  size_.has_memory = (facts_.memory & format::kMemoryTold) != 0;
  size_.has_reads_from_only = size_.has_memory;
  size_.has_partial_memory = !missed_memory(facts_).empty();
  size_.has_other_orders = merge.has_other_orders();
  size_.variables = std::max(size_.variables, merge.variables());
  size_.acts.assign(size_.threads, 0);
  for (uint32_t i = 0; i < size_.threads; ++i) size_.acts[i] = facts_.threads[i].tid != 0 ? 1 : 0;
}

RunSketch RecordingRun::sketch(const ProgressSink& progress) {
  RecordingScan scan;
  std::vector<std::byte> bytes;
  uint64_t done = 0;
  for (const RecordingFile::Chunk& chunk : file_->chunks()) {
    if (chunk.process != process_ || chunk.type != ChunkType::Records) continue;
    if (!RecordingFile::unpack(chunk, bytes)) return {.needs_order = true};
    if (!scan.feed(bytes)) break;
    done += chunk.stored.size();
    if (progress) progress(done, bytes_);
  }
  RunSketch sketch = scan.finish();
  for (const RecordedModule& module : sketch.modules) facts_.add_module(module);
  return sketch;
}

std::vector<RecordingRun> runs_of(RecordingFile file) {
  const auto shared = std::make_shared<const RecordingFile>(std::move(file));
  std::set<uint32_t> processes;
  for (const RecordingFile::Chunk& chunk : shared->chunks()) processes.insert(chunk.process);
  std::vector<RecordingRun> runs;
  runs.reserve(processes.size());
  for (const uint32_t process : processes) runs.emplace_back(shared, process);
  return runs;
}

}  // namespace gordian::trace
