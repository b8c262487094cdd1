// SPDX-License-Identifier: Apache-2.0
// Gives a finding its words: stacks, functions, lines, lock names.
#pragma once

#include "model/finding.h"
#include "process/memory.h"
#include "process/modules.h"
#include "process/python.h"
#include "process/symbols.h"
#include "process/unwind.h"

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace gordian::process {

// One watched process as the words need it; kept as long as findings may speak of it, since symbol
// tables and debug information are read once.
class ProcessView {
 public:
  // Of a thread; absent: nobody knows them.
  using FindRegisters = std::function<std::optional<RegisterSet>(int tid)>;

  // `pid` as we see it. While it lives its memory is read; afterwards set gone().
  ProcessView(int pid, std::vector<Module> modules);
  // A process that is over, but was written down. `memory` must outlive the view.
  ProcessView(std::vector<Module> modules, const MemoryReader& memory, FindRegisters registers);

  Symbols& symbols() { return symbols_; }
  [[nodiscard]] const Symbols& symbols() const { return symbols_; }
  [[nodiscard]] int pid() const { return pid_; }
  void set_gone() { gone_ = true; }
  // Null: gone.
  [[nodiscard]] const MemoryReader* memory() const { return gone_ ? nullptr : memory_; }
  [[nodiscard]] std::optional<RegisterSet> registers(int tid) const { return registers_(tid); }
  // Words for the stack of a thread as it stands now, Python functions included.
  void resolve(int tid, model::Stack& stack);

 private:
  int pid_;
  bool gone_ = false;
  Symbols symbols_;
  std::unique_ptr<MemoryReader> live_memory_;
  const MemoryReader* memory_;
  FindRegisters registers_;
  std::optional<Python> python_;
  bool python_sought_ = false;
};

class FindingCompleter {
 public:
  // How to get at a process that a finding names (Finding::processes); null: unknown.
  using FindView = std::function<ProcessView*(const model::Process&)>;
  explicit FindingCompleter(FindView find_view) : find_view_(std::move(find_view)) {}

  // Names of static locks by symbol: within the headline's 100 ms. No DWARF, no unwinding.
  void name_statics(model::Finding& finding) const;

  // Everything else. Knot threads and one victim per group fully; other victims get the function
  // they wait in. The stack of a wait comes from published registers, else from /proc; that of a
  // hazard from its slice.
  void complete(model::Finding& finding) const;

 private:
  FindView find_view_;
};

}  // namespace gordian::process
