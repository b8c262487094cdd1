// SPDX-License-Identifier: Apache-2.0
// gordian run: watch a program, report the deadlock the moment it happens, warn of those that did
// not.
#include "base/file.h"
#include "cli/command.h"
#include "cli/recorded_run.h"
#include "cli/run_options.h"
#include "cli/run_reporter.h"
#include "watch/input_position.h"
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
  watch::RunOptions run = options.run;
  FileDescriptor recording;
  if (options.confirm) {
    GORDIAN_TRY(recording =, record_in_passing(run));
  }
  const watch::InputPosition input;
  GORDIAN_TRY(watch::RunOutcome outcome, watch::run(run, reporter));
  // A deadlock needs no confirmation, and a user who ended the program wants to see it ended.
  const bool confirms = options.confirm && !outcome.ended_by_judge && outcome.asked_to_end == 0;
  if (confirms) reporter.predict(run.record, outcome);
  recording.reset();
  std::optional<int> status = reporter.finish(outcome);
  if (confirms) {
    input.restore();
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
