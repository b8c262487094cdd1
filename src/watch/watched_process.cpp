// SPDX-License-Identifier: Apache-2.0
#include "watch/watched_process.h"

#include "process/modules.h"
#include "watch/board_source.h"

#include <algorithm>
#include <cerrno>
#include <sys/syscall.h>
#include <unistd.h>

namespace gordian::watch {
namespace {

// How much of a board that dies with its process may be lost.
constexpr std::chrono::milliseconds kSaveInterval{100};

std::vector<process::Module> logged_modules(const trace::BoardLog& log, const std::string& exe) {
  std::vector<process::Module> modules;
  for (const trace::ModuleEntry& entry : log.modules) {
    std::string build_id(reinterpret_cast<const char*>(entry.build_id.data()),
                         entry.build_id.size());
    modules.push_back({.start = entry.start,
                       .end = entry.end,
                       .bias = entry.bias,
                       .path = entry.path.empty() ? exe : entry.path,
                       .build_id = std::move(build_id)});
  }
  return process::tidy_modules(std::move(modules));
}

// Worth keeping after the process's end: something could still be said about it.
bool has_story(const trace::BoardLog& log) {
  return !log.chains.empty() || !log.marks.empty() ||
         std::any_of(log.thread_ends.begin(), log.thread_ends.end(),
                     [](const trace::ThreadEndEntry& end) { return !end.holds.empty(); });
}

// How long memory that was private counts as such without another look.
constexpr std::chrono::seconds kPrivateFor{1};

}  // namespace

Result<std::unique_ptr<WatchedProcess>> WatchedProcess::open(Greeting greeting) {
  if (greeting.pid == 0) return Error("a program in a pid namespace that we cannot see into");
  const auto number = static_cast<int>(syscall(SYS_pidfd_open, greeting.pid, 0));
  const int pidfd_error = errno;
  FileDescriptor pidfd(number);
  std::unique_ptr<WatchedProcess> process(new WatchedProcess(greeting.pid, std::move(pidfd)));
  process->exe_ = process::read_exe(greeting.pid);
  process->argv_ = process::read_argv(greeting.pid);
  process->namespaced_ = greeting.hello.pid != static_cast<uint32_t>(greeting.pid);
  if (greeting.board) {
    GORDIAN_TRY(process->pending_bytes_ =, map_board(std::move(greeting.board)));
  } else {
    process->remote_ = true;
    process->pending_bytes_ =
        board_in_process(greeting.pid, greeting.hello.address, greeting.hello.size);
  }
  process->board();
  if (!process->pidfd_ && pidfd_error == ESRCH) process->finish();  // it was faster than we
  return process;
}

void WatchedProcess::set_identity_if_unknown(const std::string& exe,
                                             const std::vector<std::string>& argv) {
  if (exe_.empty()) exe_ = exe;
  if (argv_.empty()) argv_ = argv;
}

trace::BoardReader* WatchedProcess::board() {
  if (board_) return board_.get();
  if (!pending_bytes_ || pending_bytes_->size() < sizeof(format::BoardHeader)) return nullptr;
  // The magic is stored last: until then there is no board yet.
  uint64_t magic = 0;
  if (!pending_bytes_->read(0, std::as_writable_bytes(std::span(&magic, 1))) || magic == 0)
    return nullptr;
  Result<trace::BoardReader> reader = trace::BoardReader::open(std::move(pending_bytes_));
  pending_bytes_.reset();
  if (!reader) {
    board_error_ = reader.error().message;
    return nullptr;
  }
  board_ = std::make_unique<trace::BoardReader>(std::move(*reader));
  last_header_ = board_->header();
  return board_.get();
}

void WatchedProcess::update_totals() {
  if (board() == nullptr) return;
  if (!board_->refresh()) return;
  totals_ = trace::read_totals(*board_);
  last_header_ = board_->header();
}

void WatchedProcess::save_if_remote() {
  const auto now = std::chrono::steady_clock::now();
  if (!remote_ || board() == nullptr || now - saved_ < kSaveInterval) return;
  saved_ = now;
  board_->read_log();
  update_totals();
}

void WatchedProcess::finish() {
  if (!alive_) return;
  alive_ = false;
  if (remote_) {
    board_error_ =
        "its board was in its own memory alone (is there a limit on file sizes?), so its end was "
        "not seen";
  }
  update_totals();
  if (board_) {
    const trace::BoardLog& log = board_->read_log();
    // It was gone before we could ask the kernel.
    if (exe_.empty() && !log.modules.empty()) exe_ = log.modules.front().path;
    if (has_story(log)) {
      if (view_) {
        std::vector<process::Module> modules = view_->symbols().modules();
        for (process::Module& module : logged_modules(log, exe_))
          modules.push_back(std::move(module));
        view_->symbols().update_modules(process::tidy_modules(std::move(modules)));
      }
    } else {
      board_.reset();  // a server that forks for every request must not fill the judge
    }
  }
  if (view_) view_->set_gone();
  tasks_.reset();
  pidfd_.reset();
}

trace::ProcessBoard WatchedProcess::snapshot_source() {
  trace::ProcessBoard source;
  source.process.pid = pid_;
  source.process.exe = exe_;
  source.process.argv = argv_;
  source.process.handles_signals = handles_signals_;
  source.board = board();
  source.shared_identity = [this](uint64_t address) { return shared_identity(address); };
  if (namespaced_) source.outer_tid = [this](uint32_t tid) { return outer_tid(tid); };
  return source;
}

trace::ProcessLog WatchedProcess::history_source() {
  trace::ProcessLog source;
  source.process.pid = pid_;
  source.process.exe = exe_;
  source.process.argv = argv_;
  source.board = board();
  source.thread_names = names_;
  source.shared_identity = [this](uint64_t address) { return shared_identity(address); };
  return source;
}

process::ProcessView& WatchedProcess::view() {
  if (!view_) {
    std::vector<process::Module> modules;
    if (alive_) modules = process::read_modules(pid_).value_or(std::vector<process::Module>{});
    if (modules.empty() && board_) modules = logged_modules(board_->read_log(), exe_);
    view_ = std::make_unique<process::ProcessView>(alive_ ? pid_ : 0, std::move(modules));
    if (!alive_) view_->set_gone();
  }
  return *view_;
}

process::TaskDirectory* WatchedProcess::tasks() {
  if (!tasks_ && alive_) {
    Result<process::TaskDirectory> opened = process::TaskDirectory::open(pid_);
    if (opened) tasks_ = std::move(*opened);
  }
  return tasks_ ? &*tasks_ : nullptr;
}

int WatchedProcess::outer_tid(uint32_t tid) {
  if (!namespaced_) return static_cast<int>(tid);
  auto found = outer_tids_.find(static_cast<int>(tid));
  if (found == outer_tids_.end()) {
    outer_tids_ = process::map_inner_tids(pid_);
    found = outer_tids_.find(static_cast<int>(tid));
  }
  return found == outer_tids_.end() ? 0 : found->second;
}

std::optional<trace::SharedIdentity> WatchedProcess::shared_identity(uint64_t address) {
  if (const auto known = shared_.find(address); known != shared_.end()) return known->second;
  if (!alive_) return std::nullopt;
  const auto now = std::chrono::steady_clock::now();
  if (const auto known = private_.find(address);
      known != private_.end() && now - known->second < kPrivateFor) {
    return std::nullopt;
  }
  for (int attempt = 0; attempt < 2; ++attempt) {
    for (const process::Mapping& mapping : maps_) {
      if (address < mapping.start || address >= mapping.end) continue;
      if (!mapping.shared) break;
      const trace::SharedIdentity identity{mapping.device, mapping.inode,
                                           address - mapping.start + mapping.offset};
      shared_[address] = identity;
      return identity;
    }
    if (attempt == 0) maps_ = process::read_maps(pid_).value_or(std::vector<process::Mapping>{});
  }
  private_[address] = now;
  return std::nullopt;
}

void WatchedProcess::read_signal_handlers() {
  if (!alive_) return;
  const std::optional<process::ProcessStatus> status = process::read_status(pid_);
  // Unknown is taken for yes: it only turns a `deadlock` into a `stall`.
  handles_signals_ = !status || process::helpful_signals(status->caught_signals) != 0;
}

}  // namespace gordian::watch
