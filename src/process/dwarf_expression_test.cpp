// SPDX-License-Identifier: Apache-2.0
#include "process/dwarf_expression.h"

#include <cstring>
#include <dwarf.h>
#include <gtest/gtest.h>
#include <vector>

namespace gordian::process {
namespace {

class DwarfExpression : public ::testing::Test {
 protected:
  DwarfExpression() {
    const uint64_t words[] = {0x1111, 0x2222222222222222, 0xffffffff80000001};
    bytes_.resize(sizeof words);
    std::memcpy(bytes_.data(), words, sizeof words);
    registers_.set(3, 0x3000);
    registers_.set(7, kStack);
    context_.registers = &registers_;
    context_.memory = &memory_;
    context_.cfa = 0x8000;
    context_.frame_base = 0x9000;
    context_.bias = 0x100000;
  }

  std::optional<uint64_t> value(const std::vector<Dwarf_Op>& ops) {
    return evaluate_value(numbered(ops), context_);
  }
  Location location(const std::vector<Dwarf_Op>& ops) {
    return evaluate_location(numbered(ops), context_);
  }

  // Offsets as if every operation had three bytes, which is what branches have.
  std::vector<Dwarf_Op> numbered(std::vector<Dwarf_Op> ops) {
    for (size_t i = 0; i < ops.size(); ++i) ops[i].offset = 3 * i;
    return ops;
  }

  static constexpr uint64_t kStack = 0x7000;
  static Dwarf_Op op(uint8_t atom, uint64_t number = 0, uint64_t number2 = 0) {
    return {atom, number, number2, 0};
  }

  std::vector<std::byte> bytes_;
  StackSlice memory_{kStack, {}};
  RegisterSet registers_;
  ExpressionContext context_;

  void SetUp() override { new (&memory_) StackSlice(kStack, bytes_); }
};

TEST_F(DwarfExpression, AddsOffsetsToRegistersCfaFrameBaseAndBias) {
  EXPECT_EQ(value({op(DW_OP_breg3, 8)}), 0x3008u);
  EXPECT_EQ(value({op(DW_OP_bregx, 3, uint64_t{0} - 16)}), 0x2ff0u);
  EXPECT_EQ(value({op(DW_OP_call_frame_cfa), op(DW_OP_plus_uconst, 4)}), 0x8004u);
  EXPECT_EQ(value({op(DW_OP_fbreg, uint64_t{0} - 32)}), 0x8fe0u);
  EXPECT_EQ(value({op(DW_OP_addr, 0x40)}), 0x100040u);
}

TEST_F(DwarfExpression, ARegisterNobodySavedMakesTheAnswerUnavailable) {
  EXPECT_FALSE(value({op(DW_OP_breg5, 8)}));
  EXPECT_FALSE(location({op(DW_OP_reg5)}).is_available());
  context_.cfa.reset();
  EXPECT_FALSE(value({op(DW_OP_call_frame_cfa)}));
  context_.frame_base.reset();
  EXPECT_FALSE(value({op(DW_OP_fbreg, 8)}));
}

TEST_F(DwarfExpression, ReadsMemoryWhereThereIsSome) {
  EXPECT_EQ(value({op(DW_OP_breg7, 0), op(DW_OP_deref)}), 0x1111u);
  EXPECT_EQ(value({op(DW_OP_breg7, 8), op(DW_OP_deref_size, 2)}), 0x2222u);
  EXPECT_FALSE(value({op(DW_OP_breg7, 4096), op(DW_OP_deref)}));
  EXPECT_FALSE(value({op(DW_OP_breg7, 8), op(DW_OP_deref_size, 200)}));
}

TEST_F(DwarfExpression, Calculates) {
  const auto binary = [&](uint64_t a, uint64_t b, uint8_t atom) {
    return value({op(DW_OP_constu, a), op(DW_OP_constu, b), op(atom)});
  };
  EXPECT_EQ(binary(7, 5, DW_OP_minus), 2u);
  EXPECT_EQ(binary(uint64_t{0} - 8, 2, DW_OP_div), uint64_t{0} - 4);
  EXPECT_EQ(binary(uint64_t{0} - 8, 1, DW_OP_shra), uint64_t{0} - 4);
  EXPECT_EQ(binary(1, 64, DW_OP_shl), 0u);
  EXPECT_EQ(binary(uint64_t{0} - 1, 1, DW_OP_lt), 1u);
  EXPECT_FALSE(binary(1, 0, DW_OP_div));
  EXPECT_FALSE(binary(1, 0, DW_OP_mod));
  EXPECT_FALSE(binary(uint64_t{1} << 63, uint64_t{0} - 1, DW_OP_div));
  EXPECT_EQ(value({op(DW_OP_const1s, 0xff), op(DW_OP_abs)}), 1u);
  EXPECT_EQ(value({op(DW_OP_lit31), op(DW_OP_lit1), op(DW_OP_lit2), op(DW_OP_rot), op(DW_OP_drop),
                   op(DW_OP_swap), op(DW_OP_minus)}),
            29u);
  EXPECT_EQ(value({op(DW_OP_lit5), op(DW_OP_lit6), op(DW_OP_pick, 1)}), 5u);
}

TEST_F(DwarfExpression, AnEmptyStackIsUnavailable) {
  EXPECT_FALSE(value({}));
  EXPECT_FALSE(value({op(DW_OP_plus)}));
  EXPECT_FALSE(value({op(DW_OP_lit1), op(DW_OP_swap)}));
  EXPECT_FALSE(value({op(DW_OP_lit1), op(DW_OP_pick, 200)}));
  EXPECT_FALSE(value({op(0xff)}));
}

TEST_F(DwarfExpression, BranchesAndGivesUpOnEndlessLoops) {
  EXPECT_EQ(value({op(DW_OP_lit1), op(DW_OP_bra, 3), op(DW_OP_lit7), op(DW_OP_lit9)}), 9u);
  EXPECT_EQ(value({op(DW_OP_lit0), op(DW_OP_bra, 3), op(DW_OP_lit7), op(DW_OP_nop)}), 7u);
  EXPECT_FALSE(value({op(DW_OP_nop), op(DW_OP_skip, static_cast<uint16_t>(-6))}));
  EXPECT_FALSE(value({op(DW_OP_dup), op(DW_OP_skip, static_cast<uint16_t>(-6))}));
  // Into the middle of an operation.
  EXPECT_FALSE(value({op(DW_OP_lit1), op(DW_OP_skip, 1), op(DW_OP_lit7), op(DW_OP_lit8)}));
}

TEST_F(DwarfExpression, ALocationIsARegisterOrAPlace) {
  EXPECT_EQ(location({op(DW_OP_reg3)}).value(), 0x3000u);
  EXPECT_EQ(location({op(DW_OP_breg7, 8)}).address_of(0), kStack + 8);
  EXPECT_EQ(location({op(DW_OP_breg7, 8)}).read_word(memory_, 0, 8), 0x2222222222222222u);
  EXPECT_EQ(location({op(DW_OP_lit7), op(DW_OP_stack_value)}).value(), 7u);
  EXPECT_FALSE(location({op(DW_OP_lit7), op(DW_OP_stack_value)}).address_of(0));
}

TEST_F(DwarfExpression, PiecesStandApart) {
  const Location parts = location({op(DW_OP_reg3), op(DW_OP_piece, 8), op(DW_OP_reg5),
                                   op(DW_OP_piece, 8), op(DW_OP_breg7, 16), op(DW_OP_piece, 8)});
  EXPECT_EQ(parts.read_word(memory_, 0, 8), 0x3000u);
  EXPECT_FALSE(parts.read_word(memory_, 8, 8));  // optimised out: only this piece is lost
  EXPECT_EQ(parts.read_word(memory_, 16, 4), 0x80000001u);
  EXPECT_FALSE(parts.read_word(memory_, 20, 8));
  EXPECT_FALSE(parts.read_word(memory_, 24, 1));
  EXPECT_EQ(parts.address_of(20), kStack + 20);
  EXPECT_FALSE(parts.value());
}

TEST_F(DwarfExpression, ManyPiecesAreRefused) {
  const std::vector<Dwarf_Op> ops(1000, op(DW_OP_piece, uint64_t{1} << 62));
  EXPECT_FALSE(location(ops).is_available());
}

}  // namespace
}  // namespace gordian::process
