// SPDX-License-Identifier: Apache-2.0
// gordian core: why the threads of a core file waited, and for whom.
#include "analysis/find_stuck.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/parse_options.h"
#include "cli/report_head.h"
#include "process/complete.h"
#include "process/core_process.h"
#include "process/decode_waits.h"
#include "process/hold_sites.h"
#include "process/infer_holders.h"
#include "report/fingerprint.h"
#include "report/json.h"
#include "report/report.h"
#include "report/text.h"
#include "report/thread_list.h"
#include "watch/merge_board.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace gordian::cli {
namespace {

constexpr char kCoreUsage[] = "gordian core [options] CORE";

struct CoreCommandLine {
  std::string core;
  process::CoreSearch search;
  std::string json;
  bool stall = false;
  bool threads = false;
  bool strict = false;
  bool redact_argv = false;
  std::string help_text;
};

Result<CoreCommandLine> parse_core(const Args& args) {
  CoreCommandLine options;
  CLI::App app(
      "Says why the threads of a core file wait: which threads, which locks, which lines.");
  app.add_option("CORE", options.core, "What gcore or the kernel wrote; also as .zst, .lz4 or .xz")
      ->required();
  app.add_option("--exe", options.search.exe, "The program, if it is not where it was")
      ->option_text("PATH");
  app.add_option("--sysroot", options.search.sysroot,
                 "A folder with the program and libraries of the machine the core comes from")
      ->option_text("DIR");
  app.add_option("--json", options.json, "Write the findings to FILE as JSON")->option_text("FILE");
  app.add_flag("--stall", options.stall,
               "Also report threads that look stuck, though another could still wake them");
  app.add_flag("--threads", options.threads, "Print every thread with its stack");
  app.add_flag("--strict", options.strict, "Exit with 66 also for what may be wrong (stall)");
  app.add_flag("--redact-argv", options.redact_argv,
               "Keep the arguments of the program out of the report");
  GORDIAN_TRY(options.help_text =,
              parse_options(app, args, {.name = "gordian core", .usage = kCoreUsage}));
  if (!options.help_text.empty()) return options;
  while (options.search.sysroot.size() > 1 && options.search.sysroot.ends_with('/'))
    options.search.sysroot.pop_back();
  return options;
}

// A core does not tell for how long anybody waited: threads that another one could still wake may
// have begun to wait the moment before.
bool is_doubtful(const model::Finding& finding) {
  return finding.verdict == model::Verdict::Stall &&
         (finding.reason.code == model::ReasonCode::WakerMayExist ||
          finding.reason.code == model::ReasonCode::OwnerUnknown);
}

std::vector<model::Finding> find_findings(model::Snapshot& snapshot) {
  snapshot.taken = std::chrono::nanoseconds(1);
  analysis::StuckOptions options;
  options.stall_min_age = snapshot.taken;
  options.stall_busy_age = snapshot.taken;
  options.orphan_min_age = snapshot.taken;
  std::vector<model::Finding> findings = analysis::find_stuck(snapshot, options);
  for (model::Finding& finding : findings) {
    for (model::FindingThread& thread : finding.threads)
      if (thread.wants) thread.wants->waited = std::chrono::nanoseconds(0);
  }
  return findings;
}

// Where the functions on its stack have taken what each thread holds.
void find_sites(process::CoreProcess& core, const process::DecodedWaits& decoded,
                model::Finding& finding) {
  for (model::FindingThread& thread : finding.threads) {
    for (size_t i = 0; i < decoded.threads.size(); ++i) {
      if (decoded.snapshot.threads[i].id != thread.id) continue;
      process::find_hold_sites(core.facts(), core.facts().threads[i].registers, finding, thread);
    }
  }
}

// The threads that no finding tells of; all of them for --threads.
std::vector<report::ListedThread> list_others(process::CoreProcess& core,
                                              const process::DecodedWaits& decoded,
                                              const std::vector<model::Finding>& findings,
                                              bool all) {
  std::set<model::ThreadId> told;
  for (const model::Finding& finding : findings)
    for (const model::FindingThread& thread : finding.threads) told.insert(thread.id);
  std::vector<report::ListedThread> list;
  for (size_t i = 0; i < decoded.threads.size(); ++i) {
    const model::Thread& thread = decoded.snapshot.threads[i];
    if (thread.activity == model::Activity::Gone || (told.contains(thread.id) && !all)) continue;
    const process::ThreadFacts& facts = core.facts().threads[i];
    std::string call = "running";
    if (facts.blocked) call = decoded.threads[i].call;
    if (call.empty()) call = "system call " + std::to_string(facts.syscall);
    report::ListedThread one{
        .tid = thread.tid, .name = thread.name, .doing = report::in_call(call), .stack = {}};
    if (all) {
      one.stack = process::to_stack(
          process::unwind(core.view().symbols(), facts.registers, *core.facts().memory));
      core.view().resolve(thread.tid, one.stack);
    }
    list.push_back(std::move(one));
  }
  return list;
}

report::Report report_of(const process::CoreProcess& core, const CoreCommandLine& options) {
  report::Report report = make_report("core");
  report.run.threads = core.facts().threads.size();
  const model::Process& process = core.facts().process;
  report::ReportProcess one{
      .pid = process.pid, .exe = process.exe, .argv = process.argv, .exit = {}, .unwatched = {}};
  if (options.redact_argv && one.argv.size() > 1) one.argv = {one.argv.front(), "[redacted]"};
  report.processes.push_back(std::move(one));
  return report;
}

Result<int> run_core(const Args& args) {
  GORDIAN_TRY(const CoreCommandLine options, parse_core(args));
  if (!options.help_text.empty()) {
    std::fputs(options.help_text.c_str(), stdout);
    return static_cast<int>(Exit::Clean);
  }
  GORDIAN_TRY(const std::unique_ptr<process::CoreProcess> core,
              process::CoreProcess::open(options.core, options.search));
  process::DecodedWaits decoded = process::decode_waits({&core->facts(), 1});
  watch::merge_board(decoded, core->core());
  if (process::has_nameless_holders(decoded)) process::infer_holders(decoded, {&core->facts(), 1});
  std::vector<std::string> notes = core->notes();
  notes.insert(notes.end(), decoded.notes.begin(), decoded.notes.end());
  for (const std::string& note : notes)
    std::fputs(("gordian: " + escape_for_terminal(note) + "\n").c_str(), stderr);

  report::TextOptions text;
  text.color = wants_color(STDOUT_FILENO);
  char folder[4096];
  if (getcwd(folder, sizeof(folder)) != nullptr) text.folder = folder;
  const process::FindingCompleter completer(
      [&core](const model::Process&) { return &core->view(); });
  report::Report report = report_of(*core, options);
  size_t hidden = 0;
  int status = static_cast<int>(Exit::Clean);
  for (model::Finding& finding : find_findings(decoded.snapshot)) {
    if (is_doubtful(finding) && !options.stall) {
      ++hidden;
      continue;
    }
    find_sites(*core, decoded, finding);
    completer.complete(finding);
    finding.fingerprint = report::fingerprint(finding);
    std::fputs(report::to_text(finding, text).c_str(), stdout);
    if (finding.verdict == model::Verdict::Deadlock || options.strict)
      status = static_cast<int>(Exit::Found);
    report.findings.push_back(std::move(finding));
  }
  const std::vector<report::ListedThread> others =
      list_others(*core, decoded, report.findings, options.threads);
  if (options.threads) std::fputs((report::threads_text(others, text) + "\n").c_str(), stdout);
  const std::string calls = report::calls_line(others);
  if (report.findings.empty())
    std::fputs(("gordian: nothing is stuck: " + calls + "\n").c_str(), stdout);
  else if (!calls.empty() && !options.threads)
    std::fputs(("gordian: the other threads: " + calls + "\n").c_str(), stdout);
  if (hidden > 0)
    std::fputs("gordian: some threads look stuck, but another could still wake them: --stall\n",
               stdout);
  if (!options.json.empty()) {
    GORDIAN_TRY(, write_file(options.json, report::to_json(report)));
  }
  return status;
}

}  // namespace

const Command kCoreCommand{
    .name = "core",
    .usage = kCoreUsage,
    .summary = "say why the threads of a core file wait",
    .run = run_core,
};

}  // namespace gordian::cli
