// SPDX-License-Identifier: Apache-2.0
// gordian attach: why a process hangs that is running already, without stopping it.
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/parse_options.h"
#include "cli/report_head.h"
#include "report/fingerprint.h"
#include "report/json.h"
#include "report/report.h"
#include "report/text.h"
#include "report/thread_list.h"
#include "watch/attach.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <set>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>

namespace gordian::cli {
namespace {

constexpr char kAttachUsage[] = "gordian attach [options] PID";
constexpr std::chrono::milliseconds kWatchInterval{500};

struct AttachCommandLine {
  watch::AttachOptions attach;
  int pid = 0;
  std::string json;
  bool strict = false;
  bool watch = false;
  std::string help_text;
};

Result<AttachCommandLine> parse_attach(const Args& args) {
  AttachCommandLine options;
  std::string pid;
  std::string stall;
  CLI::App app(
      "Says why a running process hangs: which threads, which locks, which lines. Nothing "
      "is stopped, nothing needs to be prepared.");
  app.add_option("PID", pid, "The process")->required()->option_text(" ");
  app.add_flag("--threads", options.attach.threads, "Also print the stack of every thread");
  app.add_flag("--watch", options.watch,
               "Keep looking; end at the first deadlock, or with the process");
  app.add_flag("--stop", options.attach.stop,
               "Threads outside of locks may be stopped for a moment too, for exact stacks: calls "
               "such as epoll_wait may then return EINTR to the program");
  app.add_option("--stall", stall,
                 "Also report threads that have waited for so long: 500ms, 30s, 2m")
      ->option_text("DURATION");
  app.add_flag("--strict", options.strict, "Exit with 66 also for what may be wrong (stall)");
  app.add_option("--json", options.json, "Write the findings to FILE as JSON")->option_text("FILE");
  GORDIAN_TRY(options.help_text =,
              parse_options(app, args,
                            {.name = "gordian attach",
                             .usage = kAttachUsage,
                             .more_help = "gordian ps finds processes whose threads wait"}));
  if (!options.help_text.empty()) return options;
  const auto [end, error] = std::from_chars(pid.data(), pid.data() + pid.size(), options.pid);
  if (error != std::errc() || end != pid.data() + pid.size() || options.pid <= 0)
    return Error("not a process number", "gordian ps finds processes whose threads wait").in(pid);
  if (!stall.empty()) {
    GORDIAN_TRY(options.attach.stall =, parse_time(stall, "--stall"));
  }
  return options;
}

std::vector<report::ListedThread> to_list(const std::vector<watch::ThreadView>& threads) {
  std::vector<report::ListedThread> list;
  list.reserve(threads.size());
  for (const watch::ThreadView& thread : threads)
    list.push_back({thread.tid, thread.name, report::in_call(thread.call), thread.stack});
  return list;
}

class Reporter {
 public:
  explicit Reporter(const AttachCommandLine& options) : options_(options) {
    text_.color = wants_color(STDOUT_FILENO);
    char folder[4096];
    if (getcwd(folder, sizeof(folder)) != nullptr) text_.folder = folder;
  }

  // A deadlock ends the watching, so its headline was not told before.
  void take_headline(const model::Finding& finding) {
    say(report::headline(finding, text_));
    std::fflush(stdout);
    has_headline_ = true;
  }

  // Prints what is new in it.
  void take(watch::AttachOutcome outcome) {
    report_.processes.clear();
    for (const model::Process& process : outcome.processes)
      report_.processes.push_back({.pid = process.pid,
                                   .exe = process.exe,
                                   .argv = process.argv,
                                   .exit = {},
                                   .unwatched = {}});
    report_.run.threads = outcome.threads;
    for (const std::string& note : outcome.notes) {
      if (told_notes_.insert(note).second)
        std::fputs(("gordian: " + escape_for_terminal(note) + "\n").c_str(), stderr);
    }
    for (model::Finding& finding : outcome.findings) {
      finding.fingerprint = report::fingerprint(finding);
      certain_ |= finding.verdict == model::Verdict::Deadlock;
      const auto key = std::pair(finding.verdict, finding.fingerprint);
      if (!told_.insert(key).second) continue;
      say(std::exchange(has_headline_, false) ? report::story(finding, text_)
                                              : report::to_text(finding, text_));
      report_.findings.push_back(std::move(finding));
    }
    others_ = to_list(outcome.others);
  }

  [[nodiscard]] bool is_certain() const { return certain_; }

  Result<int> finish() {
    if (options_.attach.threads) say(report::threads_text(others_, text_) + "\n");
    const std::string calls = report::calls_line(others_);
    const bool is_stopped =
        !others_.empty() && std::all_of(others_.begin(), others_.end(), [](const auto& thread) {
          return thread.doing == "stopped by a signal";
        });
    if (report_.findings.empty() && is_stopped) {
      say("gordian: it cannot be told whether anything is stuck: " + calls + "\n");
    } else if (report_.findings.empty()) {
      say("gordian: nothing is stuck" + (calls.empty() ? "" : ": " + calls) + "\n");
    } else if (!calls.empty() && !options_.attach.threads) {
      say("gordian: the other threads: " + calls + "\n");
    }
    if (!options_.json.empty()) {
      GORDIAN_TRY(, write_file(options_.json, report::to_json(report_)));
    }
    const bool counts = certain_ || (options_.strict && !report_.findings.empty());
    return static_cast<int>(counts ? Exit::Found : Exit::Clean);
  }

 private:
  static void say(const std::string& text) { std::fputs(text.c_str(), stdout); }

  const AttachCommandLine& options_;
  report::TextOptions text_;
  report::Report report_ = make_report("attach");
  std::set<std::pair<model::Verdict, std::string>> told_;
  std::set<std::string> told_notes_;
  std::vector<report::ListedThread> others_;
  bool has_headline_ = false;  // of the finding that comes next
  bool certain_ = false;
};

Result<int> run_attach(const Args& args) {
  GORDIAN_TRY(const AttachCommandLine options, parse_attach(args));
  if (!options.help_text.empty()) {
    std::fputs(options.help_text.c_str(), stdout);
    return static_cast<int>(Exit::Clean);
  }
  const std::string pid = std::to_string(options.pid);
  Reporter reporter(options);
  watch::AttachOptions attach = options.attach;
  attach.on_headline = [&](const model::Finding& finding) { reporter.take_headline(finding); };
  for (;;) {
    GORDIAN_TRY(watch::Attachment attachment, watch::Attachment::open(options.pid, attach).in(pid));
    reporter.take(attachment.examine());
    if (!options.watch || reporter.is_certain()) break;
    std::fflush(stdout);
    std::this_thread::sleep_for(kWatchInterval);
    if (access(("/proc/" + pid).c_str(), F_OK) != 0) break;
  }
  return reporter.finish();
}

}  // namespace

const Command kAttachCommand{
    .name = "attach",
    .usage = kAttachUsage,
    .summary = "say why a running process hangs",
    .run = run_attach,
};

}  // namespace gordian::cli
