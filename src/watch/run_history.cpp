// SPDX-License-Identifier: Apache-2.0
#include "watch/run_history.h"

#include "trace/board_history.h"

#include <cstddef>

namespace gordian::watch {

model::History read_run_history(const RunProcesses& processes) {
  std::vector<trace::ProcessLog> logs;
  logs.reserve(processes.size());
  for (const auto& process : processes) logs.push_back(process->history_source());
  return trace::read_history(logs);
}

process::FindingCompleter run_completer(const RunProcesses& processes) {
  return process::FindingCompleter(
      [&processes](const model::Process& process) -> process::ProcessView* {
        const auto index = static_cast<size_t>(process.id);
        return index < processes.size() ? &processes[index]->view() : nullptr;
      });
}

}  // namespace gordian::watch
