// SPDX-License-Identifier: Apache-2.0
// Gives the findings of a recorded run their words: stacks, functions, names of locks and threads,
// from the modules that the recording names, by build-id.
#pragma once

#include "model/finding.h"
#include "trace/recording_reader.h"

#include <span>

namespace gordian::cli {

void put_into_words(std::span<model::Finding> findings, const trace::RecordingRun& run);

}  // namespace gordian::cli
