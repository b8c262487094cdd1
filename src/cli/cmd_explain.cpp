// SPDX-License-Identifier: Apache-2.0
// gordian explain: what a pasted backtrace proves, what it suggests, what it cannot tell.
#include "analysis/find_stuck.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/parse_options.h"
#include "cli/report_head.h"
#include "dump/reading.h"
#include "report/fingerprint.h"
#include "report/json.h"
#include "report/report.h"
#include "report/text.h"
#include "report/thread_list.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <set>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace gordian::cli {
namespace {

constexpr char kExplainUsage[] = "gordian explain [options] FILE|-";

struct ExplainCommandLine {
  std::string file;
  std::string json;
  bool strict = false;
  bool threads = false;
  std::string help_text;
};

Result<ExplainCommandLine> parse_explain(const Args& args) {
  ExplainCommandLine options;
  CLI::App app(
      "Reads a pasted backtrace and says which threads wait for each other: gdb's thread apply all "
      "bt, info threads and p *mutex, gstack, eu-stack, a core dump's entry in the journal, Go's "
      "goroutines, jstack, faulthandler.");
  app.add_option("file", options.file, "The text; - reads standard input")->option_text("FILE");
  app.add_option("--json", options.json, "Write the findings to FILE as JSON")->option_text("FILE");
  app.add_flag("--strict", options.strict, "Exit with 66 also for what may be wrong (stall)");
  app.add_flag("--threads", options.threads, "List all threads, also when something was found");
  GORDIAN_TRY(options.help_text =,
              parse_options(app, args, {.name = "gordian explain", .usage = kExplainUsage}));
  if (!options.help_text.empty()) return options;
  if (options.file.empty())
    return Error("no file to read", "paste the backtrace into a file, or give - and paste it");
  return options;
}

// Real ones are at most a few megabytes; beyond this somebody gave the wrong file.
constexpr size_t kMaxPasteBytes = 256 << 20;

Result<std::string> read_standard_input() {
  std::string text;
  std::array<char, 1 << 16> part{};
  for (;;) {
    const ssize_t size = read(STDIN_FILENO, part.data(), part.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Error::from_errno("cannot read");
    if (size == 0) return text;
    text.append(part.data(), static_cast<size_t>(size));
    if (text.size() > kMaxPasteBytes) return Error("too long for a backtrace");
  }
}

report::TextOptions text_options() {
  report::TextOptions text;
  text.color = wants_color(STDOUT_FILENO);
  return text;
}

std::vector<model::Finding> judge(const dump::Reading& reading) {
  std::vector<model::Finding> findings = analysis::find_stuck(reading.snapshot());
  if (findings.empty() && reading.dump().all_asleep) {
    // Channels alone: no lock tells who is waited for, but the program itself has found it out.
    analysis::StuckOptions all;
    all.stall_min_age = std::chrono::nanoseconds(0);
    findings = analysis::find_stuck(reading.snapshot(), all);
  }
  std::erase_if(findings, [&](model::Finding& finding) { return !reading.complete(finding); });
  for (model::Finding& finding : findings) finding.fingerprint = report::fingerprint(finding);
  return findings;
}

std::string overview(const dump::Reading& reading, bool all, const report::TextOptions& text) {
  std::vector<report::ListedThread> threads;
  for (dump::ThreadLine& line : reading.threads())
    threads.push_back(
        {line.tid, std::move(line.name), std::move(line.doing), std::move(line.stack)});
  constexpr size_t kMaxGroups = 12;
  return report::threads_text(threads, text, all ? threads.size() : kMaxGroups);
}

// The same knot in the next dump of the same process is no news.
using Told = std::set<std::pair<std::string, std::vector<int>>>;

std::pair<std::string, std::vector<int>> identity(const model::Finding& finding) {
  std::vector<int> tids;
  for (const model::FindingThread& thread : finding.threads)
    if (thread.role == model::Role::Knot) tids.push_back(thread.tid);
  std::sort(tids.begin(), tids.end());
  return {finding.fingerprint, tids};
}

Result<int> run_explain(const Args& args) {
  GORDIAN_TRY(const ExplainCommandLine options, parse_explain(args));
  if (!options.help_text.empty()) {
    std::fputs(options.help_text.c_str(), stdout);
    return static_cast<int>(Exit::Clean);
  }
  const bool from_input = options.file == "-";
  GORDIAN_TRY(const std::string pasted, from_input ? read_standard_input().in("standard input")
                                                   : read_file(options.file, kMaxPasteBytes));
  std::vector<dump::Dump> dumps = dump::read_dumps(pasted);
  if (dumps.empty())
    return Error("no backtrace in it",
                 "known are gdb's `thread apply all bt` and `info threads`, gstack, eu-stack, the "
                 "journal's core dumps, Go's goroutines, jstack, faulthandler and py-spy")
        .in(from_input ? "standard input" : options.file);

  const report::TextOptions text = text_options();
  report::Report report = make_report("explain");
  std::string out;
  Told told;
  size_t threads = 0;
  for (size_t i = 0; i < dumps.size(); ++i) {
    const dump::Reading reading(std::move(dumps[i]));
    threads += reading.snapshot().threads.size();
    std::vector<model::Finding> findings = judge(reading);
    std::string found;
    for (model::Finding& finding : findings) {
      if (!told.insert(identity(finding)).second) continue;
      found += report::to_text(finding, text);
      report.findings.push_back(std::move(finding));
    }
    if (dumps.size() > 1 && (!found.empty() || findings.empty()))
      out +=
          "gordian: dump " + std::to_string(i + 1) + " of " + std::to_string(dumps.size()) + "\n";
    if (findings.empty())
      out += "gordian: the text shows no circle of threads that wait for each other\n\n";
    out += found;
    if (findings.empty() || options.threads) out += overview(reading, options.threads, text) + "\n";
    if (findings.empty()) {
      for (const std::string& question : reading.open_questions())
        out += "gordian: not known: " + escape_for_terminal(question) + "\n";
    }
  }
  report.run.threads = threads;
  out += "gordian: read " + count_of(threads, "thread") + "\n";
  GORDIAN_TRY(, write_all(STDOUT_FILENO, out).in("standard output"));
  if (!options.json.empty()) {
    GORDIAN_TRY(, write_file(options.json, report::to_json(report)));
  }
  const bool counts = std::any_of(
      report.findings.begin(), report.findings.end(), [&](const model::Finding& finding) {
        return finding.verdict == model::Verdict::Deadlock || options.strict;
      });
  return static_cast<int>(counts ? Exit::Found : Exit::Clean);
}

}  // namespace

const Command kExplainCommand{
    .name = "explain",
    .usage = kExplainUsage,
    .summary = "read a pasted backtrace (gdb, jstack, Go, ...); say who waits for whom",
    .run = run_explain,
};

}  // namespace gordian::cli
