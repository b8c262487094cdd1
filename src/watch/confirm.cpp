// SPDX-License-Identifier: Apache-2.0
#include "watch/confirm.h"

#include "watch/scheduler.h"

#include <array>
#include <utility>

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

// Seeds that follow one another take turns.
constexpr std::array<Draw, 3> kDraws{Draw::Targeted, Draw::Pct, Draw::Pos};
Draw draw_of(uint64_t seed) { return kDraws[seed % kDraws.size()]; }

bool is_directed(uint64_t seed) { return seed % 3 == 0; }

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
    return std::make_unique<Scheduler>(
        Scheduler::Options{.seed = seed, .draw = draw_of(seed), .depth = depth});
  };
}

std::string way_of_exploring(uint64_t seed) { return draw_words(draw_of(seed)); }

std::function<std::unique_ptr<Strategy>()> confirming(const SteerPlan& plan, uint64_t seed,
                                                      milliseconds patience) {
  if (!is_directed(seed)) return exploring(seed - 1, 3);
  return [plan, seed, patience]() -> std::unique_ptr<Strategy> {
    return std::make_unique<Director>(plan, Director::Options{.seed = seed, .patience = patience});
  };
}

std::string way_of_confirming(uint64_t seed) {
  if (!is_directed(seed)) return way_of_exploring(seed - 1);
  return seed == 0 ? "every thread of it held before its last request"
                   : "threads of it held before their last request, some let by";
}

Result<SteeredRun> run_steered(RunOptions options, uint64_t seed) {
  options.on_deadlock = OnDeadlock::Kill;
  options.hazards = false;
  options.silent = true;
  Witness witness;
  SteeredRun result{.seed = seed};
  GORDIAN_TRY(result.outcome =, run(options, witness));
  result.deadlock = std::move(witness.deadlock);
  result.over_limit = result.outcome.over_limit;
  result.was_steered = result.outcome.steered.has_value();
  if (result.was_steered) result.account = *result.outcome.steered;
  return result;
}

}  // namespace gordian::watch
