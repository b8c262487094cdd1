// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gordian {
namespace {

// A folder of its own, gone with the test.
class FileTest : public testing::Test {
 protected:
  FileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "gordian-file-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~FileTest() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path(const char* name) const { return (folder_ / name).string(); }
  [[nodiscard]] size_t entries() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  std::filesystem::path folder_;
};

TEST_F(FileTest, ReadsBackWhatWasWritten) {
  const std::string text("two\nlines\0and a zero", 20);
  ASSERT_TRUE(write_file(path("a"), text));
  EXPECT_EQ(*read_file(path("a")), text);
}

TEST_F(FileTest, ANamelessFileIsWrittenAndLeavesNothing) {
  ASSERT_EQ(::setenv("TMPDIR", folder_.c_str(), 1), 0);
  const FileDescriptor file = create_nameless();
  ::unsetenv("TMPDIR");
  struct stat found {};

  ASSERT_TRUE(file);
  EXPECT_TRUE(write_all(file.get(), "text"));
  ASSERT_EQ(::fstat(file.get(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600U);
  EXPECT_EQ(*read_file("/proc/self/fd/" + std::to_string(file.get())), "text");
  EXPECT_EQ(entries(), 0U);
}

TEST_F(FileTest, ReplacesAFileAndLeavesNothingBeside) {
  ASSERT_TRUE(write_file(path("a"), "old and long"));
  ASSERT_TRUE(write_file(path("a"), "new"));
  EXPECT_EQ(*read_file(path("a")), "new");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileTest, IsReadableByTheOwnerAlone) {
  ASSERT_TRUE(write_file(path("a"), "x"));
  struct stat found = {};
  ASSERT_EQ(::stat(path("a").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
}

TEST_F(FileTest, RefusesALinkAndLeavesItsTargetAlone) {
  ASSERT_TRUE(write_file(path("target"), "precious"));
  ASSERT_EQ(::symlink(path("target").c_str(), path("link").c_str()), 0);
  const Result<void> result = write_file(path("link"), "x");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message, path("link") + ": is a symbolic link");
  EXPECT_EQ(*read_file(path("target")), "precious");
}

TEST_F(FileTest, WritesToADeviceInsteadOfReplacingIt) {
  ASSERT_TRUE(write_file("/dev/null", "x"));
  struct stat found = {};
  ASSERT_EQ(::stat("/dev/null", &found), 0);
  EXPECT_TRUE(S_ISCHR(found.st_mode));
}

TEST_F(FileTest, SaysWhatIsMissing) {
  EXPECT_EQ(read_file(path("none")).error().message,
            path("none") + ": cannot open: No such file or directory");
  EXPECT_FALSE(write_file(path("no/such/folder"), "x").has_value());
}

TEST_F(FileTest, RefusesMoreThanItWasAllowed) {
  ASSERT_TRUE(write_file(path("a"), "12345"));
  EXPECT_TRUE(read_file(path("a"), 5));
  EXPECT_FALSE(read_file(path("a"), 4).has_value());
}

TEST_F(FileTest, ReadsFilesOfProcThatClaimToBeEmpty) {
  EXPECT_NE(*read_file("/proc/self/stat"), "");
}

TEST_F(FileTest, TheProgramFindsItsOwnFile) {
  EXPECT_TRUE(std::filesystem::equivalent(*find_own_file(), "/proc/self/exe"));
}

TEST_F(FileTest, ADescriptorIsClosedOnce) {
  FileDescriptor first(::dup(0));
  const int number = first.get();
  FileDescriptor second = std::move(first);
  EXPECT_EQ(second.get(), number);
  second.reset();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

}  // namespace
}  // namespace gordian
