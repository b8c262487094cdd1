// SPDX-License-Identifier: Apache-2.0
#include "report/headline.h"

#include "base/text.h"
#include "report/layout.h"
#include "report/text.h"

#include <algorithm>
#include <array>
#include <set>

namespace gordian::report {

using model::Finding;
using model::FindingHold;
using model::FindingKind;
using model::FindingThread;
using model::Process;
using model::ReasonCode;
using model::Resource;
using model::ResourceId;
using model::ResourceKind;
using model::Role;
using model::ThreadId;
using model::Verdict;

bool is_held_at_exit(const Finding& finding) { return finding.kind == FindingKind::HeldAtExit; }

std::string held_locks(const Labels& labels, const FindingThread& thread) {
  constexpr size_t kMax = 3;
  std::vector<std::string> matter;
  std::vector<std::string> others;
  for (const FindingHold& hold : thread.holds)
    (labels.is_wanted_in_knot(hold.resource) ? matter : others).push_back(labels.hold(hold));
  if (matter.empty()) {
    matter = std::move(others);
    others.clear();
  }
  if (matter.empty()) return "no lock";
  const size_t left_out = others.size() + (matter.size() > kMax ? matter.size() - kMax : 0);
  matter.resize(std::min(matter.size(), kMax));
  if (left_out > 0) matter.push_back(std::to_string(left_out) + " more");
  return join_words(matter);
}

namespace {

// "2 locks, 1 join": what the knot is tied with.
std::string what_is_wanted(const Labels& labels) {
  constexpr std::array<std::string_view, 13> kNouns = {
      "lock",  "file lock", "lease", "join",    "condition", "semaphore",    "barrier",
      "queue", "future",    "futex", "channel", "pipe",      "child process"};
  std::array<size_t, kNouns.size()> counts{};
  const auto noun_of = [](ResourceKind kind) -> size_t {
    switch (kind) {
      case ResourceKind::FileLock:
        return 1;
      case ResourceKind::Lease:
        return 2;
      case ResourceKind::Thread:
      case ResourceKind::Worker:
        return 3;
      case ResourceKind::Condition:
      case ResourceKind::GlibCond:
        return 4;
      case ResourceKind::Semaphore:
        return 5;
      case ResourceKind::Barrier:
        return 6;
      case ResourceKind::GlibQueue:
      case ResourceKind::Queue:
        return 7;
      case ResourceKind::Channel:
        return 10;
      case ResourceKind::Pipe:
        return 11;
      case ResourceKind::Child:
        return 12;
      case ResourceKind::Future:
        return 8;
      case ResourceKind::Futex:
        return 9;
      default:
        return 0;
    }
  };
  std::set<ResourceId> seen;
  for (const FindingThread& thread : labels.finding().threads) {
    if (thread.role != Role::Knot || !thread.wants) continue;
    const Resource* resource = labels.find_resource(thread.wants->resource);
    if (resource != nullptr && seen.insert(resource->id).second) ++counts[noun_of(resource->kind)];
  }
  std::string out;
  for (size_t i = 0; i < kNouns.size(); ++i)
    if (counts[i] > 0) out += (out.empty() ? "" : ", ") + count_of(counts[i], kNouns[i]);
  return out;
}

// " (pid 4711, janus)".
std::string which_processes(const Finding& finding) {
  std::set<int> pids;
  std::set<std::string> programs;
  for (const FindingThread& thread : finding.threads)
    for (const Process& process : finding.processes)
      if (process.id == thread.process) {
        pids.insert(process.pid);
        programs.insert(clean(base_name(process.exe), 40));
      }
  if (pids.empty()) return {};
  std::vector<std::string> numbers;
  numbers.reserve(pids.size());
  for (const int pid : pids) numbers.push_back(std::to_string(pid));
  std::vector<std::string> names;
  for (const std::string& program : programs)
    if (!program.empty()) names.push_back(program);
  return std::string(" (") + (pids.size() == 1 ? "pid " : "pids ") + join_words(numbers, 4) +
         (names.empty() ? "" : ", " + join_words(names, 3)) + ")";
}

// Everything speaks for a deadlock but the proof of who holds what.
bool is_likely(const Finding& finding) {
  const ReasonCode code = finding.reason.code;
  return code == ReasonCode::OwnerInferred || code == ReasonCode::OwnerNotShown ||
         code == ReasonCode::OwnerNotListed;
}

std::string_view prefix_of(const Finding& finding) {
  switch (finding.verdict) {
    case Verdict::Deadlock:
      return "DEADLOCK";
    case Verdict::Confirmed:
      return "DEADLOCK CONFIRMED";
    case Verdict::Proved:
      return "DEADLOCK PROVED";
    case Verdict::Possible:
      return is_held_at_exit(finding) ? "HELD AT EXIT" : "POSSIBLE DEADLOCK";
    case Verdict::Stall:
      return is_likely(finding) ? "STALL, likely a deadlock" : "STALL";
    case Verdict::Refuted:
      return "REFUTED";
  }
  return "FINDING";
}

}  // namespace

std::string headline(const Finding& finding, const TextOptions& options) {
  const Labels labels(finding);
  const std::vector<ThreadId> knot = labels.threads(Role::Knot);
  std::string text(prefix_of(finding));
  const Style style = finding.verdict == Verdict::Refuted ? Style::Green
                      : finding.verdict == Verdict::Stall || finding.verdict == Verdict::Possible
                          ? Style::Yellow
                          : Style::Red;
  text = styled(style, text + ":", options) + " ";
  if (is_held_at_exit(finding)) {
    text += "thread " + labels.threads(knot) + " ended holding ";
    text += knot.empty() ? "a lock" : held_locks(labels, *labels.find_thread(knot.front()));
  } else {
    text += count_of(knot.size(), "thread");
    const std::string wanted = what_is_wanted(labels);
    if (!wanted.empty()) text += ", " + wanted;
    text += ": " + labels.threads(knot);
  }
  return text + which_processes(finding) + "\n";
}

}  // namespace gordian::report
