// SPDX-License-Identifier: Apache-2.0
#include "analysis/find_hazards.h"

#include "analysis/finding_kind.h"
#include "analysis/hazard_graph.h"
#include "analysis/hazard_match.h"
#include "analysis/lock_cycles.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace gordian::analysis {

using model::ChainHold;
using model::Finding;
using model::FindingKind;
using model::FindingThread;
using model::History;
using model::Mode;
using model::ReasonCode;
using model::Resource;
using model::ResourceKind;
using model::ThreadId;
using model::Verdict;

namespace {

// One lock pair is often taken at many places. Each is a place to repair, but not for ever.
constexpr size_t kCombinationsPerCycle = 256;

class Finder {
 public:
  Finder(const History& history, const HazardOptions& options)
      : history_(history),
        options_(options),
        graph_(history, options.trampolines),
        matcher_(history, graph_) {}

  Hazards find() {
    const CycleLimits limits{.max_cycles = options_.max_cycles, .max_steps = options_.max_steps};
    capped_ |= !for_each_cycle(graph_.edges(), limits, [this](const std::vector<uint32_t>& cycle) {
      std::vector<uint32_t> steps;
      size_t combinations = 0;
      combine(cycle, steps, combinations);
      return possible_ < options_.max_findings;
    });
    add_nested_reads();
    add_held_at_exit();

    Hazards hazards;
    hazards.capped = capped_;
    for (auto& [key, finding] : found_) {
      if (finding.verdict == Verdict::Refuted && !options_.refuted) continue;
      hazards.findings.push_back(std::move(finding));
    }
    std::stable_sort(hazards.findings.begin(), hazards.findings.end(),
                     [](const Finding& a, const Finding& b) { return rank(a) < rank(b); });
    return hazards;
  }

 private:
  // What makes two hazards the same bug: kinds and birthplaces of the locks, and call sites.
  using Key = std::vector<uint64_t>;

  static std::tuple<bool, bool, size_t, ThreadId> rank(const Finding& finding) {
    return {finding.verdict == Verdict::Refuted, finding.rank_last, finding.threads.size(),
            finding.threads[0].id};
  }

  // Tries every choice of one step for each edge of the cycle.
  void combine(const std::vector<uint32_t>& cycle, std::vector<uint32_t>& steps,
               size_t& combinations) {
    if (steps.size() == cycle.size()) {
      if (++combinations > kCombinationsPerCycle) {
        capped_ = true;
      } else {
        judge(steps);
      }
      return;
    }
    const size_t at = steps.size();
    for (const uint32_t step : graph_.steps_between(cycle[at], cycle[(at + 1) % cycle.size()])) {
      if (combinations > kCombinationsPerCycle) return;
      steps.push_back(step);
      combine(cycle, steps, combinations);
      steps.pop_back();
    }
  }

  void judge(const std::vector<uint32_t>& steps) {
    Key key = key_of(steps);
    const auto known = found_.find(key);
    if (known != found_.end() && known->second.verdict == Verdict::Possible &&
        !known->second.rank_last) {
      return;
    }
    const std::optional<Match> match = matcher_.match(steps);
    if (!match) {
      capped_ = true;
      return;
    }
    if (match->verdict == Verdict::Refuted) {
      if (!options_.refuted || known != found_.end()) return;
      if (++refuted_ > options_.max_findings) {
        capped_ = true;
        return;
      }
    } else if (known == found_.end() || known->second.verdict == Verdict::Refuted) {
      ++possible_;
    } else if (match->weak) {
      return;
    }
    found_[std::move(key)] = make_finding(steps, *match);
  }

  void add_class(Key& key, const Resource& resource) const {
    key.push_back(static_cast<uint64_t>(resource.kind));
    key.push_back(resource.birth_site);
    // Born nobody knows where: a class of its own.
    key.push_back(resource.birth_site != 0 ? 0 : index_of(resource.id) + uint64_t{1});
  }

  [[nodiscard]] Key key_of(const std::vector<uint32_t>& steps) const {
    std::vector<Key> parts;
    for (const uint32_t index : steps) {
      const Step& step = graph_.steps()[index];
      const Request& request = graph_.requests()[step.requests[0]];
      Key part;
      if (graph_.is_thread(step.from)) {
        part.push_back(step.from);
      } else {
        add_class(part, graph_.resource(step.from));
      }
      part.push_back(step.held_at < 0 ? 0 : request.held[static_cast<size_t>(step.held_at)].site);
      part.push_back(request.site);
      parts.push_back(std::move(part));
    }
    // A cycle has no beginning, and one of three accounts is the same bug as one of two.
    std::sort(parts.begin(), parts.end());
    parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
    Key key;
    for (const Key& part : parts) {
      key.insert(key.end(), part.begin(), part.end());
      key.push_back(~uint64_t{0});
    }
    return key;
  }

  [[nodiscard]] FindingThread describe(uint32_t thread) const {
    const model::HistoryThread& from = history_.threads[thread];
    FindingThread entry;
    entry.id = from.id;
    entry.process = from.process;
    entry.tid = from.tid;
    entry.name = from.name;
    entry.start_routine = from.start_routine;
    return entry;
  }

  static model::FindingHold describe(const ChainHold& hold) {
    model::FindingHold entry;
    entry.resource = hold.lock;
    entry.mode = hold.mode;
    entry.site = hold.site;
    entry.frame = hold.frame;
    entry.slice_address = hold.slice_address;
    return entry;
  }

  static model::FindingWant describe(const Request& request) {
    model::FindingWant want;
    want.resource = request.wanted;
    want.mode = request.mode;
    want.site = request.site;
    if (request.chain != nullptr) {
      want.frame = request.chain->frame;
      want.registers = request.chain->registers;
      want.has_registers = request.chain->registers.rip != 0;
      want.stack_slice = request.chain->stack_slice;
      want.slice_address = request.chain->slice_address;
    }
    return want;
  }

  void add_mentions(Finding& finding) const {
    std::set<uint32_t> resources, processes;
    for (const FindingThread& thread : finding.threads) {
      processes.insert(index_of(thread.process));
      if (thread.wants) resources.insert(index_of(thread.wants->resource));
      for (const model::FindingHold& hold : thread.holds) resources.insert(index_of(hold.resource));
    }
    if (finding.reason.resource) resources.insert(index_of(*finding.reason.resource));
    for (const uint32_t id : resources) finding.resources.push_back(history_.resources[id]);
    for (const uint32_t id : processes) finding.processes.push_back(history_.processes[id]);
  }

  [[nodiscard]] Finding make_finding(const std::vector<uint32_t>& steps, const Match& match) const {
    Finding finding;
    finding.verdict = match.verdict;
    finding.reason = match.reason;
    finding.rank_last = match.weak;
    std::vector<const Resource*> wanted;
    for (size_t i = 0; i < steps.size(); ++i) {
      const Step& step = graph_.steps()[steps[i]];
      const Actor& actor = match.actors[i];
      const Request& request = graph_.requests()[actor.request];
      FindingThread entry = describe(actor.thread);
      // The lock the cycle goes through first.
      for (const bool is_it : {true, false}) {
        for (size_t h = 0; h < request.held.size(); ++h) {
          if ((static_cast<int>(h) == step.held_at) == is_it) {
            entry.holds.push_back(describe(request.held[h]));
          }
        }
      }
      entry.wants = describe(request);
      const Actor& next = match.actors[(i + 1) % steps.size()];
      entry.wants->owners.push_back(static_cast<ThreadId>(next.thread));
      wanted.push_back(&history_.resources[index_of(request.wanted)]);
      finding.threads.push_back(std::move(entry));
    }
    finding.kind = kind_of_wants(wanted);
    add_mentions(finding);
    return finding;
  }

  // A thread that reads a lock it already reads waits for itself as soon as a writer queues
  // between.
  void add_nested_reads() {
    for (const Request& request : graph_.requests()) {
      if (request.chain == nullptr || request.mode != Mode::Shared || request.gives_up) continue;
      const Resource& lock = history_.resources[index_of(request.wanted)];
      if (!lock.prefers_writers) continue;
      for (const ChainHold& hold : request.held) {
        if (hold.lock != lock.id || hold.mode != Mode::Shared) continue;
        Key key{static_cast<uint64_t>(FindingKind::RwLock), hold.site, request.site};
        add_class(key, lock);
        if (found_.count(key) != 0) continue;
        Finding finding;
        finding.verdict = Verdict::Possible;
        finding.kind = FindingKind::RwLock;
        finding.reason = {ReasonCode::ThirdWriterNeeded, lock.id, {}, {}};
        FindingThread entry = describe(request.thread);
        entry.holds.push_back(describe(hold));
        entry.wants = describe(request);
        entry.wants->owners.push_back(entry.id);
        finding.threads.push_back(std::move(entry));
        add_mentions(finding);
        found_.emplace(std::move(key), std::move(finding));
      }
    }
  }

  // Whoever takes the lock next waits for ever. Not an error yet: perhaps nobody ever will, and a
  // program may leave its locks to the end of the process on purpose, which is why main ranks last.
  // File locks and leases end with their process or by themselves; a robust mutex is made for it.
  void add_held_at_exit() {
    for (const model::HistoryThread& thread : history_.threads) {
      for (const model::Hold& hold : thread.held_at_exit) {
        const Resource& lock = history_.resources[index_of(hold.resource)];
        if (lock.kind == ResourceKind::FileLock || lock.kind == ResourceKind::Lease || lock.robust)
          continue;
        if (is_signalled(lock)) continue;
        Key key{static_cast<uint64_t>(FindingKind::HeldAtExit), hold.site};
        add_class(key, lock);
        if (found_.count(key) != 0) continue;
        Finding finding;
        finding.verdict = Verdict::Possible;
        finding.kind = FindingKind::HeldAtExit;
        finding.rank_last = thread.is_main;
        FindingThread entry = describe(index_of(thread.id));
        model::FindingHold held;
        held.resource = hold.resource;
        held.mode = hold.mode;
        held.site = hold.site;
        held.frame = hold.frame;
        entry.holds.push_back(std::move(held));
        finding.threads.push_back(std::move(entry));
        add_mentions(finding);
        found_.emplace(std::move(key), std::move(finding));
      }
    }
  }

  const History& history_;
  const HazardOptions& options_;
  const HazardGraph graph_;
  HazardMatcher matcher_;
  std::map<Key, Finding> found_;
  size_t possible_ = 0, refuted_ = 0;
  bool capped_ = false;
};

}  // namespace

Hazards find_hazards(const History& history, const HazardOptions& options) {
  return Finder(history, options).find();
}

}  // namespace gordian::analysis
