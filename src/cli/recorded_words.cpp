// SPDX-License-Identifier: Apache-2.0
#include "cli/recorded_words.h"

#include "process/complete.h"
#include "process/lock_names.h"
#include "report/words.h"
#include "trace/board_snapshot.h"

#include <string>
#include <utility>
#include <vector>

namespace gordian::cli {
namespace {

using trace::RecordedLock;
using trace::RecordedStack;
using trace::RecordedThread;
using trace::RecordingFacts;

std::vector<process::Module> modules_of(const trace::RecordingRun& run) {
  std::vector<process::Module> modules;
  for (const trace::RecordedModule& recorded : run.facts().modules)
    modules.push_back({.start = recorded.start,
                       .end = recorded.end,
                       .bias = recorded.bias,
                       .path = recorded.path.empty() ? run.exe() : recorded.path,
                       .build_id = recorded.build_id});
  return process::tidy_modules(std::move(modules));
}

class Words {
 public:
  explicit Words(const RecordingFacts& facts) : facts_(facts) {}

  void fill(model::Resource& resource) const {
    if (resource.kind == model::ResourceKind::Thread) {
      resource.name = thread_name(resource.joined);
      resource.name_is_id = true;
      return;
    }
    const RecordedLock& lock = facts_.locks[static_cast<size_t>(resource.id)];
    resource.kind = trace::resource_kind(lock.kind);
    resource.address = lock.address;
    resource.generation = lock.instance;
    resource.birth_site = lock.birth_site;
    resource.born_by_init = (lock.flags & format::kLockBornByInit) != 0;
    resource.prefers_writers = (lock.flags & format::kLockPrefersWriters) != 0;
    resource.process_shared = (lock.flags & format::kLockProcessShared) != 0;
    resource.name = lock.name;
    trace::apply_description({.header = {}, .lock = 0, .what = lock.what, .level = lock.level},
                             resource);
  }

  void fill(model::FindingThread& thread) const {
    const RecordedThread& recorded = facts_.threads[static_cast<size_t>(thread.id)];
    thread.tid = static_cast<int>(recorded.tid);
    thread.name = recorded.name;
    thread.start_routine = recorded.start_routine;
    const RecordedStack* const here = thread.wants ? stack(thread.wants->site) : nullptr;
    for (model::FindingHold& hold : thread.holds) {
      const RecordedStack* const there = stack(hold.site);
      hold.site = there != nullptr ? there->site : 0;
      if (here == nullptr || there == nullptr) continue;
      // Both were seen when some thread first stood there; what they share is how deep they lie.
      hold.frame = here->frame + (static_cast<uint64_t>(here->depth) - there->depth) * 8;
      hold.slice_address = there->address;
    }
    if (!thread.wants) return;
    model::FindingWant& want = *thread.wants;
    want.site = here != nullptr ? here->site : 0;
    if (here == nullptr) return;
    const auto& registers = here->registers;
    want.frame = here->frame;
    want.registers = {registers[0], registers[1], registers[2], registers[3],
                      registers[4], registers[5], registers[6], registers[7]};
    want.has_registers = true;
    want.stack_slice = here->slice;
    want.slice_address = here->address;
  }

  [[nodiscard]] std::string thread_name(model::ThreadId id) const {
    const RecordedThread& thread = facts_.threads[static_cast<size_t>(id)];
    return thread.name.empty() ? "thread " + std::to_string(thread.tid) : thread.name;
  }

 private:
  [[nodiscard]] const RecordedStack* stack(uint64_t id) const {
    if (id == 0 || id >= facts_.stacks.size() || facts_.stacks[id].site == 0) return nullptr;
    return &facts_.stacks[id];
  }

  const RecordingFacts& facts_;
};

}  // namespace

void put_into_words(std::span<model::Finding> findings, const trace::RecordingRun& run) {
  if (findings.empty()) return;
  const Words words(run.facts());
  process::ProcessView view(0, modules_of(run));
  view.set_gone();
  const process::FindingCompleter completer([&](const model::Process&) { return &view; });
  for (model::Finding& finding : findings) {
    model::Process process;
    process.pid = run.pid();
    process.exe = run.exe();
    finding.processes = {process};
    for (model::Resource& resource : finding.resources) words.fill(resource);
    for (model::FindingThread& thread : finding.threads) words.fill(thread);
    if (finding.reason.thread)
      finding.reason.thread_name = words.thread_name(*finding.reason.thread);
    if (finding.witness)
      for (model::WitnessStep& step : finding.witness->steps)
        step.thread_name = words.thread_name(step.thread);
    completer.complete(finding);
  }
}

RecordedNames::RecordedNames(const trace::RecordingRun& run)
    : facts_(run.facts()), view_(std::make_unique<process::ProcessView>(0, modules_of(run))) {
  view_->set_gone();
  for (uint32_t i = 0; i < facts_.locks.size(); ++i)
    lock_of_slot_.try_emplace(facts_.locks[i].slot, i);
}

RecordedNames::~RecordedNames() = default;

std::string RecordedNames::thread(model::ThreadId id) const {
  return Words(facts_).thread_name(id);
}

std::string RecordedNames::thread_of_uid(uint32_t uid) const {
  const auto found = facts_.thread_index.find(uid);
  return found == facts_.thread_index.end() ? "thread #" + std::to_string(uid)
                                            : thread(model::ThreadId{found->second});
}

std::string RecordedNames::lock(uint32_t id) const {
  const RecordedLock& lock = facts_.locks[id];
  if (!lock.name.empty()) return lock.name;
  if (const auto name = process::find_static_name(view_->symbols(), lock.address))
    return name->name;
  const std::string kind(report::resource_kind_word(trace::resource_kind(lock.kind)));
  return kind + " born at " + view_->symbols().describe_site(lock.birth_site);
}

std::string RecordedNames::object(uint32_t slot) const {
  const auto [at, is_new] = objects_.try_emplace(slot);
  if (!is_new) return at->second;
  const auto known = lock_of_slot_.find(slot);
  at->second =
      known == lock_of_slot_.end() ? "object " + std::to_string(slot) : lock(known->second);
  return at->second;
}

std::string RecordedNames::site(uint32_t id) const {
  if (id == 0 || id >= facts_.stacks.size() || facts_.stacks[id].site == 0) return {};
  return view_->symbols().describe_site(facts_.stacks[id].site);
}

}  // namespace gordian::cli
