// SPDX-License-Identifier: Apache-2.0
// Random small traces: the analysis against trying every order. tools/compare-predictions runs
// more.
#include "analysis/test_trace.h"
#include "analysis/test_trace_oracle.h"

#include <cstdlib>
#include <functional>
#include <gtest/gtest.h>
#include <iostream>
#include <map>
#include <random>
#include <sstream>
#include <unordered_set>

namespace gordian::analysis {

using model::Mode;
using model::TraceEvent;
using model::TraceOp;

// --- the oracle

std::string held_part(uint32_t lock, bool shared, uint32_t site) {
  return std::to_string(lock) + (shared ? "s" : "x") + "@" + std::to_string(site);
}

std::string thread_part(bool is_join, uint32_t wanted, bool shared, uint32_t site,
                        const std::vector<std::string>& held) {
  std::string text = (is_join  ? "j"
                      : shared ? "s"
                               : "x") +
                     std::to_string(wanted) + "@" + std::to_string(site) + "[";
  for (const std::string& part : held) text += part + " ";
  return text + "]";
}

std::string deadlock_name(std::vector<std::string> parts) {
  std::rotate(parts.begin(), std::min_element(parts.begin(), parts.end()), parts.end());
  // Equal smallest parts: the smallest of all rotations.
  std::string best;
  for (size_t turn = 0; turn < parts.size(); ++turn) {
    std::string name;
    for (const std::string& part : parts) name += part + " ";
    if (best.empty() || name < best) best = name;
    std::rotate(parts.begin(), parts.begin() + 1, parts.end());
  }
  return best;
}

namespace {

class NaivePredictor {
 public:
  NaivePredictor(const std::vector<TraceEvent>& events, size_t max_states, bool keep_sections)
      : max_states_(max_states), keep_sections_(keep_sections) {
    for (const TraceEvent& event : events) {
      const auto id = static_cast<uint32_t>(event.thread);
      threads_.resize(std::max<size_t>(threads_.size(), id + 1));
      if (event.op == TraceOp::Fork || event.op == TraceOp::Join)
        threads_.resize(std::max<size_t>(threads_.size(), event.object + 1));
    }
    std::map<uint32_t, std::pair<uint32_t, uint32_t>> written;  // variable -> thread, position
    for (const TraceEvent& event : events) {
      const auto id = static_cast<uint32_t>(event.thread);
      TraceStep step{.event = event};
      if (event.op == TraceOp::Read && written.contains(event.object))
        step.sees = value(written[event.object].first, written[event.object].second);
      if (event.op == TraceOp::Write)
        written[event.object] = {id, static_cast<uint32_t>(threads_[id].size())};
      if (event.op == TraceOp::Join) step.needs = threads_[event.object].size();
      threads_[id].push_back(step);
    }
    for (auto& steps : threads_)
      for (size_t i = 0; i < steps.size(); ++i)
        if (steps[i].event.op == TraceOp::Fork) forked_by_[steps[i].event.object] = {&steps, i};
  }

  OracleAnswer run() {
    State start;
    start.at.resize(threads_.size());
    start.woken.resize(threads_.size());
    visit(start);
    return answer_;
  }

 private:
  struct TraceStep {
    TraceEvent event;
    uint32_t sees = 0;  // the write a read saw; 0: the initial value
    size_t needs = 0;
  };
  struct State {
    std::vector<uint8_t> at;
    std::vector<uint8_t> woken;
    std::map<uint32_t, uint32_t> memory;

    [[nodiscard]] std::string key() const {
      std::string text(at.begin(), at.end());
      text.append(woken.begin(), woken.end());
      for (const auto& [variable, value] : memory)
        text += std::to_string(variable) + "=" + std::to_string(value) + ";";
      return text;
    }
  };
  struct Held {
    uint32_t lock;
    bool shared;
    uint32_t site;
  };

  static bool begins_section(const TraceEvent& event) {
    return event.op == TraceOp::Acquire || event.op == TraceOp::Exchange;
  }

  static uint32_t value(uint32_t thread, uint32_t position) { return thread * 1000 + position + 1; }

  [[nodiscard]] std::vector<Held> held(const State& state, uint32_t id) const {
    std::vector<Held> out;
    for (size_t i = 0; i < state.at[id]; ++i) {
      const TraceEvent& event = threads_[id][i].event;
      if (event.op == TraceOp::Release || event.op == TraceOp::Exchange)
        std::erase_if(out, [&](const Held& hold) { return hold.lock == event.object; });
      if (begins_section(event))
        out.push_back({event.object, event.mode == Mode::Shared, event.site});
    }
    return out;
  }

  [[nodiscard]] bool is_waiting(const State& state, uint32_t id) const {
    for (size_t i = state.at[id]; i > 0; --i) {
      const TraceOp op = threads_[id][i - 1].event.op;
      if (op == TraceOp::Wait) return true;
      if (op != TraceOp::Request) return false;
    }
    return false;
  }

  [[nodiscard]] bool is_created(const State& state, uint32_t id) const {
    const auto fork = forked_by_.find(id);
    if (fork == forked_by_.end()) return true;
    const auto [steps, position] = fork->second;
    return state.at[static_cast<size_t>(steps - threads_.data())] > position;
  }

  // Could take its next step but for the locks, joins and values.
  [[nodiscard]] bool is_there(const State& state, uint32_t id) const {
    if (!is_created(state, id)) return false;
    const bool at_end = state.at[id] >= threads_[id].size();
    const bool asks = !at_end && threads_[id][state.at[id]].event.op == TraceOp::Request;
    return asks || !is_waiting(state, id) || state.woken[id] != 0;
  }

  // Who keeps `id` from taking this lock or joining.
  [[nodiscard]] std::vector<uint32_t> blockers(const State& state, uint32_t id,
                                               const TraceEvent& event, size_t needs) const {
    std::vector<uint32_t> out;
    for (uint32_t other = 0; other < threads_.size(); ++other) {
      if (other == id) continue;
      if (event.op == TraceOp::Join) {
        const bool is_over = state.at[other] >= needs && is_created(state, other);
        if (other == event.object && !is_over) out.push_back(other);
        continue;
      }
      for (const Held& hold : held(state, other))
        if (hold.lock == event.object && !(hold.shared && event.mode == Mode::Shared))
          out.push_back(other);
    }
    return out;
  }

  [[nodiscard]] std::vector<uint32_t> waits_for(const State& state, uint32_t id,
                                                const TraceStep*& step) const {
    if (!is_there(state, id) || threads_[id].empty()) return {};
    const bool at_end = state.at[id] == threads_[id].size();
    step = at_end ? &threads_[id].back() : &threads_[id][state.at[id]];
    const TraceOp op = step->event.op;
    const bool asks = at_end
                          ? op == TraceOp::Request
                          : (op == TraceOp::Acquire || op == TraceOp::Join) && !step->event.by_try;
    if (!asks) return {};
    return blockers(state, id, step->event, step->needs);
  }

  void find_circles(const State& state) {
    std::vector<std::vector<uint32_t>> edges(threads_.size());
    std::vector<const TraceStep*> steps(threads_.size());
    for (uint32_t id = 0; id < threads_.size(); ++id) edges[id] = waits_for(state, id, steps[id]);
    std::vector<uint32_t> path;
    const std::function<void(uint32_t)> go = [&](uint32_t id) {
      path.push_back(id);
      for (const uint32_t next : edges[id]) {
        if (next == path.front()) name_circle(state, path, steps, edges);
        if (next > path.front() && std::count(path.begin(), path.end(), next) == 0) go(next);
      }
      path.pop_back();
    };
    for (uint32_t id = 0; id < threads_.size(); ++id) go(id);
  }

  void name_circle(const State& state, const std::vector<uint32_t>& path,
                   const std::vector<const TraceStep*>& steps,
                   const std::vector<std::vector<uint32_t>>& edges) {
    std::vector<std::string> parts;
    std::set<uint32_t> wanted;
    for (const uint32_t id : path) {
      std::vector<std::string> holds;
      for (const Held& hold : held(state, id))
        holds.push_back(held_part(hold.lock, hold.shared, hold.site));
      const TraceEvent& event = steps[id]->event;
      const bool is_join = event.op == TraceOp::Join;
      if (!wanted.insert(event.object + (is_join ? 1000 : 0)).second)
        return;  // a shorter one exists
      parts.push_back(
          thread_part(is_join, event.object, event.mode == Mode::Shared, event.site, holds));
    }
    answer_.deadlocks.insert(deadlock_name(parts));
    const bool is_minimal = std::all_of(path.begin(), path.end(), [&](uint32_t id) {
      return std::count_if(edges[id].begin(), edges[id].end(), [&](uint32_t other) {
               return std::count(path.begin(), path.end(), other) > 0;
             }) == 1;
    });
    if (is_minimal) answer_.minimal.insert(deadlock_name(parts));
  }

  void visit(const State& first) {
    std::unordered_set<std::string> seen;
    std::vector<State> stack = {first};
    seen.insert(first.key());
    const auto push = [&](const State& next) {
      if (seen.insert(next.key()).second) stack.push_back(next);
    };
    while (!stack.empty()) {
      if (seen.size() > max_states_) {
        answer_.gave_up = true;
        return;
      }
      const State state = stack.back();
      stack.pop_back();
      find_circles(state);
      for (uint32_t id = 0; id < threads_.size(); ++id) {
        if (state.at[id] >= threads_[id].size() || !is_there(state, id)) continue;
        const TraceStep& step = threads_[id][state.at[id]];
        const TraceEvent& event = step.event;
        State next = state;
        ++next.at[id];
        switch (event.op) {
          case TraceOp::Acquire:
          case TraceOp::Exchange:
          case TraceOp::Join:
            if (keep_sections_ && begins_section(event) && would_swap(state, event)) continue;
            if (!blockers(state, id, event, step.needs).empty()) continue;
            break;
          case TraceOp::Read: {
            const auto it = state.memory.find(event.object);
            if ((it == state.memory.end() ? 0 : it->second) != step.sees) continue;
            break;
          }
          case TraceOp::Write:
            next.memory[event.object] = value(id, state.at[id]);
            break;
          case TraceOp::Notify:
          case TraceOp::NotifyAll: {
            bool anybody = false;
            for (uint32_t other = 0; other < threads_.size(); ++other) {
              if (!is_waiting(state, other) || state.woken[other] != 0) continue;
              size_t i = state.at[other];
              while (threads_[other][i - 1].event.op != TraceOp::Wait) --i;
              if (threads_[other][i - 1].event.object != event.object) continue;
              anybody = true;
              if (event.op == TraceOp::NotifyAll) {
                next.woken[other] = 1;
              } else {
                State one = next;
                one.woken[other] = 1;
                push(one);
              }
            }
            if (anybody && event.op == TraceOp::Notify) continue;
            break;
          }
          default:
            break;
        }
        if (event.op != TraceOp::Request) next.woken[id] = 0;
        push(next);
      }
    }
  }

  // A later section of the same lock has been entered already.
  [[nodiscard]] bool would_swap(const State& state, const TraceEvent& event) const {
    for (uint32_t other = 0; other < threads_.size(); ++other)
      for (size_t i = 0; i < state.at[other]; ++i) {
        const TraceEvent& done = threads_[other][i].event;
        const bool excludes = done.mode == Mode::Exclusive || event.mode == Mode::Exclusive;
        if (begins_section(done) && done.object == event.object && excludes &&
            done.line > event.line)
          return true;
      }
    return false;
  }

  size_t max_states_;
  bool keep_sections_;
  std::vector<std::vector<TraceStep>> threads_;
  std::map<uint32_t, std::pair<const std::vector<TraceStep>*, size_t>> forked_by_;
  OracleAnswer answer_;
};

}  // namespace

OracleAnswer every_deadlock(const std::vector<TraceEvent>& events, size_t max_states,
                            bool keep_sections) {
  return NaivePredictor(events, max_states, keep_sections).run();
}

namespace {

// --- random traces

using Random = std::mt19937_64;

struct Shape {
  uint32_t threads = 3;
  uint32_t locks = 3;
  uint32_t variables = 2;
  uint32_t events = 20;
  int memory = 20;    // per cent of the steps
  int rwlocks = 0;    // of the acquisitions
  int exchanges = 0;  // of the steps with a lock held
  int tries = 3;
  int conditions = 0;  // of the releases
  int forks = 50;      // of the traces
  uint32_t sites = 3;
};

Shape random_shape(Random& random) {
  Shape shape;
  shape.threads = 2 + random() % 3;
  shape.locks = 2 + random() % 3;
  shape.variables = 1 + random() % 3;
  shape.events = 10 + random() % 14;
  shape.memory = random() % 3 == 0 ? 0 : static_cast<int>(random() % 35);
  shape.rwlocks = random() % 3 == 0 ? 40 : 0;
  shape.exchanges = shape.rwlocks > 0 && random() % 2 == 0 ? 20 : 0;
  shape.conditions = random() % 4 == 0 ? 40 : 0;
  shape.sites = 1 + random() % 4;
  return shape;
}

// Runs threads that choose their next step as they go, on locks that behave.
class Generator {
 public:
  Generator(Random& random, const Shape& shape) : random_(random), shape_(shape) {}

  TestTrace run() {
    threads_.resize(shape_.threads);
    const bool forks = chance(shape_.forks);
    for (uint32_t id = 1; id < shape_.threads; ++id) threads_[id].started = !forks;
    threads_[0].started = true;
    for (int idle = 0; trace_.events().size() < shape_.events && idle < 200; ++idle) {
      const auto id = static_cast<uint32_t>(random_() % shape_.threads);
      const size_t before = trace_.events().size();
      if (threads_[id].started && !threads_[id].ended) step(id);
      if (trace_.events().size() != before) idle = 0;
    }
    for (uint32_t id = 0; id < shape_.threads; ++id)
      if (threads_[id].wants && chance(50) && !threads_[id].asked)
        emit(id, TraceOp::Request, *threads_[id].wants, threads_[id].mode);
    return trace_;
  }

 private:
  struct Thread {
    bool started = false;
    bool ended = false;
    std::optional<uint32_t> wants;
    Mode mode = Mode::Exclusive;
    bool asked = false;
    std::optional<uint32_t> waits;  // on a condition, not yet notified
    std::vector<std::pair<uint32_t, Mode>> held;
  };

  bool chance(int percent) { return static_cast<int>(random_() % 100) < percent; }
  void emit(uint32_t id, TraceOp op, uint32_t object, Mode mode = Mode::Exclusive,
            bool by_try = false) {
    trace_.add(id, op, object, 1 + static_cast<uint32_t>(random_() % shape_.sites), mode, by_try);
  }

  [[nodiscard]] bool is_free(uint32_t lock, Mode mode, uint32_t except) const {
    for (uint32_t id = 0; id < threads_.size(); ++id)
      for (const auto& [held, held_mode] : threads_[id].held)
        if (held == lock && id != except && !(mode == Mode::Shared && held_mode == Mode::Shared))
          return false;
    return true;
  }

  void take(uint32_t id, bool by_try) {
    Thread& thread = threads_[id];
    emit(id, TraceOp::Acquire, *thread.wants, thread.mode, by_try);
    thread.held.emplace_back(*thread.wants, thread.mode);
    thread.wants.reset();
    thread.asked = false;
  }

  void want(uint32_t id) {
    Thread& thread = threads_[id];
    const auto lock = static_cast<uint32_t>(random_() % shape_.locks);
    for (const auto& [held, mode] : thread.held)
      if (held == lock) return;
    thread.wants = lock;
    thread.mode = chance(shape_.rwlocks) ? Mode::Shared : Mode::Exclusive;
    if (thread.mode == Mode::Exclusive && chance(shape_.tries)) {
      if (is_free(lock, thread.mode, id)) take(id, true);
      thread.wants.reset();
    } else if (chance(20)) {
      emit(id, TraceOp::Request, lock, thread.mode);
      thread.asked = true;
    }
  }

  void release(uint32_t id) {
    Thread& thread = threads_[id];
    const size_t which = chance(85) ? thread.held.size() - 1 : random_() % thread.held.size();
    const auto [lock, mode] = thread.held[which];
    if (mode == Mode::Exclusive && chance(shape_.conditions)) {
      if (chance(50)) {
        thread.held.erase(thread.held.begin() + static_cast<ptrdiff_t>(which));
        emit(id, TraceOp::Release, lock);
        emit(id, TraceOp::Wait, lock);
        thread.waits = lock;
        return;
      }
      notify(id, lock);
    }
    thread.held.erase(thread.held.begin() + static_cast<ptrdiff_t>(which));
    emit(id, TraceOp::Release, lock, mode);
  }

  void exchange(uint32_t id) {
    auto& [lock, mode] = threads_[id].held.back();
    const Mode other = mode == Mode::Shared ? Mode::Exclusive : Mode::Shared;
    if (!is_free(lock, other, id)) return;
    emit(id, TraceOp::Exchange, lock, other, true);
    mode = other;
  }

  void notify(uint32_t id, uint32_t lock) {
    const bool all = chance(30);
    emit(id, all ? TraceOp::NotifyAll : TraceOp::Notify, lock);
    for (Thread& other : threads_) {
      if (other.waits != lock) continue;
      other.waits.reset();
      other.wants = lock;
      other.mode = Mode::Exclusive;
      if (!all) break;
    }
  }

  void step(uint32_t id) {
    Thread& thread = threads_[id];
    if (thread.waits) {
      if (!thread.asked && chance(10)) {
        emit(id, TraceOp::Request, *thread.waits);
        thread.asked = true;
      }
      return;
    }
    if (thread.wants) {
      if (is_free(*thread.wants, thread.mode, id)) take(id, false);
      return;
    }
    if (chance(shape_.memory)) {
      emit(id, chance(60) ? TraceOp::Read : TraceOp::Write,
           static_cast<uint32_t>(random_() % shape_.variables));
      return;
    }
    if (chance(15)) {
      const auto other = static_cast<uint32_t>(random_() % shape_.threads);
      if (other != id && !threads_[other].started) {
        threads_[other].started = true;
        emit(id, TraceOp::Fork, other);
        return;
      }
      if (other > id && threads_[other].ended) {
        emit(id, TraceOp::Join, other, Mode::Exclusive, chance(20));
        return;
      }
    }
    if (thread.held.empty() && chance(12)) {
      thread.ended = true;
      return;
    }
    if (!thread.held.empty() && chance(shape_.exchanges)) {
      exchange(id);
    } else if (!thread.held.empty() && chance(45)) {
      release(id);
    } else {
      want(id);
    }
  }

  Random& random_;
  const Shape& shape_;
  std::vector<Thread> threads_;
  TestTrace trace_;
};

// --- the comparison

std::set<std::string> proved_names(const Prediction& prediction) {
  std::set<std::string> names;
  for (const model::Finding& finding : prediction.findings) {
    if (finding.verdict != model::Verdict::Proved) continue;
    std::vector<std::string> parts;
    for (const model::FindingThread& thread : finding.threads) {
      std::vector<std::string> held;
      for (const model::FindingHold& hold : thread.holds)
        held.push_back(held_part(static_cast<uint32_t>(hold.resource), hold.mode == Mode::Shared,
                                 static_cast<uint32_t>(hold.site)));
      bool is_join = false;
      auto wanted = static_cast<uint32_t>(thread.wants->resource);
      for (const model::Resource& resource : finding.resources) {
        if (resource.id != thread.wants->resource || !resource.joined_known) continue;
        is_join = true;
        wanted = static_cast<uint32_t>(resource.joined);
      }
      parts.push_back(thread_part(is_join, wanted, thread.wants->mode == Mode::Shared,
                                  static_cast<uint32_t>(thread.wants->site), held));
    }
    names.insert(deadlock_name(parts));
  }
  return names;
}

std::string listing(const TestTrace& trace) {
  constexpr const char* kNames[] = {"req",  "acq",  "rel",  "exchange", "r",        "w",
                                    "fork", "join", "wait", "notify",   "notifyAll"};
  std::ostringstream out;
  for (const TraceEvent& event : trace.events()) {
    const bool shared = event.mode == Mode::Shared;
    out << "T" << static_cast<uint32_t>(event.thread) << "|" << (shared ? "r" : "")
        << (event.by_try ? "t" : "") << kNames[static_cast<size_t>(event.op)] << "(" << event.object
        << ")|" << event.site << "\n";
  }
  return out.str();
}

uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(PredictRandom, AgreesWithTryingEveryOrder) {
  const uint64_t count = number_from("GORDIAN_PREDICT_TRACES", 5000);
  const uint64_t first_seed = number_from("GORDIAN_PREDICT_SEED", 1);
  uint64_t predictable = 0;
  uint64_t preserving = 0;
  uint64_t found = 0;
  uint64_t false_claims = 0;
  uint64_t gave_up = 0;
  uint64_t inexact = 0;
  uint64_t with_deadlock = 0;
  for (uint64_t seed = first_seed; seed < first_seed + count; ++seed) {
    Random random(seed);
    const Shape shape = random_shape(random);
    const TestTrace trace = Generator(random, shape).run();
    const OracleAnswer truth = every_deadlock(trace.events(), 40'000);
    if (truth.gave_up) {
      ++gave_up;
      continue;
    }
    const std::set<std::string> with_swaps = proved_names(trace.predict());
    const std::set<std::string> without =
        proved_names(trace.predict({.complete_memory = true, .swaps = false}));
    for (const auto* names : {&with_swaps, &without}) {
      for (const std::string& name : *names) {
        if (truth.deadlocks.contains(name)) continue;
        ++false_claims;
        ADD_FAILURE() << "seed " << seed << ": proved, but no order does it: " << name << "\n"
                      << listing(trace);
      }
    }
    // In recorded order the answer is exact. (With conditions the analysis settles on one
    // notification for each wake-up; another might do too.)
    const bool has_waits =
        std::any_of(trace.events().begin(), trace.events().end(),
                    [](const TraceEvent& event) { return event.op == TraceOp::Wait; });
    if (!has_waits) {
      const OracleAnswer exact = every_deadlock(trace.events(), 40'000, true);
      const bool has_all =
          std::includes(without.begin(), without.end(), exact.minimal.begin(), exact.minimal.end());
      const bool has_only = std::includes(exact.deadlocks.begin(), exact.deadlocks.end(),
                                          without.begin(), without.end());
      EXPECT_TRUE(has_all && has_only) << "seed " << seed << "\n" << listing(trace);
      inexact += has_all && has_only ? 0 : 1;
    }
    with_deadlock += truth.deadlocks.empty() ? 0 : 1;
    predictable += truth.minimal.size();
    for (const std::string& name : truth.minimal) {
      preserving += without.contains(name) ? 1 : 0;
      found += with_swaps.contains(name) ? 1 : 0;
      if (!with_swaps.contains(name) && std::getenv("GORDIAN_PREDICT_MISSED") != nullptr)
        std::cout << "seed " << seed << " missed " << name << "\n" << listing(trace);
    }
    if (false_claims + inexact > 10) break;
  }
  std::cout << count << " traces from seed " << first_seed << ": " << with_deadlock
            << " with deadlocks, " << predictable << " predictable, " << preserving
            << " proved in recorded order, " << found << " with swaps, " << false_claims
            << " false, " << gave_up << " too large\n";
  EXPECT_EQ(false_claims, 0U);
  EXPECT_GT(predictable, count / 20);
  EXPECT_GE(found * 100, predictable * 99) << "with swaps";
}

}  // namespace
}  // namespace gordian::analysis
