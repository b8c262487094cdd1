// SPDX-License-Identifier: Apache-2.0
#include "process/modules.h"

#include "process/live.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

namespace gordian::process {
namespace {

Module module(uint64_t start, uint64_t end, std::string path) {
  Module result;
  result.start = start;
  result.end = end;
  result.path = std::move(path);
  return result;
}

int a_variable = 0;

TEST(Modules, OfThisProcessContainItsCodeAndItsData) {
  const std::vector<Module> modules = read_modules(getpid()).value_or(std::vector<Module>());
  const Module* code = find_module(modules, reinterpret_cast<uint64_t>(&module));
  const Module* data = find_module(modules, reinterpret_cast<uint64_t>(&a_variable));
  ASSERT_NE(code, nullptr);
  EXPECT_EQ(code, data);
  EXPECT_EQ(code->path, read_exe(getpid()));
  EXPECT_FALSE(code->build_id.empty());
  const Module* libc = find_module(modules, reinterpret_cast<uint64_t>(&::getenv));
  ASSERT_NE(libc, nullptr);
  EXPECT_NE(libc->path.find("libc"), std::string::npos);
  EXPECT_EQ(find_module(modules, 8), nullptr);
}

TEST(Modules, LaterOnesReplaceWhatTheyOverlap) {
  const std::vector<Module> modules =
      tidy_modules({module(0x1000, 0x3000, "old"), module(0x5000, 0x6000, "other"),
                    module(0x2000, 0x4000, "new"), module(9, 9, "empty")});
  ASSERT_EQ(modules.size(), 2u);
  EXPECT_EQ(modules[0].path, "new");
  EXPECT_EQ(modules[1].path, "other");
  EXPECT_EQ(find_module(modules, 0x1800), nullptr);
  EXPECT_EQ(find_module(modules, 0x3fff)->path, "new");
  EXPECT_EQ(find_module(modules, 0x4000), nullptr);
}

TEST(Modules, AFileWithAnotherBuildIdIsRefused) {
  Module self = module(0, 1, read_exe(getpid()));
  EXPECT_TRUE(open_module(self, 0));
  EXPECT_TRUE(open_module(self, getpid()));
  self.build_id = "not this one";
  EXPECT_FALSE(open_module(self, 0));
  EXPECT_FALSE(open_module(self, getpid()));
}

TEST(Modules, TheProgramItselfHasNoPathOnTheBoard) {
  Module self = module(0, 1, "");
  EXPECT_TRUE(open_module(self, getpid()));
  EXPECT_FALSE(open_module(self, 0));
}

TEST(Modules, DevicesAreNotOpened) {
  EXPECT_FALSE(open_module(module(0, 1, "/dev/zero"), 0));
  EXPECT_FALSE(open_module(module(0, 1, "/"), 0));
  EXPECT_FALSE(open_module(module(0, 1, "[heap]"), 0));
}

TEST(BuildId, OfSomethingElseIsEmpty) {
  const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(read_build_id(fd), "");
  close(fd);
  EXPECT_EQ(read_build_id(-1), "");
}

}  // namespace
}  // namespace gordian::process
