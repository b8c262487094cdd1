// SPDX-License-Identifier: Apache-2.0
#include "report/text.h"

#include "base/text.h"
#include "report/advice.h"
#include "report/drawing.h"
#include "report/fingerprint.h"
#include "report/headline.h"
#include "report/labels.h"
#include "report/layout.h"
#include "report/words.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <set>
#include <tuple>

namespace gordian::report {

using model::Finding;
using model::FindingHold;
using model::FindingKind;
using model::FindingThread;
using model::FindingWant;
using model::Frame;
using model::Resource;
using model::ResourceId;
using model::ResourceKind;
using model::Role;
using model::ThreadId;
using model::Verdict;

namespace {

// Bounds of one report: beyond them it is cut, and says so.
constexpr size_t kMaxThreads = 16;
constexpr size_t kMaxHolds = 8;
constexpr size_t kMaxVictimGroups = 12;
constexpr size_t kMaxDetails = 64;

// The threads of the knot that one paragraph describes together: they hold nothing and wait for the
// same thing at the same place.
std::vector<std::vector<const FindingThread*>> paragraphs(const Labels& labels) {
  std::vector<std::vector<const FindingThread*>> result;
  for (const FindingThread* next : labels.threads()) {
    const FindingThread& thread = *next;
    if (thread.role != Role::Knot) continue;
    bool placed = false;
    for (auto& group : result) {
      const FindingThread& first = *group.front();
      if (!thread.holds.empty() || !first.holds.empty() || !thread.wants || !first.wants ||
          thread.wants->resource != first.wants->resource ||
          thread.wants->mode != first.wants->mode || thread.wants->site != first.wants->site ||
          place_label(first_own_frame(thread.wants->stack)) !=
              place_label(first_own_frame(first.wants->stack)))
        continue;
      group.push_back(&thread);
      placed = true;
      break;
    }
    if (!placed) result.push_back({&thread});
  }
  return result;
}

// "init at room.c:12" or "member of Participant".
std::string class_text(const Resource& resource) {
  const std::string name = clean(resource.class_name);
  return name.empty() || is_birthplace(resource.class_name) ? name : "member of " + name;
}

// "GMutex", for a lock without a name also its birthplace: "mutex, init at room.c:12".
std::string description(const Labels& labels, ResourceId id) {
  const Resource* resource = labels.find_resource(id);
  std::string text = labels.kind_of(id);
  if (resource != nullptr && resource->name.empty() && !resource->class_name.empty())
    text += ", " + class_text(*resource);
  return text;
}

// Of a source that has no stacks.
std::string place_text(const std::string& place) {
  return "      location " + clean(place, 200) + "\n";
}

std::string hold_text(const Labels& labels, const FindingThread& thread, const FindingHold& hold,
                      const TextOptions& options) {
  const bool own_thread = labels.finding().kind == FindingKind::HeldAtExit;
  // Where a lock was taken is known only of a program that was watched while it took it.
  const bool unknown = hold.site == 0 && hold.stack.frames.empty() && hold.stack.note.empty();
  const std::string where = unknown         ? ""
                            : own_thread    ? ", at"
                            : hold.inferred ? ", taken in or below"
                                            : ", taken at";
  const std::string verb = own_thread ? "took " : hold.inferred ? "probably holds " : "holds ";
  std::string out = wrapped(
      verb + labels.hold(hold) + ", " + with_article(description(labels, hold.resource)) + where,
      "    ", "    ");
  if (unknown) return out;
  const size_t common = thread.wants ? common_tail(hold.stack, thread.wants->stack) : 0;
  if (hold.stack.frames.empty() && !hold.place.empty()) return out + place_text(hold.place);
  return out + stack_text(hold.stack, options, common < hold.stack.frames.size() ? common : 0);
}

std::string want_text(const Labels& labels, const FindingThread& thread, bool plural,
                      const TextOptions& options) {
  const FindingWant& want = *thread.wants;
  const Resource* resource = labels.find_resource(want.resource);
  std::string line = labels.wants(want, plural);
  if (resource != nullptr && is_lock(resource->kind))
    line += ", " + with_article(description(labels, want.resource));
  const std::string owners = labels.threads(labels.owners(thread), 6);
  if (resource != nullptr && resource->owner_gone) {
    line += ", whose owner no longer exists";
  } else if (!owners.empty() && !(resource != nullptr && resource->kind == ResourceKind::Thread)) {
    line += relation(labels, thread) + " " + owners;
  }
  if (want.waited.count() > 0) line += ", for " + gordian::to_text(want.waited);
  const bool only_place = want.stack.frames.empty() && !want.place.empty();
  return wrapped(line + ", at", "    ", "    ") +
         (only_place ? place_text(want.place) : stack_text(want.stack, options));
}

std::string paragraph_text(const Labels& labels, const std::vector<const FindingThread*>& group,
                           const TextOptions& options) {
  const FindingThread& thread = *group.front();
  const bool plural = group.size() > 1;
  std::vector<ThreadId> ids;
  ids.reserve(group.size());
  for (const FindingThread* member : group) ids.push_back(member->id);

  const std::string names = labels.threads(ids);
  const bool counted = names.find(" x ") != std::string::npos;
  std::string title = (counted ? "" : plural ? "threads " : "thread ") + names;
  if (is_held_at_exit(labels.finding())) {
    title += " ended holding " + held_locks(labels, thread);
  } else {
    const bool inferred = std::any_of(thread.holds.begin(), thread.holds.end(),
                                      [](const FindingHold& hold) { return hold.inferred; });
    title += inferred ? plural ? " probably hold " : " probably holds "
             : plural ? " hold "
                      : " holds ";
    title += held_locks(labels, thread);
    if (thread.wants) title += ", " + labels.wants(*thread.wants, plural);
  }
  std::string out = styled(Style::Bold, title, options) + "\n";

  size_t shown = 0;
  std::vector<std::string> rest;
  for (const FindingHold& hold : thread.holds) {
    const bool matters =
        is_held_at_exit(labels.finding()) || labels.is_wanted_in_knot(hold.resource);
    if (matters && shown < kMaxHolds) {
      ++shown;
      out += hold_text(labels, thread, hold, options);
    } else {
      const Frame* frame = first_own_frame(hold.stack);
      rest.push_back(labels.hold(hold) + (frame == nullptr ? "" : " (" + place_label(frame) + ")"));
    }
  }
  if (!rest.empty()) out += wrapped("also holds " + join_words(rest), "    ", "    ");
  if (thread.wants) out += want_text(labels, thread, plural, options);
  return out;
}

std::string victims_text(const Labels& labels) {
  struct Group {
    std::vector<ThreadId> threads;
    const FindingThread* first = nullptr;
    std::string place;
  };
  std::vector<Group> groups;
  std::map<std::tuple<ResourceId, model::Mode, std::string>, size_t> index;
  size_t count = 0;
  for (const FindingThread* next : labels.threads()) {
    const FindingThread& thread = *next;
    if (thread.role != Role::Victim || !thread.wants) continue;
    ++count;
    const Frame* frame = first_own_frame(thread.wants->stack);
    const std::string place = frame == nullptr ? "" : place_label(frame);
    const auto key = std::make_tuple(thread.wants->resource, thread.wants->mode, place);
    const auto [it, is_new] = index.try_emplace(key, groups.size());
    if (is_new) groups.push_back({{}, &thread, place});
    groups[it->second].threads.push_back(thread.id);
  }
  if (groups.empty()) return {};
  std::stable_sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
    return a.threads.size() > b.threads.size();
  });
  std::string out = "Stuck behind the knot, but no part of it: " + count_of(count, "thread") + "\n";
  const size_t shown = std::min(groups.size(), kMaxVictimGroups);
  for (size_t i = 0; i < shown; ++i) {
    const Group& group = groups[i];
    const bool plural = group.threads.size() > 1;
    out +=
        wrapped(labels.threads(group.threads) + ": " + labels.wants(*group.first->wants, plural) +
                    (group.place.empty() ? "" : " in " + group.place),
                "  ", "      ");
  }
  if (shown < groups.size())
    out += "  ... and " + std::to_string(groups.size() - shown) + " more places\n";
  return out;
}

std::string introduction(const Labels& labels) {
  const Finding& finding = labels.finding();
  const std::vector<ThreadId> knot = labels.threads(Role::Knot);
  const bool one = knot.size() == 1;
  const std::string reason = reason_sentence(finding, labels);
  bool owner_gone = finding.kind == FindingKind::Orphan;
  std::chrono::nanoseconds waited = std::chrono::nanoseconds::max();
  for (const FindingThread& thread : finding.threads)
    if (thread.role == Role::Knot && thread.wants) waited = std::min(waited, thread.wants->waited);
  const bool knows_time = waited.count() > 0 && waited != std::chrono::nanoseconds::max();

  std::string text;
  switch (finding.verdict) {
    case Verdict::Deadlock:
    case Verdict::Confirmed:
      if (is_held_at_exit(finding)) break;
      if (owner_gone) {
        text = one ? "This thread waits for an owner that no longer exists. It can never go on."
                   : "These threads wait for an owner that no longer exists. They can never go on.";
      } else if (one) {
        text = "This thread waits for itself. It can never go on.";
      } else {
        text = "These " + std::to_string(knot.size()) +
               " threads wait for each other. None of them can ever go on.";
      }
      if (knows_time) text += " The last of them stopped " + gordian::to_text(waited) + " ago.";
      if (one && knows_time) {
        text.resize(text.rfind(" The last"));
        text += " It stopped " + gordian::to_text(waited) + " ago.";
      }
      break;
    case Verdict::Stall:
      text = std::string(one ? "This thread does not move" : "These threads do not move") +
             ", but it is not certain that " + (one ? "it never will" : "they never will");
      text += reason.empty() ? "." : ": " + reason;
      return text;
    case Verdict::Proved:
      text = "This run did not hang here, but the same steps in another order do.";
      break;
    case Verdict::Possible:
      if (is_held_at_exit(finding)) {
        text = "Whoever asks for it from now on waits for ever.";
      } else if (one) {
        text = "This run did not hang here. The next one may.";
      } else {
        text = "This run did not hang here. It hangs if these " + std::to_string(knot.size()) +
               " threads come here at the same time.";
      }
      break;
    case Verdict::Refuted:
      text = "The pattern is there, but it cannot hang";
      return text + (reason.empty() ? "." : ": " + reason);
  }
  if (!reason.empty()) text += (text.empty() ? "" : " ") + std::string("Note: ") + reason;
  return text;
}

// Threads beside the finding's own may share a name, also with those.
std::string step_thread(const Labels& labels, const model::WitnessStep& step) {
  if (labels.find_thread(step.thread) != nullptr) return labels.thread(step.thread);
  const std::string name = "\"" + clean(step.thread_name, 64) + "\"";
  const auto& steps = labels.finding().witness->steps;
  const bool is_one_of_several = std::any_of(steps.begin(), steps.end(), [&](const auto& other) {
    return other.thread != step.thread && other.thread_name == step.thread_name;
  });
  return is_one_of_several ? "another " + name : name;
}

// The schedule in words; programs read the whole of it in the JSON. A trace has lines; of a
// recording, which is of a process, events are counted.
std::string witness_text(const Labels& labels) {
  constexpr size_t kMaxSteps = 12;
  const model::Witness& witness = *labels.finding().witness;
  const bool is_recording = !labels.finding().processes.empty();
  const std::string unit = is_recording ? "event " : "line ";
  const std::string units = is_recording ? "events " : "lines ";
  std::string out = "How it comes to this, by the " + units +
                    (is_recording ? "of the recording" : "of the trace") +
                    (witness.in_recorded_order ? "" : ", with critical sections in another order") +
                    (witness.replayed ? " (replayed)" : "") + "\n";
  size_t number = 0;
  for (const model::WitnessStep& step : witness.steps) {
    if (++number > kMaxSteps) break;
    out += "  " + std::to_string(number) + ". " + step_thread(labels, step) + " runs " +
           (step.from_line == step.to_line ? unit + std::to_string(step.from_line)
                                           : "its " + units + std::to_string(step.from_line) +
                                                 " to " + std::to_string(step.to_line)) +
           "\n";
  }
  if (witness.steps.size() > kMaxSteps)
    out += "  ... and " + count_of(witness.steps.size() - kMaxSteps, "more step") + "\n";
  std::vector<std::string> stops;
  for (const model::WitnessStop& stop : witness.stops)
    stops.push_back(labels.thread(stop.thread) + " before " + unit + std::to_string(stop.line));
  return out + wrapped("Then each waits for the next: " + join_words(stops), "  ", "  ");
}

std::string details(const Labels& labels, const TextOptions& options) {
  const Finding& finding = labels.finding();
  std::string out = "Details\n";
  size_t shown = 0;
  for (const FindingThread* next : labels.threads()) {
    const FindingThread& thread = *next;
    if (thread.role != Role::Knot && shown >= kMaxDetails / 2) break;
    if (++shown > kMaxDetails) break;
    out += "  " + labels.thread_number(thread.id) + "  " +
           (thread.name.empty() ? "thread" : "thread \"" + clean(thread.name, 64) + "\"") +
           (finding.source.empty() ? ", tid " + std::to_string(thread.tid) : "") + "\n";
  }
  if (shown < finding.threads.size())
    out += "  ... and " + std::to_string(finding.threads.size() - shown) + " more threads\n";
  shown = 0;
  for (const Resource* resource : labels.resources()) {
    if (++shown > kMaxDetails) break;
    std::array<char, 64> address{};
    std::snprintf(address.data(), address.size(), "0x%llx, generation %u",
                  static_cast<unsigned long long>(resource->address), resource->generation);
    std::string line = labels.resource_number(resource->id) + "  ";
    if (resource->kind == ResourceKind::Thread) {
      line += "the end of " + labels.resource(resource->id);
    } else {
      if (!resource->name.empty() && !resource->name_is_id) line += clean(resource->name) + ", ";
      line += labels.kind_of(resource->id);
    }
    if (!resource->class_name.empty()) line += ", " + class_text(*resource);
    if (resource->address != 0) line += ", at " + std::string(address.data());
    if (resource->address_may_be_reused) line += ", the address may have been reused";
    if (resource->semaphore_like) line += ", was released by a thread that did not hold it";
    out += "  " + line + "\n";
  }
  if (shown > kMaxDetails)
    out += "  ... and " + std::to_string(labels.resources().size() - kMaxDetails) + " more locks\n";
  if (!finding.source.empty()) out += "  read from " + clean(finding.source, 200) + "\n";
  const std::string print =
      finding.fingerprint.empty() ? fingerprint(finding) : clean(finding.fingerprint, 32);
  out += "  fingerprint " + print + "\n";
  return styled(Style::Dim, out, options);
}

}  // namespace

std::string story(const Finding& finding, const TextOptions& options) {
  const Labels labels(finding);
  std::string out = "\n";
  if (const std::string text = introduction(labels); !text.empty())
    out += wrapped(text, "", "") + "\n";

  const auto groups = paragraphs(labels);
  for (size_t i = 0; i < std::min(groups.size(), kMaxThreads); ++i)
    out += paragraph_text(labels, groups[i], options) + "\n";
  if (groups.size() > kMaxThreads)
    out +=
        "... and " + std::to_string(groups.size() - kMaxThreads) + " more threads of the knot\n\n";

  if (const std::string drawing = draw_knot(labels); !drawing.empty()) out += drawing + "\n";
  if (finding.witness) out += witness_text(labels) + "\n";
  if (const std::string victims = victims_text(labels); !victims.empty()) out += victims + "\n";
  if (const std::string text = advice(labels); !text.empty())
    out += wrapped(text, styled(Style::Bold, "What to change:", options) + " ", "  ") + "\n";
  if (const auto sentences = assumption_sentences(finding); !sentences.empty()) {
    std::string text;
    for (const std::string& sentence : sentences) text += (text.empty() ? "" : " ") + sentence;
    out += wrapped(text, "Assumed: ", "  ") + "\n";
  }
  return out + details(labels, options) + "\n";
}

std::string to_text(const Finding& finding, const TextOptions& options) {
  return headline(finding, options) + story(finding, options);
}

std::string findings_text(const Report& report, const TextOptions& options) {
  std::vector<const Finding*> shown;
  for (const Finding& finding : report.findings)
    if (finding.verdict != Verdict::Refuted || options.show_refuted) shown.push_back(&finding);
  const auto rank = [](const Finding* finding) {
    return std::make_tuple(finding->verdict == Verdict::Refuted, finding->rank_last,
                           is_held_at_exit(*finding));
  };
  std::stable_sort(shown.begin(), shown.end(),
                   [&](const Finding* a, const Finding* b) { return rank(a) < rank(b); });
  std::string out;
  for (const Finding* finding : shown) {
    if (options.numbered) {
      const std::string number = std::to_string(
          options.first_number + static_cast<size_t>(finding - report.findings.data()));
      out += styled(Style::Dim, "finding " + number + "\n", options);
    }
    out += to_text(*finding, options);
  }
  return out;
}

}  // namespace gordian::report
