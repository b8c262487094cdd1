// SPDX-License-Identifier: Apache-2.0
#include "process/core_process.h"

#include "base/text.h"
#include "process/glibc_layout.h"

#include <algorithm>
#include <elf.h>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace gordian::process {
namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

// What the thread itself takes for its number. gdb writes down ours, which is another one if the
// process lives in a container.
uint32_t own_tid(const CoreThread& thread, const MemoryReader& memory, const GlibcLayout& layout) {
  const uint64_t descriptor = thread.fs_base;
  const auto fallback = static_cast<uint32_t>(thread.tid);
  if (descriptor == 0 || layout.tid_offset == 0 || memory.read_word(descriptor) != descriptor ||
      memory.read_word(descriptor + GlibcLayout::kDescriptorSelf) != descriptor)
    return fallback;
  const auto tid = memory.read_word(descriptor + layout.tid_offset, 4).value_or(0);
  return tid != 0 ? static_cast<uint32_t>(tid) : fallback;
}

// Whether the module could have set a signal handler, as far as its imports tell. glibc sets its
// own for signals 32 and 33, which do nothing for the program.
bool may_set_handlers(const Module& module) {
  const std::string_view name = base_name(module.path);
  for (const std::string_view own : {"libc.so", "libc-2.", "libpthread.so", "libpthread-2.", "ld-",
                                     "libm.so", "libm-2.", "librt", "libdl", "[vdso]"})
    if (name.starts_with(own)) return false;
  const Result<FileDescriptor> fd = open_module(module, 0);
  if (!fd) return true;
  const std::optional<std::vector<std::string>> imports = read_imports(fd->get());
  if (!imports) return true;  // static, perhaps with libc inside
  return std::any_of(imports->begin(), imports->end(), [](const std::string& symbol) {
    for (const std::string_view setter :
         {"sigaction", "__sigaction", "signal", "__sysv_signal", "sysv_signal", "bsd_signal",
          "ssignal", "sigset", "sigvec", "dlsym"})
      if (symbol == setter) return true;
    return false;
  });
}

}  // namespace

Result<std::unique_ptr<CoreProcess>> CoreProcess::open(const std::string& path,
                                                       const CoreSearch& search) {
  GORDIAN_TRY(CoreFile core, CoreFile::open(path));
  GORDIAN_TRY(CoreModules modules, find_core_modules(core, search));
  return std::unique_ptr<CoreProcess>(new CoreProcess(std::move(core), std::move(modules)));
}

CoreProcess::CoreProcess(CoreFile core, CoreModules modules)
    : core_(std::move(core)), modules_(std::move(modules)), memory_(core_, modules_.modules) {
  std::unordered_map<int, RegisterSet> registers;
  for (const CoreThread& thread : core_.threads()) registers.emplace(thread.tid, thread.registers);
  view_ = std::make_unique<ProcessView>(
      modules_.modules, memory_,
      [registers = std::move(registers)](int tid) -> std::optional<RegisterSet> {
        const auto found = registers.find(tid);
        if (found == registers.end()) return std::nullopt;
        return found->second;
      });
  if (!core_.damage().empty()) notes_.push_back("the core is " + core_.damage());
  notes_.insert(notes_.end(), modules_.missing.begin(), modules_.missing.end());
  collect_facts();
}

void CoreProcess::collect_facts() {
  facts_.memory = &memory_;
  facts_.symbols = &view_->symbols();
  facts_.process.pid = core_.pid();
  facts_.process.argv = split(core_.arguments());
  facts_.process.exe = core_.program();
  if (const auto entry = core_.auxiliary(AT_ENTRY))
    if (const Module* program = find_module(modules_.modules, *entry); program != nullptr)
      facts_.process.exe = program->path.empty() ? program->file : program->path;
  // No core says which signals had handlers. Who never asks libc for one has none, though; unknown
  // is taken for yes: it only turns a `deadlock` into a `stall`.
  facts_.process.handles_signals =
      modules_.modules.empty() ||
      std::any_of(modules_.modules.begin(), modules_.modules.end(), may_set_handlers);

  const GlibcLayout layout = find_glibc_layout(view_->symbols(), memory_);
  for (const CoreThread& thread : core_.threads()) {
    ThreadFacts facts;
    facts.tid = thread.tid;
    facts.own_tid = own_tid(thread, memory_, layout);
    if (thread.tid == core_.pid()) facts.name = core_.program();
    facts.blocked = thread.is_blocked();
    facts.registers = thread.registers;
    if (facts.blocked) {
      facts.syscall = thread.syscall;
      for (size_t i = 0; i < facts.args.size(); ++i)
        facts.args[i] = thread.argument(static_cast<int>(i));
    }
    facts_.threads.push_back(std::move(facts));
  }
  if (core_.has_all_threads()) {
    // A main thread that has ended before the others is in no core.
    const bool has_main =
        std::any_of(core_.threads().begin(), core_.threads().end(),
                    [this](const CoreThread& thread) { return thread.tid == core_.pid(); });
    if (!has_main)
      facts_.threads.push_back(
          {.tid = core_.pid(), .own_tid = static_cast<uint32_t>(core_.pid()), .gone = true});
    return;
  }
  // Whoever is missing may own, or may give, anything: one more thread, which can move.
  notes_.push_back("threads may be missing in it");
  facts_.threads.push_back({.name = "missing threads"});
  facts_.has_thread = [](uint32_t) { return true; };
}

}  // namespace gordian::process
