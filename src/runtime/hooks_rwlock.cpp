// SPDX-License-Identifier: Apache-2.0
// pthread_rwlock_*. std::shared_mutex is one of these.
//
// A thread may hold a read lock more than once: one hold with a count. The request is checked
// against what is held all the same, itself included: on a lock that prefers writers the second
// read request waits behind a writer that waits for the first.
#include "runtime/hook.h"
#include "runtime/quick_holds.h"

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
    if (log->card->hold_count == 0 || !log->got_again(request.address)) {
      log->push(request, site);
      if (is_recording()) record_acquired(*log.operator->(), request, site);
    }
  }
}

// By value: whatever the callers passed by address they would keep in memory (see hooks_mutex.cpp).
__attribute__((noinline)) int finish_read(pthread_rwlock_t* lock, int result, CallSite site) {
  const Request request = request_of(lock, kSharedMode);
  if (prefers_writers(lock)) note_preference(lock, site);
  if (result != 0) {
    result = wait_for(request, site, [lock] { return real.pthread_rwlock_rdlock(lock); });
  }
  if (result == 0) note_read(request, site);
  if (result == EDEADLK) note_self_deadlock(request, site);
  return result;
}

__attribute__((noinline)) int finish_write(pthread_rwlock_t* lock, int result, CallSite site) {
  const Request request = request_of(lock, 0);
  if (prefers_writers(lock)) note_preference(lock, site);
  if (result != 0) {
    result = wait_for(request, site, [lock] { return real.pthread_rwlock_wrlock(lock); });
  }
  if (result == 0) note_acquired(request, site);
  if (result == EDEADLK) note_self_deadlock(request, site);
  return result;
}

__attribute__((noinline)) int read_generally(pthread_rwlock_t* lock, CallSite site) {
  ensure_started();
  if (is_steered()) pass_gate(request_of(lock, kSharedMode), site);
  return finish_read(lock, real.pthread_rwlock_tryrdlock(lock), site);
}

__attribute__((noinline)) int write_generally(pthread_rwlock_t* lock, CallSite site) {
  ensure_started();
  if (is_steered()) pass_gate(request_of(lock, 0), site);
  return finish_write(lock, real.pthread_rwlock_trywrlock(lock), site);
}

__attribute__((noinline)) int unlock_generally(pthread_rwlock_t* lock, CallSite site) {
  ensure_started();
  note_released(Request{.address = address_of(lock), .object = 0, .kind = Kind::RwLock}, site);
  return real.pthread_rwlock_unlock(lock);
}

// Private to the process and of the default kind.
bool is_plain(const pthread_rwlock_t* lock) {
  return lock->__data.__shared == 0 && !prefers_writers(lock);
}

}  // namespace

GORDIAN_HOOK int pthread_rwlock_rdlock(pthread_rwlock_t* lock) noexcept {
  if (!may_be_quick()) return read_generally(lock, GORDIAN_CALL_SITE());
  const int result = real.pthread_rwlock_tryrdlock(lock);
  if (__builtin_expect(result == 0 && is_plain(lock), 1) &&
      push_quickly(address_of(lock), Kind::RwLock, GORDIAN_CALL_SITE(), kSharedMode)) {
    return 0;
  }
  return finish_read(lock, result, GORDIAN_CALL_SITE());
}

GORDIAN_HOOK int pthread_rwlock_tryrdlock(pthread_rwlock_t* lock) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.pthread_rwlock_tryrdlock(lock);
  if (result == 0) note_read(request_of(lock, kSharedMode | kTry), site);
  if (result == EBUSY) note_try_failed(request_of(lock, kSharedMode | kTry), site);
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
  if (result == ETIMEDOUT) note_try_failed(request, site);
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
  if (result == ETIMEDOUT) note_try_failed(request, site);
  return result;
}

GORDIAN_HOOK int pthread_rwlock_wrlock(pthread_rwlock_t* lock) noexcept {
  if (!may_be_quick()) return write_generally(lock, GORDIAN_CALL_SITE());
  const int result = real.pthread_rwlock_trywrlock(lock);
  if (__builtin_expect(result == 0 && is_plain(lock), 1) &&
      push_quickly(address_of(lock), Kind::RwLock, GORDIAN_CALL_SITE())) {
    return 0;
  }
  return finish_write(lock, result, GORDIAN_CALL_SITE());
}

GORDIAN_HOOK int pthread_rwlock_trywrlock(pthread_rwlock_t* lock) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.pthread_rwlock_trywrlock(lock);
  if (result == 0) note_acquired(request_of(lock, kTry), site);
  if (result == EBUSY) note_try_failed(request_of(lock, kTry), site);
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
  if (result == ETIMEDOUT) note_try_failed(request, site);
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
  if (result == ETIMEDOUT) note_try_failed(request, site);
  return result;
}

GORDIAN_HOOK int pthread_rwlock_unlock(pthread_rwlock_t* lock) noexcept {
  if (__builtin_expect(may_be_quick() && pop_quickly(address_of(lock)), 1)) {
    return real.pthread_rwlock_unlock(lock);
  }
  return unlock_generally(lock, GORDIAN_CALL_SITE());
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
