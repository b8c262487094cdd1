// SPDX-License-Identifier: Apache-2.0
// Evaluates DWARF expressions: where a register was saved, where a variable lives.
//
// Written by hand because libdw has no evaluator for them. The bytes are foreign: stack, steps and
// pieces are bounded, and what cannot be known (a register nobody saved, memory out of reach, an
// operation we do not know) makes the answer "unavailable", never a guess.
#pragma once

#include "process/memory.h"
#include "process/unwind.h"

#include <cstdint>
#include <elfutils/libdw.h>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace gordian::process {

struct ExpressionContext {
  const RegisterSet* registers = nullptr;
  const MemoryReader* memory = nullptr;
  uint64_t bias = 0;  // added to DW_OP_addr
  std::optional<uint64_t> cfa;
  std::optional<uint64_t> frame_base;
  // What register `number` held when the function was entered.
  std::function<std::optional<uint64_t>(int number)> entry_register;
  // The attribute the expression came from: some operations refer to data of their unit.
  Dwarf_Attribute* attribute = nullptr;
};

// A part of a variable. The last one of a variable without pieces has no end.
struct LocationPiece {
  enum class Kind : uint8_t { Unavailable, Memory, Value };
  Kind kind = Kind::Unavailable;
  uint64_t offset = 0;  // in the variable
  uint64_t size = 0;
  uint64_t word = 0;  // address, or the value itself (at most 8 bytes)
};

class Location {
 public:
  void add(LocationPiece::Kind kind, uint64_t size, uint64_t word);
  [[nodiscard]] bool is_available() const;
  // The variable as a number, if the location is one register or computed value.
  [[nodiscard]] std::optional<uint64_t> value() const;
  // Where the byte at `offset` lives in memory.
  [[nodiscard]] std::optional<uint64_t> address_of(uint64_t offset) const;
  // `size` <= 8 bytes at `offset`, from wherever they are.
  [[nodiscard]] std::optional<uint64_t> read_word(const MemoryReader& memory, uint64_t offset,
                                                  size_t size) const;

 private:
  [[nodiscard]] const LocationPiece* find(uint64_t offset) const;
  std::vector<LocationPiece> pieces_;
};

inline constexpr uint64_t kWholeVariable = UINT64_MAX;

// A location description: of a variable, or of a register saved by a caller.
Location evaluate_location(std::span<const Dwarf_Op> ops, const ExpressionContext& context);

// An expression that yields a value: a CFA, DW_AT_call_value, DW_AT_frame_base. A register location
// stands for its contents.
std::optional<uint64_t> evaluate_value(std::span<const Dwarf_Op> ops,
                                       const ExpressionContext& context);

}  // namespace gordian::process
