// SPDX-License-Identifier: Apache-2.0
// gordian ps: which processes have threads that have waited for a lock for long.
#include "base/text.h"
#include "cli/command.h"
#include "cli/parse_options.h"
#include "watch/blocked_processes.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fmt/core.h>
#include <string>

namespace gordian::cli {
namespace {

constexpr char kPsUsage[] = "gordian ps [--for DURATION]";

Result<int> run_ps(const Args& args) {
  std::string duration = "1s";
  CLI::App app(
      "Lists the processes whose threads have waited for a lock for long, the worst first.");
  app.add_option("--for", duration, "How long a wait counts: 500ms, 30s (default 1s)")
      ->option_text("DURATION");
  GORDIAN_TRY(const std::string help,
              parse_options(app, args, {.name = "gordian ps", .usage = kPsUsage}));
  if (!help.empty()) {
    std::fputs(help.c_str(), stdout);
    return static_cast<int>(Exit::Clean);
  }
  GORDIAN_TRY(const std::chrono::nanoseconds at_least, parse_duration(duration).in("--for"));
  const watch::BlockedProcesses found = watch::find_blocked_processes(at_least);
  if (!found.processes.empty())
    fmt::print("{:>8}  {:>7}  {:>7}  {:>12}  {:<24}  {}\n", "PID", "BLOCKED", "THREADS", "LONGEST",
               "LOCK", "PROGRAM");
  for (const watch::BlockedProcess& process : found.processes) {
    const std::string lock = process.lock.empty() ? "?" : escape_for_terminal(process.lock);
    fmt::print("{:>8}  {:>7}  {:>7}  {:>12}  {:<24}  {}\n", process.pid, process.blocked,
               process.threads, to_text(process.longest), lock, escape_for_terminal(process.exe));
  }
  if (found.processes.empty())
    fmt::print("gordian: no thread has waited for a lock for {}\n", to_text(at_least));
  if (found.unreadable > 0)
    fmt::print(stderr, "gordian: {} may not be looked into: run as root to see all\n",
               found.unreadable == 1 ? "1 process" : fmt::format("{} processes", found.unreadable));
  return static_cast<int>(Exit::Clean);
}

}  // namespace

const Command kPsCommand{
    .name = "ps",
    .usage = kPsUsage,
    .summary = "list processes whose threads have waited for a lock for long",
    .run = run_ps,
};

}  // namespace gordian::cli
