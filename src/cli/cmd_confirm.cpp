// SPDX-License-Identifier: Apache-2.0
// gordian confirm: drive a program into the deadlock that was predicted.
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/confirming.h"
#include "cli/parse_options.h"
#include "cli/predicting.h"
#include "cli/program_line.h"
#include "cli/progress_bar.h"
#include "cli/report_head.h"
#include "cli/run_reporter.h"
#include "report/json.h"
#include "report/read_findings.h"
#include "trace/mapped_file.h"
#include "trace/recording_file.h"
#include "watch/launcher.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace gordian::cli {
namespace {

constexpr char kConfirmUsage[] = "gordian confirm [options] FILE -- PROGRAM [ARGS...]";
constexpr uint64_t kLongestReport = uint64_t{256} << 20;

struct ConfirmCommandLine {
  ConfirmOptions confirm;
  std::string file;
  std::string json;
  size_t finding = 0;
  std::string help_text;
};

Result<ConfirmCommandLine> parse_confirm(const Args& args) {
  ConfirmCommandLine options;
  std::string hold;
  std::string limit;
  std::string replay;
  bool no_children = false;
  CLI::App app(
      "Runs a program again, steered so that a predicted deadlock happens if it can: each thread\n"
      "of it is held before its last request until all of them stand there. Exits with 66 if the\n"
      "program really deadlocked.");
  app.add_option("FILE", options.file,
                 "A recording (gordian run --record), or a report that gordian run or\n"
                 "gordian predict wrote of it with --json");
  app.add_option("--finding", options.finding,
                 "Only the N-th finding of the file, as gordian predict numbers them (default: all "
                 "that are "
                 "possible or proved)")
      ->check(CLI::Range(size_t{1}, size_t{1'000'000}))
      ->option_text("N");
  app.add_option("--tries", options.confirm.tries, "At most K runs for a finding (default: 20)")
      ->check(CLI::Range(1U, 1'000'000U))
      ->option_text("K");
  app.add_option("--replay", replay, "One run, with this seed")->option_text("SEED");
  app.add_option("--hold", hold, "How long a thread is held at most (default: 2s)")
      ->option_text("DURATION");
  app.add_option("--limit", limit, "End a run that lasts longer (default: 60s)")
      ->option_text("DURATION");
  app.add_option("--json", options.json, "Write what was confirmed to FILE as JSON")
      ->option_text("FILE");
  app.add_flag("--no-children", no_children, "Leave the programs it starts alone");
  app.add_flag("-q,--quiet", options.confirm.quiet, "Print what was confirmed only");

  // The file is a word of ours, so only "--" says where the program begins.
  size_t program = 0;
  while (program < args.size() && args[program] != "--") ++program;
  if (program < args.size()) ++program;
  const Args own = own_part(args, program);
  GORDIAN_TRY(options.help_text =,
              parse_options(app, own, {.name = "gordian confirm", .usage = kConfirmUsage}));
  if (!options.help_text.empty()) return options;
  if (options.file.empty())
    return Error("no findings to confirm", std::string("usage: ") + kConfirmUsage);
  options.confirm.command.assign(args.begin() + static_cast<ptrdiff_t>(program), args.end());
  if (options.confirm.command.empty())
    return Error("no program to run", std::string("usage: ") + kConfirmUsage);
  options.confirm.children = !no_children;
  if (!hold.empty()) {
    GORDIAN_TRY(const std::chrono::nanoseconds time, parse_time(hold, "--hold"));
    options.confirm.hold = std::chrono::duration_cast<std::chrono::milliseconds>(time);
    if (options.confirm.hold > std::chrono::seconds(10))
      return Error("--hold: at most 10s, a gate does not hold anybody longer");
  }
  if (!limit.empty()) {
    GORDIAN_TRY(options.confirm.limit =, parse_time(limit, "--limit"));
  }
  if (!replay.empty()) {
    GORDIAN_TRY(options.confirm.replay =, parse_seed(replay, "--replay"));
  }
  return options;
}

// What the file says may happen: a recording is judged as gordian predict does.
Result<std::vector<model::Finding>> findings_of(const std::string& path, bool quiet) {
  GORDIAN_TRY(std::shared_ptr<const trace::MappedFile> file, trace::MappedFile::open(path));
  if (trace::RecordingFile::is_recording(file->bytes())) {
    GORDIAN_TRY(trace::RecordingFile recording, trace::RecordingFile::over(std::move(file), path));
    ProgressBar bar(quiet);
    report::TraceTotals totals;
    return predict_recording(
        std::move(recording), {}, totals,
        [&](const std::string& what, uint64_t done, uint64_t all) { bar.show(what, done, all); });
  }
  if (file->bytes().size() > kLongestReport)
    return Error("is no recording, and too long for a report").in(path);
  return report::read_findings(std::string(file->bytes())).in(path);
}

Result<int> run_confirm(const Args& args) {
  GORDIAN_TRY(const ConfirmCommandLine options, parse_confirm(args));
  if (!options.help_text.empty()) {
    std::fputs(options.help_text.c_str(), stdout);
    return static_cast<int>(Exit::Clean);
  }
  if (!options.json.empty()) {
    GORDIAN_TRY(, check_writable(options.json));
  }
  GORDIAN_TRY(const std::vector<model::Finding> findings,
              findings_of(options.file, options.confirm.quiet));
  report::Report report = make_report("confirm");
  const auto say = [](const std::string& text) {
    // A closed standard error is the caller's wish.
    [[maybe_unused]] const Result<void> written = write_all(STDERR_FILENO, text);
  };
  GORDIAN_TRY(const int signal, confirm_findings(findings, options.finding, options.confirm,
                                                 text_for_stderr(), say, report));
  if (!options.json.empty()) {
    GORDIAN_TRY(, write_file(options.json, report::to_json(report)));
  }
  if (signal != 0) watch::die_by(signal);
  return static_cast<int>(report.findings.empty() ? Exit::Clean : Exit::Found);
}

}  // namespace

const Command kConfirmCommand{
    .name = "confirm",
    .usage = kConfirmUsage,
    .summary = "drive a program into a deadlock that was predicted",
    .run = run_confirm,
};

}  // namespace gordian::cli
