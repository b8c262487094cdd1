// SPDX-License-Identifier: Apache-2.0
#include "process/decompress.h"

#include <cstdint>
#include <gtest/gtest.h>
#include <lz4frame.h>
#include <lzma.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>
#include <zstd.h>

namespace gordian::process {
namespace {

// Text, then a hole, then text that does not compress to nothing.
std::string contents() {
  std::string text(5000, 'x');
  text.append(3 << 20, '\0');
  uint32_t state = 1;
  for (int i = 0; i < 100000; ++i)
    text += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return text;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string lz4(const std::string& text) {
  std::string out(LZ4F_compressFrameBound(text.size(), nullptr), '\0');
  out.resize(LZ4F_compressFrame(out.data(), out.size(), text.data(), text.size(), nullptr));
  return out;
}

std::string xz(const std::string& text) {
  std::string out(lzma_stream_buffer_bound(text.size()), '\0');
  size_t size = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, nullptr,
                                    reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                                    reinterpret_cast<uint8_t*>(out.data()), &size, out.size()),
            LZMA_OK);
  out.resize(size);
  return out;
}

FileDescriptor file_of(const std::string& bytes) {
  FileDescriptor fd(memfd_create("packed", MFD_CLOEXEC));
  EXPECT_TRUE(write_all(fd.get(), bytes));
  return fd;
}

std::string read_back(const FileDescriptor& fd) {
  struct stat status = {};
  fstat(fd.get(), &status);
  std::string text(static_cast<size_t>(status.st_size), '\0');
  EXPECT_EQ(pread(fd.get(), text.data(), text.size(), 0), status.st_size);
  return text;
}

TEST(Decompress, UnpacksWhatCollectorsPack) {
  const std::string text = contents();
  for (const std::string& packed : {zstd(text), lz4(text), xz(text), text}) {
    Result<Decompressed> plain = decompress(file_of(packed));
    ASSERT_TRUE(plain) << plain.error().message;
    EXPECT_EQ(plain->damage, "");
    EXPECT_TRUE(read_back(plain->fd) == text);
  }
}

TEST(Decompress, ZerosBecomeHoles) {
  Result<Decompressed> plain = decompress(file_of(zstd(contents())));
  ASSERT_TRUE(plain);
  struct stat status = {};
  ASSERT_EQ(fstat(plain->fd.get(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, 1 << 20);
}

TEST(Decompress, WhatIsCutOffIsUnpackedAsFarAsItGoes) {
  const std::string text = contents();
  for (const std::string& packed : {zstd(text), lz4(text), xz(text)}) {
    for (const size_t size : {size_t{7}, size_t{100}, packed.size() / 2, packed.size() - 1}) {
      Result<Decompressed> plain = decompress(file_of(packed.substr(0, size)));
      ASSERT_TRUE(plain) << plain.error().message;
      EXPECT_NE(plain->damage, "") << size;
      EXPECT_TRUE(text.starts_with(read_back(plain->fd)));
    }
  }
}

TEST(Decompress, WrongBytesNeverCrash) {
  const std::string text = contents();
  for (const std::string& packed : {zstd(text), lz4(text), xz(text)}) {
    for (size_t at = 4; at < packed.size(); at += packed.size() / 10) {
      std::string bytes = packed;
      bytes[at] = static_cast<char>(bytes[at] ^ 0x55);
      (void)decompress(file_of(bytes), 16 << 20);
    }
  }
}

TEST(Decompress, RefusesWhatUnpacksToTooMuch) {
  for (const std::string& packed : {zstd(contents()), lz4(contents()), xz(contents())})
    EXPECT_FALSE(decompress(file_of(packed), 1 << 20));
}

TEST(Decompress, NamesTheProgramThatUnpacksOthers) {
  const Result<Decompressed> plain = decompress(file_of("\x1f\x8b\x08 something"));
  ASSERT_FALSE(plain);
  EXPECT_NE(plain.error().hint.find("gunzip"), std::string::npos);
}

}  // namespace
}  // namespace gordian::process
