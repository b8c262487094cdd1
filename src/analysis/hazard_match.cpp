// SPDX-License-Identifier: Apache-2.0
#include "analysis/hazard_match.h"

#include "analysis/finding_kind.h"

#include <algorithm>
#include <set>
#include <utility>

namespace gordian::analysis {

using model::ChainHold;
using model::Mode;
using model::Publication;
using model::Reason;
using model::ReasonCode;
using model::ResourceId;
using model::ThreadId;
using model::Verdict;

namespace {

constexpr size_t kTriesPerCycle = 100'000;

uint32_t index_of(ResourceId id) { return static_cast<uint32_t>(id); }

Mode mode_held(const Step& step, const Request& request) {
  return step.held_at < 0 ? Mode::Exclusive : request.held[static_cast<size_t>(step.held_at)].mode;
}

Publication publication_held(const Step& step, const Request& request) {
  return step.held_at < 0 ? Publication::Published
                          : request.held[static_cast<size_t>(step.held_at)].publication;
}

bool is_publication(const Step& step, const Request& request, Publication publication) {
  return request.publication == publication || publication_held(step, request) == publication;
}

}  // namespace

std::optional<Match> HazardMatcher::match(const std::vector<uint32_t>& steps) {
  Match match;
  Attempt attempt{steps, 0, {}, nullptr, 0, {}};
  if (std::optional<Reason> reason = refuted_by_locks(steps)) {
    match.reason = *reason;
    for (const uint32_t index : steps) {
      const uint32_t request = step(index).requests[0];
      match.actors.push_back({request, graph_.requests()[request].thread});
    }
    return match;
  }

  attempt.actors.resize(steps.size());
  attempt.happens_before = uses_semaphore_as_lock(steps) ? &without_semaphores_ : &happens_before_;
  for (size_t i = 0; i < steps.size(); ++i) {
    const size_t before = (i + steps.size() - 1) % steps.size();
    if (!request_of(step(steps[before])).joined) attempt.first = i;
  }
  const bool fits = assign(attempt, 0);
  tries_left_ -= std::min(tries_left_, attempt.tries);
  if (fits) {
    match.verdict = Verdict::Possible;
    match.actors = std::move(attempt.actors);
    grade(steps, match);
    return match;
  }
  if (attempt.tries >= kTriesPerCycle || tries_left_ == 0) return {};
  match.reason = attempt.order;
  for (const uint32_t index : steps) {
    const uint32_t request = step(index).requests[0];
    match.actors.push_back({request, graph_.requests()[request].thread});
  }
  if (match.reason.code == ReasonCode::None) {
    match.reason = {ReasonCode::SameThread, {}, static_cast<ThreadId>(match.actors[0].thread), {}};
  }
  return match;
}

// What needs no look at the threads.
std::optional<Reason> HazardMatcher::refuted_by_locks(const std::vector<uint32_t>& steps) const {
  std::set<ResourceId> locks;
  for (const uint32_t index : steps) {
    const Step& one = step(index);
    if (!graph_.is_thread(one.from)) locks.insert(static_cast<ResourceId>(one.from));
  }
  for (const auto& [a, b] : history_.never_report) {
    if (locks.count(a) != 0 && locks.count(b) != 0) {
      return Reason{ReasonCode::Annotated, a, {}, {}};
    }
  }
  for (const uint32_t index : steps) {
    const Request& request = request_of(step(index));
    if (request.gives_up) {
      return Reason{
          ReasonCode::TryOrTimed, request.wanted, static_cast<ThreadId>(request.thread), {}};
    }
    if (is_publication(step(index), request, Publication::Unpublished)) {
      const bool wanted = request.publication == Publication::Unpublished;
      return Reason{ReasonCode::Unpublished,
                    wanted ? request.wanted : static_cast<ResourceId>(step(index).from),
                    static_cast<ThreadId>(request.thread),
                    {}};
    }
  }
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& one = step(steps[i]);
    const Step& next = step(steps[(i + 1) % steps.size()]);
    if (graph_.is_thread(one.to) || graph_.resource(one.to).prefers_writers) continue;
    if (request_of(one).mode == Mode::Shared && mode_held(next, request_of(next)) == Mode::Shared) {
      return Reason{ReasonCode::ReadersOnly, static_cast<ResourceId>(one.to), {}, {}};
    }
  }
  for (size_t i = 0; i < steps.size(); ++i) {
    for (size_t j = i + 1; j < steps.size(); ++j) {
      if (std::optional<Reason> reason = gate(step(steps[i]), step(steps[j]))) return reason;
    }
  }
  return {};
}

// A semaphore lets several in, so it is no gate.
std::optional<Reason> HazardMatcher::gate(const Step& a, const Step& b) const {
  for (const ChainHold& one : request_of(a).held) {
    if (is_signalled(graph_.resource(index_of(one.lock)))) continue;
    for (const ChainHold& other : request_of(b).held) {
      if (one.lock != other.lock) continue;
      if (one.mode == Mode::Shared && other.mode == Mode::Shared) continue;
      return Reason{ReasonCode::GateLock, one.lock, {}, {}};
    }
  }
  return {};
}

// Who would make the request at this place: after a join, the joined thread, by its own request or,
// if it made none here, as one of its siblings did.
std::optional<Actor> HazardMatcher::actor_for(const Attempt& attempt, size_t done,
                                              uint32_t request) const {
  const size_t count = attempt.steps.size();
  const size_t at = (attempt.first + done) % count;
  const uint32_t thread = graph_.requests()[request].thread;
  if (done == 0) return Actor{request, thread};
  const std::optional<uint32_t> joined =
      request_of(attempt.actors[(at + count - 1) % count]).joined;
  if (!joined || *joined == thread) return Actor{request, thread};
  // The joiner may be a sibling of the thread it joins: no example of what that one does.
  if (attempt.actors[(at + count - 1) % count].thread == thread) return {};
  for (const uint32_t own : step(attempt.steps[at]).requests) {
    if (graph_.requests()[own].thread == *joined) return {};
  }
  return Actor{request, *joined};
}

bool HazardMatcher::fits(Attempt& attempt, size_t done, const Actor& actor) {
  const size_t count = attempt.steps.size();
  for (size_t i = 0; i < done; ++i) {
    const Actor& other = attempt.actors[(attempt.first + i) % count];
    if (other.thread == actor.thread) return false;
    const ReasonCode order = order_between(*attempt.happens_before, actor, other);
    if (order == ReasonCode::None) continue;
    if (attempt.order.code == ReasonCode::None) {
      attempt.order = {order, {}, static_cast<ThreadId>(actor.thread), {}};
    }
    return false;
  }
  if (done + 1 < count) return true;
  // The circle closes: a join at its end must be one of the thread at its beginning.
  const std::optional<uint32_t> joined = request_of(actor).joined;
  return !joined || attempt.actors[attempt.first].thread == *joined;
}

bool HazardMatcher::assign(Attempt& attempt, size_t done) {
  const size_t count = attempt.steps.size();
  if (done == count) return true;
  const size_t at = (attempt.first + done) % count;
  for (const uint32_t request : step(attempt.steps[at]).requests) {
    if (++attempt.tries >= kTriesPerCycle || attempt.tries >= tries_left_) return false;
    const std::optional<Actor> actor = actor_for(attempt, done, request);
    if (!actor || !fits(attempt, done, *actor)) continue;
    attempt.actors[at] = *actor;
    if (assign(attempt, done + 1)) return true;
  }
  return false;
}

// A request that stands for what a sibling might do has no place in the order of this run.
ReasonCode HazardMatcher::order_between(HappensBefore& happens_before, const Actor& a,
                                        const Actor& b) const {
  const Request& one = request_of(a);
  const Request& other = request_of(b);
  if (!one.segment || !other.segment || one.thread != a.thread || other.thread != b.thread) {
    return ReasonCode::None;
  }
  const ReasonCode order = happens_before.order(static_cast<ThreadId>(a.thread), *one.segment,
                                                static_cast<ThreadId>(b.thread), *other.segment);
  if (order != ReasonCode::None) return order;
  return happens_before.order(static_cast<ThreadId>(b.thread), *other.segment,
                              static_cast<ThreadId>(a.thread), *one.segment);
}

bool HazardMatcher::uses_semaphore_as_lock(const std::vector<uint32_t>& steps) const {
  return std::any_of(steps.begin(), steps.end(), [this](uint32_t index) {
    const Step& one = step(index);
    return one.held_at >= 0 && is_signalled(graph_.resource(one.from));
  });
}

// Somebody who was seen to give the signal the cycle waits for without any lock of the cycle.
std::optional<Reason> HazardMatcher::other_signaller(const std::vector<uint32_t>& steps,
                                                     const std::vector<Actor>& actors) const {
  std::set<ResourceId> taken;
  for (const Actor& actor : actors) {
    const Request& request = request_of(actor);
    if (request.chain == nullptr) continue;
    for (const ChainHold& hold : request.held) taken.insert(hold.lock);
  }
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& one = step(steps[i]);
    if (graph_.is_thread(one.to) || !is_signalled(graph_.resource(one.to))) continue;
    const HazardGraph::Signals& signals = graph_.signals_of(one.to);
    const size_t next = (i + 1) % steps.size();
    if (step(steps[next]).held_at >= 0) {
      // A semaphore used as a lock is posted by the thread that took it; else others end the wait.
      const bool is_lock =
          std::any_of(signals.begin(), signals.end(), [&](const model::Signal* signal) {
            return static_cast<uint32_t>(signal->thread) == request_of(actors[next]).thread;
          });
      if (is_lock || signals.empty()) continue;
    }
    for (const model::Signal* signal : signals) {
      if (static_cast<uint32_t>(signal->thread) == actors[i].thread) continue;
      const bool blocked =
          std::any_of(signal->held.begin(), signal->held.end(),
                      [&](const ChainHold& hold) { return taken.count(hold.lock) != 0; });
      if (!blocked) {
        return Reason{
            ReasonCode::WakerMayExist, static_cast<ResourceId>(one.to), signal->thread, {}};
      }
    }
  }
  return {};
}

void HazardMatcher::grade(const std::vector<uint32_t>& steps, Match& match) const {
  match.reason = {ReasonCode::MemoryNotRecorded, {}, {}, {}};
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& one = step(steps[i]);
    const Step& next = step(steps[(i + 1) % steps.size()]);
    if (!graph_.is_thread(one.to) && request_of(one).mode == Mode::Shared &&
        mode_held(next, request_of(next)) == Mode::Shared) {
      match.reason = {ReasonCode::ThirdWriterNeeded, static_cast<ResourceId>(one.to), {}, {}};
    }
  }
  for (const Actor& actor : match.actors) {
    const uint32_t thread = request_of(actor).thread;
    if (thread != actor.thread) {
      match.reason = {ReasonCode::SiblingThread, {}, static_cast<ThreadId>(thread), {}};
    }
  }
  for (const uint32_t index : steps) {
    const Request& request = request_of(step(index));
    if (!is_publication(step(index), request, Publication::CreationUnseen)) continue;
    const bool wanted = request.publication == Publication::CreationUnseen;
    match.reason = {ReasonCode::CreationUnseen,
                    wanted ? request.wanted : static_cast<ResourceId>(step(index).from),
                    static_cast<ThreadId>(request.thread),
                    {}};
    match.weak = true;
  }
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& one = step(steps[i]);
    const bool by_signaller = !graph_.is_thread(one.from) && one.held_at < 0 &&
                              is_signalled(graph_.resource(one.from)) &&
                              graph_.resource(one.from).kind != model::ResourceKind::Barrier;
    if (by_signaller && !request_of(match.actors[i]).for_signal) match.weak = true;
  }
  if (std::optional<Reason> reason = other_signaller(steps, match.actors)) {
    match.reason = *reason;
    match.weak = true;
  }
}

}  // namespace gordian::analysis
