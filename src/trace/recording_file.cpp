// SPDX-License-Identifier: Apache-2.0
#include "trace/recording_file.h"

#include <cstring>
#include <utility>
#include <zstd.h>

namespace gordian::trace {

using format::ChunkHeader;
using format::RecordingFileHeader;

bool RecordingFile::is_recording(std::string_view bytes) {
  uint64_t magic = 0;
  if (bytes.size() < sizeof(magic)) return false;
  std::memcpy(&magic, bytes.data(), sizeof(magic));
  return magic == format::kRecordingMagic;
}

Result<RecordingFile> RecordingFile::over(std::shared_ptr<const MappedFile> file,
                                          const std::string& path) {
  GORDIAN_TRY(RecordingFile reader, over(file->bytes(), path));
  reader.file_ = std::move(file);
  return reader;
}

Result<RecordingFile> RecordingFile::over(std::string_view bytes, const std::string& path) {
  if (!is_recording(bytes)) return Error("not a recording").in(path);
  RecordingFile file;
  file.bytes_ = bytes;
  file.path_ = path;
  RecordingFileHeader& header = file.header_;
  constexpr size_t kFirstFields = 16;  // magic, version, size: at the same place in all versions
  if (bytes.size() < kFirstFields)
    return Error("the recording ends within its first " + std::to_string(kFirstFields) + " bytes")
        .in(path);
  std::memcpy(&header, bytes.data(), std::min(bytes.size(), sizeof(header)));
  if (header.version < format::kOldestRecordingVersion ||
      header.version > format::kRecordingVersion) {
    return Error("the recording has version " + std::to_string(header.version) +
                     ", this gordian reads up to version " +
                     std::to_string(format::kRecordingVersion),
                 "read it with the gordian that recorded it, or a newer one")
        .in(path);
  }
  if (bytes.size() < sizeof(header) || header.header_size < sizeof(header))
    return Error("the recording ends within its header").in(path);
  if (header.byte_order != format::kByteOrderMark || header.word_size != sizeof(void*))
    return Error("recorded on a machine of another kind").in(path);
  if (header.features != 0)
    return Error("the recording uses features this gordian does not know",
                 "read it with the gordian that recorded it, or a newer one")
        .in(path);
  header.tool_version[sizeof(header.tool_version) - 1] = '\0';

  size_t at = header.header_size;
  while (at < bytes.size()) {
    ChunkHeader chunk{};
    if (bytes.size() - at < sizeof(chunk)) break;
    std::memcpy(&chunk, bytes.data() + at, sizeof(chunk));
    if (chunk.magic != format::kChunkMagic || chunk.committed != format::check_of(chunk) ||
        chunk.raw_size > format::kMaxChunkBytes ||
        chunk.stored_size > bytes.size() - at - sizeof(chunk))
      break;
    file.chunks_.push_back({.type = chunk.type,
                            .process = chunk.process,
                            .is_compressed = chunk.compressed != 0,
                            .raw_size = chunk.raw_size,
                            .stored = bytes.substr(at + sizeof(chunk), chunk.stored_size)});
    at += sizeof(chunk) + chunk.stored_size;
  }
  if (at < bytes.size())
    file.damage_ = "its last " + std::to_string(bytes.size() - at) + " bytes are not whole";
  return file;
}

bool RecordingFile::unpack(const Chunk& chunk, std::vector<std::byte>& to) {
  to.resize(chunk.raw_size);
  if (!chunk.is_compressed) {
    if (chunk.stored.size() != chunk.raw_size) return false;
    std::memcpy(to.data(), chunk.stored.data(), chunk.raw_size);
    return true;
  }
  const size_t size =
      ZSTD_decompress(to.data(), to.size(), chunk.stored.data(), chunk.stored.size());
  return ZSTD_isError(size) == 0 && size == chunk.raw_size;
}

}  // namespace gordian::trace
