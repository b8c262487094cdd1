// SPDX-License-Identifier: Apache-2.0
// One program image under watch: its board, and what else we need to speak of it. An exec ends one
// and begins the next, with the same pid.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "process/complete.h"
#include "process/live.h"
#include "trace/board_history.h"
#include "trace/board_reader.h"
#include "trace/board_snapshot.h"
#include "watch/listener.h"
#include "watch/long_waits.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace gordian::watch {

class WatchedProcess {
 public:
  // Takes a greeting at its word as far as the kernel confirms it.
  static Result<std::unique_ptr<WatchedProcess>> open(Greeting greeting);

  int pid() const { return pid_; }
  // Readable when the process has ended; -1 without.
  int end_descriptor() const { return pidfd_.get(); }
  const FileDescriptor& pidfd() const { return pidfd_; }
  bool is_alive() const { return alive_; }
  const std::string& exe() const { return exe_; }
  const std::vector<std::string>& argv() const { return argv_; }
  // For a process that had ended before /proc could be asked.
  void set_identity_if_unknown(const std::string& exe, const std::vector<std::string>& argv);

  // Null while the program has not finished making it, and when nothing in it is worth keeping.
  trace::BoardReader* board();
  const std::string& board_error() const { return board_error_; }

  // A board in the process's own memory is gone with it: what it says is kept now and then.
  void save_if_remote();

  // The image is over (exit or exec): what the report needs is read now.
  void finish();

  const trace::BoardTotals& totals() const { return totals_; }
  const format::BoardHeader& last_header() const { return last_header_; }
  void update_totals();

  trace::ProcessBoard snapshot_source();
  trace::ProcessLog history_source();
  process::ProcessView& view();
  process::TaskDirectory* tasks();

  // The tid as the process itself names it -> as we do.
  int outer_tid(uint32_t tid);
  // Where a process-shared object lies.
  std::optional<trace::SharedIdentity> shared_identity(uint64_t address);
  // Asks /proc whether the program has signal handlers that could help, once per examination.
  void read_signal_handlers();
  void remember_name(uint32_t uid, const std::string& name) { names_[uid] = name; }

  LongWaits long_waits;  // as of the judge's last look

 private:
  WatchedProcess(int pid, FileDescriptor pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  int pid_;
  FileDescriptor pidfd_;
  bool alive_ = true;
  bool namespaced_ = false;
  bool remote_ = false;
  std::chrono::steady_clock::time_point saved_{};
  bool handles_signals_ = false;
  std::string exe_;
  std::vector<std::string> argv_;
  std::unique_ptr<trace::BoardBytes> pending_bytes_;  // until the board says it is one
  std::unique_ptr<trace::BoardReader> board_;
  std::string board_error_;
  trace::BoardTotals totals_;
  format::BoardHeader last_header_{};
  std::unique_ptr<process::ProcessView> view_;
  std::optional<process::TaskDirectory> tasks_;
  std::unordered_map<int, int> outer_tids_;
  std::vector<process::Mapping> maps_;
  std::unordered_map<uint64_t, trace::SharedIdentity> shared_;
  std::unordered_map<uint64_t, std::chrono::steady_clock::time_point> private_;
  std::unordered_map<uint32_t, std::string> names_;
};

}  // namespace gordian::watch
