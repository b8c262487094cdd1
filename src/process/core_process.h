// SPDX-License-Identifier: Apache-2.0
// A process that was written down as a core, the way decode_waits() and the reports want it.
//
// All threads of a core stand still at one instant, so what its registers and owner words say held
// together. What a core does not have: how long anybody had waited, names of threads but the first,
// and which signals had handlers.
#pragma once

#include "base/result.h"
#include "process/complete.h"
#include "process/core_file.h"
#include "process/core_modules.h"
#include "process/thread_facts.h"

#include <memory>
#include <string>
#include <vector>

namespace gordian::process {

class CoreProcess {
 public:
  static Result<std::unique_ptr<CoreProcess>> open(const std::string& path,
                                                   const CoreSearch& search);

  [[nodiscard]] const CoreFile& core() const { return core_; }
  [[nodiscard]] const ProcessFacts& facts() const { return facts_; }
  [[nodiscard]] ProcessView& view() { return *view_; }
  // What is missing, as sentences: a part of the core, files of libraries.
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

 private:
  CoreProcess(CoreFile core, CoreModules modules);
  void collect_facts();

  CoreFile core_;
  CoreModules modules_;
  CoreMemory memory_;
  std::unique_ptr<ProcessView> view_;
  ProcessFacts facts_;
  std::vector<std::string> notes_;
};

}  // namespace gordian::process
