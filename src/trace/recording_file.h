// SPDX-License-Identifier: Apache-2.0
// A recording as a file of chunks (format/recording.h): which there are, and what they contain.
//
// The file may end anywhere, and contain anything: a chunk that is not whole ends it, and damage()
// says so.
#pragma once

#include "base/result.h"
#include "format/recording.h"
#include "trace/mapped_file.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::trace {

class RecordingFile {
 public:
  struct Chunk {
    format::ChunkType type{};
    uint32_t process = 0;
    bool is_compressed = false;
    uint32_t raw_size = 0;
    std::string_view stored;
  };

  // Is it one, by its first bytes?
  static bool is_recording(std::string_view bytes);

  // Errors: not a recording, or of another version. `path` is for messages.
  static Result<RecordingFile> over(std::shared_ptr<const MappedFile> file,
                                    const std::string& path);
  // `bytes` must outlive it.
  static Result<RecordingFile> over(std::string_view bytes, const std::string& path);

  [[nodiscard]] const format::RecordingFileHeader& header() const { return header_; }
  [[nodiscard]] const std::vector<Chunk>& chunks() const { return chunks_; }
  // What of the file could not be read; empty: all could.
  [[nodiscard]] const std::string& damage() const { return damage_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] uint64_t byte_count() const { return bytes_.size(); }

  // What the chunk contains; false: it is damaged.
  static bool unpack(const Chunk& chunk, std::vector<std::byte>& to);

 private:
  RecordingFile() = default;

  std::shared_ptr<const MappedFile> file_;
  std::string_view bytes_;
  std::string path_;
  std::string damage_;
  format::RecordingFileHeader header_{};
  std::vector<Chunk> chunks_;
};

}  // namespace gordian::trace
