// SPDX-License-Identifier: Apache-2.0
// A recorded process as timed events, ring by ring as they come: no order is made, so also what
// lies behind a loss is there.
#pragma once

#include "model/timeline.h"
#include "trace/recording_facts.h"
#include "trace/recording_file.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace gordian::trace {

// Objects are slots of the recording, sites its stack ids. `read_from` are those of its facts:
// where in its rings other threads have read from.
void read_timeline(const RecordingFile& file, uint32_t process,
                   const std::vector<ReadPositions>& read_from,
                   const std::function<void(const model::TimedEvent&)>& sink);

}  // namespace gordian::trace
