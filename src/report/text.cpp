// SPDX-License-Identifier: Apache-2.0
#include "report/text.h"

#include "base/text.h"
#include "report/advice.h"
#include "report/drawing.h"
#include "report/fingerprint.h"
#include "report/labels.h"
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
using model::Process;
using model::Resource;
using model::ResourceId;
using model::ResourceKind;
using model::Role;
using model::Stack;
using model::ThreadId;
using model::Verdict;

namespace {

// Bounds of one report: beyond them it is cut, and says so.
constexpr size_t kWidth = 98;
constexpr size_t kMaxFramesTop = 20;
constexpr size_t kMaxFramesBottom = 4;
constexpr size_t kMaxThreads = 16;
constexpr size_t kMaxHolds = 8;
constexpr size_t kMaxVictimGroups = 12;
constexpr size_t kMaxDetails = 64;
constexpr size_t kFunctionColumn = 44;

enum class Style : uint8_t { Plain, Red, Yellow, Green, Bold, Dim };

std::string styled(Style style, const std::string& text, const TextOptions& options) {
  if (!options.color || style == Style::Plain) return text;
  constexpr std::array<const char*, 6> kCodes = {"", "1;31", "1;33", "32", "1", "2"};
  return "\x1b[" + std::string(kCodes.at(static_cast<size_t>(style))) + "m" + text + "\x1b[0m";
}

// What a reader sees of it; combining and wide characters are rare enough here.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// Breaks at blanks; every line but the first begins with `indent`. Ends with a newline.
std::string wrapped(std::string_view text, const std::string& first, const std::string& indent) {
  std::string out = first;
  size_t column = width_of(first);
  bool line_is_empty = true;
  while (!text.empty()) {
    const size_t blank = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, blank);
    if (!line_is_empty && column + 1 + width_of(word) > kWidth) {
      out += "\n" + indent;
      column = indent.size();
      line_is_empty = true;
    }
    if (!line_is_empty) {
      out += ' ';
      ++column;
    }
    out += word;
    column += width_of(word);
    line_is_empty = false;
    text.remove_prefix(std::min(blank + 1, text.size()));
  }
  return out + "\n";
}

std::string capitalised(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

std::string_view base_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// ".../src/plugins/room.c": the part of a long path that tells files apart.
std::string short_path(const std::string& path) {
  constexpr size_t kMax = 48;
  if (path.size() <= kMax) return clean(path, kMax);
  size_t at = path.size();
  for (int components = 0; components < 3 && at > 0; ++components) {
    const size_t slash = path.rfind('/', at - 1);
    if (slash == std::string::npos || path.size() - slash > kMax) break;
    at = slash;
  }
  if (at == path.size()) return clean(path, kMax);
  return "..." + clean(std::string_view(path).substr(at), kMax);
}

std::string frame_function(const Frame& frame) {
  if (!frame.function.empty())
    return clean(frame.file.empty() ? frame.function : short_function(frame.function), 100);
  if (frame.module.empty()) return "??";
  std::array<char, 24> offset{};
  std::snprintf(offset.data(), offset.size(), "+0x%llx",
                static_cast<unsigned long long>(frame.module_offset));
  return clean(base_name(frame.module), 60) + offset.data();
}

std::string frame_place(const Frame& frame) {
  std::string place;
  if (!frame.file.empty()) {
    place = short_path(frame.file);
    if (frame.line > 0) place += ":" + std::to_string(frame.line);
  } else if (!frame.function.empty() && !frame.module.empty()) {
    place = "(" + clean(base_name(frame.module), 60) + ")";
  }
  if (frame.inlined) place += place.empty() ? "[inlined]" : " [inlined]";
  return place;
}

bool same_frame(const Frame& a, const Frame& b) {
  return a.function == b.function && a.file == b.file && a.line == b.line &&
         (a.pc == b.pc || !a.function.empty());
}

// How many outermost frames both stacks have in common.
size_t common_tail(const Stack& a, const Stack& b) {
  size_t count = 0;
  while (count < a.frames.size() && count < b.frames.size() &&
         same_frame(a.frames[a.frames.size() - 1 - count], b.frames[b.frames.size() - 1 - count]))
    ++count;
  return count;
}

// Stack frames as lines. The last `skip` frames are left out, with a word that they stand below.
std::string stack_text(const Stack& stack, size_t skip = 0) {
  const std::string indent = "      ";
  if (stack.frames.empty())
    return indent + (stack.note.empty() ? "an unknown place" : clean(stack.note, 200)) + "\n";

  struct Line {
    std::string function;  // empty: `place` is a remark
    std::string place;
  };
  std::vector<Line> lines;
  const bool all_plumbing = std::all_of(stack.frames.begin(), stack.frames.end(),
                                        [](const Frame& frame) { return frame.plumbing; });
  size_t folded = 0;
  for (const Frame& frame : stack.frames) {
    if (&frame - stack.frames.data() >= static_cast<ptrdiff_t>(stack.frames.size() - skip)) break;
    if (frame.plumbing && !all_plumbing) {
      ++folded;
      continue;
    }
    // Above the first frame of the program's own, the lock call itself needs no mention.
    if (folded > 0 && !lines.empty())
      lines.push_back({"", "[" + count_of(folded, "frame") + " of std:: folded]"});
    folded = 0;
    lines.push_back({frame_function(frame), frame_place(frame)});
  }
  const bool rest_below = skip > 0;

  if (lines.size() > kMaxFramesTop + kMaxFramesBottom + 1) {
    const size_t cut = lines.size() - kMaxFramesTop - kMaxFramesBottom;
    const auto first = lines.begin() + kMaxFramesTop;
    lines.erase(first, first + static_cast<ptrdiff_t>(cut));
    lines.insert(lines.begin() + kMaxFramesTop, {"", "[" + count_of(cut, "more frame") + "]"});
  }
  size_t column = 0;
  for (const Line& line : lines)
    if (width_of(line.function) <= kFunctionColumn)
      column = std::max(column, width_of(line.function));

  std::string out;
  for (const Line& line : lines) {
    out += indent;
    if (line.function.empty()) {
      out += line.place + "\n";
      continue;
    }
    out += line.function;
    if (!line.place.empty()) {
      const size_t width = width_of(line.function);
      out += std::string((column > width ? column - width : 0) + 2, ' ') + line.place;
    }
    out += "\n";
  }
  if (rest_below) out += indent + "... and further out the same frames as below\n";
  if (!stack.note.empty()) out += indent + "[" + clean(stack.note, 200) + "]\n";
  return out;
}

bool is_hazard(const Finding& finding) {
  return finding.verdict == Verdict::Possible || finding.verdict == Verdict::Refuted ||
         finding.verdict == Verdict::Proved;
}

bool is_held_at_exit(const Finding& finding) { return finding.kind == FindingKind::HeldAtExit; }

std::vector<ThreadId> threads_in(const Finding& finding, Role role) {
  std::vector<ThreadId> ids;
  for (const FindingThread& thread : finding.threads)
    if (thread.role == role) ids.push_back(thread.id);
  return ids;
}

// "2 locks, 1 join": what the knot is tied with.
std::string what_is_wanted(const Labels& labels) {
  const std::array<std::string_view, 10> kNouns = {"lock",      "file lock", "lease",   "join",
                                                   "condition", "semaphore", "barrier", "queue",
                                                   "future",    "futex"};
  std::array<size_t, kNouns.size()> counts{};
  const auto noun_of = [](ResourceKind kind) -> size_t {
    switch (kind) {
      case ResourceKind::FileLock:
        return 1;
      case ResourceKind::Lease:
        return 2;
      case ResourceKind::Thread:
        return 3;
      case ResourceKind::Condition:
      case ResourceKind::GlibCond:
        return 4;
      case ResourceKind::Semaphore:
        return 5;
      case ResourceKind::Barrier:
        return 6;
      case ResourceKind::GlibQueue:
        return 7;
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
  for (const int pid : pids) numbers.push_back(std::to_string(pid));
  std::vector<std::string> names;
  for (const std::string& program : programs)
    if (!program.empty()) names.push_back(program);
  return std::string(" (") + (pids.size() == 1 ? "pid " : "pids ") + join_words(numbers, 4) +
         (names.empty() ? "" : ", " + join_words(names, 3)) + ")";
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
      return "STALL";
    case Verdict::Refuted:
      return "REFUTED";
  }
  return "FINDING";
}

std::string held_locks(const Labels& labels, const FindingThread& thread, size_t max) {
  // What others want comes first: it is what the thread holds them up with.
  std::vector<std::string> wanted;
  std::vector<std::string> others;
  for (const FindingHold& hold : thread.holds) {
    const auto& threads = labels.finding().threads;
    const bool is_wanted = std::any_of(threads.begin(), threads.end(), [&](const auto& other) {
      return other.wants && other.wants->resource == hold.resource;
    });
    (is_wanted ? wanted : others).push_back(labels.hold(hold));
  }
  wanted.insert(wanted.end(), others.begin(), others.end());
  return wanted.empty() ? "no lock" : join_words(wanted, max);
}

// The threads of the knot that one paragraph describes together: they hold nothing and wait for the
// same thing at the same place.
std::vector<std::vector<const FindingThread*>> paragraphs(const Finding& finding) {
  std::vector<std::vector<const FindingThread*>> result;
  for (const FindingThread& thread : finding.threads) {
    if (thread.role != Role::Knot) continue;
    bool placed = false;
    for (auto& group : result) {
      const FindingThread& first = *group.front();
      if (!thread.holds.empty() || !first.holds.empty() || !thread.wants || !first.wants ||
          thread.wants->resource != first.wants->resource ||
          thread.wants->mode != first.wants->mode || thread.wants->site != first.wants->site)
        continue;
      group.push_back(&thread);
      placed = true;
      break;
    }
    if (!placed) result.push_back({&thread});
  }
  return result;
}

// "GMutex", for a lock without a name also its birthplace: "mutex, init at room.c:12".
std::string description(const Labels& labels, ResourceId id) {
  const Resource* resource = labels.find_resource(id);
  std::string text = labels.kind_of(id);
  if (resource != nullptr && resource->name.empty() && !resource->class_name.empty())
    text += ", " + clean(resource->class_name);
  return text;
}

std::string hold_text(const Labels& labels, const FindingThread& thread, const FindingHold& hold) {
  const bool own_thread = labels.finding().kind == FindingKind::HeldAtExit;
  std::string out =
      wrapped(std::string(own_thread ? "took " : "holds ") + labels.hold(hold) + ", a " +
                  description(labels, hold.resource) + (own_thread ? ", at" : ", taken at"),
              "    ", "    ");
  const size_t common = thread.wants ? common_tail(hold.stack, thread.wants->stack) : 0;
  return out +
         stack_text(hold.stack, common >= 3 && common < hold.stack.frames.size() ? common : 0);
}

std::string want_text(const Labels& labels, const FindingThread& thread, bool plural) {
  const FindingWant& want = *thread.wants;
  const Resource* resource = labels.find_resource(want.resource);
  std::string line = labels.wants(want, plural);
  if (resource != nullptr && is_lock(resource->kind))
    line += ", a " + description(labels, want.resource);
  const std::string owners = labels.threads(labels.owners(thread), 6);
  if (resource != nullptr && resource->owner_gone) {
    line += ", whose owner no longer exists";
  } else if (!owners.empty() && !(resource != nullptr && resource->kind == ResourceKind::Thread)) {
    line += relation(labels, thread) + " " + owners;
  }
  if (want.waited.count() > 0) line += ", for " + gordian::to_text(want.waited);
  return wrapped(line + ", at", "    ", "    ") + stack_text(want.stack);
}

std::string paragraph_text(const Labels& labels, const std::vector<const FindingThread*>& group,
                           const TextOptions& options) {
  const FindingThread& thread = *group.front();
  const bool plural = group.size() > 1;
  std::vector<ThreadId> ids;
  for (const FindingThread* member : group) ids.push_back(member->id);

  std::string title = (plural ? "threads " : "thread ") + labels.threads(ids);
  if (is_held_at_exit(labels.finding())) {
    title += " ended holding " + held_locks(labels, thread, 6);
  } else {
    title += (plural ? " hold " : " holds ") + held_locks(labels, thread, 6);
    if (thread.wants) title += ", " + labels.wants(*thread.wants, plural);
  }
  std::string out = styled(Style::Bold, title, options) + "\n";

  size_t shown = 0;
  std::vector<std::string> rest;
  for (const FindingHold& hold : thread.holds) {
    const auto& threads = labels.finding().threads;
    const bool matters = is_held_at_exit(labels.finding()) ||
                         std::any_of(threads.begin(), threads.end(), [&](const auto& other) {
                           return other.wants && other.wants->resource == hold.resource;
                         });
    if (matters && shown < kMaxHolds) {
      ++shown;
      out += hold_text(labels, thread, hold);
    } else {
      const Frame* frame = first_own_frame(hold.stack);
      rest.push_back(labels.hold(hold) + (frame == nullptr ? "" : " (" + place_label(frame) + ")"));
    }
  }
  if (!rest.empty()) out += wrapped("also holds " + join_words(rest), "    ", "    ");
  if (thread.wants) out += want_text(labels, thread, plural);
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
  for (const FindingThread& thread : labels.finding().threads) {
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
  std::string out = "Stuck behind the knot: " + count_of(count, "thread") +
                    (count == 1 ? " that is no part of it\n" : " that are no part of it\n");
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
  const std::vector<ThreadId> knot = threads_in(finding, Role::Knot);
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

std::string details(const Labels& labels, const TextOptions& options) {
  const Finding& finding = labels.finding();
  std::string out = "Details\n";
  size_t shown = 0;
  for (const FindingThread& thread : finding.threads) {
    if (thread.role != Role::Knot && shown >= kMaxDetails / 2) break;
    if (++shown > kMaxDetails) break;
    out += "  " + labels.thread_number(thread.id) + "  " +
           (thread.name.empty() ? "thread" : "thread \"" + clean(thread.name, 64) + "\"") +
           ", tid " + std::to_string(thread.tid) + "\n";
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
    if (!resource->name.empty()) line += clean(resource->name) + ", ";
    line += labels.kind_of(resource->id);
    if (!resource->class_name.empty()) line += ", " + clean(resource->class_name);
    if (resource->address != 0) line += ", at " + std::string(address.data());
    if (resource->address_may_be_reused) line += ", the address may have been reused";
    if (resource->semaphore_like) line += ", was released by a thread that did not hold it";
    out += "  " + line + "\n";
  }
  if (shown > kMaxDetails)
    out += "  ... and " + std::to_string(labels.resources().size() - kMaxDetails) + " more locks\n";
  const std::string print =
      finding.fingerprint.empty() ? fingerprint(finding) : clean(finding.fingerprint, 32);
  out += "  fingerprint " + print + "\n";
  return styled(Style::Dim, out, options);
}

}  // namespace

std::string headline(const Finding& finding, const TextOptions& options) {
  const Labels labels(finding);
  const std::vector<ThreadId> knot = threads_in(finding, Role::Knot);
  std::string text(prefix_of(finding));
  const Style style = finding.verdict == Verdict::Refuted ? Style::Green
                      : finding.verdict == Verdict::Stall || finding.verdict == Verdict::Possible
                          ? Style::Yellow
                          : Style::Red;
  text = styled(style, text + ":", options) + " ";
  if (is_held_at_exit(finding)) {
    text += "thread " + labels.threads(knot) + " ended holding ";
    text += knot.empty() ? "a lock" : held_locks(labels, *labels.find_thread(knot.front()), 4);
  } else {
    text += count_of(knot.size(), "thread");
    const std::string wanted = what_is_wanted(labels);
    if (!wanted.empty()) text += ", " + wanted;
    text += ": " + labels.threads(knot);
  }
  return text + which_processes(finding) + "\n";
}

std::string story(const Finding& finding, const TextOptions& options) {
  const Labels labels(finding);
  std::string out;
  if (const std::string text = introduction(labels); !text.empty())
    out += wrapped(text, "", "") + "\n";

  const auto groups = paragraphs(finding);
  for (size_t i = 0; i < std::min(groups.size(), kMaxThreads); ++i)
    out += paragraph_text(labels, groups[i], options) + "\n";
  if (groups.size() > kMaxThreads)
    out +=
        "... and " + std::to_string(groups.size() - kMaxThreads) + " more threads of the knot\n\n";

  if (const std::string drawing = draw_knot(labels); !drawing.empty()) out += drawing + "\n";
  if (const std::string victims = victims_text(labels); !victims.empty()) out += victims + "\n";
  if (const std::string text = advice(labels); !text.empty())
    out += wrapped(text, styled(Style::Bold, "What to change:", options) + " ", "  ") + "\n";
  if (const auto sentences = assumption_sentences(finding); !sentences.empty()) {
    std::string text;
    for (const std::string& sentence : sentences) text += (text.empty() ? "" : " ") + sentence;
    out += wrapped(text, "Assumed: ", "  ") + "\n";
  }
  return out + details(labels, options);
}

std::string to_text(const Finding& finding, const TextOptions& options) {
  return headline(finding, options) + "\n" + story(finding, options) + "\n";
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
  for (const Finding* finding : shown) out += to_text(*finding, options);
  return out;
}

}  // namespace gordian::report
