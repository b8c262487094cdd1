// SPDX-License-Identifier: Apache-2.0
#include "watch/confirm.h"

#include "watch/input_position.h"
#include "watch/role_watch.h"
#include "watch/scheduler.h"

#include <array>
#include <map>
#include <utility>
#include <vector>

namespace gordian::watch {
namespace {

using std::chrono::milliseconds;

// Keeps the first deadlock.
class Witness final : public Audience {
 public:
  void on_headline(const model::Finding& /*finding*/) override {}
  bool on_finding(const model::Finding& finding) override {
    if (finding.verdict != model::Verdict::Deadlock) return false;
    if (!deadlock) {
      deadlock = finding;
      deadlock->verdict = model::Verdict::Confirmed;
    }
    return true;
  }
  void on_notice(const std::string& /*notice*/) override {}

  std::optional<model::Finding> deadlock;
};

constexpr uint32_t kDepth = 3;  // of the priorities' changes

// What the seeds of confirming take turns in.
enum class Way : uint8_t { HoldAll, HoldOneOfEach, Scheduled };
Way way_of(uint64_t seed) { return static_cast<Way>(seed % 3); }
// The how-manieth scheduled run: these take turns too.
uint64_t scheduled_seed(uint64_t seed) { return seed / 3; }

// Seeds that follow one another take turns.
constexpr std::array<Draw, 3> kDraws{Draw::Targeted, Draw::Pct, Draw::Pos};
Draw draw_of(uint64_t seed) { return kDraws[seed % kDraws.size()]; }

// A run by priorities, and what of the plan came about in it.
class ScheduledRun final : public Strategy {
 public:
  ScheduledRun(const SteerPlan& plan, const Scheduler::Options& options)
      : scheduler_(options), roles_(plan) {}

  [[nodiscard]] bool stops_everywhere() const override { return scheduler_.stops_everywhere(); }
  [[nodiscard]] std::vector<CodePlace> places() const override { return roles_.places(); }
  void on_addresses(const std::vector<uint64_t>& sites) override { roles_.set_addresses(sites); }

  Decision decide(std::span<const SteeredThread> threads, SteerClock::time_point now) override {
    std::vector<std::vector<size_t>> stage;
    for (const SteeredThread& thread : threads) {
      if (thread.where != Whereabouts::AtGate || thread.phase != format::GatePhase::Request)
        continue;
      Stop& stop = stops_[thread.uid];
      if (stop.arrival != thread.arrival) stop = {thread.arrival, roles_.arrive(thread)};
      if (!stop.roles.empty()) stage.push_back(stop.roles);
    }
    roles_.stand(stage);
    return scheduler_.decide(threads, now);
  }

  [[nodiscard]] SteerAccount account() const override {
    SteerAccount account = scheduler_.account();
    account.diverged = roles_.divergence();
    return account;
  }

 private:
  struct Stop {
    uint32_t arrival = 0;
    std::vector<size_t> roles = {};
  };

  Scheduler scheduler_;
  RoleWatch roles_;
  std::map<uint32_t, Stop> stops_;  // by uid: the last
};

Scheduler::Options scheduled(uint64_t seed, uint32_t depth) {
  return {.seed = seed, .draw = draw_of(seed), .depth = depth};
}

std::string draw_words(Draw draw) {
  switch (draw) {
    case Draw::Pct:
      return "random priorities of threads";
    case Draw::Pos:
      return "random priorities of requests";
    case Draw::Targeted:
      return "threads that hold a lock come last";
  }
  return {};
}

}  // namespace

std::function<std::unique_ptr<Strategy>()> exploring(uint64_t seed, uint32_t depth) {
  return [seed, depth]() -> std::unique_ptr<Strategy> {
    return std::make_unique<Scheduler>(scheduled(seed, depth));
  };
}

std::string way_of_exploring(uint64_t seed) { return draw_words(draw_of(seed)); }

std::function<std::unique_ptr<Strategy>()> confirming(const SteerPlan& plan, uint64_t seed,
                                                      milliseconds patience) {
  if (way_of(seed) == Way::Scheduled) {
    return [plan, seed]() -> std::unique_ptr<Strategy> {
      return std::make_unique<ScheduledRun>(plan, scheduled(scheduled_seed(seed), kDepth));
    };
  }
  return [plan, seed, patience]() -> std::unique_ptr<Strategy> {
    // The first of each way lets nobody by.
    return std::make_unique<Director>(
        plan, Director::Options{.seed = seed / 3,
                                .one_of_each = way_of(seed) == Way::HoldOneOfEach,
                                .patience = patience});
  };
}

std::string way_of_confirming(uint64_t seed) {
  std::string way;
  switch (way_of(seed)) {
    case Way::Scheduled:
      return way_of_exploring(scheduled_seed(seed));
    case Way::HoldAll:
      way = "every thread of it held before its last request";
      break;
    case Way::HoldOneOfEach:
      way = "one thread for each part of it held before its last request";
      break;
  }
  return seed / 3 == 0 ? way : way + ", some let by";
}

Result<SteeredRun> run_steered(RunOptions options, uint64_t seed) {
  options.on_deadlock = OnDeadlock::Kill;
  options.hazards = false;
  options.silent = true;
  Witness witness;
  SteeredRun result{.seed = seed};
  const InputPosition input;
  GORDIAN_TRY(result.outcome =, run(options, witness));
  input.restore();
  result.deadlock = std::move(witness.deadlock);
  result.over_limit = result.outcome.over_limit;
  result.was_steered = result.outcome.steered.has_value();
  if (result.was_steered) result.account = *result.outcome.steered;
  return result;
}

}  // namespace gordian::watch
