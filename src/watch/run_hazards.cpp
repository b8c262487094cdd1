// SPDX-License-Identifier: Apache-2.0
#include "watch/run_hazards.h"

#include <cstdint>
#include <set>
#include <string>

namespace gordian::watch {
namespace {

// A library's own routine, in which all threads begin that it starts for others. It is no symbol of
// a stripped library, so there its place says it.
bool is_trampoline(const process::Symbols& symbols, uint64_t start_routine) {
  const process::Module* const module = process::find_module(symbols.modules(), start_routine);
  if (module != nullptr) {
    for (const char* const library :
         {"/libstdc++.so", "/libc++.so", "/libboost_thread.so", "/libglib-2.0.so"}) {
      if (module->path.find(library) != std::string::npos) return true;
    }
  }
  const auto symbol = symbols.symbol_at(start_routine);
  if (!symbol) return false;
  for (const char* const trampoline : {"execute_native_thread_routine", "g_thread_proxy"}) {
    if (symbol->name.find(trampoline) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

analysis::Hazards find_run_hazards(const RunProcesses& processes, const model::History& history,
                                   bool refuted) {
  analysis::HazardOptions options;
  options.refuted = refuted;
  std::set<uint64_t> routines;
  for (const model::HistoryThread& thread : history.threads) {
    if (thread.start_routine == 0 || !routines.insert(thread.start_routine).second) continue;
    const process::Symbols& symbols =
        processes[static_cast<size_t>(thread.process)]->view().symbols();
    if (is_trampoline(symbols, thread.start_routine))
      options.trampolines.push_back(thread.start_routine);
  }
  analysis::Hazards hazards = analysis::find_hazards(history, options);
  const process::FindingCompleter completer = run_completer(processes);
  for (model::Finding& finding : hazards.findings) completer.complete(finding);
  return hazards;
}

}  // namespace gordian::watch
