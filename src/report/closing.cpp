// SPDX-License-Identifier: Apache-2.0
// The last lines of a run: closing() of text.h.
#include "base/text.h"
#include "report/labels.h"
#include "report/text.h"
#include "report/words.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

namespace gordian::report {

using model::Finding;
using model::FindingKind;
using model::Verdict;

namespace {

constexpr size_t kMostUnused = 20;  // suppressions told one by one

std::string counted(uint64_t count, std::string_view noun, std::string_view plural = {}) {
  std::string text = with_thousands(count) + " ";
  if (count == 1) return text + std::string(noun);
  return text + (plural.empty() ? std::string(noun) + "s" : std::string(plural));
}

std::string found_line(const Report& report, const TextOptions& options) {
  std::array<size_t, 6> verdicts{};
  size_t held_at_exit = 0;
  for (const Finding& finding : report.findings) {
    const bool is_left_lock =
        finding.kind == FindingKind::HeldAtExit && finding.verdict == Verdict::Possible;
    is_left_lock ? ++held_at_exit : ++verdicts.at(static_cast<size_t>(finding.verdict));
  }
  const auto of = [&](Verdict verdict) { return verdicts.at(static_cast<size_t>(verdict)); };
  std::vector<std::string> words;
  const size_t deadlocks = of(Verdict::Deadlock) + of(Verdict::Confirmed) + of(Verdict::Proved);
  if (deadlocks > 0) words.push_back(counted(deadlocks, "deadlock"));
  if (of(Verdict::Stall) > 0) words.push_back(counted(of(Verdict::Stall), "stall"));
  if (of(Verdict::Possible) > 0)
    words.push_back(counted(of(Verdict::Possible), "possible deadlock"));
  if (held_at_exit > 0)
    words.push_back(counted(held_at_exit, "lock held at exit", "locks held at exit"));

  std::string text = words.empty() ? "nothing found" : "found " + join_words(words);
  if (of(Verdict::Refuted) > 0)
    text += "; " + counted(of(Verdict::Refuted), "pattern") + " refuted" +
            (options.show_refuted ? "" : " (--refuted shows why)");
  return text;
}

std::string watched_line(const RunSummary& run) {
  std::vector<std::string> words = {counted(run.threads, "thread"), counted(run.locks, "lock"),
                                    counted(run.acquisitions, "acquisition")};
  std::string text = "watched " + words[0] + ", " + words[1] + ", " + words[2];
  if (run.nested > 0) {
    text += ", " + with_thousands(run.nested) + " of them with another lock held";
    if (run.lock_pairs > 0) text += " (" + counted(run.lock_pairs, "nested pair") + ")";
  }
  if (run.longest_wait.count() > 0) text += ", longest wait " + gordian::to_text(run.longest_wait);
  if (run.judge_cpu.count() > 0) {
    text += "; judging took " + gordian::to_text(run.judge_cpu);
    if (run.elapsed.count() > 0) text += " of " + gordian::to_text(run.elapsed);
  }
  return text;
}

std::string read_line(const TraceTotals& trace) {
  std::string text = "read " + counted(trace.events, "event");
  if (trace.files > 1) text += " of " + counted(trace.files, "file");
  text += ": " + counted(trace.threads, "thread") + ", " + counted(trace.locks, "lock") + ", " +
          counted(trace.acquisitions, "acquisition");
  if (trace.nested > 0)
    text += ", " + with_thousands(trace.nested) + " of them with another lock held";
  text += trace.complete_memory ? "; reads and writes count" : "; no reads and writes to go by";
  if (!trace.memory_gap.empty()) text += " (" + escape_for_terminal(trace.memory_gap) + ")";
  if (trace.elapsed.count() > 0) text += "; took " + gordian::to_text(trace.elapsed);
  return text;
}

std::vector<std::string> dropped_lines(const Dropped& dropped) {
  std::vector<std::string> lines;
  const auto say = [&](uint64_t count, std::string_view noun, std::string_view what) {
    if (count > 0) lines.push_back(counted(count, noun) + " " + std::string(what));
  };
  say(dropped.threads, "thread", "not watched: no room for more cards");
  say(dropped.locks, "lock", "not remembered: no room for more locks");
  say(dropped.holds, "held lock", "not recorded: a thread held more than its card has room for");
  say(dropped.chains, "lock order", "not recorded: the log was full, hazards may be missing");
  say(dropped.blocks, "block", "not recorded: the log was full, stacks may be missing");
  say(dropped.inexact_events, "event",
      "not recorded (signals, cancelled waits or longjmp in the middle of a step): the threads "
      "concerned give no certain verdict");
  if (dropped.searches > 0) {
    lines.emplace_back(
        "the search for possible deadlocks was ended early, too many cycles of locks: there may be "
        "more");
  }
  return lines;
}

}  // namespace

std::vector<std::string> what_is_missing(const TraceTotals& trace) {
  std::vector<std::string> lines;
  if (trace.patterns_cut)
    lines.emplace_back("there are more lock cycles than were looked at; some may be missing");
  if (trace.unchecked > 0)
    lines.push_back(counted(trace.unchecked, "lock cycle") + " not judged: there are too many");
  if (trace.searches_cut)
    lines.emplace_back(
        "the search for other orders of critical sections was cut short; a refuted pattern that "
        "says so may be possible after all");
  if (trace.trace_cut)
    lines.emplace_back(
        "of a run only the beginning was judged, for it would not fit into the memory: there may "
        "be "
        "more");
  if (trace.missing > 0)
    lines.push_back(counted(trace.missing, "record") +
                    " missing: lost when it was recorded, or of no use without what was lost");
  if (trace.ends_early)
    lines.emplace_back("the recording is damaged, or ends before its program did");
  return lines;
}

std::string closing(const Report& report, const TextOptions& options) {
  std::string out;
  const auto line = [&](const std::string& text) { out += "gordian: " + text + "\n"; };
  for (const ReportProcess& process : report.processes)
    if (!process.unwatched.empty())
      line("not watched: " + clean(process.exe, 200) + " (pid " + std::to_string(process.pid) +
           "): " + clean(process.unwatched, 300));
  for (const SuppressedFinding& item : report.suppressed)
    line("suppressed: " + std::string(verdict_word(item.finding.verdict)) + " " +
         std::string(finding_kind_word(item.finding.kind)) + ", by " + clean(item.rule, 200) +
         " (" + clean(item.where, 200) + "): " + clean(item.reason, 300));
  const std::vector<std::string>& unused = report.unused_suppressions;
  for (size_t i = 0; i < std::min(unused.size(), kMostUnused); ++i) line(clean(unused[i], 600));
  if (unused.size() > kMostUnused)
    line("and " + counted(unused.size() - kMostUnused, "more suppression") +
         " matched nothing or expired (all are in --json)");
  for (const std::string& text : dropped_lines(report.dropped)) line(text);
  if (report.trace)
    for (const std::string& text : what_is_missing(*report.trace)) line(text);
  line(found_line(report, options));
  line(report.trace ? read_line(*report.trace) : watched_line(report.run));
  return out;
}

}  // namespace gordian::report
