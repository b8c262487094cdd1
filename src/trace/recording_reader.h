// SPDX-License-Identifier: Apache-2.0
// Recordings as the analysis reads traces: each process of a recording is a run of its own.
//
// A run is read as often as is asked, from the file each time; kept are only its facts.
#pragma once

#include "base/result.h"
#include "model/trace.h"
#include "trace/recording_facts.h"
#include "trace/recording_file.h"
#include "trace/recording_scan.h"
#include "trace/std_reader.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gordian::trace {

class RecordingRun {
 public:
  RecordingRun(std::shared_ptr<const RecordingFile> file, uint32_t process);

  // The events in one legal order; cannot fail: what is damaged or lost is left out, and
  // facts().damage, .lost and .left_out say so.
  void read(Detail detail, const EventSink& sink, const ProgressSink& progress = {});

  // A first look, several times as fast as read(): enough if the run needs no order and its
  // nestings make no circle. Finds the modules of facts(), too.
  [[nodiscard]] RunSketch sketch(const ProgressSink& progress = {});

  // As of StdReader. Has memory if the program was built with gordian cc; all of it only if
  // missed_memory() (memory_gaps.h) names nothing.
  [[nodiscard]] const model::TraceSize& size() const { return size_; }
  [[nodiscard]] const RecordingFacts& facts() const { return facts_; }
  [[nodiscard]] uint64_t byte_count() const { return bytes_; }
  // Of the process in the file.
  [[nodiscard]] uint32_t number() const { return process_; }
  [[nodiscard]] int pid() const { return pid_; }
  [[nodiscard]] const std::string& exe() const { return exe_; }

 private:
  std::shared_ptr<const RecordingFile> file_;
  uint32_t process_;
  int pid_ = 0;
  std::string exe_;
  uint64_t bytes_ = 0;
  model::TraceSize size_;
  RecordingFacts facts_;
};

// One for each process of the file, in the order of their births.
std::vector<RecordingRun> runs_of(RecordingFile file);

}  // namespace gordian::trace
