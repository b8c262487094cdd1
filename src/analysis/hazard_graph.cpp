// SPDX-License-Identifier: Apache-2.0
#include "analysis/hazard_graph.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace gordian::analysis {

using model::Chain;
using model::ChainHold;
using model::ResourceKind;

namespace {}  // namespace

HazardGraph::HazardGraph(const model::History& history, const std::vector<uint64_t>& trampolines)
    : history_(history) {
  edges_.resize(history.resources.size() + history.threads.size());
  find_siblings(trampolines);
  for (const model::Signal& signal : history.signals) {
    signals_[index_of(signal.object)].push_back(&signal);
  }
  add_chains();
  add_requests_before_signals();
  add_signallers();
  add_barriers();
}

const std::vector<uint32_t>& HazardGraph::steps_between(uint32_t from, uint32_t to) const {
  static const std::vector<uint32_t> k_none;
  const auto found = between_.find({from, to});
  return found == between_.end() ? k_none : found->second;
}

const HazardGraph::Signals& HazardGraph::signals_of(uint32_t node) const {
  static const Signals k_none;
  const auto found = signals_.find(node);
  return found == signals_.end() ? k_none : found->second;
}

void HazardGraph::find_siblings(const std::vector<uint64_t>& trampolines) {
  class_of_.resize(history_.threads.size());
  std::iota(class_of_.begin(), class_of_.end(), 0U);
  const auto find = [this](uint32_t thread) {
    while (class_of_[thread] != thread) thread = class_of_[thread] = class_of_[class_of_[thread]];
    return thread;
  };
  // The creation site counts only where the routine is unknown: programs that wrap thread creation
  // have one site for everything.
  std::map<std::tuple<uint32_t, bool, uint64_t>, uint32_t> first;
  for (const model::HistoryThread& thread : history_.threads) {
    const bool by_site = thread.start_routine == 0;
    const uint64_t address = by_site ? thread.create_site : thread.start_routine;
    const bool says_nothing =
        std::find(trampolines.begin(), trampolines.end(), address) != trampolines.end();
    if (address == 0 || says_nothing) continue;
    const auto [place, is_new] =
        first.try_emplace({index_of(thread.process), by_site, address}, index_of(thread.id));
    if (is_new) continue;
    const uint32_t a = find(place->second), b = find(index_of(thread.id));
    class_of_[std::max(a, b)] = std::min(a, b);
  }
  for (uint32_t i = 0; i < class_of_.size(); ++i) class_of_[i] = find(i);

  class_is_joined_.assign(history_.threads.size(), 0);
  for (const Chain& chain : history_.chains) {
    if (chain.has_joined) class_is_joined_[class_of_[index_of(chain.joined)]] = 1;
  }
}

uint32_t HazardGraph::class_node(uint32_t thread) const {
  return static_cast<uint32_t>(history_.resources.size()) + class_of_[thread];
}

uint32_t HazardGraph::wanted_node(const Request& request) const {
  return request.joined ? class_node(*request.joined) : index_of(request.wanted);
}

void HazardGraph::add_step(uint32_t from, int held_at, uint32_t index) {
  const Request& request = requests_[index];
  const uint32_t to = wanted_node(request);
  std::vector<uint64_t> place{
      request.site, static_cast<uint64_t>(request.mode), static_cast<uint64_t>(request.gives_up),
      static_cast<uint64_t>(request.publication), static_cast<uint64_t>(held_at)};
  for (const ChainHold& hold : request.held) {
    place.push_back(index_of(hold.lock));
    place.push_back(static_cast<uint64_t>(hold.mode) | static_cast<uint64_t>(hold.publication)
                                                           << 8);
    if (held_at >= 0 && &hold == &request.held[static_cast<size_t>(held_at)]) {
      place.push_back(hold.site);
    }
  }
  const auto [found, is_new] =
      step_at_.try_emplace({from, to, std::move(place)}, static_cast<uint32_t>(steps_.size()));
  if (is_new) {
    steps_.push_back({from, to, held_at, {}});
    std::vector<uint32_t>& steps = between_[{from, to}];
    if (steps.empty()) edges_[from].push_back(to);
    steps.push_back(found->second);
  }
  steps_[found->second].requests.push_back(index);
}

void HazardGraph::add_chains() {
  for (const Chain& chain : history_.chains) {
    if (history_.resources[index_of(chain.wanted)].kind == ResourceKind::Thread &&
        !chain.has_joined) {
      continue;  // joined a thread nobody knows
    }
    Request request;
    request.thread = index_of(chain.thread);
    request.segment = chain.segment;
    request.chain = &chain;
    request.wanted = chain.wanted;
    request.mode = chain.mode;
    request.site = chain.site;
    request.gives_up = chain.timed || chain.by_try;
    request.publication = chain.publication;
    if (chain.has_joined) request.joined = index_of(chain.joined);
    for (const ChainHold& hold : chain.held) {
      if (!chain.has_companion || hold.lock != chain.companion) request.held.push_back(hold);
    }
    const auto index = static_cast<uint32_t>(requests_.size());
    requests_.push_back(std::move(request));

    const std::vector<ChainHold>& held = requests_[index].held;
    for (size_t i = 0; i < held.size(); ++i) {
      add_step(index_of(held[i].lock), static_cast<int>(i), index);
    }
    const uint32_t thread = requests_[index].thread;
    if (class_is_joined_[class_of_[thread]]) {
      add_step(class_node(thread), -1, index);
      add_holds_as_requests(index);
    }
  }
}

// What a thread holds it has asked for, which is not logged by itself when it held nothing then.
// Who joins the thread waits for that too.
void HazardGraph::add_holds_as_requests(uint32_t index) {
  const std::vector<ChainHold> held = requests_[index].held;
  for (size_t i = 0; i < held.size(); ++i) {
    Request request;
    request.thread = requests_[index].thread;
    request.segment = requests_[index].segment;
    request.wanted = held[i].lock;
    request.mode = held[i].mode;
    request.site = held[i].site;
    request.gives_up = held[i].by_try;
    request.publication = held[i].publication;
    request.held.assign(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(i));
    const auto added = static_cast<uint32_t>(requests_.size());
    requests_.push_back(std::move(request));
    add_step(class_node(requests_[added].thread), -1, added);
  }
}

// Nobody but its holders ever posted it: what its poster takes elsewhere has no part in it.
bool HazardGraph::is_used_as_lock(uint32_t object) const {
  const model::Resource& resource = history_.resources[object];
  return resource.kind == ResourceKind::Semaphore && !resource.semaphore_like;
}

// What a signaller took and gave back on its way to the signal, it needs for the signal as much as
// what it holds then. On the way is what it asked for since it last signalled, joined or was woken,
// in the function that signals or one of its callers: what other functions took and returned from
// has as little to do with the signal as what comes after it.
void HazardGraph::add_requests_before_signals() {
  std::set<uint32_t> waited_with_locks, held;
  for (const Request& request : requests_) {
    if (!request.held.empty()) waited_with_locks.insert(wanted_node(request));
    for (const ChainHold& hold : request.held) held.insert(index_of(hold.lock));
  }
  std::map<std::pair<uint32_t, uint32_t>, Signals> signals_in;  // by thread and segment
  for (const auto& [object, signals] : signals_) {
    if (waited_with_locks.count(object) == 0 || held.count(object) != 0 || is_used_as_lock(object))
      continue;
    for (const model::Signal* signal : signals) {
      signals_in[{index_of(signal->thread), signal->segment}].push_back(signal);
    }
  }
  const auto chains = static_cast<uint32_t>(requests_.size());
  for (uint32_t i = 0; i < chains; ++i) {
    const Chain* const chain = requests_[i].chain;
    if (chain == nullptr) continue;
    const auto signals = signals_in.find({index_of(chain->thread), chain->segment});
    if (signals == signals_in.end()) continue;
    for (const model::Signal* signal : signals->second) {
      const bool is_on_the_way =
          chain->order < signal->order && chain->call_frame >= signal->frame &&
          std::none_of(signal->held.begin(), signal->held.end(),
                       [&](const ChainHold& hold) { return hold.lock == chain->wanted; });
      const uint32_t object = index_of(signal->object);
      if (is_on_the_way && wanted_node(requests_[i]) != object) add_step(object, -1, i);
    }
  }
}

// To give the signal, a signaller must first get each lock it holds then.
void HazardGraph::add_signallers() {
  std::map<std::pair<uint32_t, uint32_t>, const Chain*> last;  // thread, lock -> asked for here
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> seen;      // thread, lock -> segment
  for (const Chain& chain : history_.chains) {
    const uint32_t thread = index_of(chain.thread);
    last[{thread, index_of(chain.wanted)}] = &chain;
    seen[{thread, index_of(chain.wanted)}] = chain.segment;
    for (const ChainHold& hold : chain.held) seen[{thread, index_of(hold.lock)}] = chain.segment;
  }
  for (const auto& [object, signals] : signals_) {
    if (is_used_as_lock(object)) continue;
    for (const model::Signal* signal : signals) {
      for (size_t i = 0; i < signal->held.size(); ++i) {
        const ChainHold& hold = signal->held[i];
        if (index_of(hold.lock) == object) continue;
        const std::pair key(index_of(signal->thread), index_of(hold.lock));
        Request request;
        request.thread = index_of(signal->thread);
        if (const auto chain = last.find(key); chain != last.end()) request.chain = chain->second;
        if (const auto segment = seen.find(key); segment != seen.end()) {
          request.segment = segment->second;
        }
        request.wanted = hold.lock;
        request.mode = hold.mode;
        request.site = hold.site != 0             ? hold.site
                       : request.chain != nullptr ? request.chain->site
                                                  : signal->site;
        request.gives_up = hold.by_try;
        request.for_signal = true;
        request.held.assign(signal->held.begin(),
                            signal->held.begin() + static_cast<std::ptrdiff_t>(i));
        const auto index = static_cast<uint32_t>(requests_.size());
        requests_.push_back(std::move(request));
        add_step(object, -1, index);
      }
    }
  }
}

// Who comes to a barrier: threads that were seen to wait there, and those that were ordered with
// them by a barrier.
void HazardGraph::add_barriers() {
  std::map<uint32_t, std::set<uint32_t>> seen;
  for (const Chain& chain : history_.chains) {
    if (history_.resources[index_of(chain.wanted)].kind == ResourceKind::Barrier) {
      seen[index_of(chain.wanted)].insert(index_of(chain.thread));
    }
  }
  if (seen.empty()) return;
  std::map<uint32_t, std::set<uint32_t>> barriers_of;  // by thread
  for (const auto& [barrier, threads] : seen) {
    for (const uint32_t thread : threads) barriers_of[thread].insert(barrier);
    for (const model::HappensBefore& edge : history_.order) {
      if (edge.kind != ResourceKind::Barrier) continue;
      const uint32_t from = index_of(edge.from), to = index_of(edge.to);
      if (threads.count(from) != 0) barriers_of[to].insert(barrier);
      if (threads.count(to) != 0) barriers_of[from].insert(barrier);
    }
  }
  const auto count = static_cast<uint32_t>(requests_.size());
  for (uint32_t i = 0; i < count; ++i) {
    const auto barriers = barriers_of.find(requests_[i].thread);
    if (barriers == barriers_of.end() || requests_[i].chain == nullptr) continue;
    for (const uint32_t barrier : barriers->second) {
      if (wanted_node(requests_[i]) != barrier) add_step(barrier, -1, i);
    }
  }
}

}  // namespace gordian::analysis
