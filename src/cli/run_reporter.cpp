// SPDX-License-Identifier: Apache-2.0
#include "cli/run_reporter.h"

#include "base/text.h"
#include "cli/confirming.h"
#include "cli/recorded_run.h"
#include "cli/report_head.h"
#include "report/fingerprint.h"
#include "report/json.h"
#include "report/order_text.h"
#include "watch/launcher.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace gordian::cli {
namespace {

std::chrono::year_month_day today() {
  return std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
}

bool is_certain(model::Verdict verdict) {
  return verdict == model::Verdict::Deadlock || verdict == model::Verdict::Confirmed ||
         verdict == model::Verdict::Proved;
}

void complain(Error error, const std::string& path) {
  if (!path.empty()) error = std::move(error).in(path);
  std::fputs(to_text(error).c_str(), stderr);
}

Result<FileDescriptor> open_log(const std::string& path) {
  const int follow = path.starts_with("/dev/") ? 0 : O_NOFOLLOW;
  // Without O_NONBLOCK the watched program would not start before somebody reads from a named pipe.
  FileDescriptor log(
      ::open(path.c_str(),
             O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | follow, 0600));
  if (!log && errno == ENXIO)
    return Error("nobody reads from this pipe", "start its reader first").in(path);
  if (!log || fcntl(log.get(), F_SETFL, 0) != 0) return Error::from_errno("cannot write").in(path);
  return log;
}

}  // namespace

Result<void> check_writable(const std::string& path) {
  // /dev/stderr and its like are links of the system's own; any other could be a trap.
  std::error_code unknown;
  if (!path.starts_with("/dev/") && std::filesystem::is_symlink(path, unknown)) {
    return Error("is a symbolic link",
                 "name the file itself: a link could lead to somebody else's file")
        .in(path);
  }
  if (access(path.c_str(), F_OK) == 0) {
    if (std::filesystem::is_directory(path, unknown))
      return Error("is a folder", "name a file in it").in(path);
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

Result<void> RunReporter::open() {
  if (!options_.suppress.empty()) {
    GORDIAN_TRY(suppressions_ =, report::Suppressions::read(options_.suppress));
  }
  if (!options_.json.empty()) {
    GORDIAN_TRY(, check_writable(options_.json));
  }
  if (!options_.log.empty()) {
    GORDIAN_TRY(, check_writable(options_.log));
    GORDIAN_TRY(log_ =, open_log(options_.log));
  }
  text_.color = options_.log.empty() && wants_color(STDERR_FILENO);
  text_.show_refuted = options_.run.refuted;
  char folder[4096];
  if (getcwd(folder, sizeof(folder)) != nullptr) text_.folder = folder;
  report_ = make_report(command_);
  return {};
}

void RunReporter::on_headline(const model::Finding& finding) {
  // A rule may name a function, which is not known yet.
  if (!suppressions_) say(report::headline(finding, text_));
}

bool RunReporter::on_finding(const model::Finding& source) {
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

void RunReporter::on_notice(const std::string& notice) {
  noticed_ = true;
  if (!options_.quiet) say("gordian: " + escape_for_terminal(notice) + "\n");
}

void RunReporter::predict(const watch::RecordOptions& record, watch::RunOutcome& outcome) {
  const Result<report::TraceTotals> totals = add_predictions(record, options_.quiet, outcome);
  if (!totals) {
    on_notice("nothing was predicted: " + totals.error().message);
    return;
  }
  if (options_.quiet) return;
  for (const std::string& line : report::what_is_missing(*totals)) say("gordian: " + line + "\n");
}

std::optional<int> RunReporter::finish(const watch::RunOutcome& outcome) {
  fill(outcome);
  report::Report hazards = report_;
  hazards.findings.clear();
  // What is confirmed is named by its number.
  text_.numbered = options_.confirm;
  text_.first_number = report_.findings.size() + 1;
  for (model::Finding hazard : outcome.hazards) {
    hazard.fingerprint = report::fingerprint(hazard);
    if (!told_.is_news(hazard) || is_suppressed(hazard)) continue;
    hazards.findings.push_back(hazard);
    report_.findings.push_back(std::move(hazard));
  }
  if (suppressions_) report_.unused_suppressions = suppressions_->unused(today());
  say(report::findings_text(hazards, text_));
  if (report_.order) say(report::order_text(*report_.order, text_, options_.quiet));
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

Result<std::optional<int>> RunReporter::confirm() {
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

std::optional<int> RunReporter::status() const {
  for (const model::Finding& finding : report_.findings) {
    const bool counts = is_certain(finding.verdict) ||
                        (options_.strict && finding.verdict != model::Verdict::Refuted);
    if (counts) return static_cast<int>(Exit::Found);
  }
  if (report_.order) {
    const model::OrderOutcome& order = report_.order->outcome;
    const bool is_new = options_.strict && !report_.order->learns && !order.added.empty();
    if (!order.violations.empty() || is_new) return static_cast<int>(Exit::Found);
  }
  if (write_failed_) return static_cast<int>(Exit::Failed);
  return std::nullopt;
}

bool RunReporter::is_suppressed(const model::Finding& finding) {
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
bool RunReporter::is_worth_closing() const {
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

void RunReporter::fill(const watch::RunOutcome& outcome) {
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
  // The cards know of waits that ended; those that were told have not.
  for (const model::Finding& finding : report_.findings)
    for (const model::FindingThread& thread : finding.threads)
      if (thread.wants)
        report_.run.longest_wait = std::max(report_.run.longest_wait, thread.wants->waited);
}

void RunReporter::say(const std::string& text) {
  if (text.empty()) return;
  const Result<void> written = write_all(log_ ? log_.get() : STDERR_FILENO, text);
  if (written || !log_) return;  // a closed stderr is the caller's wish
  complain(Error(written.error()).in(options_.log), {});
  write_failed_ = true;
  log_.reset();
  say(text);
}

void RunReporter::write_json() {
  if (options_.json.empty()) return;
  const Result<void> written = write_file(options_.json, report::to_json(report_));
  if (written) return;
  if (!write_failed_) complain(written.error(), {});
  write_failed_ = true;
}

int end_as(const watch::RunOutcome& outcome, std::optional<int> told) {
  if (told) return *told;
  if (outcome.ended_by_judge) return static_cast<int>(Exit::Found);
  if (outcome.signal != 0) watch::die_by(outcome.signal);
  return outcome.code;
}

}  // namespace gordian::cli
