// SPDX-License-Identifier: Apache-2.0
#include "analysis/find_nestings.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

namespace gordian::analysis {

using model::Chain;
using model::ChainHold;
using model::Finding;
using model::History;
using model::Resource;
using model::ResourceId;
using model::ResourceKind;

namespace {

constexpr uint64_t kStackAbove = 8 << 20;  // of a stack pointer: the default size of a stack
constexpr uint64_t kStackBelow = 64 << 10;

bool is_ordered(const Resource& resource) {
  return model::is_owned(resource.kind) && resource.kind != ResourceKind::Thread &&
         resource.kind != ResourceKind::FileLock && resource.kind != ResourceKind::Lease &&
         !resource.semaphore_like;
}

bool lies_on_stack(const Resource& resource, uint64_t stack_pointer) {
  return stack_pointer != 0 && resource.address + kStackBelow >= stack_pointer &&
         resource.address < stack_pointer + kStackAbove;
}

class NestingFinder {
 public:
  NestingFinder(const History& history, const NestingLimits& limits)
      : history_(history), limits_(limits) {
    for (const auto& [a, b] : history.never_report) {
      excepted_.emplace(a, b);
      excepted_.emplace(b, a);
    }
  }

  model::Nestings find() {
    for (const Chain& chain : history_.chains) add(chain);
    return std::move(nestings_);
  }

 private:
  // What the names and the stacks of a chain depend on.
  using Shape = std::vector<uint64_t>;

  [[nodiscard]] const Resource& resource(ResourceId id) const {
    return history_.resources[index_of(id)];
  }

  void add(const Chain& chain) {
    if (chain.held.empty()) return;
    // The wait itself is for a signal; what it asks for at its end is the mutex, without a limit.
    const ResourceId wanted = chain.has_companion ? chain.companion : chain.wanted;
    if (!is_ordered(resource(wanted))) return;
    if (!chain.has_companion && (chain.by_try || chain.timed)) return;
    for (const ChainHold& hold : chain.held)
      if (hold.lock == wanted) return;

    std::vector<uint32_t> holds;
    for (uint32_t i = 0; i < chain.held.size(); ++i) {
      const ResourceId held = chain.held[i].lock;
      if (is_ordered(resource(held)) && !excepted_.contains({held, wanted})) holds.push_back(i);
    }
    if (holds.empty()) return;
    const auto [known, is_new] = sample_of_.try_emplace(shape_of(chain, wanted), 0);
    if (is_new) {
      if (nestings_.samples.size() >= limits_.max_samples) {
        sample_of_.erase(known);
        nestings_.cut = true;
        return;
      }
      known->second = static_cast<uint32_t>(nestings_.samples.size());
      nestings_.samples.push_back(describe(chain, wanted));
    }
    for (const uint32_t i : holds) {
      const ResourceId held = chain.held[i].lock;
      if (!pairs_.emplace(held, wanted, known->second).second) continue;
      if (nestings_.pairs.size() >= limits_.max_pairs) {
        nestings_.cut = true;
        return;
      }
      nestings_.pairs.push_back(
          {.held = held,
           .wanted = wanted,
           .sample = known->second,
           .hold = i,
           .order = chain.order,
           .may_be_two_locks = lies_on_stack(resource(held), chain.registers.rsp) ||
                               lies_on_stack(resource(wanted), chain.registers.rsp)});
    }
  }

  void add_lock(Shape& shape, ResourceId id) const {
    const Resource& lock = resource(id);
    shape.push_back(index_of(lock.process));
    shape.push_back(static_cast<uint64_t>(lock.kind));
    // An announced name is part of what it is; a static lock is what lies there.
    shape.push_back(std::hash<std::string_view>{}(lock.name));
    shape.push_back(lock.born_by_init ? lock.birth_site : 0);
    shape.push_back(lock.address_may_be_reused || lock.born_by_init ? 0 : lock.address);
  }

  [[nodiscard]] Shape shape_of(const Chain& chain, ResourceId wanted) const {
    Shape shape{chain.site, chain.registers.rsp};
    const auto* const bytes = reinterpret_cast<const char*>(chain.stack_slice.data());
    shape.push_back(
        std::hash<std::string_view>{}(std::string_view(bytes, chain.stack_slice.size())));
    add_lock(shape, wanted);
    for (const ChainHold& hold : chain.held) {
      shape.push_back(hold.site);
      add_lock(shape, hold.lock);
    }
    return shape;
  }

  Finding describe(const Chain& chain, ResourceId wanted) {
    const model::HistoryThread& from = history_.threads[index_of(chain.thread)];
    Finding finding;
    model::FindingThread& thread = finding.threads.emplace_back();
    thread.id = from.id;
    thread.process = from.process;
    thread.tid = from.tid;
    thread.name = from.name;
    thread.start_routine = from.start_routine;
    std::set<uint32_t> mentioned{index_of(wanted)};
    for (const ChainHold& hold : chain.held) {
      model::FindingHold& held = thread.holds.emplace_back();
      held.resource = hold.lock;
      held.mode = hold.mode;
      held.site = hold.site;
      held.frame = hold.frame;
      held.slice_address = hold.slice_address;
      mentioned.insert(index_of(hold.lock));
    }
    model::FindingWant& want = thread.wants.emplace();
    want.resource = wanted;
    want.mode = chain.mode;
    want.site = chain.site;
    want.frame = chain.frame;
    want.registers = chain.registers;
    want.has_registers = chain.registers.rip != 0;
    want.stack_slice = chain.stack_slice;
    if (!chain.has_companion) want.slice_address = chain.slice_address;
    for (const uint32_t id : mentioned) {
      const Resource& lock = history_.resources[id];
      finding.resources.push_back(lock);
      if (!lock.name.empty()) nestings_.given_names[lock.id] = lock.name;
    }
    finding.processes.push_back(history_.processes[index_of(from.process)]);
    return finding;
  }

  const History& history_;
  const NestingLimits limits_;
  std::set<std::pair<ResourceId, ResourceId>> excepted_;
  std::map<Shape, uint32_t> sample_of_;
  std::set<std::tuple<ResourceId, ResourceId, uint32_t>> pairs_;
  model::Nestings nestings_;
};

}  // namespace

model::Nestings find_nestings(const History& history, const NestingLimits& limits) {
  return NestingFinder(history, limits).find();
}

}  // namespace gordian::analysis
