// SPDX-License-Identifier: Apache-2.0
#include "watch/case_facts.h"

#include "base/text.h"
#include "watch/owner_gone.h"

#include <chrono>
#include <map>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <tuple>
#include <unistd.h>

namespace gordian::watch {
namespace {

using format::Kind;
using format::WaitWord;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kSpinningPatience{10};
constexpr std::chrono::microseconds kSpinningNap{200};

std::string descriptor_path(int pid, uint64_t fd) {
  return "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(static_cast<int>(fd));
}

// Whether the descriptor that a thread waits on is the file its card names.
bool is_same_file(int pid, uint64_t fd, const WaitWord& wait) {
  struct stat status {};
  return stat(descriptor_path(pid, fd).c_str(), &status) == 0 && status.st_dev == wait.address &&
         status.st_ino == wait.object;
}

std::string file_name(int pid, uint64_t fd) {
  char text[4096];
  const ssize_t size = readlink(descriptor_path(pid, fd).c_str(), text, sizeof(text));
  if (size <= 0) return {};
  const std::string full(text, static_cast<size_t>(size));
  return std::string(base_name(full));
}

// A thousand threads may wait for one object, which is read once.
class Objects {
 public:
  explicit Objects(const Case& current) : current_(current) {}

  const ObjectBytes& read(size_t process, Kind kind, uint64_t address) {
    const auto [known, is_new] = known_.try_emplace({process, kind, address});
    if (is_new) known->second = read_object(current_, process, kind, address);
    return known->second;
  }

 private:
  const Case& current_;
  std::map<std::tuple<size_t, Kind, uint64_t>, ObjectBytes> known_;
};

// The owner that the object of the thread's wait names; 0: none.
uint32_t ask_owner(Case& current, size_t index, WaitFacts& fact) {
  const trace::ThreadOrigin& origin = current.now.origins[index];
  model::Snapshot& snapshot = current.now.snapshot;
  model::Resource& resource =
      snapshot.resources[static_cast<size_t>(snapshot.threads[index].wait->resource)];
  const Kind kind = origin.wait.kind;
  if (kind == Kind::Join) {
    if (resource.joined_known)
      fact.joined_tid_word = current.now.origins[static_cast<size_t>(resource.joined)].tid_word;
    const bool sleeps = fact.first && fact.first->in_syscall();
    return sleeps ? static_cast<uint32_t>(fact.first->args[2]) : 0;
  }
  if (trace::is_file_lock(kind)) {
    const int pid = current.processes[origin.process]->pid();
    fact.same_file = fact.first && is_same_file(pid, fact.first->args[0], origin.wait);
    if (fact.same_file && resource.name.empty())
      resource.name = file_name(pid, fact.first->args[0]);
    return 0;
  }
  const bool second_phase =
      trace::is_condition(kind) && fact.first && sleeps_on_mutex(origin.wait, *fact.first);
  const OwnerWord word =
      second_phase
          ? read_owner(kind == Kind::Condition ? Kind::Mutex : Kind::GlibMutex, fact.companion)
          : read_owner(kind, fact.object);
  return word.known ? word.tid : 0;
}

void attest_spinning(const Case& current, CaseFacts& facts) {
  const Clock::time_point deadline = Clock::now() + kSpinningPatience;
  for (size_t i = 0; i < facts.waits.size(); ++i) {
    WaitFacts& fact = facts.waits[i];
    const trace::ThreadOrigin& origin = current.now.origins[i];
    if (!origin.has_wait || (origin.wait.flags & format::kSpinning) == 0) continue;
    fact.wait = origin.wait;
    fact.heartbeat_first = fact.heartbeat_second = origin.wait.heartbeat;
    for (;;) {
      const auto word = current.processes[origin.process]->board()->read_wait(origin.card);
      if (!word || word->number != origin.wait.number) break;
      fact.heartbeat_second = word->heartbeat;
      if (fact.heartbeat_second != fact.heartbeat_first || Clock::now() >= deadline) break;
      // We may stand on the very core it would spin on.
      std::this_thread::sleep_for(kSpinningNap);
    }
  }
}

}  // namespace

CaseFacts gather_facts(Case& current) {
  const size_t threads = current.now.snapshot.threads.size();
  CaseFacts facts;
  facts.waits.resize(threads);
  facts.owner_gone.resize(threads, false);
  Objects objects(current);
  for (size_t i = 0; i < threads; ++i) {
    const trace::ThreadOrigin& origin = current.now.origins[i];
    const Reading* const reading = current.find_reading(i);
    if (!origin.has_wait || reading == nullptr) continue;
    WaitFacts& fact = facts.waits[i];
    fact.wait = origin.wait;
    fact.first = reading->first;
    fact.stack_high = origin.stack_high;
    fact.heartbeat_first = origin.wait.heartbeat;
    const Kind kind = origin.wait.kind;
    fact.object = objects.read(origin.process, kind, origin.wait.address);
    if (kind == Kind::Condition) {
      fact.companion = objects.read(origin.process, Kind::Mutex, origin.wait.object);
    } else if (kind == Kind::GlibCond) {
      fact.companion = objects.read(origin.process, Kind::GlibMutex, origin.wait.object);
    }
    const uint32_t owner = ask_owner(current, i, fact);
    if (owner == 0) continue;
    const bool shared = (origin.wait.flags & format::kShared) != 0;
    facts.owner_gone[i] = owner_has_gone(*current.processes[origin.process], owner, shared);
  }
  attest_spinning(current, facts);
  return facts;
}

}  // namespace gordian::watch
