// SPDX-License-Identifier: Apache-2.0
#include "cli/recorded_run.h"

#include "analysis/join_predictions.h"
#include "cli/predicting.h"
#include "cli/progress_bar.h"
#include "report/fingerprint.h"

#include <string>
#include <utility>
#include <vector>

namespace gordian::cli {

Result<FileDescriptor> record_in_passing(watch::RunOptions& run) {
  run.refuted = true;
  FileDescriptor file;
  if (!run.record.path.empty()) return file;
  file = create_nameless();
  if (!file) {
    return Error("no place for the recording that --confirm needs",
                 "name a folder in TMPDIR, or a file with --record");
  }
  run.record.file = file.get();
  if (const auto most = half_of_free_space(file.get())) run.record.limit = *most;
  return file;
}

Result<report::TraceTotals> add_predictions(const watch::RecordOptions& record, bool quiet,
                                            watch::RunOutcome& outcome) {
  const bool has_name = !record.path.empty();
  const std::string path = has_name ? record.path : "/proc/self/fd/" + std::to_string(record.file);
  ProgressBar bar(quiet);
  report::TraceTotals totals;
  GORDIAN_TRY(
      std::vector<model::Finding> predicted,
      predict_file(path, {}, totals, [&](const std::string& what, uint64_t done, uint64_t all) {
        bar.show(has_name ? what : "reading the recording", done, all);
      }));
  if (!has_name) {
    for (model::Finding& finding : predicted) finding.source.clear();
  }
  for (model::Finding& hazard : outcome.hazards) hazard.fingerprint = report::fingerprint(hazard);
  outcome.hazards = analysis::join_predictions(std::move(outcome.hazards), std::move(predicted),
                                               totals.is_whole());
  return totals;
}

}  // namespace gordian::cli
