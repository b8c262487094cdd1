// SPDX-License-Identifier: Apache-2.0
#include "analysis/predict.h"

#include "analysis/finding_kind.h"
#include "analysis/predict_closure.h"
#include "analysis/predict_patterns.h"
#include "analysis/predict_replay.h"
#include "analysis/predict_search.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

namespace gordian::analysis {

using model::Finding;
using model::FindingHold;
using model::FindingThread;
using model::FindingWant;
using model::Mode;
using model::ReasonCode;
using model::Resource;
using model::ResourceId;
using model::ResourceKind;
using model::ThreadId;
using model::Verdict;
using model::Witness;

namespace {

// Sets of threads tried for one circle of locks and places until one of them is a deadlock.
constexpr uint32_t kMaxAttempts = 4096;
constexpr size_t kMaxTuples = 64;  // combinations of moments given to the search
constexpr size_t kMaxWitnessSteps = 100'000;
constexpr size_t kMaxFindings = 10'000;

using Pattern = PatternSearch::Pattern;
using Tuple = std::vector<uint32_t>;  // of each request of a pattern one moment

class Prover {
 public:
  Prover(const TraceIndex& index, const Candidates& candidates, const model::TraceSize& size,
         const PredictOptions& options)
      : index_(index),
        candidates_(candidates),
        size_(size),
        options_(options),
        must_(index, false),
        closure_(index, true),
        search_work_(options.max_search_work),
        replay_work_(options.max_replay_work) {}

  Prediction run() {
    PatternSearch patterns(index_, options_.max_pattern_work);
    patterns.run([&](const Pattern& pattern) {
      const std::vector<uint32_t> queues = queues_of(pattern);
      return queues.empty() ? look_at(pattern) : look_at_queue(pattern, queues, patterns);
    });
    out_.patterns_cut = patterns.was_cut() || out_.findings.size() >= kMaxFindings;
    out_.trace_cut = index_.was_cut();
    for (auto& [key, group] : groups_)
      if (group.refusal && !group.finding) out_.findings.push_back(std::move(*group.refusal));
    for (auto& [key, group] : groups_)
      if (group.finding) out_.findings[*group.finding].similar = group.similar;
    std::stable_sort(out_.findings.begin(), out_.findings.end(),
                     [](const Finding& a, const Finding& b) { return a.verdict < b.verdict; });
    return std::move(out_);
  }

 private:
  struct Group {
    std::optional<size_t> finding;  // proved or possible, by index
    std::optional<Finding> refusal;
    uint32_t attempts = 0;
    uint64_t similar = 0;
  };
  // Locks and places, whoever the threads are: what a programmer calls one bug.
  using GroupKey = std::vector<std::array<uint32_t, 4>>;

  struct Refusal {
    uint32_t cause = PrefixClosure::kAsked;
    bool by_locks = false;
  };

  [[nodiscard]] GroupKey key_of(const Pattern& pattern) const {
    GroupKey key;
    for (const uint32_t id : pattern) {
      const TraceRequest& request = index_.requests()[id];
      const uint32_t kind = request.is_join ? 2 : static_cast<uint32_t>(request.mode);
      key.push_back({request.wanted, kind, request.held, request.site});
    }
    std::rotate(key.begin(), std::min_element(key.begin(), key.end()), key.end());
    return key;
  }

  bool look_at(const Pattern& pattern) {
    ++out_.patterns;
    Group& group = groups_[key_of(pattern)];
    if (group.finding) {
      ++group.similar;
      return true;
    }
    if (group.attempts >= kMaxAttempts ||
        must_.work() + closure_.work() > options_.max_closure_work) {
      ++out_.unchecked;
      return true;
    }
    ++group.attempts;

    Refusal refusal;
    Tuple first;
    if (!first_outside(must_, pattern, first, refusal)) {
      if (!group.refusal) group.refusal = refused(pattern, refusal, true);
      return true;
    }
    Tuple moments;
    Refusal by_closure{.cause = PrefixClosure::kAsked, .by_locks = true};
    if (first_outside(closure_, pattern, moments, by_closure)) {
      by_closure.by_locks = true;
      add(group, in_recorded_order(pattern, moments));
      return out_.findings.size() < kMaxFindings;
    }
    bool is_exhaustive = false;
    if (auto finding = in_another_order(pattern, first, is_exhaustive)) {
      add(group, std::move(*finding));
    } else if (!group.refusal) {
      by_closure.by_locks = true;
      group.refusal = refused(pattern, by_closure, is_exhaustive);
    }
    return out_.findings.size() < kMaxFindings;
  }

  // The requests of a pattern for a lock shared that the next thread holds shared, by their place.
  [[nodiscard]] std::vector<uint32_t> queues_of(const Pattern& pattern) const {
    std::vector<uint32_t> places;
    for (uint32_t i = 0; i < pattern.size(); ++i) {
      const TraceRequest& request = index_.requests()[pattern[i]];
      if (request.is_join || request.mode != Mode::Shared) continue;
      const TraceRequest& next = index_.requests()[pattern[(i + 1) % pattern.size()]];
      for (uint32_t cell = next.held; cell != 0; cell = index_.held(cell).outer)
        if (index_.held(cell).lock == request.wanted && index_.held(cell).mode == Mode::Shared)
          places.push_back(i);
    }
    return places;
  }

  // Readers exclude each other only where one queues behind a writer who waits for the other.
  // Whether this kind of lock makes him queue, no trace tells: so it is possible at most.
  bool look_at_queue(const Pattern& pattern, const std::vector<uint32_t>& queues,
                     const PatternSearch& patterns) {
    constexpr size_t kMaxWriters = 16;
    ++out_.patterns;
    Group& group = groups_[key_of(pattern)];
    if (group.finding) {
      ++group.similar;
      return true;
    }
    if (queues.size() > 1 || group.attempts >= kMaxAttempts ||
        must_.work() + closure_.work() > options_.max_closure_work) {
      ++out_.unchecked;
      return true;
    }
    ++group.attempts;
    const uint32_t lock = index_.requests()[pattern[queues.front()]].wanted;
    size_t tried = 0;
    for (const uint32_t writer : patterns.writers(lock)) {
      const uint32_t thread = index_.requests()[writer].thread;
      const bool is_in = std::any_of(pattern.begin(), pattern.end(), [&](uint32_t id) {
        return index_.requests()[id].thread == thread;
      });
      if (is_in) continue;
      if (++tried > kMaxWriters) break;
      Pattern all = pattern;
      all.insert(all.begin() + queues.front() + 1, writer);
      Tuple moments;
      Refusal refusal;
      if (!first_outside(closure_, all, moments, refusal)) continue;
      Finding finding = described(all);
      finding.verdict = Verdict::Possible;
      finding.rank_last = true;
      finding.reason.code = ReasonCode::ThirdWriterNeeded;
      finding.reason.resource = ResourceId{lock};
      finding.witness = witness(all, moments, {}, true);
      finding.witness->is_complete = false;
      add(group, std::move(finding));
      break;
    }
    return out_.findings.size() < kMaxFindings;
  }

  void add(Group& group, Finding finding) {
    group.finding = out_.findings.size();
    out_.findings.push_back(std::move(finding));
  }

  // The first combination of moments that stay outside of the closure of what precedes them.
  // Moments inside the closure of earlier ones are inside that of later ones too, so none is tried
  // twice.
  bool first_outside(PrefixClosure& closure, const Pattern& pattern, Tuple& moments,
                     Refusal& refusal) const {
    moments.assign(pattern.size(), 0);
    closure.reset();
    for (;;) {
      for (size_t i = 0; i < pattern.size(); ++i) {
        const TraceRequest& request = index_.requests()[pattern[i]];
        closure.include(request.thread, index_.moments(pattern[i])[moments[i]].position);
      }
      if (!closure.close()) return false;
      bool all_outside = true;
      for (size_t i = 0; i < pattern.size(); ++i) {
        const uint32_t thread = index_.requests()[pattern[i]].thread;
        const auto& all = index_.moments(pattern[i]);
        const uint32_t reached = closure.position(thread);
        if (all[moments[i]].position >= reached) continue;
        all_outside = false;
        if (refusal.cause == PrefixClosure::kAsked) refusal.cause = closure.cause(thread);
        const auto next = std::lower_bound(
            all.begin() + moments[i], all.end(), reached,
            [](const Moment& moment, uint32_t position) { return moment.position < position; });
        if (next == all.end()) return false;
        moments[i] = static_cast<uint32_t>(next - all.begin());
      }
      if (all_outside) return true;
    }
  }

  // --- findings

  [[nodiscard]] ResourceId resource_id(const TraceRequest& request) const {
    return ResourceId{request.is_join ? index_.lock_count() + request.wanted : request.wanted};
  }

  void add_resource(Finding& finding, ResourceId id) const {
    const bool is_known = std::any_of(finding.resources.begin(), finding.resources.end(),
                                      [&](const Resource& resource) { return resource.id == id; });
    if (is_known) return;
    Resource resource;
    resource.id = id;
    const auto number = static_cast<uint32_t>(id);
    if (number >= index_.lock_count()) {
      resource.kind = ResourceKind::Thread;
      resource.joined = ThreadId{number - index_.lock_count()};
      resource.joined_known = true;
    } else if (candidates_.is_rwlock[number] != 0) {
      resource.kind = ResourceKind::RwLock;
    }
    finding.resources.push_back(std::move(resource));
  }

  [[nodiscard]] Finding described(const Pattern& pattern) const {
    Finding finding;
    for (size_t i = 0; i < pattern.size(); ++i) {
      const TraceRequest& request = index_.requests()[pattern[i]];
      const TraceRequest& next = index_.requests()[pattern[(i + 1) % pattern.size()]];
      FindingThread thread;
      thread.id = ThreadId{request.thread};
      thread.tid = static_cast<int>(request.thread) + 1;
      for (uint32_t cell = request.held; cell != 0; cell = index_.held(cell).outer) {
        const HeldCell& held = index_.held(cell);
        FindingHold hold;
        hold.resource = ResourceId{held.lock};
        hold.mode = held.mode;
        hold.site = held.site;
        thread.holds.push_back(std::move(hold));
        add_resource(finding, ResourceId{held.lock});
      }
      std::reverse(thread.holds.begin(), thread.holds.end());
      FindingWant want;
      want.resource = resource_id(request);
      want.mode = request.mode;
      want.site = request.site;
      want.owners = {ThreadId{next.thread}};
      thread.wants = std::move(want);
      add_resource(finding, resource_id(request));
      finding.threads.push_back(std::move(thread));
    }
    std::vector<const Resource*> wanted;
    for (const FindingThread& thread : finding.threads)
      for (const Resource& resource : finding.resources)
        if (resource.id == thread.wants->resource) wanted.push_back(&resource);
    finding.kind = kind_of_wants(wanted);
    return finding;
  }

  [[nodiscard]] Finding refused(const Pattern& pattern, const Refusal& refusal,
                                bool is_certain) const {
    Finding finding = described(pattern);
    finding.verdict = Verdict::Refuted;
    const uint32_t cause = refusal.cause;
    if (cause != PrefixClosure::kAsked && (cause & TraceStep::kEdge) != 0) {
      const TraceStep step{.what = cause};
      finding.reason.thread = ThreadId{step.source()};
      switch (step.kind()) {
        case OrderKind::Fork:
          finding.reason.code = ReasonCode::OrderedByFork;
          break;
        case OrderKind::Join:
          finding.reason.code = ReasonCode::OrderedByJoin;
          break;
        case OrderKind::ReadsFrom:
          finding.reason.code = ReasonCode::OrderedByMemory;
          break;
        case OrderKind::Notify:
          finding.reason.code = ReasonCode::OrderedBySignal;
          break;
      }
    } else {
      finding.reason.code = ReasonCode::OrderedBySections;
      if (cause != PrefixClosure::kAsked) {
        finding.reason.resource = ResourceId{TraceStep{.what = cause}.lock()};
        add_resource(finding, *finding.reason.resource);
      }
    }
    if (refusal.by_locks)
      finding.reason.detail = is_certain ? "no other order of the critical sections avoids that"
                                         : "none of the other orders tried avoids that";
    return finding;
  }

  void judge(Finding& finding) const {
    finding.verdict = options_.complete_memory ? Verdict::Proved : Verdict::Possible;
    if (!options_.complete_memory) finding.reason.code = ReasonCode::MemoryNotRecorded;
  }

  [[nodiscard]] std::vector<Stop> stops_of(const Pattern& pattern, const Tuple& moments) const {
    std::vector<Stop> stops;
    for (size_t i = 0; i < pattern.size(); ++i)
      stops.push_back({.thread = index_.requests()[pattern[i]].thread,
                       .event = index_.moments(pattern[i])[moments[i]].event});
    return stops;
  }

  Finding in_recorded_order(const Pattern& pattern, const Tuple& moments) {
    Finding finding = described(pattern);
    judge(finding);
    std::vector<uint32_t> schedule;
    const bool is_affordable = index_.keeps_events() && replay_work_ >= index_.events().size();
    if (is_affordable) {
      replay_work_ -= index_.events().size();
      const std::vector<PrefixNeed>& needs = index_.needs();
      for (uint32_t i = 0; i < needs.size(); ++i)
        if (needs[i].position <= closure_.position(needs[i].thread)) schedule.push_back(i);
    }
    finding.witness = witness(pattern, moments, schedule, true);
    if (is_affordable) verify(finding, schedule, stops_of(pattern, moments));
    return finding;
  }

  // A prediction that does not survive its replay is our mistake: it is told, but proves nothing.
  void verify(Finding& finding, std::span<const uint32_t> schedule, std::span<const Stop> stops) {
    if (!replay_)
      replay_ = std::make_unique<Replay>(index_.events(), size_, options_.complete_memory);
    const std::string broken = replay_->check(schedule, stops);
    finding.witness->replayed = broken.empty();
    if (broken.empty()) return;
    finding.verdict = Verdict::Possible;
    finding.reason = {
        .code = ReasonCode::None,
        .resource = {},
        .thread = {},
        .detail = "the replay of its schedule failed: " + broken + "; please report it"};
  }

  std::optional<Finding> in_another_order(const Pattern& pattern, const Tuple& first,
                                          bool& is_exhaustive) {
    if (!options_.swaps || !index_.keeps_events() || candidates_.has_phantoms) return std::nullopt;
    if (!search_) search_ = std::make_unique<ScheduleSearch>(index_.events(), size_);
    uint64_t own = std::min(search_work_, options_.max_search_work_each);
    const uint64_t before = own;
    std::optional<Finding> found;
    is_exhaustive = true;
    Tuple tuple = first;
    size_t tried = 0;
    do {
      if (own == 0 || ++tried > kMaxTuples) {
        is_exhaustive = false;
        break;
      }
      ScheduleSearch::Outcome outcome = search_->find(stops_of(pattern, tuple), own);
      is_exhaustive = is_exhaustive && outcome.is_exhaustive;
      if (!outcome.schedule) continue;
      Finding finding = described(pattern);
      judge(finding);
      finding.witness = witness(pattern, tuple, *outcome.schedule, false);
      verify(finding, *outcome.schedule, stops_of(pattern, tuple));
      if (finding.witness->replayed) {
        if (size_.has_reads_from_only && finding.verdict == Verdict::Proved)
          doubt_overwriting(finding);
        found = std::move(finding);
        break;
      }
      is_exhaustive = false;
    } while (next_tuple(pattern, first, tuple));
    search_work_ -= before - own;
    if (!is_exhaustive && !found) out_.searches_cut = true;
    return found;
  }

  // In the recorded order a read finds its writer again, since nobody comes between who was not
  // there. In another one somebody might, and who overwrites what was not told.
  static void doubt_overwriting(Finding& finding) {
    finding.verdict = Verdict::Possible;
    finding.reason.code = ReasonCode::MemoryNotRecorded;
    finding.reason.detail =
        "it needs critical sections in another order, and what that would overwrite is not known";
  }

  // Counts through the moments behind `first`.
  bool next_tuple(const Pattern& pattern, const Tuple& first, Tuple& tuple) const {
    for (size_t i = 0; i < tuple.size(); ++i) {
      if (++tuple[i] < index_.moments(pattern[i]).size()) return true;
      tuple[i] = first[i];
    }
    return false;
  }

  [[nodiscard]] Witness witness(const Pattern& pattern, const Tuple& moments,
                                std::span<const uint32_t> schedule, bool in_recorded_order) const {
    Witness out;
    out.in_recorded_order = in_recorded_order;
    out.event_count = schedule.size();
    for (size_t i = 0; i < pattern.size(); ++i)
      out.stops.push_back({.thread = ThreadId{index_.requests()[pattern[i]].thread},
                           .line = index_.moments(pattern[i])[moments[i]].line});
    for (const uint32_t i : schedule) {
      const model::TraceEvent& event = index_.events()[i];
      if (out.steps.empty() || out.steps.back().thread != event.thread)
        out.steps.push_back({.thread = event.thread, .from_line = event.line});
      out.steps.back().to_line = event.line;
      if (out.steps.size() > kMaxWitnessSteps) break;
    }
    out.is_complete = index_.keeps_events() && out.steps.size() <= kMaxWitnessSteps &&
                      (!in_recorded_order || !schedule.empty() || out.event_count == 0);
    if (!out.is_complete) out.steps.clear();
    return out;
  }

  const TraceIndex& index_;
  const Candidates& candidates_;
  const model::TraceSize& size_;
  const PredictOptions& options_;
  PrefixClosure must_;
  PrefixClosure closure_;
  uint64_t search_work_;
  uint64_t replay_work_;
  std::unique_ptr<ScheduleSearch> search_;
  std::unique_ptr<Replay> replay_;
  std::map<GroupKey, Group> groups_;
  Prediction out_;
};

}  // namespace

Prediction predict(const TraceIndex& index, const Candidates& candidates,
                   const model::TraceSize& size, const PredictOptions& options) {
  return Prover(index, candidates, size, options).run();
}

}  // namespace gordian::analysis
