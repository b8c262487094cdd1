// SPDX-License-Identifier: Apache-2.0
#include "report/words.h"

namespace gordian::report {

using model::AssumptionCode;
using model::FindingKind;
using model::Mode;
using model::ReasonCode;
using model::ResourceKind;
using model::Role;
using model::Verdict;

std::string_view verdict_word(Verdict verdict) {
  switch (verdict) {
    case Verdict::Deadlock:
      return "deadlock";
    case Verdict::Confirmed:
      return "confirmed";
    case Verdict::Proved:
      return "proved";
    case Verdict::Possible:
      return "possible";
    case Verdict::Stall:
      return "stall";
    case Verdict::Refuted:
      return "refuted";
  }
  return "possible";
}

std::string_view finding_kind_word(FindingKind kind) {
  switch (kind) {
    case FindingKind::LockOrder:
      return "lock-order";
    case FindingKind::SelfLock:
      return "self-lock";
    case FindingKind::Join:
      return "join";
    case FindingKind::RwLock:
      return "rwlock";
    case FindingKind::Condition:
      return "condition";
    case FindingKind::Semaphore:
      return "semaphore";
    case FindingKind::Barrier:
      return "barrier";
    case FindingKind::Queue:
      return "queue";
    case FindingKind::Once:
      return "once";
    case FindingKind::FileLock:
      return "file-lock";
    case FindingKind::Lease:
      return "lease";
    case FindingKind::Orphan:
      return "orphan";
    case FindingKind::HeldAtExit:
      return "held-at-exit";
    case FindingKind::Mixed:
      return "mixed";
  }
  return "mixed";
}

namespace {

struct KindWords {
  std::string_view word;   // of the JSON document
  std::string_view label;  // of the text report
};

KindWords words_of(ResourceKind kind) {
  switch (kind) {
    case ResourceKind::Mutex:
      return {.word = "mutex", .label = "mutex"};
    case ResourceKind::RwLock:
      return {.word = "rwlock", .label = "rwlock"};
    case ResourceKind::Spin:
      return {.word = "spin", .label = "spin lock"};
    case ResourceKind::Once:
      return {.word = "once", .label = "once-initialisation"};
    case ResourceKind::Guard:
      return {.word = "guard", .label = "initialisation of a local static"};
    case ResourceKind::Thread:
      return {.word = "thread", .label = "thread"};
    case ResourceKind::Condition:
      return {.word = "condition", .label = "condition variable"};
    case ResourceKind::Semaphore:
      return {.word = "semaphore", .label = "semaphore"};
    case ResourceKind::Barrier:
      return {.word = "barrier", .label = "barrier"};
    case ResourceKind::Futex:
      return {.word = "futex", .label = "futex"};
    case ResourceKind::Future:
      return {.word = "future", .label = "future"};
    case ResourceKind::GlibMutex:
      return {.word = "glib-mutex", .label = "GMutex"};
    case ResourceKind::GlibRecMutex:
      return {.word = "glib-rec-mutex", .label = "GRecMutex"};
    case ResourceKind::GlibRwLock:
      return {.word = "glib-rwlock", .label = "GRWLock"};
    case ResourceKind::GlibCond:
      return {.word = "glib-cond", .label = "GCond"};
    case ResourceKind::GlibOnce:
      return {.word = "glib-once", .label = "GOnce"};
    case ResourceKind::GlibBit:
      return {.word = "glib-bit", .label = "GLib bit lock"};
    case ResourceKind::GlibQueue:
      return {.word = "glib-queue", .label = "GAsyncQueue"};
    case ResourceKind::Channel:
      return {.word = "channel", .label = "channel"};
    case ResourceKind::Pipe:
      return {.word = "pipe", .label = "pipe"};
    case ResourceKind::Child:
      return {.word = "child-process", .label = "child process"};
    case ResourceKind::FileLock:
      return {.word = "file-lock", .label = "file lock"};
    case ResourceKind::Lease:
      return {.word = "lease", .label = "lease"};
    case ResourceKind::Gate:
      return {.word = "gate", .label = "gate"};
    case ResourceKind::Worker:
      return {.word = "worker", .label = "worker"};
    case ResourceKind::Queue:
      return {.word = "queue", .label = "queue"};
    case ResourceKind::Custom:
      return {.word = "custom", .label = "lock of the program's own"};
  }
  return {.word = "custom", .label = "lock"};
}

}  // namespace

std::string_view resource_kind_word(ResourceKind kind) { return words_of(kind).word; }

std::string_view resource_kind_label(ResourceKind kind) { return words_of(kind).label; }

std::string_view mode_word(Mode mode) { return mode == Mode::Shared ? "shared" : "exclusive"; }

std::string_view role_word(Role role) { return role == Role::Knot ? "knot" : "victim"; }

bool is_lock(ResourceKind kind) { return model::is_owned(kind) && !model::is_end_of_thread(kind); }

bool has_modes(ResourceKind kind) {
  return kind == ResourceKind::RwLock || kind == ResourceKind::GlibRwLock ||
         kind == ResourceKind::FileLock || kind == ResourceKind::Gate;
}

namespace {

// "(the reader caught SIGUSR1)": what the finder added in its own words.
std::string with_detail(std::string sentence, const std::string& detail) {
  if (!detail.empty()) sentence += " (" + clean(detail, 500) + ")";
  return sentence + ".";
}

}  // namespace

std::string reason_sentence(const model::Finding& finding, const Labels& labels) {
  const model::Reason& reason = finding.reason;
  // The thread need not be one of the finding's.
  const bool is_named =
      reason.thread && labels.find_thread(*reason.thread) == nullptr && !reason.thread_name.empty();
  const std::string thread = is_named ? "thread \"" + clean(reason.thread_name, 64) + "\""
                             : reason.thread && labels.find_thread(*reason.thread) != nullptr
                                 ? "thread " + labels.thread(*reason.thread)
                                 : std::string("another thread");
  const std::string lock =
      reason.resource ? labels.resource(*reason.resource) : std::string("a lock of the circle");
  const auto say = [&](std::string sentence) {
    return with_detail(std::move(sentence), reason.detail);
  };
  switch (reason.code) {
    case ReasonCode::None:
      return reason.detail.empty() ? std::string() : clean(reason.detail, 300) + ".";
    case ReasonCode::WakerMayExist:
      return say(thread + " can still run and could wake them");
    case ReasonCode::OwnerInferred:
      return say("who holds " + lock + " is inferred, not known");
    case ReasonCode::InexactCard:
      return say("the record of " + thread +
                 " is not exact: a cancelled wait, a longjmp or a signal in the middle of a step "
                 "made it skip an event");
    case ReasonCode::NoKernelEvidence:
      return say("the kernel did not confirm the wait of " + thread);
    case ReasonCode::SignalHandlerMayPost:
      return say("the program catches signals, and one of them may end the wait for " + lock);
    case ReasonCode::StuckForLong:
      return say("it has been so for long, but nothing shows that it never ends");
    case ReasonCode::OwnerUnknown:
      return say("nobody knows who can wake a wait on " + lock);
    case ReasonCode::OwnerNotShown:
      return say("the text does not show who holds " + lock);
    case ReasonCode::OwnerNotListed:
      return say("the one who would have to move is not among the threads of the text");
    case ReasonCode::GateLock:
      return say(
          "every side holds " +
          (reason.resource ? "the gate lock " + lock : std::string("one more lock, a gate")) +
          " when it comes here, so only one side can be here at a time");
    case ReasonCode::SameThread:
      return say("one and the same thread takes these locks in both orders");
    case ReasonCode::OrderedByFork:
      return say("one side is over before the thread of the other side is created");
    case ReasonCode::OrderedByJoin:
      return say("one side begins only after the thread of the other side was joined");
    case ReasonCode::OrderedBySignal:
      return say("one side begins only after the other side has signalled that it is done");
    case ReasonCode::OrderedByBarrier:
      return say("a barrier stands between the two sides");
    case ReasonCode::OrderedByMemory:
      return say("one side begins only after it has read what the other side wrote, " + thread +
                 " being the writer");
    case ReasonCode::OrderedBySections:
      return say("to come here, one of them has to be over already: " + lock +
                 " would have to be held by two threads");
    case ReasonCode::TryOrTimed:
      return say(
          "a request in the circle is a try or has a time limit, so it cannot block for ever");
    case ReasonCode::ReadersOnly:
      return say("all of them only read, and readers do not exclude each other");
    case ReasonCode::Unpublished:
      return say(lock + " was taken before any other thread could reach it");
    case ReasonCode::Annotated:
      return say("the program asks not to report this pair");
    case ReasonCode::MemoryNotRecorded:
      return say(
          "the order of the locks allows it; whether the program's own variables rule it "
          "out was not recorded");
    case ReasonCode::ThirdWriterNeeded:
      return say("it needs a third thread that asks for " + lock +
                 " exclusively in between: later readers then queue behind that writer");
    case ReasonCode::SiblingThread:
      return say(
          "not the joined thread itself took the lock, but another thread with the same "
          "start routine");
    case ReasonCode::CreationUnseen:
      return say("the creation of " + lock +
                 " was not seen, so perhaps no other thread could reach it yet");
  }
  return {};
}

std::vector<std::string> assumption_sentences(const model::Finding& finding) {
  std::vector<std::string> sentences;
  for (const AssumptionCode code : finding.assumptions) {
    switch (code) {
      case AssumptionCode::OwnersRelease:
        sentences.emplace_back("Only the thread that holds a lock releases it.");
        break;
      case AssumptionCode::NoSignalHandlerReleases:
        sentences.emplace_back(
            "No signal handler releases one of these locks or jumps out of a wait.");
        break;
      case AssumptionCode::NoSignalHandlerPosts:
        sentences.emplace_back("No signal handler wakes these threads.");
        break;
      case AssumptionCode::NoOutsideWaker:
        sentences.emplace_back("Nothing outside the watched processes wakes these threads.");
        break;
      case AssumptionCode::AddressNotReused:
        sentences.emplace_back("No lock was freed and another one born at its address unseen.");
        break;
      case AssumptionCode::ClosedWakers:
        sentences.emplace_back("Only the threads the program announced wake these threads.");
        break;
      case AssumptionCode::NoKeyDeleted:
        sentences.emplace_back(
            "Nobody deletes or forces the key of a lease, and its server goes on answering.");
        break;
      case AssumptionCode::NotCancelled:
        sentences.emplace_back("Nobody cancels one of these threads (pthread_cancel).");
        break;
    }
  }
  return sentences;
}

}  // namespace gordian::report
