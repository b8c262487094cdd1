// SPDX-License-Identifier: Apache-2.0
// gordian predict: the deadlocks that recorded runs were lucky to miss.
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/parse_options.h"
#include "cli/predicting.h"
#include "cli/progress_bar.h"
#include "cli/report_head.h"
#include "cli/run_reporter.h"
#include "report/json.h"
#include "report/report.h"
#include "report/text.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace gordian::cli {
namespace {

constexpr const char* kPredictUsage = "gordian predict [options] FILE...";

struct PredictCommandLine {
  std::vector<std::string> files;
  std::string json;
  PredictOptions predict;
  bool refuted = false;
  bool strict = false;
  bool quiet = false;
  std::string help_text;
};

Result<PredictCommandLine> parse_predict(const Args& args) {
  PredictCommandLine options;
  std::string memory = "auto";
  bool no_swaps = false;
  CLI::App app(
      "Reads recorded runs and reports the deadlocks that another order of the same steps\n"
      "would have hit. Exits with 66 if one is proved.");
  app.add_option("FILE", options.files,
                 "Recordings of gordian run --record, or traces as STD text or in its binary form");
  app.add_option("--json", options.json, "Write the findings to FILE as JSON")->option_text("FILE");
  app.add_option("--memory", memory,
                 "Whether a trace has all reads and writes: auto (it has if it has any), complete, "
                 "none (leave them out)")
      ->check(CLI::IsMember({"auto", "complete", "none"}))
      ->option_text("WHAT");
  app.add_flag("--refuted", options.refuted,
               "Also show the patterns that cannot happen, with the reason");
  app.add_flag("--strict", options.strict, "Exit with 66 also for what is only possible");
  app.add_flag("--no-swaps", no_swaps,
               "Do not look for orders in which critical sections are swapped");
  app.add_flag("-q,--quiet", options.quiet, "Print findings only");
  GORDIAN_TRY(options.help_text =,
              parse_options(app, args, {.name = "gordian predict", .usage = kPredictUsage}));
  if (!options.help_text.empty()) return options;
  if (options.files.empty())
    return Error("no trace to read", std::string("usage: ") + kPredictUsage);
  options.predict.memory = memory == "complete" ? MemoryRecorded::Complete
                           : memory == "none"   ? MemoryRecorded::None
                                                : MemoryRecorded::Auto;
  options.predict.swaps = !no_swaps;
  return options;
}

// By fingerprint, the strongest.
using ToldVerdicts = std::map<std::string, model::Verdict>;

// What another file told already, as surely as this one, is the same bug in another run.
void drop_told(report::Report& shown, ToldVerdicts& told) {
  ToldVerdicts here;
  std::vector<model::Finding> rest;
  for (model::Finding& finding : shown.findings) {
    const auto before = told.find(finding.fingerprint);
    if (before != told.end() && before->second <= finding.verdict) continue;
    const auto at = here.try_emplace(finding.fingerprint, finding.verdict).first;
    at->second = std::min(at->second, finding.verdict);
    rest.push_back(std::move(finding));
  }
  for (const auto& [fingerprint, verdict] : here) told[fingerprint] = verdict;
  shown.findings = std::move(rest);
}

report::TextOptions text_options(const PredictCommandLine& options) {
  report::TextOptions text;
  text.color = wants_color(STDOUT_FILENO);
  text.show_refuted = options.refuted;
  // gordian confirm takes one file, and counts its findings.
  text.numbered = options.files.size() == 1;
  return text;
}

bool counts(const model::Finding& finding, const PredictCommandLine& options) {
  return finding.verdict == model::Verdict::Proved ||
         (options.strict && finding.verdict == model::Verdict::Possible);
}

Result<int> run_predict(const Args& args) {
  GORDIAN_TRY(const PredictCommandLine options, parse_predict(args));
  if (!options.help_text.empty()) {
    std::fputs(options.help_text.c_str(), stdout);
    return static_cast<int>(Exit::Clean);
  }
  if (!options.json.empty()) {
    GORDIAN_TRY(, check_writable(options.json));
  }
  const auto begin = std::chrono::steady_clock::now();
  const report::TextOptions text = text_options(options);
  report::Report report = make_report("predict");
  report.trace.emplace();
  ProgressBar bar(options.quiet);
  const auto show = [&](const std::string& what, uint64_t done, uint64_t all) {
    bar.show(what, done, all);
  };
  ToldVerdicts told;
  for (const std::string& file : options.files) {
    GORDIAN_TRY(std::vector<model::Finding> findings,
                predict_file(file, options.predict, *report.trace, show));
    bar.clear();
    report::Report shown;
    shown.findings = findings;
    drop_told(shown, told);
    GORDIAN_TRY(, write_all(STDOUT_FILENO, report::findings_text(shown, text)));
    std::move(findings.begin(), findings.end(), std::back_inserter(report.findings));
  }
  report.trace->elapsed = std::chrono::steady_clock::now() - begin;
  if (!options.quiet) {
    GORDIAN_TRY(, write_all(STDOUT_FILENO, report::closing(report, text)));
  }
  if (!options.json.empty()) {
    GORDIAN_TRY(, write_file(options.json, report::to_json(report)));
  }
  for (const model::Finding& finding : report.findings)
    if (counts(finding, options)) return static_cast<int>(Exit::Found);
  return static_cast<int>(Exit::Clean);
}

}  // namespace

const Command kPredictCommand{
    .name = "predict",
    .usage = kPredictUsage,
    .summary = "find the deadlocks that recorded runs were lucky to miss",
    .run = run_predict,
};

}  // namespace gordian::cli
