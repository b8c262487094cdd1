// SPDX-License-Identifier: Apache-2.0
#include "trace/memory_gaps.h"

#include "format/memory.h"
#include "format/recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gordian::trace {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

RecordedModule module_at(const char* path, uint32_t flags = 0) {
  RecordedModule module;
  module.path = path;
  module.flags = flags;
  return module;
}

RecordingFacts facts_of_whole_program() {
  RecordingFacts facts;
  facts.memory = format::kMemoryTold;
  facts.modules.push_back(module_at("/bin/bank", format::kModuleTellsMemory));
  facts.modules.push_back(module_at("/lib/libgordian_memory.so"));
  facts.modules.push_back(module_at("/lib/x86_64-linux-gnu/libc.so.6"));
  return facts;
}

TEST(MemoryGaps, LibcMayBeBuiltOtherwise) {
  EXPECT_THAT(missed_memory(facts_of_whole_program()), IsEmpty());
}

TEST(MemoryGaps, AnyOtherObjectMayNot) {
  RecordingFacts facts = facts_of_whole_program();
  facts.modules.push_back(module_at("/lib/libglib-2.0.so.0"));

  EXPECT_THAT(missed_memory(facts), HasSubstr("libglib-2.0.so.0"));
}

TEST(MemoryGaps, NorMayAPartOfAnObject) {
  RecordingFacts facts = facts_of_whole_program();
  facts.modules[0].flags |= format::kModuleHasHoles;

  EXPECT_THAT(missed_memory(facts), HasSubstr("not all of bank"));
}

TEST(MemoryGaps, NorMayItCallWhatIsNotFollowed) {
  RecordingFacts facts = facts_of_whole_program();
  facts.modules[0].flags |= format::kModuleHasHoles | format::kModuleCallsUnfollowed;

  EXPECT_THAT(missed_memory(facts), HasSubstr("bank calls functions of libc"));
}

TEST(MemoryGaps, WhatWasMissedWhileItRanCounts) {
  for (uint32_t bit = 1; bit < 32; ++bit) {
    RecordingFacts facts = facts_of_whole_program();
    facts.memory |= uint64_t{1} << bit;
    EXPECT_FALSE(missed_memory(facts).empty()) << bit;
  }
}

TEST(MemoryGaps, ARecordingWithGapsHasThemInItsMemoryToo) {
  RecordingFacts cut = facts_of_whole_program();
  cut.lost = 1;
  RecordingFacts untold = facts_of_whole_program();
  untold.memory = 0;

  EXPECT_FALSE(missed_memory(cut).empty());
  EXPECT_FALSE(missed_memory(untold).empty());
}

}  // namespace
}  // namespace gordian::trace
