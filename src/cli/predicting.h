// SPDX-License-Identifier: Apache-2.0
// From a recorded run to its findings, named and complete: what `gordian predict` and
// `gordian confirm` share, so that both number them alike.
#pragma once

#include "base/result.h"
#include "model/finding.h"
#include "report/report.h"
#include "trace/recording_file.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace gordian::cli {

// Whether a trace has all reads and writes of the program. Auto: it has if it has any.
enum class MemoryRecorded : uint8_t { Auto, Complete, None };

struct PredictOptions {
  MemoryRecorded memory = MemoryRecorded::Auto;
  bool swaps = true;  // also look for orders in which critical sections are swapped
};

// What is done, and how much of it.
using ShowProgress = std::function<void(const std::string& what, uint64_t done, uint64_t all)>;

// All processes of the recording, one after another; refuted findings too. Adds to `totals`.
Result<std::vector<model::Finding>> predict_recording(trace::RecordingFile file,
                                                      const PredictOptions& options,
                                                      report::TraceTotals& totals,
                                                      const ShowProgress& show);

// The same of a file of any kind: a recording, STD text or its binary form. Counts the file.
Result<std::vector<model::Finding>> predict_file(const std::string& path,
                                                 const PredictOptions& options,
                                                 report::TraceTotals& totals,
                                                 const ShowProgress& show);

}  // namespace gordian::cli
