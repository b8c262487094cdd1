// SPDX-License-Identifier: Apache-2.0
#include "process/unwind.h"

#include "process/blocked_child.h"
#include "process/memory.h"
#include "process/modules.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace gordian::process {
namespace {

using ::testing::HasSubstr;

[[gnu::noinline]] void unwound_inner(ChildFacts& facts) {
  block_on(facts, facts.mutex);
  asm volatile("" ::: "memory");
}

[[gnu::noinline]] void unwound_outer(ChildFacts& facts) {
  unwound_inner(facts);
  asm volatile("" ::: "memory");
}

ChildFacts* facts_of_handler = nullptr;

void raise_and_block(int) {
  block_on(*facts_of_handler, facts_of_handler->mutex);
  asm volatile("" ::: "memory");
}

[[gnu::noinline]] void interrupted(ChildFacts& facts) {
  facts_of_handler = &facts;
  signal(SIGUSR1, raise_and_block);
  raise(SIGUSR1);
  asm volatile("" ::: "memory");
}

std::vector<std::string> functions(const Symbols& symbols, const UnwoundStack& unwound) {
  model::Stack stack = to_stack(unwound);
  symbols.resolve(stack);
  std::vector<std::string> names;
  for (const model::Frame& frame : stack.frames) names.push_back(frame.function);
  return names;
}

// The position of the first function whose name ends so; the number of names if there is none.
size_t find_function(const std::vector<std::string>& names, const std::string& name) {
  return static_cast<size_t>(
      std::find_if(names.begin(), names.end(),
                   [&](const std::string& one) { return one.ends_with(name); }) -
      names.begin());
}

Symbols symbols_of(int pid) {
  Result<std::vector<Module>> modules = read_modules(pid);
  return Symbols(pid, modules ? *modules : std::vector<Module>());
}

void expect_whole_stack(const Symbols& symbols, const UnwoundStack& stack) {
  const std::vector<std::string> names = functions(symbols, stack);
  const size_t block = find_function(names, "block_on");
  const size_t inner = find_function(names, "unwound_inner");
  const size_t outer = find_function(names, "unwound_outer");
  const size_t main = find_function(names, "main");
  EXPECT_LT(block, inner);
  EXPECT_LT(inner, outer);
  EXPECT_LT(outer, main);
  EXPECT_LT(main, names.size());
  EXPECT_TRUE(stack.complete) << stack.note;
}

TEST(Unwind, FromPublishedRegistersThroughTheWholeStack) {
  const BlockedChild child(unwound_outer);
  const Symbols symbols = symbols_of(child.pid());
  expect_whole_stack(
      symbols, unwind(symbols, RegisterSet(child.facts().registers), ProcessMemory(child.pid())));
}

// Without the callee-saved registers the way ends at the first frame that needs one of them; up to
// there it is exact.
TEST(Unwind, FromWhatTheKernelShowsAsFarAsItTells) {
  const BlockedChild child(unwound_outer);
  const Symbols symbols = symbols_of(child.pid());
  const UnwoundStack stack = unwind(symbols, child.kernel_registers(), ProcessMemory(child.pid()));
  const std::vector<std::string> names = functions(symbols, stack);

  EXPECT_LT(find_function(names, "block_on"), names.size());
  if (!stack.complete) {
    EXPECT_THAT(stack.note, HasSubstr("register that nobody saved"));
  }
}

TEST(Unwind, ThroughASignalFrame) {
  const BlockedChild child(interrupted);
  const Symbols symbols = symbols_of(child.pid());
  const UnwoundStack stack =
      unwind(symbols, RegisterSet(child.facts().registers), ProcessMemory(child.pid()));
  const std::vector<std::string> names = functions(symbols, stack);

  EXPECT_LT(find_function(names, "raise_and_block"), find_function(names, "interrupted"));
  EXPECT_LT(find_function(names, "interrupted"), names.size());
  EXPECT_TRUE(stack.complete) << stack.note;
}

TEST(Unwind, FramesCoverTheStackWithoutGaps) {
  const BlockedChild child(unwound_outer);
  const Symbols symbols = symbols_of(child.pid());
  const UnwoundStack stack =
      unwind(symbols, RegisterSet(child.facts().registers), ProcessMemory(child.pid()));

  for (size_t i = 0; i + 1 < stack.frames.size(); ++i)
    EXPECT_EQ(stack.frames[i].cfa, stack.frames[i + 1].sp);
}

TEST(Unwind, ASliceEndsWithItsBytesAndSaysSo) {
  const BlockedChild child(unwound_outer);
  const Symbols symbols = symbols_of(child.pid());
  const RegisterSet registers(child.facts().registers);
  const UnwoundStack whole = unwind(symbols, registers, ProcessMemory(child.pid()));
  ASSERT_GE(whole.frames.size(), 4u);
  std::vector<std::byte> bytes(whole.frames[2].cfa - whole.frames[0].sp - 8);
  ASSERT_TRUE(ProcessMemory(child.pid()).read(whole.frames[0].sp, bytes));

  const UnwoundStack stack =
      unwind(symbols, registers, StackSlice(child.facts().registers.rsp, bytes));

  EXPECT_EQ(stack.frames.size(), 3u);
  EXPECT_FALSE(stack.complete);
  EXPECT_THAT(stack.note, HasSubstr("out of reach"));
}

TEST(Unwind, GarbageEndsSoon) {
  const BlockedChild child(unwound_outer);
  const Symbols symbols = symbols_of(child.pid());
  RegisterSet registers(child.facts().registers);
  const std::vector<std::byte> zeros(4096, std::byte{0});
  EXPECT_LE(
      unwind(symbols, registers, StackSlice(child.facts().registers.rsp, zeros)).frames.size(), 2u);
  registers.set(kRegisterPc, 0x1234);
  registers.set(kRegisterRbp, child.facts().registers.rsp - 8);
  EXPECT_EQ(unwind(symbols, registers, ProcessMemory(child.pid())).frames.size(), 1u);
  registers.set(kRegisterPc, 0);
  EXPECT_TRUE(unwind(symbols, registers, ProcessMemory(child.pid())).frames.empty());
}

TEST(AcquisitionStack, BeginsAtTheSiteInTheFrameThatTookTheLock) {
  const BlockedChild child(unwound_outer);
  const Symbols symbols = symbols_of(child.pid());
  const UnwoundStack thread =
      unwind(symbols, RegisterSet(child.facts().registers), ProcessMemory(child.pid()));

  const UnwoundStack stack =
      acquisition_stack(symbols, thread, child.facts().site, child.facts().frame);

  const std::vector<std::string> names = functions(symbols, stack);
  EXPECT_EQ(find_function(names, "block_on"), names.size());
  EXPECT_EQ(find_function(names, "unwound_inner"), 0u);
  EXPECT_EQ(find_function(names, "unwound_outer"), 1u);
  EXPECT_EQ(stack.frames[0].pc, child.facts().site);
  EXPECT_EQ(stack.note, "");
  EXPECT_TRUE(stack.complete);
}

TEST(AcquisitionStack, SaysWhenTheFunctionHasReturned) {
  const BlockedChild child(unwound_outer);
  const Symbols symbols = symbols_of(child.pid());
  const UnwoundStack thread =
      unwind(symbols, RegisterSet(child.facts().registers), ProcessMemory(child.pid()));
  const auto elsewhere = reinterpret_cast<uint64_t>(&interrupted) + 4;

  const UnwoundStack stack = acquisition_stack(symbols, thread, elsewhere, child.facts().frame);

  const std::vector<std::string> names = functions(symbols, stack);
  EXPECT_EQ(find_function(names, "interrupted"), 0u);
  EXPECT_EQ(find_function(names, "unwound_outer"), 1u);
  EXPECT_THAT(stack.note, HasSubstr("has returned"));
  EXPECT_FALSE(stack.complete);
}

TEST(AcquisitionStack, WithoutAThreadStackOnlyTheSiteIsLeft) {
  const Symbols symbols(0, {});
  const UnwoundStack stack = acquisition_stack(symbols, {}, 0x1000, 0x2000);
  ASSERT_EQ(stack.frames.size(), 1u);
  EXPECT_EQ(stack.frames[0].pc, 0x1000u);
  EXPECT_EQ(stack.note, "only the call site is known");
}

TEST(RegisterSet, KnowsOnlyWhatItWasTold) {
  RegisterSet registers;
  EXPECT_FALSE(registers.get(3));
  registers.set(3, 42);
  EXPECT_EQ(registers.get(3), 42u);
  registers.forget(3);
  EXPECT_FALSE(registers.get(3));
  registers.set(99, 1);
  EXPECT_FALSE(registers.get(99));
  EXPECT_FALSE(registers.get(-1));
}

}  // namespace
}  // namespace gordian::process
