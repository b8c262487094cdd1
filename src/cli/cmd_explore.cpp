// SPDX-License-Identifier: Apache-2.0
// gordian explore: run a program under many schedules, until one of them deadlocks.
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/confirming.h"
#include "cli/parse_options.h"
#include "cli/program_line.h"
#include "cli/report_head.h"
#include "cli/run_reporter.h"
#include "report/fingerprint.h"
#include "report/json.h"
#include "watch/confirm.h"
#include "watch/launcher.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <random>
#include <set>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace gordian::cli {
namespace {

constexpr char kExploreUsage[] = "gordian explore [options] [--] PROGRAM [ARGS...]";

struct ExploreCommandLine {
  std::vector<std::string> command;
  bool children = true;
  uint64_t runs = 100;
  std::chrono::nanoseconds time{0};  // zero: `runs` alone counts
  uint64_t seed = 0;
  uint32_t depth = 3;
  std::chrono::nanoseconds limit{std::chrono::seconds(60)};
  std::string json;
  bool keep_going = false;
  bool quiet = false;
  std::string help_text;
};

Result<ExploreCommandLine> parse_explore(const Args& args) {
  ExploreCommandLine options;
  std::string time;
  std::string limit;
  std::string seed;
  bool no_children = false;
  CLI::App app(
      "Runs a program again and again, each time with other priorities of its threads at their\n"
      "synchronisation points, and stops at the first deadlock. Exits with 66 if there is one.");
  CLI::Option* const runs = app.add_option("--runs", options.runs, "How many runs (default: 100)")
                                ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000}))
                                ->option_text("N");
  app.add_option("--time", time, "Begin no run after so long: 500ms, 30s, 2m")
      ->option_text("DURATION");
  app.add_option("--seed", seed, "Of the first run; each next one has the next seed")
      ->option_text("SEED");
  app.add_option("--depth", options.depth,
                 "How many orders of events a bug needs at most (default: 3)")
      ->check(CLI::Range(1U, 100U))
      ->option_text("D");
  app.add_flag("--keep-going", options.keep_going, "Go on after a deadlock");
  app.add_option("--limit", limit, "End a run that lasts longer (default: 60s)")
      ->option_text("DURATION");
  app.add_option("--json", options.json, "Write findings and runs to FILE as JSON")
      ->option_text("FILE");
  app.add_flag("--no-children", no_children, "Leave the programs it starts alone");
  app.add_flag("-q,--quiet", options.quiet, "Print findings only");

  const size_t program =
      find_program(args, {"--runs", "--time", "--seed", "--depth", "--limit", "--json"});
  const Args own = own_part(args, program);
  GORDIAN_TRY(options.help_text =,
              parse_options(app, own, {.name = "gordian explore", .usage = kExploreUsage}));
  if (!options.help_text.empty()) return options;
  options.command.assign(args.begin() + static_cast<ptrdiff_t>(std::min(program, args.size())),
                         args.end());
  if (options.command.empty())
    return Error("no program to run", std::string("usage: ") + kExploreUsage);
  options.children = !no_children;
  if (!time.empty()) {
    GORDIAN_TRY(options.time =, parse_time(time, "--time"));
    if (runs->count() == 0) options.runs = UINT64_MAX;
  }
  if (!limit.empty()) {
    GORDIAN_TRY(options.limit =, parse_time(limit, "--limit"));
  }
  // Small, so that it can be typed.
  options.seed = std::random_device()() % 1'000'000;
  if (!seed.empty()) {
    GORDIAN_TRY(options.seed =, parse_seed(seed, "--seed"));
  }
  return options;
}

void say(const std::string& text) {
  // A closed standard error is the caller's wish.
  [[maybe_unused]] const Result<void> written = write_all(STDERR_FILENO, text);
}

// How the program ended, if it was by itself and not well.
std::string end_of(const watch::SteeredRun& done) {
  const watch::RunOutcome& outcome = done.outcome;
  if (done.deadlock || done.over_limit || outcome.ended_by_judge || outcome.asked_to_end != 0)
    return {};
  if (outcome.signal != 0) return "it died of signal " + std::to_string(outcome.signal);
  if (outcome.code != 0) return "it ended with exit status " + std::to_string(outcome.code);
  return {};
}

// What all runs together have shown.
class Exploration {
 public:
  explicit Exploration(const ExploreCommandLine& options) : options_(options) {}

  Result<int> explore() {
    const auto begin = std::chrono::steady_clock::now();
    for (uint64_t i = 0; i < options_.runs; ++i) {
      if (options_.time.count() > 0 && std::chrono::steady_clock::now() - begin > options_.time)
        break;
      const uint64_t seed = options_.seed + i;
      watch::RunOptions run;
      run.command = options_.command;
      run.children = options_.children;
      run.limit = options_.limit;
      run.steering = watch::Steering{.make_strategy = watch::exploring(seed, options_.depth)};
      GORDIAN_TRY(watch::SteeredRun done, watch::run_steered(std::move(run), seed));
      const bool found = done.deadlock.has_value();
      take(std::move(done));
      if (signal_ != 0 || (found && !options_.keep_going)) break;
      if (unsteered_ == report_.attempts.size()) {
        return Error("the program could not be steered: no gates came from it",
                     "gordian run says why a program cannot be watched");
      }
    }
    close();
    return signal_;
  }

  [[nodiscard]] const report::Report& report() const { return report_; }

  // Runs that all had to be ended say nothing about deadlocks.
  [[nodiscard]] Result<void> check_that_one_ended() const {
    if (!none_ended()) return {};
    const std::string runs = report_.attempts.size() == 1
                                 ? "the run did not come"
                                 : "none of the " + count_of(too_long_, "run") + " came";
    return Error(runs + " to its end within " + to_text(options_.limit),
                 "--limit gives them longer; the program must end by itself");
  }

 private:
  [[nodiscard]] bool none_ended() const { return too_long_ == report_.attempts.size(); }

  void note(const std::string& line) const {
    if (!options_.quiet) say("gordian: " + line + "\n");
  }

  void take(watch::SteeredRun done) {
    signal_ = done.outcome.asked_to_end;
    const size_t before = nestings_.size();
    nestings_.merge(done.outcome.nestings);
    const bool is_new = schedules_.insert(done.account.schedule).second;
    unsteered_ += done.was_steered ? 0 : 1;
    gave_up_ += done.account.gave_up;
    report::SteeredAttempt attempt{.seed = done.seed,
                                   .way = watch::way_of_exploring(done.seed),
                                   .arrivals = done.account.arrivals,
                                   .schedule = done.account.schedule,
                                   .new_nestings = nestings_.size() - before,
                                   .confirmed = done.deadlock.has_value(),
                                   .elapsed = done.outcome.elapsed};
    const std::string end = end_of(done);
    attempt.diverged = done.over_limit ? "it ran too long and was ended" : end;
    const std::string name = "run " + std::to_string(report_.attempts.size() + 1) + " (seed " +
                             std::to_string(done.seed) + ", " + attempt.way + ")";
    if (attempt.new_nestings > 0 || done.over_limit) {
      note(name + ": " + count_of(attempt.arrivals, "stop") + ", " +
           count_of(attempt.new_nestings, "new lock order") +
           (is_new ? "" : ", a schedule seen before") + (done.over_limit ? ", too long" : ""));
    }
    too_long_ += done.over_limit && !done.deadlock ? 1 : 0;
    if (!end.empty()) {
      if (failed_ == 0) note(name + ": " + end);
      failed_ += 1;
    }
    if (done.deadlock) {
      done.deadlock->fingerprint = report::fingerprint(*done.deadlock);
      if (told_.insert(done.deadlock->fingerprint).second) {
        say(report::to_text(*done.deadlock, text_));
        report_.findings.push_back(std::move(*done.deadlock));
        note("found in " + name + "; again with --seed " + std::to_string(attempt.seed) +
             " --runs 1");
      }
      deadlocks_ += 1;
    }
    report_.attempts.push_back(std::move(attempt));
  }

  [[nodiscard]] std::string found() const {
    if (deadlocks_ == 0) return "no deadlock";
    return count_of(deadlocks_, "deadlock") +
           (deadlocks_ > 1 ? ", " + std::to_string(told_.size()) + " different" : "");
  }

  void close() const {
    note(count_of(report_.attempts.size(), "run") + " from seed " + std::to_string(options_.seed) +
         ", " + count_of(schedules_.size(), "different schedule") + ", " +
         count_of(nestings_.size(), "lock order") + (none_ended() ? "" : ": " + found()));
    if (too_long_ > 0 && !none_ended())
      note(count_of(too_long_, "run") + " ran too long and had to be ended");
    if (failed_ > 0) note(count_of(failed_, "run") + " ended with an error of the program");
    if (gave_up_ > 0)
      note(count_of(gave_up_, "time") +
           " a thread waited too long at a gate and went on by itself");
  }

  const ExploreCommandLine& options_;
  const report::TextOptions text_ = text_for_stderr();
  report::Report report_ = make_report("explore");
  std::set<std::pair<std::string, std::string>> nestings_;
  std::set<uint64_t> schedules_;
  std::set<std::string> told_;
  uint64_t unsteered_ = 0;
  uint64_t deadlocks_ = 0;
  uint64_t gave_up_ = 0;
  uint64_t failed_ = 0;
  uint64_t too_long_ = 0;  // without a deadlock
  int signal_ = 0;
};

Result<int> run_explore(const Args& args) {
  GORDIAN_TRY(const ExploreCommandLine options, parse_explore(args));
  if (!options.help_text.empty()) {
    std::fputs(options.help_text.c_str(), stdout);
    return static_cast<int>(Exit::Clean);
  }
  if (!options.json.empty()) {
    GORDIAN_TRY(, check_writable(options.json));
  }
  Exploration exploration(options);
  GORDIAN_TRY(const int signal, exploration.explore());
  if (!options.json.empty()) {
    GORDIAN_TRY(, write_file(options.json, report::to_json(exploration.report())));
  }
  if (signal != 0) watch::die_by(signal);
  GORDIAN_TRY(, exploration.check_that_one_ended());
  return static_cast<int>(exploration.report().findings.empty() ? Exit::Clean : Exit::Found);
}

}  // namespace

const Command kExploreCommand{
    .name = "explore",
    .usage = kExploreUsage,
    .summary = "run a program under many schedules until one deadlocks",
    .run = run_explore,
};

}  // namespace gordian::cli
