// SPDX-License-Identifier: Apache-2.0
// The memory a watched program shares, which it can fill with anything.
// Reads: board_snapshot board_history
#include "trace/board_history.h"
#include "trace/board_reader.h"
#include "trace/board_snapshot.h"

#include <span>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace trace = gordian::trace;
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  auto reader = trace::BoardReader::open(trace::bytes_in_memory(bytes));
  if (!reader) return 0;
  std::vector<trace::ProcessBoard> boards(1);
  boards[0].board = &*reader;
  trace::read_snapshot(boards);
  trace::read_snapshot(boards,
                       [](size_t, uint32_t, const gordian::format::WaitWord&) { return true; });
  std::vector<trace::ProcessLog> logs(1);
  logs[0].board = &*reader;
  trace::read_history(logs);
  trace::read_totals(*reader);
  return 0;
}
