// SPDX-License-Identifier: Apache-2.0
// gordian export: a recording in forms that other tools read.
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/parse_options.h"
#include "cli/recorded_words.h"
#include "cli/run_reporter.h"
#include "report/std_text.h"
#include "report/timeline_json.h"
#include "trace/recording_reader.h"
#include "trace/recording_timeline.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <fcntl.h>
#include <memory>
#include <string>
#include <unistd.h>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gordian::cli {
namespace {

constexpr char kExportUsage[] = "gordian export [--std | --perfetto] [--pid PID] FILE [-o OUT]";
constexpr size_t kBuffer = 1 << 20;

struct ExportCommandLine {
  std::string file;
  std::string out = "-";
  int pid = 0;
  size_t program = 0;  // which of those that the process ran one after the other, from 1; 0: all
  bool perfetto = false;
  std::string help_text;
};

// PID or PID:N
Result<void> parse_pid(const std::string& text, ExportCommandLine& options) {
  const char* const end = text.data() + text.size();
  std::from_chars_result read = std::from_chars(text.data(), end, options.pid);
  const bool names_program = read.ec == std::errc() && read.ptr != end && *read.ptr == ':';
  if (names_program) read = std::from_chars(read.ptr + 1, end, options.program);
  if (read.ec != std::errc() || read.ptr != end || options.pid <= 0 ||
      (names_program && options.program == 0))
    return Error("--pid: not a process: " + text,
                 "it is a process id, or PID:N for its N-th program");
  return {};
}

Result<ExportCommandLine> parse_export(const Args& args) {
  ExportCommandLine options;
  bool std_text = false;
  std::string process;
  CLI::App app(
      "Turns a recording of gordian run --record into STD text (for gordian predict and\n"
      "other analysers) or into a time line for Perfetto and Chrome.");
  app.add_option("FILE", options.file, "The recording")->required();
  auto* const text = app.add_flag("--std", std_text, "STD text, one event a line (the default)");
  app.add_flag("--perfetto", options.perfetto,
               "A Chrome trace: what threads held and waited for, on a time line")
      ->excludes(text);
  app.add_option("--pid", process,
                 "Only this process of the recording; PID:2 is the second program that it ran")
      ->option_text("PID");
  app.add_option("-o,--output", options.out, "Write to OUT instead of standard output")
      ->option_text("OUT");
  GORDIAN_TRY(options.help_text =,
              parse_options(app, args, {.name = "gordian export", .usage = kExportUsage}));
  if (!options.help_text.empty()) return options;
  if (!process.empty()) {
    GORDIAN_TRY(, parse_pid(process, options));
  }
  return options;
}

// Text on its way to a file or standard output, in large pieces. A file is begun anew, and stays
// as far as it came if writing ends with an error.
class Output {
 public:
  static Result<std::unique_ptr<Output>> open(const std::string& path) {
    std::unique_ptr<Output> output(new Output);
    if (path == "-") return output;
    GORDIAN_TRY(, check_writable(path));
    output->file_ = FileDescriptor(::open(
        path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0600));
    if (!output->file_) return Error::from_errno("cannot write").in(path);
    return output;
  }
  void write(std::string_view text) {
    buffer_ += text;
    if (buffer_.size() >= kBuffer) flush();
  }
  Result<void> finish() {
    flush();
    return std::move(written_);
  }

 private:
  Output() = default;
  void flush() {
    if (written_) written_ = write_all(file_ ? file_.get() : STDOUT_FILENO, buffer_);
    buffer_.clear();
  }

  FileDescriptor file_;
  std::string buffer_;
  Result<void> written_;
};

// A fork and an exec are two programs in one process.
void keep_process(const ExportCommandLine& options, std::vector<trace::RecordingRun>& runs) {
  if (options.pid == 0) return;
  size_t program = 0;
  std::erase_if(runs, [&](const trace::RecordingRun& one) {
    if (one.pid() != options.pid) return true;
    return options.program != 0 && ++program != options.program;
  });
}

Result<void> check_is_one(const ExportCommandLine& options,
                          const std::vector<trace::RecordingRun>& runs) {
  if (runs.size() <= 1) return {};
  std::unordered_map<int, size_t> programs;
  for (const trace::RecordingRun& run : runs) ++programs[run.pid()];
  std::unordered_map<int, size_t> named;
  std::string pids;
  for (const trace::RecordingRun& run : runs) {
    pids += (pids.empty() ? "" : ", ") + std::to_string(run.pid());
    if (programs[run.pid()] > 1) pids += ":" + std::to_string(++named[run.pid()]);
    pids += " (" + run.exe() + ")";
  }
  return Error("STD text is of one process, and this is a recording of several",
               "name one with --pid: " + pids)
      .in(options.file);
}

void export_std(const ExportCommandLine& options, trace::RecordingRun& run, Output& output) {
  run.read(trace::Detail::Locks, [](std::span<const model::TraceEvent>) {});
  const bool tells_memory = run.size().has_memory;
  const RecordedNames names(run);
  std::unordered_map<uint32_t, std::string> places;
  const auto place_of = [&](uint32_t site) -> const std::string& {
    const auto [at, is_new] = places.try_emplace(site);
    if (is_new) at->second = names.site(site);
    return at->second;
  };
  output.write("# process " + std::to_string(run.pid()) + ", " + escape_for_terminal(run.exe()) +
               ", of " + escape_for_terminal(options.file) + "\n" +
               (tells_memory && !run.size().has_partial_memory ? report::kReadsFromLine
                                                               : report::kPartialMemoryLine) +
               "\n");
  const trace::RecordingFacts& facts = run.facts();
  for (size_t i = 0; i < facts.threads.size(); ++i)
    output.write("# T" + std::to_string(i) + " is " +
                 escape_for_terminal(names.thread(model::ThreadId{static_cast<uint32_t>(i)})) +
                 "\n");
  for (uint32_t i = 0; i < facts.locks.size(); ++i)
    output.write("# L" + std::to_string(i) + " is " + escape_for_terminal(names.lock(i)) + "\n");
  std::string text;
  run.read(tells_memory ? trace::Detail::Memory : trace::Detail::Sites,
           [&](std::span<const model::TraceEvent> events) {
             text.clear();
             for (const model::TraceEvent& event : events)
               report::append_std_line(event, place_of(event.site), text);
             output.write(text);
           });
}

void export_timeline(const trace::RecordingFile& file, std::vector<trace::RecordingRun>& runs,
                     Output& output) {
  report::TimelineJson json([&](std::string_view text) { output.write(text); });
  for (trace::RecordingRun& run : runs) {
    run.read(trace::Detail::Locks, [](std::span<const model::TraceEvent>) {});
    const RecordedNames names(run);
    json.begin_process(run.pid(), run.exe(),
                       {.thread = [&](uint32_t uid) { return names.thread_of_uid(uid); },
                        .object = [&](uint32_t slot) { return names.object(slot); },
                        .site = [&](uint32_t site) { return names.site(site); }});
    trace::read_timeline(file, run.number(), run.facts().read_from,
                         [&](const model::TimedEvent& event) { json.add(event); });
    json.end_process();
  }
  json.finish();
}

Result<int> run_export(const Args& args) {
  GORDIAN_TRY(const ExportCommandLine options, parse_export(args));
  if (!options.help_text.empty()) {
    std::fputs(options.help_text.c_str(), stdout);
    return static_cast<int>(Exit::Clean);
  }
  GORDIAN_TRY(std::shared_ptr<const trace::MappedFile> bytes,
              trace::MappedFile::open(options.file));
  GORDIAN_TRY(const trace::RecordingFile file,
              trace::RecordingFile::over(std::move(bytes), options.file));
  std::vector<trace::RecordingRun> runs = trace::runs_of(file);
  keep_process(options, runs);
  if (runs.empty()) {
    std::string named = std::to_string(options.pid);
    if (options.program != 0) named += ":" + std::to_string(options.program);
    return Error(options.pid != 0 ? "no process " + named + " in it" : "no process was recorded")
        .in(options.file);
  }
  // Before a file of that name is begun anew.
  if (!options.perfetto) {
    GORDIAN_TRY(, check_is_one(options, runs));
  }
  GORDIAN_TRY(const std::unique_ptr<Output> output, Output::open(options.out));
  if (options.perfetto) {
    export_timeline(file, runs, *output);
  } else {
    export_std(options, runs.front(), *output);
  }
  GORDIAN_TRY(, output->finish().in(options.out));
  for (const trace::RecordingRun& one : runs) {
    const trace::RecordingFacts& facts = one.facts();
    if (!facts.damage.empty())
      std::fprintf(stderr, "gordian: %s: %s; what came before is here\n", options.file.c_str(),
                   facts.damage.c_str());
    if (facts.lost > 0)
      std::fprintf(stderr, "gordian: process %d lost %llu records; %llu more cannot be ordered\n",
                   one.pid(), static_cast<unsigned long long>(facts.lost),
                   static_cast<unsigned long long>(facts.left_out));
  }
  return static_cast<int>(Exit::Clean);
}

}  // namespace

const Command kExportCommand{
    .name = "export",
    .usage = kExportUsage,
    .summary = "turn a recording into STD text, or a time line for Perfetto",
    .run = run_export,
};

}  // namespace gordian::cli
