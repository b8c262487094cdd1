// SPDX-License-Identifier: Apache-2.0
// Traces in the STD text form, and in the binary form that was published with it.
//
// One event a line, `thread|operation(argument)|location`; docs/predict.md lists the operations.
// The file is mapped and read as often as the analysis needs it, never copied; only names are kept.
// Ids of threads, locks, variables and sites are the same in every reading. Whatever breaks a rule
// is an error that names the line and the rule.
#pragma once

#include "base/result.h"
#include "model/trace.h"
#include "trace/mapped_file.h"
#include "trace/name_table.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::trace {

// What of a trace is handed out. Less is faster; everything is checked all the same.
enum class Detail : uint8_t {
  Locks,  // no reads and writes, no sites
  Sites,  // no reads and writes
  Memory,
};

using EventSink = std::function<void(std::span<const model::TraceEvent>)>;
using ProgressSink = std::function<void(uint64_t done_bytes, uint64_t all_bytes)>;

class StdReader {
 public:
  // Maps a file; a pipe is read to its end first. Errors name the path.
  static Result<StdReader> open(const std::string& path);
  // `bytes` must outlive the reader; `path` is for messages.
  static StdReader over(std::string_view bytes, std::string path);
  static StdReader over(std::shared_ptr<const MappedFile> file, std::string path);

  Result<void> read(Detail detail, const EventSink& sink, const ProgressSink& progress = {});

  // Complete after the first reading; `variables` after the first with Detail::Memory.
  [[nodiscard]] const model::TraceSize& size() const { return size_; }
  [[nodiscard]] bool is_text() const { return !is_binary_; }
  [[nodiscard]] uint64_t byte_count() const { return bytes_.size(); }
  [[nodiscard]] const std::string& path() const { return path_; }

  // As in the file: "T2", "L0", "15". Of a binary file "T2", "L0", "15" too.
  [[nodiscard]] std::string thread_name(model::ThreadId id) const;
  [[nodiscard]] std::string lock_name(uint32_t lock) const;
  [[nodiscard]] std::string site_name(uint32_t site) const;

 private:
  template <Detail kDetail>
  class Text;
  class Binary;

  StdReader() = default;
  Result<void> read_text(Detail detail, const EventSink& sink, const ProgressSink& progress);
  Result<void> read_binary(Detail detail, const EventSink& sink, const ProgressSink& progress);

  std::shared_ptr<const MappedFile> mapping_;
  std::string_view bytes_;
  std::string path_;
  bool is_binary_ = false;
  model::TraceSize size_;
  NameTable threads_;
  NameTable locks_;
  NameTable variables_;
  NameTable sites_;
  std::vector<char> acted_;                  // by thread: in this reading or an earlier one
  std::shared_ptr<const std::string> tail_;  // the last lines, with room to read past their end
  std::shared_ptr<std::deque<std::string>> made_names_;  // binary form: the tables' texts
};

}  // namespace gordian::trace
