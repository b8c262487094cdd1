// SPDX-License-Identifier: Apache-2.0
// pthread_spin_*. A spinning thread shows nothing to the kernel, so we spin ourselves: the
// heartbeat on its wait word attests that it still waits, and for what.
#include "runtime/hook.h"

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

constexpr int kRoundsPerBeat = 64;

Request request_of(const volatile pthread_spinlock_t* lock, uint8_t flags = 0) {
  return Request{.address = address_of(lock), .object = 0, .kind = Kind::Spin, .flags = flags};
}

int spin(pthread_spinlock_t* lock) {
  for (;;) {
    for (int i = 0; i < kRoundsPerBeat; ++i) {
      const int result = real.pthread_spin_trylock(lock);
      if (result != EBUSY) return result;
      __builtin_ia32_pause();
    }
    if (this_thread.wait != nullptr) this_thread.wait->heartbeat += 1;
  }
}

__attribute__((noinline)) int lock_contended(pthread_spinlock_t* lock, const CallSite& site) {
  const Request request = request_of(lock, kSpinning);
  const int result = wait_for(request, site, [lock] { return spin(lock); });
  if (result == 0) note_acquired(request_of(lock), site);
  return result;
}

}  // namespace

GORDIAN_HOOK int pthread_spin_lock(pthread_spinlock_t* lock) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  if (is_steered()) pass_gate(request_of(lock), site);
  const int result = real.pthread_spin_trylock(lock);
  if (__builtin_expect(result == EBUSY, 0)) return lock_contended(lock, site);
  if (result == 0) note_acquired(request_of(lock), site);
  return result;
}

GORDIAN_HOOK int pthread_spin_trylock(pthread_spinlock_t* lock) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.pthread_spin_trylock(lock);
  if (result == 0) note_acquired(request_of(lock, kTry), site);
  if (result == EBUSY) note_try_failed(request_of(lock, kTry), site);
  return result;
}

GORDIAN_HOOK int pthread_spin_unlock(pthread_spinlock_t* lock) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_released(request_of(lock), site);
  return real.pthread_spin_unlock(lock);
}

GORDIAN_HOOK int pthread_spin_init(pthread_spinlock_t* lock, int shared) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.pthread_spin_init(lock, shared);
  if (result == 0) {
    note_born(Kind::Spin, address_of(lock), 0,
              shared != 0 ? gordian::format::kLockProcessShared : uint8_t{0}, site);
  }
  return result;
}

GORDIAN_HOOK int pthread_spin_destroy(pthread_spinlock_t* lock) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_destroyed(address_of(lock), site);
  return real.pthread_spin_destroy(lock);
}
