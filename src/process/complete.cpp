// SPDX-License-Identifier: Apache-2.0
#include "process/complete.h"

#include "process/live.h"
#include "process/lock_names.h"
#include "process/search_budget.h"
#include "process/unwind.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace gordian::process {
namespace {

constexpr size_t kMaxFullThreads = 64;
constexpr uint64_t kNamingSteps = 6000000;  // of all locks of a finding

std::optional<RegisterSet> read_registers(int pid, int tid) {
  const std::optional<ThreadReading> reading = read_thread(pid, tid);
  if (!reading || reading->sp == 0) return std::nullopt;
  RegisterSet registers;
  registers.set(kRegisterPc, reading->pc);
  registers.set(kRegisterRsp, reading->sp);
  return registers;
}

// What was found out about one thread of the finding.
struct ThreadStack {
  ProcessView* view = nullptr;
  std::unique_ptr<MemoryReader> slice;
  std::unique_ptr<MemoryReader> memory;  // slice and process together
  UnwoundStack stack;
  std::vector<UnwoundStack> acquisitions;  // one per hold
  bool unwound = false;
};

class Completion {
 public:
  Completion(model::Finding& finding, const FindingCompleter::FindView& find_view)
      : finding_(finding) {
    for (const model::Process& process : finding.processes) views_[process.id] = find_view(process);
  }

  void run() {
    stacks_.resize(finding_.threads.size());
    choose_full();
    for (size_t i = 0; i < finding_.threads.size(); ++i)
      if (full_[i]) unwind_thread(i);
    for (model::Resource& resource : finding_.resources) name(resource);
    for (size_t i = 0; i < finding_.threads.size(); ++i) put_into_words(i);
  }

 private:
  ProcessView* view_of(model::ProcessId id) const {
    const auto found = views_.find(id);
    return found == views_.end() ? nullptr : found->second;
  }

  // Victims that wait for the same thing at the same place are one group.
  void choose_full() {
    std::map<std::tuple<uint32_t, uint32_t, uint64_t>, bool> groups;
    size_t full = 0;
    for (const model::FindingThread& thread : finding_.threads) {
      bool chosen = thread.role == model::Role::Knot;
      if (!chosen && thread.wants)
        chosen =
            groups
                .try_emplace({static_cast<uint32_t>(thread.process),
                              static_cast<uint32_t>(thread.wants->resource), thread.wants->site},
                             true)
                .second;
      chosen = chosen && full < kMaxFullThreads;
      full += chosen ? 1 : 0;
      full_.push_back(chosen);
    }
  }

  void unwind_thread(size_t index) {
    model::FindingThread& thread = finding_.threads[index];
    ThreadStack& words = stacks_[index];
    words.view = view_of(thread.process);
    if (words.view == nullptr) return;
    const MemoryReader* live = words.view->memory();
    const model::FindingWant* want = thread.wants ? &*thread.wants : nullptr;
    if (want && !want->stack_slice.empty())
      words.slice = std::make_unique<StackSlice>(want->registers.rsp, want->stack_slice);
    else
      words.slice = std::make_unique<StackSlice>(0, std::span<const std::byte>());
    words.memory = std::make_unique<LayeredMemory>(*words.slice, live);

    RegisterSet registers;
    const bool from_slice = want && !want->stack_slice.empty();
    if (want && want->has_registers && (live || from_slice)) {
      registers = RegisterSet(want->registers);
    } else if (live) {
      // Not watched from its start, or blocked outside our hooks: what the kernel shows.
      const std::optional<RegisterSet> shown = words.view->registers(thread.tid);
      if (!shown) return;
      registers = *shown;
    } else {
      return;
    }
    // The live memory behind a slice is that of a later time: names may look at its heap, since
    // they check types and addresses, but a stack must not be pieced together from both.
    const MemoryReader& stack_memory = from_slice ? *words.slice : *words.memory;
    words.stack = unwind(words.view->symbols(), registers, stack_memory);
    words.unwound = !words.stack.frames.empty();
    for (const model::FindingHold& hold : thread.holds)
      words.acquisitions.push_back(
          hold.site != 0
              ? acquisition_stack(words.view->symbols(), words.stack, hold.site, hold.frame)
              : words.stack);
  }

  // The waiting threads' stacks first: they stand at the lock. Then those of its holders, at the
  // place where they took it.
  void name(model::Resource& resource) {
    ProcessView* view = view_of(resource.process);
    if (view == nullptr) return;
    if (naming_.is_over()) {
      // A program with very much debug information: what the symbol tables say must do.
      const std::optional<LockName> quick = find_static_name(view->symbols(), resource.address);
      if (quick && resource.name.empty()) resource.name = quick->name;
      return;
    }
    std::vector<NamingStack> stacks;
    for (size_t i = 0; i < stacks_.size(); ++i) {
      const model::FindingThread& thread = finding_.threads[i];
      if (stacks_[i].unwound && stacks_[i].view == view && thread.wants &&
          thread.wants->resource == resource.id)
        stacks.push_back({&stacks_[i].stack, stacks_[i].memory.get(), thread.wants->slice_address});
    }
    for (size_t i = 0; i < stacks_.size(); ++i) {
      const model::FindingThread& thread = finding_.threads[i];
      for (size_t h = 0; h < stacks_[i].acquisitions.size() && h < thread.holds.size(); ++h)
        if (stacks_[i].view == view && thread.holds[h].resource == resource.id)
          stacks.push_back({&stacks_[i].acquisitions[h], stacks_[i].memory.get(),
                            thread.holds[h].slice_address});
    }
    name_resource(view->symbols(), resource, stacks, &naming_);
  }

  void put_into_words(size_t index) {
    model::FindingThread& thread = finding_.threads[index];
    const ThreadStack& words = stacks_[index];
    ProcessView* view = view_of(thread.process);
    if (view == nullptr) return;
    if (thread.wants) {
      if (words.unwound)
        thread.wants->stack = to_stack(words.stack);
      else if (thread.wants->site != 0)
        thread.wants->stack = site_only(thread.wants->site);
      view->resolve(thread.tid, thread.wants->stack);
    }
    for (size_t h = 0; h < thread.holds.size(); ++h) {
      model::FindingHold& hold = thread.holds[h];
      if (hold.site != 0 && h < words.acquisitions.size())
        hold.stack = to_stack(words.acquisitions[h]);
      else if (hold.site != 0)
        hold.stack = site_only(hold.site);
      view->symbols().resolve(hold.stack);
    }
  }

  static model::Stack site_only(uint64_t site) {
    model::Stack stack;
    stack.frames.emplace_back().pc = site;
    stack.note = "only the call site is known";
    return stack;
  }

  struct HashId {
    size_t operator()(model::ProcessId id) const { return static_cast<size_t>(id); }
  };

  SearchBudget naming_{kNamingSteps};
  model::Finding& finding_;
  std::unordered_map<model::ProcessId, ProcessView*, HashId> views_;
  std::vector<ThreadStack> stacks_;
  std::vector<bool> full_;
};

}  // namespace

ProcessView::ProcessView(int pid, std::vector<Module> modules)
    : pid_(pid),
      symbols_(pid, std::move(modules)),
      live_memory_(std::make_unique<ProcessMemory>(pid)),
      memory_(live_memory_.get()),
      registers_([pid](int tid) { return read_registers(pid, tid); }) {}

ProcessView::ProcessView(std::vector<Module> modules, const MemoryReader& memory,
                         FindRegisters registers)
    : pid_(0),
      symbols_(0, std::move(modules)),
      memory_(&memory),
      registers_(std::move(registers)) {}

void ProcessView::resolve(int tid, model::Stack& stack) {
  symbols_.resolve(stack);
  if (memory() == nullptr) return;
  if (!std::exchange(python_sought_, true)) python_ = Python::find(symbols_, *memory_);
  if (python_) python_->add_frames(static_cast<uint32_t>(tid), stack);
}

void FindingCompleter::name_statics(model::Finding& finding) const {
  for (model::Resource& resource : finding.resources) {
    if (!resource.name.empty() || resource.address == 0) continue;
    for (const model::Process& process : finding.processes) {
      ProcessView* view = process.id == resource.process ? find_view_(process) : nullptr;
      if (view == nullptr) continue;
      if (const std::optional<LockName> name = find_static_name(view->symbols(), resource.address))
        resource.name = name->name;
    }
  }
}

void FindingCompleter::complete(model::Finding& finding) const {
  Completion(finding, find_view_).run();
}

}  // namespace gordian::process
