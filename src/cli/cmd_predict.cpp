// SPDX-License-Identifier: Apache-2.0
// gordian predict: the deadlocks that recorded runs were lucky to miss.
#include "analysis/predict.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/recorded_words.h"
#include "report/fingerprint.h"
#include "report/json.h"
#include "report/report.h"
#include "report/text.h"
#include "trace/recording_reader.h"
#include "trace/std_reader.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace gordian::cli {
namespace {

constexpr const char* kUsage = "gordian predict [options] FILE...";

struct Options {
  std::vector<std::string> files;
  std::string json;
  std::string memory = "auto";
  bool refuted = false;
  bool strict = false;
  bool quiet = false;
  bool no_swaps = false;
  bool help = false;
  std::string help_text;
};

Result<Options> parse(const Args& args) {
  Options options;
  CLI::App app(
      "Reads recorded runs and reports the deadlocks that another order of the same steps\n"
      "would have hit. Exits with 66 if one is proved.",
      "gordian predict");
  app.add_option("FILE", options.files,
                 "Recordings of gordian run --record, or traces as STD text or in its binary form");
  app.add_option("--json", options.json, "Write the findings to FILE as JSON")->option_text("FILE");
  app.add_option("--memory", options.memory,
                 "Whether a trace has all reads and writes: auto (it has if it has any), complete, "
                 "none (leave them out)")
      ->check(CLI::IsMember({"auto", "complete", "none"}))
      ->option_text("WHAT");
  app.add_flag("--refuted", options.refuted,
               "Also show the patterns that cannot happen, with the reason");
  app.add_flag("--strict", options.strict, "Exit with 66 also for what is only possible");
  app.add_flag("--no-swaps", options.no_swaps,
               "Do not look for orders in which critical sections are swapped");
  app.add_flag("-q,--quiet", options.quiet, "Print findings only");
  try {
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    options.help = true;
    options.help_text = app.help();
    const std::string_view theirs = "Usage: gordian predict [OPTIONS] [FILE...]";
    if (const size_t at = options.help_text.find(theirs); at != std::string::npos)
      options.help_text.replace(at, theirs.size(), std::string("usage: ") + kUsage);
    return options;
  } catch (const CLI::ParseError& error) {
    return Error(error.what(), "gordian predict --help lists the options");
  }
  if (options.files.empty()) return Error("no trace to read", std::string("usage: ") + kUsage);
  return options;
}

// A line on the terminal that is gone when the work is done.
class ProgressBar {
 public:
  explicit ProgressBar(bool quiet) : is_on_(!quiet && isatty(STDERR_FILENO) == 1) {}
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() { clear(); }

  void show(const std::string& what, uint64_t done, uint64_t all) {
    using Clock = std::chrono::steady_clock;
    constexpr auto kPeriod = std::chrono::milliseconds(100);
    constexpr uint64_t kWidth = 30;
    if (!is_on_ || Clock::now() - last_ < kPeriod) return;
    last_ = Clock::now();
    const uint64_t part = all == 0 ? kWidth : std::min(kWidth, done * kWidth / all);
    const std::string bar = std::string(part, '#') + std::string(kWidth - part, '.');
    is_shown_ = true;
    std::fprintf(stderr, "\r\x1b[K%s [%s] %3llu %%", what.c_str(), bar.c_str(),
                 static_cast<unsigned long long>(all == 0 ? 100 : done * 100 / all));
    std::fflush(stderr);
  }

  void clear() {
    if (is_shown_) std::fputs("\r\x1b[K", stderr);
    is_shown_ = false;
  }

 private:
  bool is_on_;
  bool is_shown_ = false;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// Puts the trace's own names where the analysis left numbers.
void name(model::Finding& finding, const trace::StdReader& reader) {
  finding.source = reader.path();
  for (model::Resource& resource : finding.resources) {
    resource.name_is_id = true;
    resource.name = resource.kind == model::ResourceKind::Thread
                        ? reader.thread_name(resource.joined)
                        : reader.lock_name(static_cast<uint32_t>(resource.id));
  }
  for (model::FindingThread& thread : finding.threads) {
    thread.name = reader.thread_name(thread.id);
    for (model::FindingHold& hold : thread.holds)
      hold.place = reader.site_name(static_cast<uint32_t>(hold.site));
    if (thread.wants)
      thread.wants->place = reader.site_name(static_cast<uint32_t>(thread.wants->site));
  }
  if (finding.reason.thread)
    finding.reason.thread_name = reader.thread_name(*finding.reason.thread);
  if (!finding.witness) return;
  for (model::WitnessStep& step : finding.witness->steps)
    step.thread_name = reader.thread_name(step.thread);
}

// What both kinds of files have: read twice, judged once. `Read` is called as
// read(detail, sink, progress) and returns Result<void>.
template <typename Reader, typename Read>
Result<std::vector<model::Finding>> predict_run(Reader& reader, const Read& read,
                                                const std::string& label, const Options& options,
                                                report::TraceTotals& totals, ProgressBar& bar) {
  const uint64_t all = 2 * reader.byte_count();
  analysis::LockOrderScan scan;
  GORDIAN_TRY(, read(
                    trace::Detail::Locks,
                    [&](std::span<const model::TraceEvent> events) { scan.add(events); },
                    [&](uint64_t done, uint64_t) { bar.show(label, done, all); }));
  const analysis::Candidates candidates = scan.finish(reader.size());
  const bool reads_memory = options.memory != "none" && reader.size().has_memory;
  const bool complete =
      options.memory == "complete" || (reads_memory && !reader.size().has_partial_memory);
  totals.events += reader.size().events;
  totals.threads += reader.size().threads;
  totals.locks += candidates.used_locks;
  totals.acquisitions += candidates.acquisitions;
  totals.nested += candidates.nested;
  totals.complete_memory = complete && (totals.files == 1 || totals.complete_memory);
  if (!candidates.any()) return std::vector<model::Finding>();

  analysis::TraceIndex index(candidates, reader.size());
  GORDIAN_TRY(, read(
                    reads_memory ? trace::Detail::Memory : trace::Detail::Sites,
                    [&](std::span<const model::TraceEvent> events) { index.add(events); },
                    [&](uint64_t done, uint64_t) { bar.show(label, all / 2 + done, all); }));
  index.finish();
  bar.show("judging", 0, 1);
  analysis::Prediction prediction = analysis::predict(
      index, candidates, reader.size(), {.complete_memory = complete, .swaps = !options.no_swaps});
  totals.patterns += prediction.patterns;
  totals.unchecked += prediction.unchecked;
  totals.patterns_cut = totals.patterns_cut || prediction.patterns_cut;
  totals.searches_cut = totals.searches_cut || prediction.searches_cut;
  return std::move(prediction.findings);
}

Result<std::vector<model::Finding>> predict_recording(trace::RecordingFile file,
                                                      const Options& options,
                                                      report::TraceTotals& totals,
                                                      ProgressBar& bar) {
  const std::string path = file.path();
  std::vector<model::Finding> all;
  for (trace::RecordingRun& run : trace::runs_of(std::move(file))) {
    const auto read = [&](trace::Detail detail, const trace::EventSink& sink,
                          const trace::ProgressSink& progress) {
      run.read(detail, sink, progress);
      return Result<void>();
    };
    const std::string label = "reading " + escape_for_terminal(path);
    GORDIAN_TRY(std::vector<model::Finding> findings,
                predict_run(run, read, label, options, totals, bar));
    put_into_words(findings, run);
    for (model::Finding& finding : findings) {
      finding.source = path;
      finding.fingerprint = report::fingerprint(finding);
      all.push_back(std::move(finding));
    }
  }
  return all;
}

Result<std::vector<model::Finding>> predict_file(const std::string& path, const Options& options,
                                                 report::TraceTotals& totals, ProgressBar& bar) {
  GORDIAN_TRY(std::shared_ptr<const trace::MappedFile> file, trace::MappedFile::open(path));
  ++totals.files;
  if (trace::RecordingFile::is_recording(file->bytes())) {
    GORDIAN_TRY(trace::RecordingFile recording, trace::RecordingFile::over(std::move(file), path));
    return predict_recording(std::move(recording), options, totals, bar);
  }
  trace::StdReader reader = trace::StdReader::over(std::move(file), path);
  const auto read = [&](trace::Detail detail, const trace::EventSink& sink,
                        const trace::ProgressSink& progress) {
    return reader.read(detail, sink, progress);
  };
  const std::string label = "reading " + escape_for_terminal(path);
  GORDIAN_TRY(std::vector<model::Finding> findings,
              predict_run(reader, read, label, options, totals, bar));
  for (model::Finding& finding : findings) {
    name(finding, reader);
    finding.fingerprint = report::fingerprint(finding);
  }
  return findings;
}

// What another file told already is the same bug in another run.
void drop_told(report::Report& shown, std::set<std::string>& told) {
  std::set<std::string> here;
  std::vector<model::Finding> rest;
  for (model::Finding& finding : shown.findings) {
    if (told.contains(finding.fingerprint)) continue;
    here.insert(finding.fingerprint);
    rest.push_back(std::move(finding));
  }
  told.merge(here);
  shown.findings = std::move(rest);
}

report::TextOptions text_options(const Options& options) {
  const char* const terminal = getenv("TERM");
  const char* const no_color = getenv("NO_COLOR");
  report::TextOptions text;
  text.color = isatty(STDOUT_FILENO) == 1 && terminal != nullptr &&
               std::strcmp(terminal, "dumb") != 0 && (no_color == nullptr || *no_color == '\0');
  text.show_refuted = options.refuted;
  return text;
}

bool counts(const model::Finding& finding, const Options& options) {
  return finding.verdict == model::Verdict::Proved ||
         (options.strict && finding.verdict == model::Verdict::Possible);
}

Result<int> run(const Args& args) {
  GORDIAN_TRY(const Options options, parse(args));
  if (options.help) {
    std::fputs(options.help_text.c_str(), stdout);
    return static_cast<int>(Exit::Clean);
  }
  const auto begin = std::chrono::steady_clock::now();
  const report::TextOptions text = text_options(options);
  report::Report report;
  report.command = "predict";
  report.version = GORDIAN_VERSION;
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  report.host = host;
  report.trace.emplace();
  ProgressBar bar(options.quiet);
  std::set<std::string> told;
  for (const std::string& file : options.files) {
    GORDIAN_TRY(std::vector<model::Finding> findings,
                predict_file(file, options, *report.trace, bar));
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
    .usage = kUsage,
    .summary = "find the deadlocks that recorded runs were lucky to miss",
    .run = run,
};

}  // namespace gordian::cli
