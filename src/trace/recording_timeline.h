// SPDX-License-Identifier: Apache-2.0
// A recorded process as timed events, ring by ring as they come: no order is made, so also what
// lies behind a loss is there.
#pragma once

#include "model/timeline.h"
#include "trace/recording_file.h"

#include <cstdint>
#include <functional>

namespace gordian::trace {

// Objects are slots of the recording, sites its stack ids.
void read_timeline(const RecordingFile& file, uint32_t process,
                   const std::function<void(const model::TimedEvent&)>& sink);

}  // namespace gordian::trace
