// SPDX-License-Identifier: Apache-2.0
#include "cli/confirming.h"

#include "base/text.h"
#include "cli/report_head.h"
#include "report/fingerprint.h"
#include "watch/confirm.h"
#include "watch/program_clock.h"
#include "watch/steer_plan.h"

#include <algorithm>
#include <map>
#include <unistd.h>
#include <utility>

namespace gordian::cli {
namespace {

bool may_be_confirmed(const model::Finding& finding) {
  return finding.kind != model::FindingKind::HeldAtExit &&
         (finding.verdict == model::Verdict::Possible || finding.verdict == model::Verdict::Proved);
}

std::string why_not(const watch::SteeredRun& run) {
  if (!run.was_steered) return "the program could not be steered: no gates came from it";
  std::string why = run.account.diverged;
  if (why.empty()) why = "the program ended by itself";
  if (run.over_limit) why = "it ran too long and was ended; " + why;
  return why;
}

report::SteeredAttempt attempt_of(const watch::SteeredRun& run, const std::string& way,
                                  size_t number) {
  return {.finding = number,
          .seed = run.seed,
          .way = way,
          .arrivals = run.account.arrivals,
          .schedule = run.account.schedule,
          .confirmed = run.deadlock.has_value(),
          .diverged = run.deadlock ? std::string() : why_not(run),
          .elapsed = run.outcome.elapsed};
}

// What the last run, which deadlocked, says of the finding: `is_it` if that is where it led.
std::string outcome_of(const std::string& name, bool is_it, size_t run, uint64_t seed) {
  const std::string number = std::to_string(seed);
  return (is_it ? name + " confirmed" : "another deadlock than that of " + name + " came first,") +
         " in run " + std::to_string(run) + ", seed " + number + "; again with --replay " + number;
}

// "runs 1, 3 to 5: no thread came to ...", in the order of the first of each.
std::string divergences(const std::vector<report::SteeredAttempt>& attempts) {
  std::vector<std::string> reasons;
  std::map<std::string, std::vector<size_t>> runs;
  for (size_t i = 0; i < attempts.size(); ++i) {
    std::vector<size_t>& same = runs[attempts[i].diverged];
    if (same.empty()) reasons.push_back(attempts[i].diverged);
    same.push_back(i + 1);
  }
  std::string text;
  for (const std::string& reason : reasons) {
    const std::vector<size_t>& same = runs[reason];
    text += same.size() == 1 ? "  run " : "  runs ";
    for (size_t from = 0; from < same.size();) {
      size_t to = from;
      while (to + 1 < same.size() && same[to + 1] == same[to] + 1) ++to;
      text += (from == 0 ? "" : ", ") + std::to_string(same[from]);
      if (to > from) text += (to == from + 1 ? ", " : " to ") + std::to_string(same[to]);
      from = to + 1;
    }
    text += ": " + escape_for_terminal(reason) + "\n";
  }
  return text;
}

}  // namespace

report::TextOptions text_for_stderr() {
  report::TextOptions text;
  text.color = wants_color(STDERR_FILENO);
  char folder[4096];
  if (getcwd(folder, sizeof(folder)) != nullptr) text.folder = folder;
  return text;
}

Result<int> confirm_findings(const std::vector<model::Finding>& findings, size_t only,
                             const ConfirmOptions& options, const report::TextOptions& text,
                             const std::function<void(const std::string&)>& say,
                             report::Report& report) {
  const auto note = [&](const std::string& line) {
    if (!options.quiet) say("gordian: " + line + "\n");
  };
  size_t looked_at = 0;
  for (size_t i = 0; i < findings.size(); ++i) {
    const size_t number = i + 1;
    const std::string name = "finding " + std::to_string(number);
    if ((only != 0 && only != number) || (only == 0 && !may_be_confirmed(findings[i]))) continue;
    ++looked_at;
    Result<watch::SteerPlan> plan = watch::plan_of(findings[i]);
    if (!plan) {
      if (only != 0) return std::move(plan).error().in(name);
      note(name + " cannot be steered to: " + escape_for_terminal(plan.error().message));
      continue;
    }
    const uint64_t first = options.replay.value_or(0);
    const uint64_t tries = options.replay ? 1 : options.tries;
    std::vector<report::SteeredAttempt> attempts;
    bool confirmed = false;
    for (uint64_t seed = first; seed < first + tries && !confirmed; ++seed) {
      watch::RunOptions run;
      run.command = options.command;
      run.children = options.children;
      run.limit = options.limit;
      run.steering = watch::Steering{
          .make_strategy = watch::confirming(*plan, seed, options.hold),
          // Only if the director, by its clock, has not opened the gate long before.
          .patience = std::max(std::chrono::milliseconds(10'000),
                               (watch::ProgramClock::kSlowest + 1) * options.hold)};
      GORDIAN_TRY(watch::SteeredRun done, watch::run_steered(std::move(run), seed));
      attempts.push_back(attempt_of(done, watch::way_of_confirming(seed), number));
      report.attempts.push_back(attempts.back());
      if (done.outcome.asked_to_end != 0) return done.outcome.asked_to_end;
      confirmed = done.deadlock.has_value();
      if (!confirmed) {
        note(name + ", run " + std::to_string(attempts.size()) + " (seed " + std::to_string(seed) +
             ", " + attempts.back().way + "): " + escape_for_terminal(attempts.back().diverged));
        if (!done.was_steered) break;
        continue;
      }
      done.deadlock->fingerprint = report::fingerprint(*done.deadlock);
      say(report::to_text(*done.deadlock, text));
      const bool is_it = report::share_a_function(findings[i], *done.deadlock);
      note(outcome_of(name, is_it, attempts.size(), seed));
      if (is_it && !findings[i].fingerprint.empty() &&
          findings[i].fingerprint != done.deadlock->fingerprint) {
        note("its circle is not quite that of the finding (fingerprint " +
             done.deadlock->fingerprint + " instead of " +
             escape_for_terminal(findings[i].fingerprint) + ")");
      }
      report.findings.push_back(std::move(*done.deadlock));
    }
    if (!confirmed) {
      say("gordian: " + name + " was not reproduced in " + count_of(attempts.size(), "run") + "\n" +
          divergences(attempts));
    }
  }
  if (looked_at == 0) {
    if (only != 0) {
      return Error("there is no finding " + std::to_string(only),
                   findings.empty() ? "the file has none"
                                    : "the file has 1 to " + std::to_string(findings.size()));
    }
    note("nothing to confirm: no finding is `possible` or `proved`");
  }
  return 0;
}

}  // namespace gordian::cli
