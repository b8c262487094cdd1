// SPDX-License-Identifier: Apache-2.0
// Trace events -> STD text, one event a line, as docs/predict.md describes it.
#pragma once

#include "model/trace.h"

#include <cstdint>
#include <functional>
#include <string>

namespace gordian::report {

// Appends the event's line to `text`. Threads are T0.., locks L0.., variables V0..; `place` is any
// text for its site, empty if nobody knows.
void append_std_line(const model::TraceEvent& event, const std::string& place, std::string& text);

// What a trace says in a comment of its own if its reads and writes only stand for orders that the
// form has no words for: such a trace proves nothing about the program's memory.
inline constexpr char kPartialMemoryLine[] = "# memory: partial";
// ... and if they tell who read from whom, all of it, but not who overwrote what.
inline constexpr char kReadsFromLine[] = "# memory: reads-from";

}  // namespace gordian::report
