// SPDX-License-Identifier: Apache-2.0
#include "watch/unwatched_programs.h"

#include "process/live.h"
#include "process/processor_time.h"
#include "watch/target.h"

#include <algorithm>

namespace gordian::watch {
namespace {

constexpr std::chrono::seconds kInterval{2};
constexpr int kLeastShare = 1000;  // of a processor
constexpr int kPatience = 5;       // looks

// Whether `exe`, as we see it, is the program that sent the board. What it was when we first asked
// the kernel may be the next program already, if it became that at once; its own log cannot. The
// log has the path as the process itself sees it, which may be below another root.
bool is_program_of(WatchedProcess& process, std::string_view exe) {
  std::string_view own = process.exe();
  if (trace::BoardReader* const board = process.board(); board != nullptr) {
    const trace::BoardLog& log = board->read_log();
    if (!log.modules.empty() && !log.modules.front().path.empty()) own = log.modules.front().path;
  }
  constexpr std::string_view kDeleted = " (deleted)";
  if (own.ends_with(kDeleted)) own.remove_suffix(kDeleted.size());
  return exe.ends_with(own);
}

// The program that a watched process has become, or was started as; empty: it is the program that
// is watched, or a fork of one.
std::string other_program(int pid, const Judge& judge) {
  std::string exe = process::read_exe(pid);
  if (exe.empty()) return {};
  int known = pid;
  if (!judge.has_seen(pid)) {
    const auto status = process::read_status(pid);
    known = status ? status->parent : 0;
  }
  for (const auto& process : judge.processes())
    if (process->pid() == known && is_program_of(*process, exe)) return {};
  return exe;
}

std::string why_unwatched(int pid) {
  const Result<Target> target = find_target("/proc/" + std::to_string(pid) + "/exe", "");
  return target && !target->unwatchable.empty() ? target->unwatchable : kNoBoardCame;
}

}  // namespace

std::vector<UnwatchedPrograms::Program> UnwatchedPrograms::find(int root, const Judge& judge) {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_look_) return {};
  const std::chrono::nanoseconds began = process::own_processor_time();
  std::vector<int> pids = process::list_descendants(root);
  pids.push_back(root);
  std::map<int, Seen> here;
  std::vector<Program> programs;
  for (const int pid : pids) {
    const std::string exe = other_program(pid, judge);
    if (exe.empty()) continue;
    const auto before = seen_.find(pid);
    const bool is_same = before != seen_.end() && before->second.exe == exe;
    const int looks = is_same ? before->second.looks + 1 : 1;
    here.emplace(pid, Seen{exe, looks});
    if (looks == 1 || named_.contains(exe)) continue;
    // Where nothing speaks against a board, it may be on its way: the constructors of other
    // libraries may run before ours.
    const std::string why = why_unwatched(pid);
    if (why == kNoBoardCame && looks <= kPatience) continue;
    named_.insert(exe);
    programs.push_back({.pid = pid, .exe = exe, .why = why});
  }
  seen_ = std::move(here);
  next_look_ = now + std::max<std::chrono::nanoseconds>(
                         kInterval, (process::own_processor_time() - began) * kLeastShare);
  return programs;
}

}  // namespace gordian::watch
