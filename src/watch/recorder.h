// SPDX-License-Identifier: Apache-2.0
// Takes what programs write into their rings (format/recording.h) out of them and puts it,
// compressed, into a file. In a thread of its own: neither may the judge keep a program waiting,
// nor a busy recording the judge.
//
// The file is whole up to its last chunk at every moment; a kill costs what was not yet written,
// at most kFlushAfter of it. Programs are not believed: positions and sizes are checked.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "format/recording.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

struct ZSTD_CCtx_s;

namespace gordian::watch {

struct RecordOptions {
  std::string path;     // empty: none, unless there is a
  int file = -1;        // that is open for writing already, and stays the caller's
  uint64_t limit = 0;   // bytes; the recording ends early there. 0: none
  bool blocks = false;  // a full ring makes its thread wait; else its records are dropped

  [[nodiscard]] bool wanted() const { return file >= 0 || !path.empty(); }
};

class Recorder {
 public:
  static constexpr std::chrono::milliseconds kFlushAfter{200};

  struct Totals {
    uint64_t bytes = 0;  // taken out of rings
    uint64_t written = 0;
    uint64_t lost = 0;  // records
    uint64_t dropped_objects = 0;
    uint64_t dropped_threads = 0;
    uint64_t waited = 0;
    std::string error;  // why the file ends early; empty: it does not
  };

  // Makes the file, readable by its owner alone, not through a link; or takes the open one. Errors
  // name the path.
  static Result<std::unique_ptr<Recorder>> create(const RecordOptions& options);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Begins to empty rings. After the last fork of this process.
  void start();
  // The rings of one more process. An error says why they are none.
  Result<void> add(int pid, const std::string& exe, FileDescriptor rings);
  // Empties all rings for the last time and closes the file.
  Totals finish();

 private:
  struct Process;
  struct Pass {
    uint64_t most = 0;                     // bytes that a ring had
    format::RingsHeader* wakes = nullptr;  // of the only process, if it wakes us
  };

  Recorder(FileDescriptor file, uint64_t limit);
  void run();
  Pass pass();
  void drop_ended();
  uint64_t drain(Process& process);
  void take(Process& process, uint32_t ring, uint64_t from, uint64_t to);
  void flush(Process& process);
  void end(Process& process);
  void write_chunk(format::ChunkType type, uint32_t process, const std::vector<std::byte>& raw);

  FileDescriptor file_;
  uint64_t limit_;
  std::mutex lock_;  // of processes_, next_process_ and the file
  std::vector<std::unique_ptr<Process>> processes_;
  uint32_t next_process_ = 0;
  Totals totals_;
  std::vector<std::byte> stored_;  // scratch
  std::unique_ptr<ZSTD_CCtx_s, size_t (*)(ZSTD_CCtx_s*)> compressor_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace gordian::watch
