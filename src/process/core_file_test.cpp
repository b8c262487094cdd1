// SPDX-License-Identifier: Apache-2.0
#include "process/core_file.h"

#include "process/sample_core.h"

#include <cerrno>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>

namespace gordian::process {
namespace {

Result<CoreFile> open_bytes(std::string_view bytes) {
  FileDescriptor fd(memfd_create("core", MFD_CLOEXEC));
  EXPECT_TRUE(write_all(fd.get(), bytes));
  return CoreFile::from_descriptor(std::move(fd));
}

SampleCore two_threads() {
  SampleCore sample;
  sample.threads = {
      {.tid = 100,
       .rip = 0x1000,
       .rsp = 0x7000,
       .rax = static_cast<uint64_t>(-512),
       .rdi = 0x5010,
       .original_rax = SYS_futex},
      {.tid = 101, .rip = 0x2000, .rsp = 0x8000, .rax = 7},
  };
  sample.segments = {
      {.address = 0x5000, .bytes = std::string(4096, 'a')},
      {.address = 0x6000, .bytes = std::string(4096, 'b')},
      {.address = 0x400000, .bytes = "", .size = 8192, .flags = PF_R | PF_X},
  };
  sample.files = {
      {.start = 0x400000, .end = 0x402000, .page_offset = 0, .path = "/bin/janus"},
      {.start = 0x402000, .end = 0x403000, .page_offset = 2, .path = "/bin/gone (deleted)"}};
  sample.auxiliary = {{AT_ENTRY, 0x400100}};
  return sample;
}

TEST(CoreFile, ReadsThreadsFilesAndIdentity) {
  const Result<CoreFile> core = open_bytes(two_threads().bytes());
  ASSERT_TRUE(core);
  EXPECT_EQ(core->pid(), 100);
  EXPECT_EQ(core->program(), "janus");
  ASSERT_EQ(core->threads().size(), 2u);
  EXPECT_TRUE(core->threads()[0].is_blocked());
  EXPECT_EQ(core->threads()[0].syscall, SYS_futex);
  EXPECT_EQ(core->threads()[0].argument(0), 0x5010u);
  EXPECT_EQ(core->threads()[0].registers.get(kRegisterPc), 0x1000u);
  EXPECT_EQ(core->threads()[0].registers.get(kRegisterRsp), 0x7000u);
  EXPECT_FALSE(core->threads()[1].is_blocked());
  ASSERT_EQ(core->mappings().size(), 2u);
  EXPECT_EQ(core->mappings()[1].path, "/bin/gone");
  EXPECT_TRUE(core->mappings()[1].deleted);
  EXPECT_EQ(core->mappings()[1].offset, 2u * 4096);
  EXPECT_EQ(core->auxiliary(AT_ENTRY), 0x400100u);
  EXPECT_EQ(core->damage(), "");
}

TEST(CoreFile, ACallThatHasEndedIsNotBlocked) {
  SampleCore sample = two_threads();
  for (const int64_t result : {0L, -11L, 1L}) {
    sample.threads[0].rax = static_cast<uint64_t>(result);
    EXPECT_FALSE(open_bytes(sample.bytes())->threads()[0].is_blocked()) << result;
  }
  for (const int64_t result : {-512L, -514L, -516L, static_cast<long>(-EINTR)}) {
    sample.threads[0].rax = static_cast<uint64_t>(result);
    EXPECT_TRUE(open_bytes(sample.bytes())->threads()[0].is_blocked()) << result;
  }
}

TEST(CoreFile, ReadsMemoryAcrossSegmentsButNotBeyond) {
  const Result<CoreFile> core = open_bytes(two_threads().bytes());
  ASSERT_TRUE(core);
  EXPECT_EQ(core->read_word(0x5ffe, 4), 0x62626161u);
  EXPECT_FALSE(core->read_word(0x6ffe, 4));
  EXPECT_FALSE(core->read_word(0x400000));  // not written to the core: unknown, not zero
  EXPECT_FALSE(core->read_word(0x4ffc));
  EXPECT_FALSE(core->read_word(UINT64_MAX - 2));
}

TEST(CoreFile, SaysWhatItIsNot) {
  EXPECT_NE(open_bytes("").error().message.find("not a core file"), std::string::npos);
  EXPECT_NE(open_bytes("#!/bin/sh\n").error().message.find("not a core file"), std::string::npos);
  SampleCore sample = two_threads();
  sample.machine = EM_AARCH64;
  EXPECT_NE(open_bytes(sample.bytes()).error().message.find("aarch64"), std::string::npos);
  sample = two_threads();
  sample.type = ET_DYN;
  EXPECT_NE(open_bytes(sample.bytes()).error().message.find("not a core file"), std::string::npos);
  sample = two_threads();
  sample.threads.clear();
  EXPECT_NE(open_bytes(sample.bytes()).error().message.find("no threads"), std::string::npos);
}

TEST(CoreFile, CutAnywhereIsAnAnswerOrAnError) {
  const std::string whole = two_threads().bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    const Result<CoreFile> core = open_bytes(std::string_view(whole).substr(0, size));
    if (!core) continue;
    EXPECT_FALSE(core->damage().empty()) << size;
    EXPECT_FALSE(core->read_word(0x6ff8)) << size;  // the last word of the file
  }
}

// Each byte of headers and notes in turn takes the values that break most.
TEST(CoreFile, WrongBytesNeverCrash) {
  const std::string whole = two_threads().bytes();
  const size_t interesting = whole.size() - 2 * 4096;
  for (size_t at = 0; at < interesting; ++at) {
    for (const char value : {'\x00', '\x7f', '\xff'}) {
      std::string bytes = whole;
      bytes[at] = value;
      const Result<CoreFile> core = open_bytes(bytes);
      if (core) (void)core->read_word(0x5000);
    }
  }
}

}  // namespace
}  // namespace gordian::process
