// SPDX-License-Identifier: Apache-2.0
#include "process/infer_holders.h"

#include "process/call_site.h"
#include "process/debug_info.h"
#include "process/glibc_layout.h"
#include "process/libc_locks.h"
#include "process/taken_locks.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>

namespace gordian::process {
namespace {

using model::Mode;
using model::Resource;
using model::ResourceId;
using model::ResourceKind;

constexpr size_t kMaxThreadsAsked = 1024;
constexpr uint64_t kMaxFrameBytes = 1 << 16;

// How sure one is that the thread has the lock.
constexpr int kPointer = 1;        // its frames hold a pointer to it
constexpr int kUnlockBetween = 2;  // its code takes it, and gives it back somewhere before here
constexpr int kTaken = 3;          // its code takes it
constexpr int kInside = 4;         // it is inside pthread_once for it, or inside malloc or a stream

bool is_nameless(ResourceKind kind) {
  switch (kind) {
    case ResourceKind::RwLock:
    case ResourceKind::GlibRwLock:
    case ResourceKind::GlibMutex:
    case ResourceKind::GlibBit:
    case ResourceKind::GlibOnce:
    case ResourceKind::Once:
    case ResourceKind::Guard:
    case ResourceKind::Spin:
      return true;
    default:
      return false;
  }
}

bool is_indirect(WaitTarget target) {
  return target == WaitTarget::GlibReadLock || target == WaitTarget::GlibWriteLock;
}

bool is_libc_lock(const DecodedWaits& decoded, ResourceId id) {
  return std::find(decoded.libc_locks.begin(), decoded.libc_locks.end(), id) !=
         decoded.libc_locks.end();
}

std::vector<ResourceId> nameless_wanted(const DecodedWaits& decoded) {
  std::set<ResourceId> wanted;
  for (const model::Thread& thread : decoded.snapshot.threads) {
    if (!thread.wait || thread.wait->timed) continue;
    const Resource& resource =
        decoded.snapshot.resources[static_cast<size_t>(thread.wait->resource)];
    if ((is_nameless(resource.kind) || is_libc_lock(decoded, resource.id)) && !resource.owner_gone)
      wanted.insert(resource.id);
  }
  for (const model::Thread& thread : decoded.snapshot.threads)
    for (const model::Hold& hold : thread.holds) wanted.erase(hold.resource);
  return {wanted.begin(), wanted.end()};
}

struct PossibleHolder {
  size_t thread = 0;
  int sureness = 0;
  uint64_t site = 0;
  uint64_t frame = 0;
  Mode mode = Mode::Exclusive;
};

class Inference {
 public:
  Inference(DecodedWaits& decoded, std::span<const ProcessFacts> processes)
      : decoded_(decoded), processes_(processes) {}

  void run() {
    for (const ResourceId id : nameless_wanted(decoded_)) wanted_[id];
    if (wanted_.empty()) return;
    std::vector<size_t> next(processes_.size(), 0);
    for (size_t i = 0; i < decoded_.threads.size() && i < kMaxThreadsAsked; ++i) {
      const size_t process = decoded_.threads[i].process;
      const ThreadFacts& facts = processes_[process].threads[next[process]++];
      if ((facts.blocked || facts.spins_on != 0) && processes_[process].symbols != nullptr)
        read_stack(i, process, facts);
    }
    for (auto& [id, candidates] : wanted_) assign(id, candidates);
  }

 private:
  void read_stack(size_t thread, size_t process, const ThreadFacts& facts) {
    const ProcessFacts& source = processes_[process];
    const UnwoundStack stack = unwind(*source.symbols, facts.registers, *source.memory, 64);
    auto& taken_locks = taken_[process];
    if (!taken_locks) taken_locks = std::make_unique<TakenLocks>(*source.symbols, *source.memory);
    const std::vector<TakenLock> taken = taken_locks->find(stack);
    for (auto& [id, candidates] : wanted_) {
      const Resource& resource = decoded_.snapshot.resources[static_cast<size_t>(id)];
      if (static_cast<size_t>(resource.process) != process && !resource.process_shared) continue;
      PossibleHolder best{.thread = thread};
      if (is_libc_lock(decoded_, id)) {
        const auto [stream, is_new] = streams_.try_emplace(id);
        if (is_new)
          stream->second = find_any_stream(*source.symbols, *source.memory, resource.address);
        if (is_inside_libc(source, stack, resource.address, stream->second))
          candidates.push_back({.thread = thread, .sureness = kInside});
        continue;
      }
      for (const TakenLock& lock : taken) consider_taken(source, stack, resource, lock, best);
      const model::Thread& itself = decoded_.snapshot.threads[thread];
      const bool waits = itself.wait && itself.wait->resource == id;
      if (resource.kind == ResourceKind::Once) {
        const bool in_once = itself.wait && kind_of(itself.wait->resource) == ResourceKind::Once;
        consider_once(source, stack, resource, in_once, best);
      }
      if (best.sureness == 0 && !waits) consider_pointers(source, stack, resource, best);
      if (best.sureness != 0) candidates.push_back(best);
    }
  }

  [[nodiscard]] ResourceKind kind_of(ResourceId id) const {
    return decoded_.snapshot.resources[static_cast<size_t>(id)].kind;
  }

  static void consider_taken(const ProcessFacts& source, const UnwoundStack& stack,
                             const Resource& resource, const TakenLock& lock,
                             PossibleHolder& best) {
    uint64_t address = lock.address;
    if (lock.target == WaitTarget::Guard) address &= ~uint64_t{7};
    // Where GLib's lock is not known, its inner one stands for it.
    const bool inner =
        is_indirect(lock.target) && source.memory->read_word(address) == resource.address;
    if (address != resource.address && !inner) return;
    const int sureness = lock.doubtful ? kUnlockBetween : kTaken;
    if (sureness <= best.sureness) return;
    best.sureness = sureness;
    best.site = lock.site;
    best.frame = stack.frames[lock.frame].sp;
    const bool reads =
        lock.target == WaitTarget::ReadLock || lock.target == WaitTarget::GlibReadLock;
    best.mode = reads ? Mode::Shared : Mode::Exclusive;
  }

  // pthread_once calls the initialiser while it keeps the address of its control word in its frame.
  static void consider_once(const ProcessFacts& source, const UnwoundStack& stack,
                            const Resource& resource, bool is_waiting, PossibleHolder& best) {
    // Not the frame that waits itself, which is the first one of pthread_once.
    for (const UnwoundFrame& frame : stack.frames) {
      if (is_waiting) {
        is_waiting = !is_once(source, frame);
        continue;
      }
      const Module* const module = source.symbols->debug_info().find_module(frame.pc);
      const bool is_libc = module != nullptr && is_plumbing("", module->path);
      if (!is_libc || !frame_holds(source, frame, resource.address)) continue;
      best.sureness = kInside;
      best.mode = Mode::Exclusive;
      return;
    }
  }

  // Interrupted by a signal in a function of malloc or of streams that has this arena or stream:
  // further out than the program's own function that waits now.
  static bool is_inside_libc(const ProcessFacts& source, const UnwoundStack& stack, uint64_t lock,
                             std::optional<uint64_t> stream) {
    DebugInfo& info = source.symbols->debug_info();
    bool is_past_wait = false;
    bool has_lock = false;
    for (const UnwoundFrame& frame : stack.frames) {
      const Module* const module = info.find_module(frame.pc);
      const auto symbol = info.find_symbol(frame.lookup_pc());
      const bool is_malloc = symbol && is_malloc_function(plain_name(symbol->name));
      const bool is_libc = is_malloc || (module != nullptr && is_plumbing("", module->path));
      // Where the signal came, also behind a handler that leaves no frame of its own.
      const bool is_interrupted = &frame != &stack.frames.front() && !frame.is_return_address;
      is_past_wait |= !is_libc || is_interrupted;
      if (!is_libc || is_interrupted) has_lock = false;
      if (!is_libc || !is_past_wait) continue;
      has_lock |= frame_holds(source, frame, lock);
      if (stream && (has_lock || frame_holds(source, frame, *stream))) return true;
      if (is_malloc && has_lock) return true;
    }
    return false;
  }

  static bool is_once(const ProcessFacts& source, const UnwoundFrame& frame) {
    constexpr std::string_view kOnce = "pthread_once";
    const uint64_t pc = frame.lookup_pc();
    DebugInfo& info = source.symbols->debug_info();
    const auto symbol = info.find_symbol(pc);
    if (symbol) return find_wait_target(plain_name(symbol->name)) == WaitTarget::Once;
    const auto once = info.find_named(pc, {&kOnce, 1}).front();
    return once && is_half_of(*source.symbols, *source.memory, *once, pc);
  }

  static void consider_pointers(const ProcessFacts& source, const UnwoundStack& stack,
                                const Resource& resource, PossibleHolder& best) {
    for (const UnwoundFrame& frame : stack.frames) {
      const Module* const module = source.symbols->debug_info().find_module(frame.pc);
      if (module == nullptr || is_plumbing("", module->path)) continue;
      if (!frame_holds(source, frame, resource.address)) continue;
      best.sureness = kPointer;
      best.mode = is_read_held(source, resource) ? Mode::Shared : Mode::Exclusive;
      return;
    }
  }

  static bool frame_holds(const ProcessFacts& source, const UnwoundFrame& frame, uint64_t address) {
    for (const int number : {3, 6, 12, 13, 14, 15})
      if (frame.registers.get(number) == address) return true;
    if (frame.cfa <= frame.sp || frame.cfa - frame.sp > kMaxFrameBytes) return false;
    std::vector<uint64_t> words((frame.cfa - frame.sp) / 8);
    if (!source.memory->read(frame.sp, std::as_writable_bytes(std::span(words)))) return false;
    return std::find(words.begin(), words.end(), address) != words.end();
  }

  static bool is_rwlock(const Resource& resource) {
    return resource.kind == ResourceKind::RwLock || resource.kind == ResourceKind::GlibRwLock;
  }
  static uint64_t count_readers(const ProcessFacts& source, const Resource& resource) {
    const auto readers = source.memory->read_word(resource.address, 4);
    return readers.value_or(0) >> GlibcLayout::kRwLockReaderShift;
  }
  static bool is_read_held(const ProcessFacts& source, const Resource& resource) {
    return is_rwlock(resource) && count_readers(source, resource) > 0;
  }

  void assign(ResourceId id, std::vector<PossibleHolder>& candidates) {
    const Resource& resource = decoded_.snapshot.resources[static_cast<size_t>(id)];
    const ProcessFacts& source = processes_[static_cast<size_t>(resource.process)];
    size_t holders = 1;
    // Two threads inside malloc or a stream: nobody can say which of them has it.
    if (is_libc_lock(decoded_, id) && candidates.size() > holders) candidates.clear();
    if (is_rwlock(resource)) {
      // No writer has it, or it would have left its name.
      holders = count_readers(source, resource);
      std::erase_if(candidates,
                    [](const PossibleHolder& candidate) { return candidate.mode != Mode::Shared; });
    }
    std::stable_sort(
        candidates.begin(), candidates.end(),
        [](const PossibleHolder& a, const PossibleHolder& b) { return a.sureness > b.sureness; });
    if (candidates.size() > holders) {
      // Equal claims to one place: nobody can say whose it is.
      const bool tie = holders > 0 && candidates[holders - 1].sureness == kPointer &&
                       candidates[holders].sureness == kPointer;
      candidates.resize(holders);
      if (tie)
        std::erase_if(candidates, [](const PossibleHolder& c) { return c.sureness == kPointer; });
    }
    for (const PossibleHolder& candidate : candidates) {
      decoded_.snapshot.threads[candidate.thread].holds.push_back({.resource = id,
                                                                   .mode = candidate.mode,
                                                                   .site = candidate.site,
                                                                   .frame = candidate.frame,
                                                                   .definite = false});
    }
  }

  DecodedWaits& decoded_;
  std::span<const ProcessFacts> processes_;
  std::map<ResourceId, std::vector<PossibleHolder>> wanted_;
  std::map<ResourceId, std::optional<uint64_t>> streams_;  // whose locks libc's are, if of streams
  std::map<size_t, std::unique_ptr<TakenLocks>> taken_;
};

}  // namespace

bool has_nameless_holders(const DecodedWaits& decoded) { return !nameless_wanted(decoded).empty(); }

void infer_holders(DecodedWaits& decoded, std::span<const ProcessFacts> processes) {
  Inference(decoded, processes).run();
}

}  // namespace gordian::process
