// SPDX-License-Identifier: Apache-2.0
#include "trace/board_history.h"
#include "trace/board_reader.h"
#include "trace/board_snapshot.h"

#include <span>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gordian::trace;  // NOLINT(google-build-using-namespace): one function
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  auto reader = BoardReader::open(bytes_in_memory(bytes));
  if (!reader) return 0;
  std::vector<ProcessBoard> boards(1);
  boards[0].board = &*reader;
  read_snapshot(boards);
  read_snapshot(boards, [](size_t, uint32_t, const gordian::format::WaitWord&) { return true; });
  std::vector<ProcessLog> logs(1);
  logs[0].board = &*reader;
  read_history(logs);
  read_totals(*reader);
  return 0;
}
