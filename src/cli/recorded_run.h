// SPDX-License-Identifier: Apache-2.0
// What `gordian run --confirm` does beside its run: it records it, and predicts from that.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "report/report.h"
#include "watch/run.h"

namespace gordian::cli {

// Lets the run be recorded, if the user has named no file into one that has no name and is gone
// with the descriptor. Asks for all that the lock order says, refuted or not.
Result<FileDescriptor> record_in_passing(watch::RunOptions& run);

// After the run: joins what its recording predicts to outcome.hazards. On failure they stay.
Result<report::TraceTotals> add_predictions(const watch::RecordOptions& record, bool quiet,
                                            watch::RunOutcome& outcome);

}  // namespace gordian::cli
