// SPDX-License-Identifier: Apache-2.0
// Builds histories by hand, for tests and benchmarks.
#pragma once

#include "model/history.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace gordian::analysis {

// Threads of process 0, all started by thread 0 unless said otherwise. Sites are made up from what
// is done (a lock wanted while another is held has one site in all threads), unless given.
class TestHistory {
 public:
  TestHistory() {
    history.processes.emplace_back();
    thread();
    history.threads[0].is_main = true;
  }

  [[nodiscard]] model::ThreadId main() const { return model::ThreadId{0}; }
  model::ThreadId thread() {
    const auto id = static_cast<model::ThreadId>(history.threads.size());
    model::HistoryThread& thread = history.threads.emplace_back();
    thread.id = id;
    thread.uid = static_cast<uint32_t>(id) + 1;
    thread.parent_uid = id == main() ? 0 : 1;
    return id;
  }
  model::ResourceId resource(model::ResourceKind kind = model::ResourceKind::Mutex) {
    const auto id = static_cast<model::ResourceId>(history.resources.size());
    model::Resource& resource = history.resources.emplace_back();
    resource.id = id;
    resource.kind = kind;
    return id;
  }
  std::vector<model::ResourceId> resources(size_t count) {
    std::vector<model::ResourceId> ids;
    while (ids.size() < count) ids.push_back(resource());
    return ids;
  }

  // The thread holds all of `held` (outermost first) and asks for `wanted`.
  model::Chain& chain(model::ThreadId thread, const std::vector<model::ResourceId>& held,
                      model::ResourceId wanted, uint64_t site = 0) {
    model::Chain& chain = history.chains.emplace_back();
    chain.thread = thread;
    chain.segment = segment;
    chain.order = ++last_order;
    chain.wanted = wanted;
    chain.site = site != 0 ? site : 0x1000 + static_cast<uint64_t>(wanted) * 0x100;
    for (const model::ResourceId lock : held) {
      chain.held.push_back(hold(lock));
      if (site == 0) chain.site += static_cast<uint64_t>(lock) + 1;
    }
    return chain;
  }
  model::Chain& join(model::ThreadId thread, const std::vector<model::ResourceId>& held,
                     model::ThreadId joined) {
    model::ResourceId id{};
    bool known = false;
    for (const model::Resource& other : history.resources) {
      if (other.kind != model::ResourceKind::Thread || other.joined != joined) continue;
      id = other.id;
      known = true;
    }
    if (!known) id = resource(model::ResourceKind::Thread);
    of(id).joined = joined;
    of(id).joined_known = true;
    model::Chain& result = chain(thread, held, id, 0x9000);
    result.has_joined = true;
    result.joined = joined;
    return result;
  }
  model::Signal& signal(model::ThreadId thread, model::ResourceId object,
                        const std::vector<model::ResourceId>& held) {
    model::Signal& signal = history.signals.emplace_back();
    signal.thread = thread;
    signal.object = object;
    signal.segment = segment;
    signal.order = ++last_order;
    signal.site = 0x8000 + history.signals.size();
    for (const model::ResourceId lock : held) signal.held.push_back(hold(lock));
    return signal;
  }
  void before(model::ThreadId from, uint32_t from_segment, model::ThreadId to, uint32_t to_segment,
              model::ResourceKind kind = model::ResourceKind::Thread) {
    history.order.push_back({from, from_segment, to, to_segment, kind});
  }

  static model::ChainHold hold(model::ResourceId lock) {
    model::ChainHold hold;
    hold.lock = lock;
    hold.site = 0x500 + static_cast<uint64_t>(lock);
    return hold;
  }
  model::Resource& of(model::ResourceId id) { return history.resources[static_cast<uint32_t>(id)]; }
  model::HistoryThread& of(model::ThreadId id) {
    return history.threads[static_cast<uint32_t>(id)];
  }

  model::History history;
  uint32_t segment = 1;  // of the chains and signals added from now on
  uint64_t last_order = 0;
};

}  // namespace gordian::analysis
