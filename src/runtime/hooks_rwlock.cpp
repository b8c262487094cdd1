// SPDX-License-Identifier: Apache-2.0
// pthread_rwlock_*. std::shared_mutex is one of these.
//
// A thread may hold a read lock more than once: one hold with a count. The request is checked
// against what is held all the same, itself included: on a lock that prefers writers the second
// read request waits behind a writer that waits for the first.
#include "runtime/hook.h"

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

bool prefers_writers(const pthread_rwlock_t* lock) {
  return lock->__data.__flags == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;
}

// A rare kind: that it is one is noted whenever it is asked for, since a static initialiser
// announces nothing.
__attribute__((noinline)) void note_preference(const pthread_rwlock_t* lock, const CallSite& site) {
  if (HookScope log(site); log) {
    note_lock_flags(address_of(lock), Kind::RwLock, gordian::format::kLockPrefersWriters, site.pc);
  }
}

Request request_of(const pthread_rwlock_t* lock, uint8_t flags) {
  if (__builtin_expect(lock->__data.__shared != 0, 0)) flags |= kShared;
  return Request{.address = address_of(lock), .object = 0, .kind = Kind::RwLock, .flags = flags};
}

__attribute__((always_inline)) inline void note_read(const Request& request, const CallSite& site) {
  if (HookScope log(site); log) {
    log->check_chain(request, site);
    if (log->card->hold_count == 0 || !log->got_again(request.address)) log->push(request, site);
  }
}

__attribute__((noinline)) int read_contended(pthread_rwlock_t* lock, const CallSite& site) {
  const Request request = request_of(lock, kSharedMode);
  const int result = wait_for(request, site, [lock] { return real.pthread_rwlock_rdlock(lock); });
  if (result == 0) note_read(request, site);
  if (result == EDEADLK) note_self_deadlock(request, site);
  return result;
}

__attribute__((noinline)) int write_contended(pthread_rwlock_t* lock, const CallSite& site) {
  const Request request = request_of(lock, 0);
  const int result = wait_for(request, site, [lock] { return real.pthread_rwlock_wrlock(lock); });
  if (result == 0) note_acquired(request, site);
  if (result == EDEADLK) note_self_deadlock(request, site);
  return result;
}

}  // namespace

GORDIAN_HOOK int pthread_rwlock_rdlock(pthread_rwlock_t* lock) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  if (__builtin_expect(prefers_writers(lock), 0)) note_preference(lock, site);
  const int result = real.pthread_rwlock_tryrdlock(lock);
  if (__builtin_expect(result != 0, 0)) return read_contended(lock, site);
  note_read(request_of(lock, kSharedMode), site);
  return 0;
}

GORDIAN_HOOK int pthread_rwlock_tryrdlock(pthread_rwlock_t* lock) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.pthread_rwlock_tryrdlock(lock);
  if (result == 0) note_read(request_of(lock, kSharedMode | kTry), site);
  return result;
}

GORDIAN_HOOK int pthread_rwlock_timedrdlock(pthread_rwlock_t* lock,
                                            const timespec* until) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = request_of(lock, kSharedMode | kTimed);
  const int result =
      wait_for(request, site, [&] { return real.pthread_rwlock_timedrdlock(lock, until); });
  if (result == 0) note_read(request, site);
  return result;
}

GORDIAN_HOOK int pthread_rwlock_clockrdlock(pthread_rwlock_t* lock, clockid_t clock,
                                            const timespec* until) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = request_of(lock, kSharedMode | kTimed);
  const int result =
      wait_for(request, site, [&] { return real.pthread_rwlock_clockrdlock(lock, clock, until); });
  if (result == 0) note_read(request, site);
  return result;
}

GORDIAN_HOOK int pthread_rwlock_wrlock(pthread_rwlock_t* lock) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  if (__builtin_expect(prefers_writers(lock), 0)) note_preference(lock, site);
  const int result = real.pthread_rwlock_trywrlock(lock);
  if (__builtin_expect(result != 0, 0)) return write_contended(lock, site);
  note_acquired(request_of(lock, 0), site);
  return 0;
}

GORDIAN_HOOK int pthread_rwlock_trywrlock(pthread_rwlock_t* lock) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.pthread_rwlock_trywrlock(lock);
  if (result == 0) note_acquired(request_of(lock, kTry), site);
  return result;
}

GORDIAN_HOOK int pthread_rwlock_timedwrlock(pthread_rwlock_t* lock,
                                            const timespec* until) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = request_of(lock, kTimed);
  const int result =
      wait_for(request, site, [&] { return real.pthread_rwlock_timedwrlock(lock, until); });
  if (result == 0) note_acquired(request, site);
  return result;
}

GORDIAN_HOOK int pthread_rwlock_clockwrlock(pthread_rwlock_t* lock, clockid_t clock,
                                            const timespec* until) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = request_of(lock, kTimed);
  const int result =
      wait_for(request, site, [&] { return real.pthread_rwlock_clockwrlock(lock, clock, until); });
  if (result == 0) note_acquired(request, site);
  return result;
}

GORDIAN_HOOK int pthread_rwlock_unlock(pthread_rwlock_t* lock) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_released(Request{.address = address_of(lock), .object = 0, .kind = Kind::RwLock}, site);
  return real.pthread_rwlock_unlock(lock);
}

GORDIAN_HOOK int pthread_rwlock_init(pthread_rwlock_t* lock,
                                     const pthread_rwlockattr_t* kind) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.pthread_rwlock_init(lock, kind);
  if (result == 0) {
    uint8_t born = 0;
    if (lock->__data.__shared != 0) born |= gordian::format::kLockProcessShared;
    if (prefers_writers(lock)) born |= gordian::format::kLockPrefersWriters;
    note_born(Kind::RwLock, address_of(lock), static_cast<uint16_t>(lock->__data.__flags), born,
              site);
  }
  return result;
}

GORDIAN_HOOK int pthread_rwlock_destroy(pthread_rwlock_t* lock) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_destroyed(address_of(lock), site);
  return real.pthread_rwlock_destroy(lock);
}
