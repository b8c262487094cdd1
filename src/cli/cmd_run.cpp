// SPDX-License-Identifier: Apache-2.0
// gordian run: watch a program, report the deadlock the moment it happens, warn of those that did
// not.
#include "analysis/told.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/confirming.h"
#include "report/fingerprint.h"
#include "report/json.h"
#include "report/report.h"
#include "report/suppressions.h"
#include "report/text.h"
#include "watch/launcher.h"
#include "watch/run.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace gordian::cli {
namespace {

constexpr char kUsage[] = "gordian run [options] [--] PROGRAM [ARGS...]";

struct Options {
  watch::RunOptions run;
  std::string json;
  std::string log;
  std::string suppress;
  bool confirm = false;
  bool strict = false;
  bool quiet = false;
  bool summary = false;
  bool redact_argv = false;
  bool help = false;
  std::string help_text;
};

// Options end at the first word that is none: behind the program's name everything is its own.
constexpr const char* kWithValue[] = {"--on-deadlock", "--stall",  "--json",       "--suppress",
                                      "--log",         "--record", "--record-full"};

size_t find_command(const Args& args) {
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--") return i + 1;
    if (!args[i].starts_with("-") || args[i] == "-") return i;
    for (const char* const option : kWithValue) {
      if (args[i] == option) ++i;
      if (i >= args.size()) break;
    }
  }
  return args.size();
}

Result<Options> parse(const Args& args) {
  Options options;
  std::string on_deadlock = "kill";
  std::string stall;
  bool no_children = false;
  std::string record_full = "drop";

  CLI::App app(
      "Watches a program: reports a deadlock the moment it happens, and at the end those that did "
      "not.");
  app.name("gordian run");
  app.set_help_flag("-h,--help", "Print this");
  app.add_option("--on-deadlock", on_deadlock,
                 "kill (report, then end the program), keep, or core (let it dump core)")
      ->check(CLI::IsMember({"kill", "keep", "core"}))
      ->option_text("WHAT");
  app.add_option("--stall", stall,
                 "Also report threads that have not moved for so long: 500ms, 30s, 2m")
      ->option_text("DURATION");
  app.add_flag("--no-children", no_children, "Leave the programs it starts alone");
  app.add_flag("--refuted", options.run.refuted,
               "Also show the patterns that cannot happen, with the reason");
  app.add_flag("--confirm", options.confirm,
               "Run it again, steered, to see whether what is possible really happens");
  app.add_flag("--strict", options.strict,
               "Exit with 66 also for what may be wrong (possible, stall)");
  app.add_option("--record", options.run.record.path,
                 "Write all that the program does with its locks to FILE, for gordian predict")
      ->option_text("FILE");
  app.add_option("--record-full", record_full,
                 "When the program is faster than the recording: drop (and count), or block")
      ->check(CLI::IsMember({"drop", "block"}))
      ->option_text("WHAT");
  app.add_option("--suppress", options.suppress, "Do not report what matches a pattern in FILE")
      ->option_text("FILE");
  app.add_option("--json", options.json, "Write the findings to FILE as JSON")->option_text("FILE");
  app.add_option("--log", options.log, "Write the report to FILE instead of standard error")
      ->option_text("FILE");
  app.add_flag("-q,--quiet", options.quiet, "Print findings only");
  app.add_flag("--summary", options.summary, "Print what was watched, also when nothing was found");
  app.add_flag("--redact-argv", options.redact_argv,
               "Keep the arguments of programs out of the report");

  const size_t command = find_command(args);
  Args own(args.begin(), args.begin() + static_cast<ptrdiff_t>(std::min(command, args.size())));
  if (!own.empty() && own.back() == "--") own.pop_back();
  try {
    std::vector<std::string> reversed(own.rbegin(), own.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    options.help = true;
    options.help_text = app.help();
    // CLI11 knows nothing of the program behind the options.
    const std::string_view theirs = "Usage: gordian run [OPTIONS]";
    if (const size_t at = options.help_text.find(theirs); at != std::string::npos) {
      options.help_text.replace(at, theirs.size(), std::string("usage: ") + kUsage);
    }
    return options;
  } catch (const CLI::ParseError& error) {
    return Error(error.what(), "gordian run --help lists the options");
  }
  options.run.command.assign(args.begin() + static_cast<ptrdiff_t>(command), args.end());
  if (options.run.command.empty())
    return Error("no program to run", std::string("usage: ") + kUsage);

  options.run.children = !no_children;
  options.run.record.blocks = record_full == "block";
  options.run.on_deadlock = on_deadlock == "keep"   ? watch::OnDeadlock::Keep
                            : on_deadlock == "core" ? watch::OnDeadlock::Core
                                                    : watch::OnDeadlock::Kill;
  if (!stall.empty()) {
    GORDIAN_TRY(options.run.stall =, parse_duration(stall).in("--stall"));
    if (options.run.stall <= std::chrono::nanoseconds(0))
      return Error("--stall: must be longer than nothing");
  }
  return options;
}

// Whether a report could be written there: asked before the program runs, not after.
Result<void> check_writable(const std::string& path) {
  // /dev/stderr and its like are links of the system's own; any other could be a trap.
  std::error_code unknown;
  if (!path.starts_with("/dev/") && std::filesystem::is_symlink(path, unknown)) {
    return Error("is a symbolic link",
                 "name the file itself: a link could lead to somebody else's file")
        .in(path);
  }
  if (access(path.c_str(), F_OK) == 0) {
    if (access(path.c_str(), W_OK) != 0) return Error::from_errno("cannot write").in(path);
    return {};
  }
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                                        : path.substr(0, slash);
  if (access(folder.c_str(), W_OK) != 0)
    return Error::from_errno("cannot write into " + folder).in(path);
  return {};
}

bool wants_color() {
  const char* const terminal = getenv("TERM");
  const char* const no_color = getenv("NO_COLOR");
  return isatty(STDERR_FILENO) == 1 && terminal != nullptr && std::strcmp(terminal, "dumb") != 0 &&
         (no_color == nullptr || *no_color == '\0');
}

std::chrono::year_month_day today() {
  return std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
}

bool is_certain(model::Verdict verdict) {
  return verdict == model::Verdict::Deadlock || verdict == model::Verdict::Confirmed ||
         verdict == model::Verdict::Proved;
}

// Prints as things happen, and keeps what the report at the end needs.
class Reporter final : public watch::Audience {
 public:
  explicit Reporter(const Options& options) : options_(options) {}

  Result<void> open() {
    if (!options_.suppress.empty()) {
      GORDIAN_TRY(suppressions_ =, report::Suppressions::read(options_.suppress));
    }
    if (!options_.json.empty()) {
      GORDIAN_TRY(, check_writable(options_.json));
    }
    if (!options_.log.empty()) {
      GORDIAN_TRY(, check_writable(options_.log));
      const int follow = options_.log.starts_with("/dev/") ? 0 : O_NOFOLLOW;
      log_ = FileDescriptor(::open(options_.log.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | follow,
                                   0600));
      if (!log_) return Error::from_errno("cannot write").in(options_.log);
    }
    text_.color = options_.log.empty() && wants_color();
    text_.show_refuted = options_.run.refuted;
    char folder[4096];
    if (getcwd(folder, sizeof(folder)) != nullptr) text_.folder = folder;
    report_.command = "run";
    report_.version = GORDIAN_VERSION;
    char host[256] = "";
    gethostname(host, sizeof(host) - 1);
    report_.host = host;
    return {};
  }

  void on_headline(const model::Finding& finding) override {
    // A rule may name a function, which is not known yet.
    if (!suppressions_) say(report::headline(finding, text_));
  }

  bool on_finding(const model::Finding& source) override {
    model::Finding finding = source;
    finding.fingerprint = report::fingerprint(finding);
    if (is_suppressed(finding)) return false;
    if (suppressions_) say(report::headline(finding, text_));
    say(report::story(finding, text_));
    told_.add(finding);
    report_.findings.push_back(std::move(finding));
    if (options_.run.on_deadlock == watch::OnDeadlock::Keep) write_json();
    return true;
  }

  void on_notice(const std::string& notice) override {
    noticed_ = true;
    if (!options_.quiet) say("gordian: " + escape_for_terminal(notice) + "\n");
  }

  // Hazards, the last lines, the files. The exit status of gordian, if it is not the program's.
  std::optional<int> finish(watch::RunOutcome outcome) {
    fill(outcome);
    report::Report hazards = report_;
    hazards.findings.clear();
    for (model::Finding& hazard : outcome.hazards) {
      hazard.fingerprint = report::fingerprint(hazard);
      if (!told_.is_news(hazard) || is_suppressed(hazard)) continue;
      hazards.findings.push_back(hazard);
      report_.findings.push_back(std::move(hazard));
    }
    if (suppressions_) report_.unused_suppressions = suppressions_->unused(today());
    say(report::findings_text(hazards, text_));
    if (is_worth_closing()) {
      report::Report closing = report_;
      if (noticed_) {
        for (report::ReportProcess& process : closing.processes) process.unwatched.clear();
      }
      say(report::closing(closing, text_));
    } else if (!options_.quiet && !noticed_) {
      for (const report::ReportProcess& process : report_.processes) {
        if (process.unwatched.empty()) continue;
        say("gordian: " + escape_for_terminal(process.exe) +
            " ran unwatched: " + escape_for_terminal(process.unwatched) + "\n");
      }
    }
    if (!options_.json.empty()) write_json();
    return status();
  }

  // Steered runs of the same program along what was only possible. Then as finish().
  Result<std::optional<int>> confirm() {
    ConfirmOptions again{.command = options_.run.command, .children = options_.run.children};
    again.quiet = options_.quiet;
    const std::vector<model::Finding> predicted = report_.findings;
    GORDIAN_TRY(const int signal, confirm_findings(
                                      predicted, 0, again, text_,
                                      [this](const std::string& text) { say(text); }, report_));
    if (!options_.json.empty()) write_json();
    if (signal != 0) watch::die_by(signal);
    return status();
  }

 private:
  [[nodiscard]] std::optional<int> status() const {
    for (const model::Finding& finding : report_.findings) {
      const bool counts = is_certain(finding.verdict) ||
                          (options_.strict && finding.verdict != model::Verdict::Refuted);
      if (counts) return static_cast<int>(Exit::Found);
    }
    if (write_failed_) return static_cast<int>(Exit::Failed);
    return std::nullopt;
  }

  bool is_suppressed(const model::Finding& finding) {
    if (!suppressions_) return false;
    const report::Suppression* const rule = suppressions_->match(finding, today());
    if (rule == nullptr) return false;
    report_.suppressed.push_back({.finding = finding,
                                  .rule = report::to_text(*rule),
                                  .where = rule->where,
                                  .reason = rule->reason});
    return true;
  }

  // Without findings gordian adds nothing to what the program prints: people compare it.
  [[nodiscard]] bool is_worth_closing() const {
    if (options_.summary) return true;
    if (options_.quiet) return false;
    const report::Dropped& dropped = report_.dropped;
    const bool shown = std::any_of(
        report_.findings.begin(), report_.findings.end(), [&](const model::Finding& finding) {
          return finding.verdict != model::Verdict::Refuted || options_.run.refuted;
        });
    return shown ||
           dropped.threads + dropped.locks + dropped.holds + dropped.chains + dropped.blocks +
                   dropped.searches >
               0 ||
           !report_.suppressed.empty() || !report_.unused_suppressions.empty();
  }

  void fill(const watch::RunOutcome& outcome) {
    for (const watch::ProcessOutcome& process : outcome.processes) {
      report::ReportProcess one{.pid = process.pid,
                                .exe = process.exe,
                                .argv = process.argv,
                                .exit = {},
                                .unwatched = process.unwatched};
      if (options_.redact_argv && one.argv.size() > 1) one.argv = {one.argv.front(), "[redacted]"};
      if (process.code || process.signal)
        one.exit = report::ProcessExit{.code = process.code, .signal = process.signal};
      report_.processes.push_back(std::move(one));
    }
    const watch::Totals& totals = outcome.totals;
    report_.dropped = {.threads = totals.dropped_threads,
                       .locks = totals.dropped_locks,
                       .holds = totals.dropped_holds,
                       .chains = totals.dropped_chains,
                       .blocks = totals.dropped_blocks,
                       .repeats = totals.dropped_repeats,
                       .inexact_events = totals.inexact_events,
                       .searches = totals.capped_searches};
    report_.run = {.threads = totals.threads,
                   .locks = totals.locks,
                   .acquisitions = totals.acquisitions,
                   .nested = totals.nested,
                   .nested_threads = totals.nested_threads,
                   .lock_pairs = totals.lock_pairs,
                   .chains = totals.chains,
                   .waits = totals.waits,
                   .longest_wait = totals.longest_wait,
                   .elapsed = outcome.elapsed,
                   .judge_cpu = outcome.judge_cpu};
  }

  void say(const std::string& text) {
    if (text.empty()) return;
    const Result<void> written = write_all(log_ ? log_.get() : STDERR_FILENO, text);
    if (written || write_failed_) return;
    write_failed_ = static_cast<bool>(log_);  // a closed stderr is the caller's wish
    if (log_) complain(written.error(), options_.log);
  }

  void write_json() {
    if (options_.json.empty()) return;
    const Result<void> written = write_file(options_.json, report::to_json(report_));
    if (written) return;
    if (!write_failed_) complain(written.error(), {});
    write_failed_ = true;
  }

  static void complain(Error error, const std::string& path) {
    if (!path.empty()) error = std::move(error).in(path);
    std::fputs(to_text(error).c_str(), stderr);
  }

  const Options& options_;
  std::optional<report::Suppressions> suppressions_;
  report::TextOptions text_;
  report::Report report_;
  FileDescriptor log_;
  analysis::Told told_;
  bool noticed_ = false;
  bool write_failed_ = false;
};

Result<int> run(const Args& args) {
  GORDIAN_TRY(const Options options, parse(args));
  if (options.help) {
    std::fputs(options.help_text.c_str(), stdout);
    return static_cast<int>(Exit::Clean);
  }
  Reporter reporter(options);
  GORDIAN_TRY(, reporter.open());
  GORDIAN_TRY(watch::RunOutcome outcome, watch::run(options.run, reporter));
  const int code = outcome.code;
  const int signal = outcome.signal;
  const bool ended_by_judge = outcome.ended_by_judge;
  const int asked_to_end = outcome.asked_to_end;
  std::optional<int> status = reporter.finish(std::move(outcome));
  // A deadlock needs no confirmation, and a user who ended the program wants to see it ended.
  if (options.confirm && !ended_by_judge && asked_to_end == 0) {
    GORDIAN_TRY(status =, reporter.confirm());
  }
  if (status) return *status;
  if (ended_by_judge) return static_cast<int>(Exit::Found);
  if (signal != 0) watch::die_by(signal);
  return code;
}

}  // namespace

const Command kRunCommand{
    .name = "run",
    .usage = kUsage,
    .summary = "watch a program; report the deadlock the moment it happens",
    .run = run,
};

}  // namespace gordian::cli
