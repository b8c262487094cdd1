// SPDX-License-Identifier: Apache-2.0
// A core file as bytes: what the kernel, gdb's gcore or a crash collector wrote down of a process.
//
// Everything in it is foreign. It may be cut off anywhere (a full disk, a size limit): what is
// there is used, what is missing is said. Memory is read from the file when asked, never kept;
// notes that are not used are skipped unread.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "process/memory.h"
#include "process/unwind.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gordian::process {

// Registers of a thread at the moment of the dump (x86-64).
struct CoreThread {
  int tid = 0;
  int signal = 0;  // that was being delivered: of the thread that died, else mostly 0
  RegisterSet registers;
  uint64_t fs_base = 0;                   // glibc's struct pthread of the thread
  int64_t syscall = -1;                   // the system call it was in; -1: it ran its own code
  int64_t syscall_rax = 0;                // ... and what rax held: see is_blocked()
  [[nodiscard]] bool is_blocked() const;  // in a system call that had not ended
  [[nodiscard]] uint64_t argument(int number) const;  // of the system call, 0 to 5
};

// Where the process had which part of which file (NT_FILE).
struct CoreMapping {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t offset = 0;  // in the file
  std::string path;     // without " (deleted)"
  bool deleted = false;
};

struct CoreSegment {
  uint64_t start = 0;
  uint64_t size = 0;       // in memory
  uint64_t file_size = 0;  // of it in the core; the rest was not written, or was cut off
  uint64_t offset = 0;
  bool readable = false, writable = false, executable = false;

  [[nodiscard]] uint64_t end() const { return start + size; }
};

class CoreFile : public MemoryReader {
 public:
  // Also a file compressed by zstd, lz4 or xz. Errors: no core file, of another kind of machine, no
  // threads in it.
  static Result<CoreFile> open(const std::string& path);
  // The descriptor is the core itself, not compressed.
  static Result<CoreFile> from_descriptor(FileDescriptor fd);

  [[nodiscard]] int pid() const { return pid_; }
  [[nodiscard]] const std::string& program() const { return program_; }  // its first 15 characters
  [[nodiscard]] const std::string& arguments() const { return arguments_; }  // cut off, by blanks
  [[nodiscard]] const std::vector<CoreThread>& threads() const { return threads_; }
  [[nodiscard]] const std::vector<CoreMapping>& mappings() const { return mappings_; }
  [[nodiscard]] const std::vector<CoreSegment>& segments() const { return segments_; }
  // From the auxiliary vector: AT_ENTRY, AT_PHDR, AT_SYSINFO_EHDR...
  [[nodiscard]] std::optional<uint64_t> auxiliary(uint64_t type) const;
  // "cut off: 3 of 17 MiB are there"; empty: whole.
  [[nodiscard]] const std::string& damage() const { return damage_; }
  // False: notes are missing, and so there may have been threads that threads() does not have.
  [[nodiscard]] bool has_all_threads() const { return all_threads_; }

  // Memory that is in the core. Nothing is made up for what is not.
  [[nodiscard]] bool read(uint64_t address, std::span<std::byte> to) const override;
  [[nodiscard]] const CoreSegment* find_segment(uint64_t address) const;

 private:
  CoreFile() = default;
  struct Note;
  Result<void> read_headers();
  bool read_notes(uint64_t offset, uint64_t size);  // false: they do not end as they should
  void read_note(const Note& note);
  void read_status(const Note& note);
  void read_identity(const Note& note);
  void read_signal(const Note& note);
  void read_auxiliary(const Note& note);
  void read_mappings(const Note& note);
  [[nodiscard]] bool read_bytes(uint64_t offset, std::span<std::byte> to) const;

  FileDescriptor fd_;
  uint64_t size_ = 0;
  size_t notes_seen_ = 0;
  int pid_ = 0;
  std::string program_;
  std::string arguments_;
  std::vector<CoreThread> threads_;
  std::vector<CoreMapping> mappings_;
  std::vector<CoreSegment> segments_;  // sorted, apart from each other
  std::vector<std::pair<uint64_t, uint64_t>> auxiliary_;
  std::string damage_;
  bool all_threads_ = true;
};

}  // namespace gordian::process
