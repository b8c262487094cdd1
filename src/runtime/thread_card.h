// SPDX-License-Identifier: Apache-2.0
// One thread's view of its own card: what it holds, what it waits for.
//
// Only the thread itself writes its card, with plain stores in an order a reader can live with. A
// signal handler may run hooks in the middle of that: HookScope keeps the two apart.
#pragma once

#include "format/board.h"
#include "runtime/board.h"
#include "runtime/generations.h"

#include <stdint.h>

namespace gordian::runtime {

// Who called a hook: return address, and the stack pointer after that call returns.
struct CallSite {
  uint64_t pc;
  uint64_t frame;
};

// What a thread asks for or got.
struct Request {
  uint64_t address = 0;
  uint64_t object = 0;  // see format::Kind
  format::Kind kind = format::Kind::None;
  uint8_t flags = 0;       // as in Hold and WaitWord
  bool recursive = false;  // the thread may hold it already
};

// What the runtime keeps in the part of the card that readers skip.
struct PrivateCard {
  void* routine;        // what the thread really starts with; the card names what tells it apart
  void* argument;       // of the routine
  uint64_t stack_size;  // what it was made with, without a guard; 0: unknown
  uint64_t stack_low;   // of a stack that the program brought; 0: libc made it
  uint32_t parent_segment;
  uint32_t chain_segment;  // segment of the last chain logged
  uint32_t closing_round;  // destructor rounds seen, see threads.cpp
  uint32_t blocks_used;
  uint64_t known_segments[32];  // uid << 32 | segment that this thread is known to come after
};
static_assert(sizeof(PrivateCard) <= sizeof(format::Card::reserved));

inline PrivateCard& private_part(format::Card& card) {
  return *reinterpret_cast<PrivateCard*>((reinterpret_cast<uintptr_t>(card.reserved) + 7) &
                                         ~uintptr_t{7});
}

// The one thread-local of the runtime. Zero in a new thread.
struct alignas(64) ThreadState {
  format::Card* card;  // null: none yet, or never (ended)
  format::WaitWord* wait;
  uint64_t scope;       // frame of the open scope, 0: none
  format::Card* quick;  // the card while the hot path may write it (quick_holds.h), else null
  uint64_t held_mark;   // sum of the marks of all holds; kept only while there are three or more
  uint32_t uid;         // kept after the thread's end: joiners read it
  uint8_t ended;        // no hook may make a card for this thread (again)
  uint8_t unused;
  uint16_t saved_slot;  // index + 1 of what save_for_fork kept
  uint32_t once_depth;  // initialisation routines that run in this thread now
  uint32_t tag;         // visitor_tag(uid)
  void* once;           // the call whose routine is about to run, see hooks_once.cpp

  // No hot path inside a scope, nor inside a once routine. Ordered so that a signal handler that
  // finds `quick` finds nothing half done.
  void open_scope(uint64_t frame) {
    scope = frame;
    quick = nullptr;
  }
  void close_scope() {
    scope = 0;
    quick = once_depth == 0 ? card : nullptr;
  }
  void drop_card() {
    quick = nullptr;
    card = nullptr;
  }

  // The chain of held locks and this request is logged unless it was before; costs one comparison
  // then.
  __attribute__((always_inline)) void check_chain(const Request& request, const CallSite& site);

  // True if the thread held it already: one level more, and nothing else to record.
  bool got_again(uint64_t address);

  // The thread holds `request` now.
  __attribute__((always_inline)) void push(const Request& request, const CallSite& site);

  // ... and does not any more, or one level less: then false.
  __attribute__((always_inline)) bool pop(const Request& request, const CallSite& site);

  void begin_wait(const Request& request, const CallSite& site, const format::Registers& registers);
  void end_wait();

  format::Hold* hold_at(uint32_t index);
  // The innermost hold of `address`, or null.
  format::Hold* find_hold(uint64_t address);
  void mark_inexact();

  // The mutex of a condition wait is released in the wait and held again when it returns, by
  // whatever road: a cancelled wait never comes back here, and its card is right all the same.
  void suspend_hold(uint64_t address);
  void resume_hold(uint64_t address);

  // The routine of a pthread_once returned.
  void end_once(uint64_t control);
  void forget_all_once();

 private:
  // By value: a reference would force every inlined caller to keep its request in memory.
  void push_slow(Request request, CallSite site);
  bool pop_slow(Request request, CallSite site);
  [[nodiscard]] __attribute__((always_inline)) uint64_t mark_of_all_holds() const;
  void remove_hold(uint32_t index);
  void forget_finished_once(const CallSite& site);
  void chain_missed(Request request, CallSite site, uint64_t chain);
};
static_assert(sizeof(ThreadState) == 64, "late loading with dlopen must fit into spare static TLS");

extern __thread ThreadState this_thread
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

// Claims the calling thread's card for one bookkeeping step. Tests false when the step must be
// skipped: disarmed, the thread is past its end, or a signal handler interrupted another step (then
// the card is inexact from now on).
//
// Never open across a real blocking call: a cancelled or longjmp'ed thread skips the destructor. If
// one is left open all the same, by a longjmp out of a signal handler, the next hook that runs in
// an older frame notices and takes it over.
class HookScope {
 public:
  __attribute__((always_inline)) explicit HookScope(const CallSite& site) : thread_(nullptr) {
    ThreadState& thread = this_thread;
    if (__builtin_expect(thread.card != nullptr && thread.scope == 0, 1) ||
        claim_slow(site.frame)) {
      thread.open_scope(site.frame);
      // ORDER: against a signal handler of this thread only, so the compiler alone must keep it.
      __atomic_signal_fence(__ATOMIC_SEQ_CST);
      thread_ = &thread;
    }
  }
  __attribute__((always_inline)) ~HookScope() {
    if (thread_ != nullptr) {
      __atomic_signal_fence(__ATOMIC_SEQ_CST);
      thread_->close_scope();
    }
  }
  HookScope(const HookScope&) = delete;
  HookScope& operator=(const HookScope&) = delete;

  explicit operator bool() const { return thread_ != nullptr; }
  ThreadState* operator->() const { return thread_; }

 private:
  static bool claim_slow(uint64_t frame);

  ThreadState* thread_;
};

// Registers as they stand here. Must be inlined into a frame that outlives the wait: an unwinder
// starts from these with the CFI of this library.
__attribute__((always_inline)) inline void capture_registers(format::Registers& to) {
  asm volatile(
      "leaq 0(%%rip), %%rax\n\t"
      "movq %%rax, 0(%0)\n\t"
      "movq %%rsp, 8(%0)\n\t"
      "movq %%rbp, 16(%0)\n\t"
      "movq %%rbx, 24(%0)\n\t"
      "movq %%r12, 32(%0)\n\t"
      "movq %%r13, 40(%0)\n\t"
      "movq %%r14, 48(%0)\n\t"
      "movq %%r15, 56(%0)\n\t"
      :
      : "r"(&to)
      : "rax", "memory");
}

// ---- the parts of chains that the fast path needs (chains.h has the rest)

// A lock instance in a mode, as one number; one that is held, in a chain.
inline uint64_t instance_of(uint64_t address, uint32_t generation, uint8_t mode) {
  return address ^ (uint64_t{generation} << 48) ^ (uint64_t{mode} << 40);
}
inline uint64_t mark_of(uint64_t instance) {
  instance *= 0x9E3779B97F4A7C15U;
  return instance ^ (instance >> 29);
}
inline uint64_t mark_of(const format::Hold& hold) {
  return mark_of(instance_of(hold.address, hold.generation, hold.flags & format::kSharedMode));
}

// The chain "held, then wanted" as one number; `held` is 0 if nothing is. One multiplication: the
// unlock that follows waits for it.
inline uint64_t chain_key(uint64_t wanted, uint64_t held) {
  return wanted * 0xC2B2AE3D27D4EB4FU + held;
}

// What the card's caches compare: the chain, or the instance asked for with nothing held, in this
// segment. What is repeated in a later segment is not ordered by what ended the first one.
inline uint64_t cache_key(uint64_t key, const format::Card& card) { return key ^ card.segment_key; }
inline void set_segment(format::Card& card, uint32_t segment) {
  card.segment = segment;
  card.segment_key = segment * 0x9FB21C651E98DF25U;
}
inline uint64_t& cached_chain(format::Card& card, uint64_t key) {
  return card.chain_cache[key >> 55];
}
inline uint64_t& cached_bare(format::Card& card, uint64_t address) {
  return card.bare_cache[generation_index(address) % format::kBareCacheSize];
}
static_assert(format::kChainCacheSize == 1 << (64 - 55));

// Call sites of which as many chains are logged as ever will be (chains.h): whatever they take next
// need not be looked up. `held` is 0 if nothing is held.
inline uint64_t site_pair(uint64_t wanted, uint64_t held) {
  return (wanted ^ (held << 17 | held >> 47)) * 0x9E3779B97F4A7C15U;
}
inline uint64_t sites_of_chain(const format::Card& card, uint32_t holds, uint64_t wanted) {
  uint64_t sites = site_pair(wanted, holds == 0 ? 0 : card.holds[0].site);
  for (uint32_t i = 1; i < holds && i < format::kInlineHolds; ++i)
    sites = site_pair(sites, card.holds[i].site);
  return sites;
}
inline uint64_t& full_site(format::Card& card, uint64_t sites) {
  return card.full_sites[sites >> 58];
}
static_assert(format::kFullSitesSize == 1 << (64 - 58));
inline bool is_full_site(format::Card& card, uint32_t holds, uint64_t wanted) {
  const uint64_t sites = sites_of_chain(card, holds, wanted);
  return full_site(card, sites) == sites;
}

// Kinds whose request matters with nothing held too: somebody may join this thread, or wait for its
// signal, with the lock in hand.
constexpr bool is_lock(format::Kind kind) {
  switch (kind) {
    case format::Kind::Mutex:
    case format::Kind::RwLock:
    case format::Kind::Spin:
    case format::Kind::GlibMutex:
    case format::Kind::GlibRecMutex:
    case format::Kind::GlibRwLock:
    case format::Kind::GlibBit:
    case format::Kind::Custom:
    case format::Kind::Lease:
      return true;
    default:
      return false;
  }
}

// Set once any lock was found to be used as a semaphore: pushes then look theirs up.
extern uint32_t semaphore_like_locks __attribute__((visibility("hidden")));

inline uint64_t ThreadState::mark_of_all_holds() const {
  const format::Hold* const holds = card->holds;
  switch (card->hold_count) {
    case 0:
      return 0;
    case 1:
      return mark_of(holds[0]);
    case 2:
      return mark_of(holds[0]) + mark_of(holds[1]);
    default:
      return held_mark;
  }
}

inline void ThreadState::check_chain(const Request& request, const CallSite& site) {
  format::Card& own = *card;
  const uint32_t holds = own.hold_count;
  if (holds == 0 &&
      (!is_lock(request.kind) || (request.flags & (format::kTry | format::kTimed)) != 0)) {
    return;
  }
  const uint8_t mode = request.flags & (format::kSharedMode | format::kTry | format::kTimed);
  const uint64_t wanted = instance_of(request.address, visit(request.address, tag), mode);
  if (holds == 0) {
    if (cached_bare(own, request.address) != cache_key(wanted, own) &&
        !is_full_site(own, 0, site.pc)) {
      chain_missed(request, site, wanted);
    }
    return;
  }
  const uint64_t chain = chain_key(wanted, mark_of_all_holds());
  const uint64_t key = cache_key(chain, own);
  if (__builtin_expect(cached_chain(own, key) != key, 0) && !is_full_site(own, holds, site.pc)) {
    chain_missed(request, site, chain);
  }
}

inline void ThreadState::push(const Request& request, const CallSite& site) {
  format::Card& own = *card;
  const uint32_t index = own.hold_count;
  own.acquisitions += 1;
  if (__builtin_expect(index > 0, 0)) own.nested += 1;
  if (__builtin_expect((index >= format::kInlineHolds) | (once_depth != 0) |
                           (semaphore_like_locks != 0) | (request.kind == format::Kind::Semaphore),
                       0)) {
    push_slow(request, site);
    return;
  }
  const uint32_t generation = visit(request.address, tag);
  format::Hold& hold = own.holds[index];
  hold.address = request.address;
  hold.site = site.pc;
  hold.frame = site.frame;
  hold.kind = request.kind;
  hold.flags = request.flags;
  hold.count = 1;
  hold.generation = generation;
  if (__builtin_expect(index >= 2, 0)) held_mark = mark_of_all_holds() + mark_of(hold);
  // ORDER: a reader that sees the count must see the hold; x86 keeps stores in order.
  __atomic_store_n(&own.hold_count, index + 1, __ATOMIC_RELEASE);
}

inline bool ThreadState::pop(const Request& request, const CallSite& site) {
  format::Card& own = *card;
  const uint32_t top = own.hold_count - 1;  // none held: the largest number
  if (__builtin_expect(top >= format::kInlineHolds || own.holds[top].address != request.address ||
                           own.holds[top].count != 1,
                       0)) {
    return pop_slow(request, site);
  }
  if (__builtin_expect(top >= 2, 0)) held_mark -= mark_of(own.holds[top]);
  own.holds[top].address = 0;  // see quick_holds.h
  // ORDER: the slot is empty before the count says so.
  __atomic_store_n(&own.hold_count, top, __ATOMIC_RELEASE);
  return true;
}

}  // namespace gordian::runtime
