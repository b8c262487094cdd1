// SPDX-License-Identifier: Apache-2.0
// pthread_mutex_*. std::mutex and friends are these.

#include "runtime/hook.h"
#include "runtime/lock_table.h"
#include "runtime/log.h"
#include "runtime/quick_holds.h"

#include <sys/single_threaded.h>

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

// A process of one thread cannot wait for a free mutex: glibc's own short cut, half the price of a
// trylock.
bool cannot_block(const pthread_mutex_t* mutex) {
  return __libc_single_threaded != 0 && mutex->__data.__lock == 0 &&
         (mutex->__data.__kind & (kNeedsCare | kSharedBit)) == 0;
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

__attribute__((noinline)) int finish_lock(pthread_mutex_t* mutex, int result, CallSite site) {
  if (result == EBUSY) return lock_contended(mutex, site);
  if (is_taken(result)) note_acquired(request_of(mutex), site);
  return result;
}

__attribute__((noinline)) int lock_generally(pthread_mutex_t* mutex, CallSite site) {
  ensure_started();
  return finish_lock(mutex, real.pthread_mutex_trylock(mutex), site);
}

// Recursive, errorcheck and robust mutexes refuse a thread that does not own them: then nothing was
// released.
int unlock_checked(pthread_mutex_t* mutex, const CallSite& site) {
  const Request request = request_of(mutex);
  bool held = true;
  if (HookScope log(site); log) {
    held = log->find_hold(request.address) != nullptr;
    if (held) log->pop(request, site);
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

}  // namespace

// Only a thread that is about to block pays for publishing its wait: an uncontended lock costs one
// trylock and one record.
GORDIAN_HOOK int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  if (__builtin_expect(alive_page.alive != 1, 0)) return lock_generally(mutex, GORDIAN_CALL_SITE());
  const int result =
      cannot_block(mutex) ? real.pthread_mutex_lock(mutex) : real.pthread_mutex_trylock(mutex);
  if (__builtin_expect(result == 0 && is_plain(mutex), 1) &&
      push_quickly(address_of(mutex), Kind::Mutex,
                   reinterpret_cast<uint64_t>(__builtin_return_address(0)),
                   reinterpret_cast<uint64_t>(__builtin_dwarf_cfa()))) {
    return 0;
  }
  return finish_lock(mutex, result, GORDIAN_CALL_SITE());
}

GORDIAN_HOOK int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.pthread_mutex_trylock(mutex);
  if (is_taken(result)) note_acquired(request_of(mutex, kTry), site);
  return result;
}

GORDIAN_HOOK int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* until) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = request_of(mutex, kTimed);
  const int result =
      wait_for(request, site, [&] { return real.pthread_mutex_timedlock(mutex, until); });
  if (is_taken(result)) note_acquired(request, site);
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
  return result;
}

// Recorded before the real unlock: afterwards another thread may own the mutex, or have freed it.
GORDIAN_HOOK int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  if (__builtin_expect(alive_page.alive == 1 && pop_quickly(address_of(mutex)), 1)) {
    return real.pthread_mutex_unlock(mutex);
  }
  return unlock_generally(mutex, GORDIAN_CALL_SITE());
}

GORDIAN_HOOK int pthread_mutex_init(pthread_mutex_t* mutex,
                                    const pthread_mutexattr_t* kind) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.pthread_mutex_init(mutex, kind);
  if (result == 0) {
    const auto type = static_cast<uint16_t>(mutex->__data.__kind);
    note_born(Kind::Mutex, address_of(mutex), type,
              (type & kSharedBit) != 0 ? gordian::format::kLockProcessShared : uint8_t{0}, site);
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
