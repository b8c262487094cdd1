// SPDX-License-Identifier: Apache-2.0
// Any operations in any order: an answer or none, soon.
#include "process/dwarf_expression.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

using gordian::process::evaluate_location;
using gordian::process::evaluate_value;
using gordian::process::ExpressionContext;
using gordian::process::Location;
using gordian::process::RegisterSet;
using gordian::process::StackSlice;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<Dwarf_Op> ops;
  uint64_t offset = 0;
  // An operation: its code, and a byte or a word as number.
  for (size_t at = 0; at + 2 <= size && ops.size() < 1000;) {
    Dwarf_Op op{.atom = data[at], .number = data[at + 1], .number2 = 0, .offset = offset};
    at += 2;
    if ((op.number & 1) != 0 && at + 8 <= size) {
      std::memcpy(&op.number, data + at, 8);
      at += 8;
    }
    op.number2 = op.number >> 8;
    ops.push_back(op);
    offset += 3;
  }
  const std::vector<std::byte> memory(256, std::byte{7});
  const StackSlice slice(0x1000, memory);
  RegisterSet registers;
  registers.set(3, 0x1000);
  registers.set(7, 0x1080);
  ExpressionContext context;
  context.registers = &registers;
  context.memory = &slice;
  context.cfa = 0x1040;
  const Location location = evaluate_location(ops, context);
  for (const uint64_t at : {uint64_t{0}, uint64_t{7}, uint64_t{100}, UINT64_MAX}) {
    (void)location.read_word(slice, at, 8);
    (void)location.address_of(at);
  }
  (void)evaluate_value(ops, context);
  return 0;
}
