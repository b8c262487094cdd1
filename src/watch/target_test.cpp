// SPDX-License-Identifier: Apache-2.0
#include "watch/target.h"

#include <cstdlib>
#include <cstring>
#include <elf.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <vector>

namespace gordian::watch {
namespace {

// The head of a 64-bit program with these segments; `loader` goes into PT_INTERP.
std::string elf(const std::vector<Elf64_Word>& segments, const std::string& loader = {}) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
#if defined(__aarch64__)
  header.e_machine = EM_AARCH64;
#else
  header.e_machine = EM_X86_64;
#endif
  header.e_phoff = sizeof(header);
  header.e_phnum = static_cast<Elf64_Half>(segments.size());
  std::string text(reinterpret_cast<const char*>(&header), sizeof(header));
  const size_t loader_at = sizeof(header) + segments.size() * sizeof(Elf64_Phdr);
  for (const Elf64_Word type : segments) {
    Elf64_Phdr segment{};
    segment.p_type = type;
    segment.p_offset = loader_at;
    segment.p_filesz = loader.size();
    text.append(reinterpret_cast<const char*>(&segment), sizeof(segment));
  }
  return text + loader;
}

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/gordian-target-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string write(const std::string& name, const std::string& text,
                    bool executable = true) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path) << text;
    if (executable) std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Target, ADynamicGlibcProgramCanBeWatched) {
  EXPECT_EQ(why_unwatchable(elf({PT_LOAD, PT_INTERP, PT_DYNAMIC}, "/lib64/ld-linux-x86-64.so.2")),
            "");
}

TEST(Target, AStaticProgramCannot) {
  EXPECT_EQ(why_unwatchable(elf({PT_LOAD})), "statically linked");
}

TEST(Target, AStaticPieHasADynamicSegmentAndStillCannot) {
  EXPECT_EQ(why_unwatchable(elf({PT_LOAD, PT_DYNAMIC})), "statically linked");
}

TEST(Target, AFileThatWasCutOffIsDamaged) {
  const std::string whole = elf({PT_LOAD, PT_DYNAMIC});
  for (size_t length = SELFMAG; length < whole.size(); ++length)
    EXPECT_EQ(why_unwatchable(whole.substr(0, length)), "a damaged program") << length;
}

TEST(Target, MuslIsNotGlibc) {
  EXPECT_EQ(why_unwatchable(elf({PT_INTERP, PT_DYNAMIC}, "/lib/ld-musl-x86_64.so.1")),
            "linked with musl, not glibc");
}

TEST(Target, A32BitProgramCannot) {
  std::string head = elf({PT_LOAD});
  head[EI_CLASS] = ELFCLASS32;
  EXPECT_EQ(why_unwatchable(head), "a 32-bit program");
}

TEST(Target, HeadsCutOffAnywhereAreSurvived) {
  const std::string whole = elf({PT_LOAD, PT_INTERP, PT_DYNAMIC}, "/lib64/ld-linux-x86-64.so.2");
  for (size_t size = 0; size <= whole.size(); ++size)
    why_unwatchable(std::string_view(whole).substr(0, size));
  std::string wild = whole;
  reinterpret_cast<Elf64_Ehdr*>(wild.data())->e_phoff = UINT64_MAX - 8;
  why_unwatchable(wild);
}

TEST(Target, IsFoundThroughThePath) {
  const auto target = find_target("sh", "/nonexistent:/bin");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/bin/sh");
  EXPECT_EQ(target->unwatchable, "");
}

TEST(Target, AScriptIsWhatItsInterpreterIs) {
  const Folder folder;
  const auto target = find_target(folder.write("script", "#! /bin/sh -e\nexit 0\n"), "");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->interpreted, "/bin/sh");
  EXPECT_EQ(target->unwatchable, "");
}

TEST(Target, AScriptWithoutAnInterpreterThatExistsIsNamed) {
  const Folder folder;
  const auto target = find_target(folder.write("script", "#!/no/such/thing\n"), "");
  ASSERT_FALSE(target);
  EXPECT_NE(target.error().message.find("/no/such/thing"), std::string::npos);
}

TEST(Target, AScriptWithWindowsLineEndsIsNamed) {
  const Folder folder;
  const auto target = find_target(folder.write("script", "#!/bin/sh\r\necho x\r\n"), "");
  ASSERT_FALSE(target);
  EXPECT_NE(target.error().message.find("carriage return"), std::string::npos);
}

TEST(Target, FaultsAreToldApart) {
  const Folder folder;
  EXPECT_NE(find_target("no-such-program", "/bin").error().message.find("not found"),
            std::string::npos);
  EXPECT_NE(
      find_target(folder.write("data", "x", false), "").error().message.find("not executable"),
      std::string::npos);
  EXPECT_NE(find_target(folder.path(), "").error().message.find("directory"), std::string::npos);
}

}  // namespace
}  // namespace gordian::watch
