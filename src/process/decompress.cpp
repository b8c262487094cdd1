// SPDX-License-Identifier: Apache-2.0
#include "process/decompress.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <lz4frame.h>
#include <lzma.h>
#include <memory>
#include <span>
#include <string_view>
#include <unistd.h>
#include <vector>
#include <zstd.h>

namespace gordian::process {
namespace {

constexpr size_t kPiece = 1 << 20;
constexpr size_t kPage = 4096;
constexpr uint64_t kMaxXzMemory = 512 << 20;  // `xz -9` needs 65 MiB to unpack
constexpr int kMaxZstdWindow = 27;            // 128 MiB; `zstd --ultra -22` asks for that

constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";
constexpr std::string_view kLz4Magic = "\x04\x22\x4d\x18";
constexpr std::string_view kXzMagic{
    "\xfd"
    "7zXZ\0",
    6};
constexpr std::string_view kGzipMagic = "\x1f\x8b";
constexpr std::string_view kBzipMagic = "BZh";

bool is_zero(std::span<const std::byte> bytes) {
  return bytes.empty() || (bytes[0] == std::byte{0} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

// Writes at the end; pages of zeros become holes.
class SparseWriter {
 public:
  SparseWriter(int fd, uint64_t max_bytes) : fd_(fd), max_bytes_(max_bytes) {
    if (const auto most = half_of_free_space(fd)) max_stored_ = *most;
  }

  Result<void> write(std::span<const std::byte> bytes) {
    if (bytes.size() > max_bytes_ - size_)
      return Error("unpacks to more than " + std::to_string(max_bytes_ >> 30) + " GiB",
                   "unpack it yourself and give gordian the result");
    while (!bytes.empty()) {
      const size_t piece = std::min(bytes.size(), kPage - size_ % kPage);
      if (!is_zero(bytes.first(piece))) {
        stored_ += piece;
        if (stored_ > max_stored_)
          return Error("the disk has no room to unpack it",
                       "set TMPDIR to a folder with more room");
        if (pwrite(fd_, bytes.data(), piece, static_cast<off_t>(size_)) !=
            static_cast<ssize_t>(piece))
          return Error::from_errno("cannot unpack");
      }
      size_ += piece;
      bytes = bytes.subspan(piece);
    }
    return {};
  }

  Result<void> finish() const {
    if (ftruncate(fd_, static_cast<off_t>(size_)) != 0) return Error::from_errno("cannot unpack");
    return {};
  }

 private:
  int fd_;
  uint64_t max_bytes_;
  uint64_t max_stored_ = UINT64_MAX;
  uint64_t stored_ = 0;
  uint64_t size_ = 0;
};

class Source {
 public:
  explicit Source(int fd) : fd_(fd), buffer_(kPiece) {}

  // Empty: the end, or what cannot be read.
  std::span<const std::byte> next() {
    for (;;) {
      const ssize_t got = pread(fd_, buffer_.data(), buffer_.size(), offset_);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return {};
      offset_ += got;
      return std::span(buffer_).first(static_cast<size_t>(got));
    }
  }

 private:
  int fd_;
  off_t offset_ = 0;
  std::vector<std::byte> buffer_;
};

// Each returns whether the stream came to its end; false: it is cut off or damaged.

Result<bool> unpack_zstd(Source& source, SparseWriter& sink) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     &ZSTD_freeDCtx);
  if (!context) return Error("cannot unpack: zstd does not start");
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxZstdWindow);
  std::vector<std::byte> output(kPiece);
  bool ended = false;
  for (std::span<const std::byte> input = source.next(); !input.empty(); input = source.next()) {
    ZSTD_inBuffer from{input.data(), input.size(), 0};
    bool full = true;
    while (from.pos < from.size || full) {
      ZSTD_outBuffer to{output.data(), output.size(), 0};
      const size_t left = ZSTD_decompressStream(context.get(), &to, &from);
      if (ZSTD_isError(left) != 0) return false;
      GORDIAN_TRY(, sink.write(std::span(output).first(to.pos)));
      ended = left == 0;
      full = to.pos == to.size && !ended;
    }
  }
  return ended;
}

Result<bool> unpack_lz4(Source& source, SparseWriter& sink) {
  LZ4F_dctx* raw = nullptr;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&raw, LZ4F_VERSION)) != 0)
    return Error("cannot unpack: lz4 does not start");
  const std::unique_ptr<LZ4F_dctx, decltype(&LZ4F_freeDecompressionContext)> context(
      raw, &LZ4F_freeDecompressionContext);
  std::vector<std::byte> output(kPiece);
  bool ended = false;
  for (std::span<const std::byte> input = source.next(); !input.empty(); input = source.next()) {
    bool full = true;
    while (!input.empty() || full) {
      size_t from = input.size();
      size_t to = output.size();
      const size_t left =
          LZ4F_decompress(context.get(), output.data(), &to, input.data(), &from, nullptr);
      if (LZ4F_isError(left) != 0) return false;
      GORDIAN_TRY(, sink.write(std::span(output).first(to)));
      input = input.subspan(from);
      ended = left == 0;
      full = to == output.size() && !ended;
      if (from == 0 && to == 0) break;
    }
  }
  return ended;
}

Result<bool> unpack_xz(Source& source, SparseWriter& sink) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, kMaxXzMemory, LZMA_CONCATENATED) != LZMA_OK)
    return Error("cannot unpack: xz does not start");
  const std::unique_ptr<lzma_stream, decltype(&lzma_end)> ender(&stream, &lzma_end);
  std::vector<std::byte> output(kPiece);
  lzma_ret result = LZMA_OK;
  bool at_end = false;
  while (result == LZMA_OK) {
    if (stream.avail_in == 0 && !at_end) {
      const std::span<const std::byte> input = source.next();
      stream.next_in = reinterpret_cast<const uint8_t*>(input.data());
      stream.avail_in = input.size();
      at_end = input.empty();
    }
    stream.next_out = reinterpret_cast<uint8_t*>(output.data());
    stream.avail_out = output.size();
    result = lzma_code(&stream, at_end ? LZMA_FINISH : LZMA_RUN);
    GORDIAN_TRY(, sink.write(std::span(output).first(output.size() - stream.avail_out)));
    if (result == LZMA_MEMLIMIT_ERROR)
      return Error("unpacking it needs more than " + std::to_string(kMaxXzMemory >> 20) + " MiB",
                   "unpack it yourself and give gordian the result");
  }
  return result == LZMA_STREAM_END;
}

}  // namespace

Result<Decompressed> decompress(FileDescriptor fd, uint64_t max_bytes) {
  std::array<char, 8> head{};
  const ssize_t got = pread(fd.get(), head.data(), head.size(), 0);
  const std::string_view magic(head.data(), got > 0 ? static_cast<size_t>(got) : 0);
  Result<bool> (*unpack)(Source&, SparseWriter&) = nullptr;
  if (magic.starts_with(kZstdMagic)) unpack = unpack_zstd;
  if (magic.starts_with(kLz4Magic)) unpack = unpack_lz4;
  if (magic.starts_with(kXzMagic)) unpack = unpack_xz;
  if (magic.starts_with(kGzipMagic) || magic.starts_with(kBzipMagic))
    return Error("compressed by a program gordian does not know",
                 magic.starts_with(kGzipMagic) ? "gunzip it first" : "bunzip2 it first");
  if (unpack == nullptr) return Decompressed{std::move(fd)};

  Decompressed result{create_nameless()};
  if (!result.fd)
    return Error("no folder to unpack it in", "set TMPDIR to a folder with enough room");
  Source source(fd.get());
  SparseWriter sink(result.fd.get(), max_bytes);
  GORDIAN_TRY(const bool whole, unpack(source, sink));
  GORDIAN_TRY(, sink.finish());
  if (!whole) result.damage = "cut off or damaged: unpacked as far as it goes";
  return result;
}

}  // namespace gordian::process
