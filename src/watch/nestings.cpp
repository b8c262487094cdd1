// SPDX-License-Identifier: Apache-2.0
#include "watch/nestings.h"

#include "analysis/find_nestings.h"
#include "process/complete.h"
#include "process/live.h"
#include "process/modules.h"
#include "trace/board_history.h"
#include "watch/board_source.h"

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

namespace gordian::watch {
namespace {

using Clock = std::chrono::steady_clock;
// Debug information of a large program is read once; then a sample takes a few milliseconds.
constexpr std::chrono::seconds kNamingBudget{60};

void complete_all(model::Nestings& nestings, const process::FindingCompleter& completer) {
  const Clock::time_point deadline = Clock::now() + kNamingBudget;
  for (model::Finding& sample : nestings.samples) {
    if (Clock::now() > deadline) {
      nestings.cut = true;
      return;
    }
    completer.complete(sample);
  }
}

}  // namespace

model::Nestings find_run_nestings(const RunProcesses& processes, const model::History& history) {
  model::Nestings nestings = analysis::find_nestings(history);
  complete_all(nestings, run_completer(processes));
  return nestings;
}

Result<model::Nestings> read_nestings(int pid) {
  GORDIAN_TRY(std::unique_ptr<trace::BoardBytes> bytes, find_board(pid));
  GORDIAN_TRY(trace::BoardReader board, trace::BoardReader::open(std::move(bytes)));
  GORDIAN_TRY(std::vector<process::Module> modules, process::read_modules(pid));
  process::ProcessView view(pid, std::move(modules));
  trace::ProcessLog log;
  log.process.pid = pid;
  log.process.exe = process::read_exe(pid);
  log.board = &board;
  model::Nestings nestings = analysis::find_nestings(trace::read_history({&log, 1}));
  complete_all(nestings,
               process::FindingCompleter([&view](const model::Process&) { return &view; }));
  return nestings;
}

}  // namespace gordian::watch
