// SPDX-License-Identifier: Apache-2.0
// pthread_mutex_*. std::mutex and friends are these.

#include "runtime/hook.h"
#include "runtime/lock_table.h"
#include "runtime/log.h"
#include "runtime/plain_mutex.h"
#include "runtime/quick_holds.h"

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

// Bits of the kind word, as glibc's nptl/pthreadP.h has them.
constexpr int kTypeMask = 3;
constexpr int kRecursiveType = PTHREAD_MUTEX_RECURSIVE_NP;
constexpr int kInheritBit = 32;
constexpr int kSharedBit = 128;
constexpr int kOwnerChecked =
    16 | 1 | 2;  // robust, recursive, errorcheck (and, needlessly, adaptive)
constexpr int kNeedsCare = 127 & ~kTypeMask;  // robust, priority: never "plain"

Request request_of(const pthread_mutex_t* mutex, uint8_t flags = 0) {
  const int kind = mutex->__data.__kind;
  if (__builtin_expect((kind & kSharedBit) != 0, 0)) flags |= kShared;
  if (__builtin_expect((kind & kInheritBit) != 0, 0)) flags |= kPriority;
  return Request{.address = address_of(mutex),
                 .object = 0,
                 .kind = Kind::Mutex,
                 .flags = flags,
                 .recursive = (kind & kTypeMask) == kRecursiveType};
}

bool is_taken(int result) { return result == 0 || result == EOWNERDEAD; }

__attribute__((noinline)) int lock_contended(pthread_mutex_t* mutex, CallSite site) {
  const Request request = request_of(mutex);
  const int result = wait_for(request, site, [mutex] { return real.pthread_mutex_lock(mutex); });
  if (is_taken(result)) {
    note_acquired(request, site);
  } else if (result == EDEADLK) {
    note_self_deadlock(request, site);
  }
  return result;
}

// Neither recursive, robust, priority-inheriting nor process-shared (elision bits do not matter).
bool is_plain(const pthread_mutex_t* mutex) {
  const int kind = mutex->__data.__kind;
  return (kind & (kNeedsCare | kSharedBit)) == 0 && (kind & kTypeMask) != kRecursiveType;
}

// A swap that fails takes the word's cache line from its owner all the same, and tells no more than
// a look.
bool looks_taken(const pthread_mutex_t* mutex) {
  return __atomic_load_n(&mutex->__data.__lock, __ATOMIC_RELAXED) != 0;
}

// Sections are mostly short: whoever is about to leave his is waited for awake, for less time than
// it takes to publish a wait and to be woken by the kernel. The word is looked at seldom: each look
// takes its cache line away from the owner, who needs it to leave.
int try_again(pthread_mutex_t* mutex) {
  constexpr int kPauses[] = {20, 40, 60};
  for (const int pauses : kPauses) {
    for (int i = 0; i < pauses; ++i) __builtin_ia32_pause();
    if (looks_taken(mutex)) continue;
    if (const int result = real.pthread_mutex_trylock(mutex); result != EBUSY) return result;
  }
  return EBUSY;
}

__attribute__((noinline)) int finish_lock(pthread_mutex_t* mutex, int result, CallSite site) {
  if (result == EBUSY && is_plain(mutex)) result = try_again(mutex);
  if (result == EBUSY) return lock_contended(mutex, site);
  if (is_taken(result)) note_acquired(request_of(mutex), site);
  return result;
}

// What pthread_mutex_lock cannot do by itself.
__attribute__((noinline)) int lock_by_libc(pthread_mutex_t* mutex, CallSite site) {
  ensure_started();
  if (is_steered()) pass_gate(request_of(mutex), site);
  const int result = real.pthread_mutex_trylock(mutex);
  if (__builtin_expect(result == 0 && may_be_quick() && is_plain(mutex), 1) &&
      push_quickly(address_of(mutex), Kind::Mutex, site)) {
    return 0;
  }
  return finish_lock(mutex, result, site);
}

// The quick way of a recorded program: as quick_holds.h does it, but in a scope, since a signal
// handler must not write into the middle of a record.
//
// `quick` stays as it is in such a scope: while a program is recorded nobody else goes by it, and
// each store less is a store less for the next atomic operation to wait for. For the same reason
// the way straight through makes no call but the last one: it then needs no frame.

// In the scope of a recorded lock, with the hold on the card. `mode`: kTry or 0.
__attribute__((noinline)) int record_late(pthread_mutex_t* mutex, CallSite site, uint8_t mode = 0) {
  ThreadState& thread = this_thread;
  record_acquired(thread, {.address = address_of(mutex), .kind = Kind::Mutex, .flags = mode}, site);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  thread.scope = 0;
  return 0;
}

// What is recorded for the first time, after a while, or after what the program told of its memory.
__attribute__((noinline)) int lock_recorded_slowly(pthread_mutex_t* mutex, CallSite site) {
  ThreadState& thread = this_thread;
  if (thread.scope != 0 || !is_default_kind(mutex)) return lock_by_libc(mutex, site);
  const QuickHold quick = prepare_hold(address_of(mutex), site.pc);
  if (quick.card == nullptr) return lock_by_libc(mutex, site);
  gordian::format::Ring* const ring = ring_of(*quick.card);
  thread.scope = site.frame;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  settle_what_was_read(ring);
  if (!take_plain_mutex(mutex, quick.card->tid)) {
    thread.scope = 0;
    return lock_by_libc(mutex, site);
  }
  finish_hold(quick, address_of(mutex), Kind::Mutex, 0, site);
  if (ring == nullptr || !has_room(*ring) ||
      !record_acquired_quickly(*ring, *quick.card, address_of(mutex), site)) {
    return record_late(mutex, site);
  }
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  thread.scope = 0;
  return 0;
}

// Straight through; what does not go so goes `kOtherwise`. `kMode`: kTry or 0.
template <int (*kOtherwise)(pthread_mutex_t*, CallSite), uint8_t kMode>
__attribute__((always_inline)) inline int take_recorded(pthread_mutex_t* mutex, CallSite site) {
  ThreadState& thread = this_thread;
  gordian::format::Card* const card = thread.quick;
  fetch_slot(address_of(mutex));
  if (__builtin_expect(card == nullptr || thread.scope != 0 || !is_default_kind(mutex), 0)) {
    return kOtherwise(mutex, site);
  }
  gordian::format::Ring* const ring = ring_of(*card);
  const QuickHold quick = find_known_hold(*card, address_of(mutex), site.pc, kMode);
  if (__builtin_expect(quick.card == nullptr || ring == nullptr, 0)) {
    return kOtherwise(mutex, site);
  }
  thread.scope = site.frame;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  if (__builtin_expect(!has_room(*ring) || !take_plain_mutex(mutex, card->tid), 0)) {
    thread.scope = 0;
    return kOtherwise(mutex, site);
  }
  finish_hold(quick, address_of(mutex), Kind::Mutex, kMode, site);
  constexpr uint32_t kFlags = kMode == kTry ? gordian::format::kEventTry : 0;
  if (__builtin_expect(!record_acquired_quickly(*ring, *card, address_of(mutex), site, kFlags),
                       0)) {
    return record_late(mutex, site, kMode);
  }
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  thread.scope = 0;
  return 0;
}

__attribute__((noinline)) int lock_recorded(pthread_mutex_t* mutex, CallSite site) {
  return take_recorded<lock_recorded_slowly, 0>(mutex, site);
}

// A lock or a place that the caches do not know, or a process of one thread.
__attribute__((noinline)) int lock_unrecorded(pthread_mutex_t* mutex, CallSite site) {
  const auto state = alive();
  if ((state != kQuick && state != kAlone) || !is_default_kind(mutex)) {
    return lock_by_libc(mutex, site);
  }
  const QuickHold quick = prepare_hold(address_of(mutex), site.pc);
  if (quick.card == nullptr ||
      !(state == kQuick ? take_plain_mutex(mutex, quick.card->tid)
                        : take_plain_mutex_alone(mutex, quick.card->tid))) {
    return lock_by_libc(mutex, site);
  }
  finish_hold(quick, address_of(mutex), Kind::Mutex, 0, site);
  return 0;
}

__attribute__((noinline)) int lock_otherwise(pthread_mutex_t* mutex, CallSite site) {
  return alive() == kRecording ? lock_recorded(mutex, site) : lock_unrecorded(mutex, site);
}

__attribute__((noinline)) int try_generally(pthread_mutex_t* mutex, CallSite site) {
  ensure_started();
  const int result = real.pthread_mutex_trylock(mutex);
  if (is_taken(result)) note_acquired(request_of(mutex, kTry), site);
  if (result == EBUSY) note_try_failed(request_of(mutex, kTry), site);
  return result;
}

__attribute__((noinline)) int try_recorded(pthread_mutex_t* mutex, CallSite site) {
  if (looks_taken(mutex)) return try_generally(mutex, site);
  return take_recorded<try_generally, kTry>(mutex, site);
}

// Recursive, errorcheck and robust mutexes refuse a thread that does not own them: then nothing was
// released.
int unlock_checked(pthread_mutex_t* mutex, const CallSite& site) {
  const Request request = request_of(mutex);
  bool held = true;
  if (HookScope log(site); log) {
    held = log->find_hold(request.address) != nullptr;
    if (held && is_recording()) record_cancelled_wait(*log.operator->(), request);
    if (held && log->pop(request, site) && is_recording())
      record_released(*log.operator->(), request);
  }
  const int result = real.pthread_mutex_unlock(mutex);
  if (result == 0 && !held) note_released(request, site);
  return result;
}

__attribute__((noinline)) int unlock_generally(pthread_mutex_t* mutex, CallSite site) {
  ensure_started();
  if ((mutex->__data.__kind & kOwnerChecked) != 0) return unlock_checked(mutex, site);
  note_released(Request{.address = address_of(mutex), .object = 0, .kind = Kind::Mutex}, site);
  return real.pthread_mutex_unlock(mutex);
}

// As lock_recorded.
__attribute__((noinline)) int unlock_recorded_slowly(pthread_mutex_t* mutex) {
  ThreadState& thread = this_thread;
  gordian::format::Ring* const ring = ring_of(*thread.card);
  settle_what_was_read(ring);
  if (ring == nullptr || !record_released_quickly(*ring, address_of(mutex))) {
    record_released(thread, {.address = address_of(mutex), .kind = Kind::Mutex});
  }
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  thread.scope = 0;
  return real.pthread_mutex_unlock(mutex);
}

__attribute__((noinline)) int unlock_recorded(pthread_mutex_t* mutex, CallSite site) {
  ThreadState& thread = this_thread;
  gordian::format::Card* const card = thread.quick;
  if (__builtin_expect(card == nullptr || thread.scope != 0, 0)) {
    return unlock_generally(mutex, site);
  }
  const uint32_t top = card->hold_count - 1;  // none held: the largest number
  if (__builtin_expect(top > 1 || (card->holds[top].flags & gordian::format::kSuspended) != 0, 0)) {
    return unlock_generally(mutex, site);
  }
  gordian::format::Ring* const ring = ring_of(*card);
  thread.scope = site.frame;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  if (__builtin_expect(!drop_hold(*card, top, address_of(mutex)), 0)) {
    thread.scope = 0;
    return unlock_generally(mutex, site);
  }
  if (__builtin_expect(ring == nullptr || !record_released_quickly(*ring, address_of(mutex)), 0)) {
    return unlock_recorded_slowly(mutex);
  }
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  thread.scope = 0;
  return real.pthread_mutex_unlock(mutex);
}

__attribute__((noinline)) int unlock_otherwise(pthread_mutex_t* mutex, CallSite site) {
  return alive() == kRecording ? unlock_recorded(mutex, site) : unlock_generally(mutex, site);
}

}  // namespace

// Only a thread that is about to block pays for publishing its wait: an uncontended lock costs one
// compare-and-swap and one record.
GORDIAN_HOOK int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  gordian::format::Card* const card = this_thread.quick;
  if (__builtin_expect(alive() == kQuick && is_default_kind(mutex) && card != nullptr, 1)) {
    const QuickHold quick =
        find_known_hold(*card, address_of(mutex), address_of(__builtin_return_address(0)));
    if (quick.card != nullptr && take_plain_mutex(mutex, card->tid)) {
      finish_hold(quick, address_of(mutex), Kind::Mutex, 0, GORDIAN_CALL_SITE());
      return 0;
    }
  }
  return lock_otherwise(mutex, GORDIAN_CALL_SITE());
}

GORDIAN_HOOK int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  const auto state = alive();
  if (state == kRecording) return try_recorded(mutex, site);
  gordian::format::Card* const card = this_thread.quick;
  if (__builtin_expect(state == kQuick && is_default_kind(mutex) && card != nullptr, 1) &&
      !looks_taken(mutex)) {
    const QuickHold quick = find_known_hold(*card, address_of(mutex), site.pc, kTry);
    if (quick.card != nullptr && take_plain_mutex(mutex, card->tid)) {
      finish_hold(quick, address_of(mutex), Kind::Mutex, kTry, site);
      return 0;
    }
  }
  return try_generally(mutex, site);
}

GORDIAN_HOOK int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* until) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = request_of(mutex, kTimed);
  const int result =
      wait_for(request, site, [&] { return real.pthread_mutex_timedlock(mutex, until); });
  if (is_taken(result)) note_acquired(request, site);
  if (result == ETIMEDOUT) note_try_failed(request, site);
  return result;
}

GORDIAN_HOOK int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock,
                                         const timespec* until) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = request_of(mutex, kTimed);
  const int result =
      wait_for(request, site, [&] { return real.pthread_mutex_clocklock(mutex, clock, until); });
  if (is_taken(result)) note_acquired(request, site);
  if (result == ETIMEDOUT) note_try_failed(request, site);
  return result;
}

// Recorded before the real unlock: afterwards another thread may own the mutex, or have freed it.
GORDIAN_HOOK int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  if (__builtin_expect(may_be_quick() && pop_quickly(address_of(mutex)), 1)) {
    return real.pthread_mutex_unlock(mutex);
  }
  return unlock_otherwise(mutex, GORDIAN_CALL_SITE());
}

GORDIAN_HOOK int pthread_mutex_init(pthread_mutex_t* mutex,
                                    const pthread_mutexattr_t* kind) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.pthread_mutex_init(mutex, kind);
  if (result == 0) {
    const auto type = static_cast<uint16_t>(mutex->__data.__kind);
    // glibc sets its bit for every robust mutex.
    int shared = PTHREAD_PROCESS_PRIVATE;
    if ((type & kSharedBit) != 0) pthread_mutexattr_getpshared(kind, &shared);
    note_born(Kind::Mutex, address_of(mutex), type,
              shared == PTHREAD_PROCESS_SHARED ? gordian::format::kLockProcessShared : uint8_t{0},
              site);
  }
  return result;
}

// Before the real call: afterwards the memory may be somebody else's.
GORDIAN_HOOK int pthread_mutex_destroy(pthread_mutex_t* mutex) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_destroyed(address_of(mutex), site);
  return real.pthread_mutex_destroy(mutex);
}
