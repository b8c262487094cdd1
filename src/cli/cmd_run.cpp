// SPDX-License-Identifier: Apache-2.0
// gordian run: watch a program, report the deadlock the moment it happens, warn of those that did
// not.
#include "cli/command.h"
#include "cli/run_options.h"
#include "cli/run_reporter.h"
#include "watch/run.h"

#include <cstdio>
#include <optional>

namespace gordian::cli {
namespace {

constexpr char kRunUsage[] = "gordian run [options] [--] PROGRAM [ARGS...]";

constexpr RunWords kRunWords{
    .command = {.name = "gordian run", .usage = kRunUsage},
    .summary =
        "Watches a program: reports a deadlock the moment it happens, and at the end those that "
        "did not.",
    .can_confirm = true,
};

Result<int> run_run(const Args& args) {
  GORDIAN_TRY(const RunCommandLine options, parse_run_options(args, kRunWords));
  if (!options.help_text.empty()) {
    std::fputs(options.help_text.c_str(), stdout);
    return static_cast<int>(Exit::Clean);
  }
  RunReporter reporter(options, "run");
  GORDIAN_TRY(, reporter.open());
  GORDIAN_TRY(const watch::RunOutcome outcome, watch::run(options.run, reporter));
  std::optional<int> status = reporter.finish(outcome);
  // A deadlock needs no confirmation, and a user who ended the program wants to see it ended.
  if (options.confirm && !outcome.ended_by_judge && outcome.asked_to_end == 0) {
    GORDIAN_TRY(status =, reporter.confirm());
  }
  return end_as(outcome, status);
}

}  // namespace

const Command kRunCommand{
    .name = "run",
    .usage = kRunUsage,
    .summary = "watch a program; report the deadlock the moment it happens",
    .run = run_run,
};

}  // namespace gordian::cli
