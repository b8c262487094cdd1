// SPDX-License-Identifier: Apache-2.0
#include "report/advice.h"

#include "report/drawing.h"
#include "report/words.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <set>
#include <vector>

namespace gordian::report {

using model::Finding;
using model::FindingHold;
using model::FindingKind;
using model::FindingThread;
using model::Frame;
using model::Mode;
using model::ReasonCode;
using model::Resource;
using model::ResourceId;
using model::ResourceKind;
using model::Role;
using model::Verdict;

namespace {

std::vector<const FindingThread*> knot_of(const Labels& labels) {
  std::vector<const FindingThread*> knot;
  for (const FindingThread* thread : labels.threads())
    if (thread->role == Role::Knot) knot.push_back(thread);
  return knot;
}

const FindingHold* find_hold(const FindingThread& thread, ResourceId id) {
  for (const FindingHold& hold : thread.holds)
    if (hold.resource == id) return &hold;
  return nullptr;
}

// What `thread` holds of the things somebody in the knot wants.
const FindingHold* hold_wanted_in_knot(const Labels& labels, const FindingThread& thread) {
  for (const FindingHold& hold : thread.holds)
    if (labels.is_wanted_in_knot(hold.resource)) return &hold;
  return nullptr;
}

// A backtrace that somebody pasted seldom says where a lock was taken.
bool is_place_known(const model::Stack& stack) {
  const Frame* frame = first_own_frame(stack);
  return frame != nullptr && !(frame->function.empty() && frame->module.empty());
}

std::string hold_function(const FindingHold& hold) {
  const Frame* frame = first_own_frame(hold.stack);
  const std::string label = function_label(frame);
  // Only the line tells lambdas apart.
  return label == "a lambda" ? place_label(frame) : label;
}

// Not the source of a language that has locks of its own.
bool is_maybe_native(const Frame* place) {
  if (place == nullptr) return true;
  for (const std::string_view other : {".java", ".kt", ".scala", ".go", ".py"})
    if (place->file.ends_with(other)) return false;
  return true;
}

std::string want_place(const FindingThread& thread) {
  return place_label(first_own_frame(thread.wants->stack));
}

// The calls between the frame that took the lock and the frame that wants the next one: outermost
// first. Short means that one function does both and is easily changed.
std::vector<const Frame*> calls_between(const FindingHold& hold, const FindingThread& thread) {
  const Frame* holder = first_own_frame(hold.stack);
  std::vector<const Frame*> calls;
  if (holder == nullptr || !thread.wants || holder->function.empty()) return calls;
  for (const Frame& frame : thread.wants->stack.frames) {
    if (frame.function == holder->function) {
      std::reverse(calls.begin(), calls.end());
      return calls;
    }
    if (!frame.plumbing && !frame.function.empty()) calls.push_back(&frame);
  }
  calls.clear();
  return calls;
}

bool looks_like_callback(const Frame& frame) {
  std::string name = short_function(frame.function);
  if (const size_t colons = name.rfind("::"); colons != std::string::npos)
    name.erase(0, colons + 2);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (name.starts_with("on_") || name.ends_with("_cb") || name.starts_with("cb_")) return true;
  constexpr std::array<std::string_view, 6> kWords = {"callback", "handler", "listener",
                                                      "observer", "notify",  "trigger"};
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](std::string_view word) { return name.find(word) != std::string::npos; });
}

const Frame* find_callback(const std::vector<const Frame*>& calls) {
  for (const Frame* frame : calls)
    if (looks_like_callback(*frame)) return frame;
  return nullptr;
}

ResourceKind kind_of_want(const Labels& labels, const FindingThread& thread) {
  const Resource* resource = labels.find_resource(thread.wants->resource);
  return resource == nullptr ? ResourceKind::Custom : resource->kind;
}

std::string capitalised(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

// "release x before it asks for y (f() (a.c:3))", in the words of this thread.
std::string before_asking(const Labels& labels, const FindingThread& thread) {
  std::string what;
  switch (kind_of_want(labels, thread)) {
    case ResourceKind::Thread:
    case ResourceKind::Worker:
      what = "joins ";
      break;
    case ResourceKind::Condition:
    case ResourceKind::GlibCond:
    case ResourceKind::Semaphore:
    case ResourceKind::Barrier:
    case ResourceKind::Future:
    case ResourceKind::Futex:
    case ResourceKind::GlibQueue:
    case ResourceKind::Queue:
    case ResourceKind::Channel:
    case ResourceKind::Pipe:
    case ResourceKind::Child:
      what = "waits for ";
      break;
    default:
      what = "asks for ";
  }
  std::string name = labels.resource(thread.wants->resource);
  if (name.starts_with("thread ")) name.erase(0, 7);
  return what + name +
         (is_place_known(thread.wants->stack) ? " in " + want_place(thread) : std::string());
}

std::string release_before(const Labels& labels, const FindingThread& thread,
                           const FindingHold& hold) {
  return "thread " + labels.thread(thread.id) + " holds " + labels.resource(hold.resource) +
         (is_place_known(hold.stack) ? ", taken in " + hold_function(hold) + "," : "") +
         " when it " + before_asking(labels, thread);
}

// The frame that a signal interrupted, as its place in the stack; 0: none did.
size_t find_interrupted(const std::vector<Frame>& frames) {
  bool is_past_call = false;
  for (size_t i = 0; i < frames.size(); ++i) {
    if (frames[i].function.find("signal handler called") != std::string::npos) return i + 1;
    if (is_past_call && !frames[i].is_return_address) return i;
    is_past_call |= frames[i].is_return_address;
  }
  return 0;
}

// A signal handler wants what the code that it interrupted has.
std::string lock_in_handler(const Labels& labels, const FindingThread& thread, size_t interrupted) {
  const auto& frames = thread.wants->stack.frames;
  const Frame* handler = nullptr;
  for (size_t i = 0; i < interrupted; ++i)
    if (!is_folded(frames[i]) && frames[i].function.find("signal handler") == std::string::npos)
      handler = &frames[i];
  const Frame* place = nullptr;
  for (size_t i = interrupted; i < frames.size() && place == nullptr; ++i)
    if (!is_folded(frames[i])) place = &frames[i];
  const std::string lock = labels.resource(thread.wants->resource);
  return "A signal came while thread " + labels.thread(thread.id) + " had " + lock +
         (place == nullptr ? std::string() : " in " + place_label(place)) + ", and its handler" +
         (handler == nullptr ? std::string() : " " + function_label(handler)) +
         " asks for it again. A handler may only call what is async-signal-safe "
         "(man 7 signal-safety), and no lock is: let it set a flag or write to a pipe, and do the "
         "work elsewhere; or block the signal while the lock is held.";
}

std::string self_lock(const Labels& labels, const FindingThread& thread) {
  const FindingHold* hold = find_hold(thread, thread.wants->resource);
  const std::string lock = labels.resource(thread.wants->resource);
  if (const size_t interrupted = find_interrupted(thread.wants->stack.frames))
    return lock_in_handler(labels, thread, interrupted);
  if (hold == nullptr)
    return "Do not ask for " + lock + " in " + want_place(thread) + " while the thread has it.";
  if (hold->mode == Mode::Shared && thread.wants->mode == Mode::Exclusive)
    return "A reader cannot become the writer: release the shared " + lock +
           " first, or take it "
           "exclusively from the start in " +
           hold_function(*hold) + ", and check again what was read before.";
  const std::vector<const Frame*> calls = calls_between(*hold, thread);
  const Frame* callback = find_callback(calls);
  std::string text = "Thread " + labels.thread(thread.id) + " already has " + lock + " (taken in " +
                     hold_function(*hold) + ") when " + want_place(thread) + " takes it again. ";
  if (callback != nullptr) {
    text += "Do not call " + function_label(callback) + " under " + lock +
            ": collect what it needs, release the lock, then call it; or let the callback only "
            "queue the work and do it later. ";
  } else if (calls.size() >= 2) {
    text += "Release " + lock + " before " + hold_function(*hold) + " calls " +
            function_label(calls.front()) + ", or give " + function_label(calls.back()) +
            " a variant that expects the lock to be held. ";
  } else {
    text += "Split off a variant that expects the lock to be held, and call that one. ";
  }
  const ResourceKind kind = kind_of_want(labels, thread);
  const bool is_native = is_maybe_native(first_own_frame(thread.wants->stack));
  if (is_native && (kind == ResourceKind::Mutex || kind == ResourceKind::GlibMutex))
    text += "A recursive mutex would end the hang, but lets the inner call see half-changed data.";
  return text;
}

std::string orphan(const Labels& labels, const FindingThread& thread) {
  const std::string lock = labels.resource(thread.wants->resource);
  const Resource* resource = labels.find_resource(thread.wants->resource);
  if (resource != nullptr && resource->kind == ResourceKind::Thread)
    return "Keep count of which threads still have to be joined, and join each of them once.";
  if (!is_maybe_native(first_own_frame(thread.wants->stack)))
    return "Nobody is left who would release " + lock +
           ": some way out of the code that takes it does not, or it was copied while it was held. "
           "Tie the release to the way out (in Go by defer), and never copy what has a lock in it.";
  return "The owner of " + lock +
         " ended without releasing it. Tie the release to the scope (std::lock_guard, a cleanup "
         "handler) so that every way out of it unlocks. If the owner was lost in a fork: take the "
         "lock in pthread_atfork's prepare handler and release it in parent and child, or call "
         "exec at once in the child.";
}

std::string held_at_exit(const Labels& labels, const FindingThread& thread) {
  const std::string lock =
      thread.holds.empty() ? "the lock" : labels.resource(thread.holds.front().resource);
  const std::string where =
      thread.holds.empty() ? std::string() : " in " + hold_function(thread.holds.front());
  return "Some way out of the code that takes " + lock + where +
         " does not release it: an early return, an exception, pthread_exit or a cancellation. Tie "
         "the release to the scope (std::lock_guard, a cleanup handler).";
}

std::string join(const Labels& labels, const std::vector<const FindingThread*>& knot) {
  const auto joiner = std::find_if(knot.begin(), knot.end(), [&](const FindingThread* thread) {
    return thread->wants && model::is_end_of_thread(kind_of_want(labels, *thread));
  });
  if (joiner == knot.end()) return {};
  std::string joined = labels.resource((*joiner)->wants->resource);
  const std::string where = want_place(**joiner);

  std::set<ResourceId> targets;
  size_t joins = 0;
  for (const FindingThread* thread : knot)
    if (thread->wants && model::is_end_of_thread(kind_of_want(labels, *thread))) {
      ++joins;
      targets.insert(thread->wants->resource);
    }
  if (knot.size() == 1)
    return "A thread cannot wait for its own end. In " + where +
           " check for it (pthread_equal, std::this_thread::get_id) and detach instead, or let "
           "another thread do the stopping.";
  std::string text;
  if (joins > 1 && targets.size() == 1)
    text = "Two threads join " + joined +
           ", which is allowed for one only: let one of them own it, and have the other wait for "
           "that one. ";
  if (const FindingHold* hold = hold_wanted_in_knot(labels, **joiner)) {
    const std::string lock = labels.resource(hold->resource);
    const FindingThread* wanter = nullptr;
    for (const FindingThread* thread : knot)
      if (thread->wants && thread->wants->resource == hold->resource) wanter = thread;
    return text + "Do not join " + joined + " under " + lock + ": thread " +
           labels.thread((*joiner)->id) + " takes it in " + hold_function(*hold) +
           " and still has it in " + where +
           (wanter == nullptr
                ? ""
                : ", while " + labels.thread(wanter->id) + " needs it in " + want_place(*wanter)) +
           ". Ask the thread to stop, release " + lock +
           ", join, and only then take it again if needed.";
  }
  if (joins == knot.size() && targets.size() > 1)
    return "These threads join each other. Let one thread, for example the one that created them, "
           "join all the others.";
  return text + "Nothing that " + joined + " still needs may wait for the join in " + where +
         ": ask it to stop and let it finish first, or join from a thread it does not depend on.";
}

// An OR wait: who could wake it is stuck behind something its waiter holds.
std::string signal_under_lock(const Labels& labels, const std::vector<const FindingThread*>& knot) {
  for (const FindingThread* thread : knot) {
    if (!thread->wants) continue;
    const ResourceKind kind = kind_of_want(labels, *thread);
    if (is_lock(kind) || model::is_end_of_thread(kind)) continue;
    const FindingHold* hold = hold_wanted_in_knot(labels, *thread);
    if (hold == nullptr) continue;
    const std::string lock = labels.resource(hold->resource);
    const bool is_stall = labels.finding().verdict == Verdict::Stall;
    std::string text = "Do not wait under " + lock + ": ";
    text += release_before(labels, *thread, *hold);
    if (kind == ResourceKind::Barrier) {
      text += ", and others need ";
      text += lock + " to get there";
    } else {
      text += is_stall ? ", and threads that could wake it need "
                       : ", and every thread that could wake it needs ";
      text += lock + " first";
    }
    text += ". Release ";
    text += lock + " before waiting";
    if (kind == ResourceKind::Barrier)
      return text + ", or let the others pass the barrier without it.";
    if (kind == ResourceKind::Future)
      return text + ", or fulfil the future from a thread that does not need it.";
    return text +
           ", or use an attempt that does not wait (a try or a queue with room for all) and "
           "deal with its failure.";
  }
  return "Every thread that could give the signal is itself waiting. Keep one thread that never "
         "waits here, give the wait a time limit, or wake the waiters before the last possible "
         "waker goes to wait.";
}

std::string rwlock(const Labels& labels, const std::vector<const FindingThread*>& knot) {
  for (const FindingThread* thread : knot) {
    if (!thread->wants) continue;
    const FindingHold* hold = find_hold(*thread, thread->wants->resource);
    if (hold == nullptr) continue;
    const std::string lock = labels.resource(thread->wants->resource);
    if (hold->mode == Mode::Shared && thread->wants->mode == Mode::Shared) {
      // A lock asked for by a tail call leaves no frame of the program's own.
      const Frame* frame = first_own_frame(thread->wants->stack);
      return "Thread " + labels.thread(thread->id) + " reads " + lock + " (taken in " +
             hold_function(*hold) + ") and asks for it again" +
             (frame == nullptr ? "" : " in " + place_label(frame)) +
             ", behind a writer that waits for the first. Take it once and pass that on, or give " +
             (frame == nullptr ? "the inner function" : function_label(frame)) +
             " a variant that expects it to be held.";
    }
    if (hold->mode == Mode::Shared && thread->wants->mode == Mode::Exclusive)
      return "A reader cannot become the writer while others read. Take " + lock +
             " exclusively from the start in " + hold_function(*hold) +
             ", or release it, take it exclusively and check again what was read before.";
  }
  return {};
}

bool are_of_one_class(const Resource* a, const Resource* b) {
  if (a == nullptr || b == nullptr) return false;
  return (!a->name.empty() && a->name == b->name) ||
         (a->name.empty() && b->name.empty() && !a->class_name.empty() &&
          a->class_name == b->class_name);
}

// Where std::scoped_lock can be advised.
bool is_maybe_cxx(const Frame* place) {
  return place != nullptr && is_maybe_native(place) && !place->file.ends_with(".c") &&
         !place->file.ends_with(".rs");
}

// A cycle of locks. The thread that takes both nearest to each other is the cheapest to change, so
// the order of the others wins.
std::string lock_order(const Labels& labels, const std::vector<const FindingThread*>& knot) {
  struct Edge {
    const FindingThread* thread = nullptr;
    const FindingHold* hold = nullptr;
    size_t distance = 0;
  };
  std::vector<Edge> edges;
  for (const FindingThread* thread : knot) {
    if (!thread->wants) continue;
    const FindingHold* hold = hold_wanted_in_knot(labels, *thread);
    if (hold == nullptr || hold->resource == thread->wants->resource) continue;
    edges.push_back({thread, hold, calls_between(*hold, *thread).size()});
  }
  if (edges.size() < 2) return {};
  const auto cheapest =
      std::min_element(edges.begin(), edges.end(),
                       [](const Edge& a, const Edge& b) { return a.distance < b.distance; });
  const FindingThread& changed = *cheapest->thread;
  const std::string held = labels.resource(cheapest->hold->resource);
  const std::string wanted = labels.resource(changed.wants->resource);
  const auto keeper = std::find_if(edges.begin(), edges.end(), [&](const Edge& edge) {
    return edge.hold->resource == changed.wants->resource && edge.thread != &changed;
  });

  const Resource* a = labels.find_resource(cheapest->hold->resource);
  const Resource* b = labels.find_resource(changed.wants->resource);
  const Frame* place = first_own_frame(changed.wants->stack);
  const bool both_mutexes = is_maybe_cxx(place) && a != nullptr && b != nullptr &&
                            a->kind == ResourceKind::Mutex && b->kind == ResourceKind::Mutex;
  if (are_of_one_class(a, b))
    return capitalised(release_before(labels, changed, *cheapest->hold)) +
           ". Both are locks of one kind of object, so no order of names can help: take them in "
           "the "
           "order of something that never changes, such as an id or the address" +
           (both_mutexes ? " (std::scoped_lock takes several without such care)" : "") +
           ", or hold only one of them at a time.";

  std::string text = "Take these locks in one order everywhere: " + wanted + " before " + held;
  if (edges.size() == 2 && keeper != edges.end()) {
    text += ", as thread " + labels.thread(keeper->thread->id) + " does. ";
  } else {
    text += ", as the other threads of the circle need it. ";
  }
  const std::vector<const Frame*> calls = calls_between(*cheapest->hold, changed);
  const Frame* callback = find_callback(calls);
  text += capitalised(release_before(labels, changed, *cheapest->hold)) + ": ";
  if (callback != nullptr)
    return text + "release " + held + " before it calls " + function_label(callback) +
           ", or let that callback only queue the work; else take " + wanted + " first.";
  if (calls.size() >= 2)
    return text + "release " + held + " before it calls " + function_label(calls.front()) +
           ", or take " + wanted + " first.";
  text += "take " + wanted + " first there";
  if (both_mutexes) return text + ", or both at once with std::scoped_lock.";
  return text + ", or release " + held + " before.";
}

std::string by_structure(const Labels& labels, const std::vector<const FindingThread*>& knot) {
  bool joins = false;
  bool signals = false;
  for (const FindingThread* thread : knot) {
    if (!thread->wants) continue;
    const ResourceKind kind = kind_of_want(labels, *thread);
    joins = joins || model::is_end_of_thread(kind);
    signals = signals || (!is_lock(kind) && !model::is_end_of_thread(kind));
  }
  if (joins) return join(labels, knot);
  if (signals) return signal_under_lock(labels, knot);
  if (std::string text = rwlock(labels, knot); !text.empty()) return text;
  if (std::string text = lock_order(labels, knot); !text.empty()) return text;
  for (const FindingThread* thread : knot)
    if (thread->wants)
      if (const FindingHold* hold = hold_wanted_in_knot(labels, *thread))
        return capitalised(release_before(labels, *thread, *hold)) + ": release " +
               labels.resource(hold->resource) + " before.";
  return {};
}

}  // namespace

std::string advice(const Labels& labels) {
  const Finding& finding = labels.finding();
  const std::vector<const FindingThread*> knot = knot_of(labels);
  if (finding.verdict == Verdict::Refuted || knot.empty()) return {};
  if (finding.kind == FindingKind::HeldAtExit) return held_at_exit(labels, *knot.front());
  if (!knot.front()->wants) return {};
  if (finding.verdict == Verdict::Stall && finding.reason.code == ReasonCode::StuckForLong)
    return {};
  const Resource* first = labels.find_resource(knot.front()->wants->resource);
  if (finding.kind == FindingKind::Orphan || (first != nullptr && first->owner_gone))
    return orphan(labels, *knot.front());
  const ResourceKind kind = kind_of_want(labels, *knot.front());
  if (knot.size() == 1 && kind == ResourceKind::Guard)
    return "The initialiser of " + labels.resource(knot.front()->wants->resource) +
           " needs the very object it initialises. Break the circle: build the object without it.";
  if (knot.size() == 1 && is_lock(kind)) return self_lock(labels, *knot.front());
  return by_structure(labels, knot);
}

}  // namespace gordian::report
