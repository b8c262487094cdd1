// SPDX-License-Identifier: Apache-2.0
// sem_*, named and unnamed.
//
// A semaphore that starts at 1 may be used as a lock: whoever waits holds it until the same thread
// posts. The first post by a thread that did not hold it ends that guess for good.
#include "runtime/hook.h"

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

// glibc's struct new_sem: the word after the 64-bit value says whether it is private.
bool is_shared(const sem_t* semaphore) { return reinterpret_cast<const int*>(semaphore)[2] != 0; }

Request request_of(const sem_t* semaphore, uint8_t flags = 0) {
  if (is_shared(semaphore)) flags |= kShared;
  return Request{
      .address = address_of(semaphore), .object = 0, .kind = Kind::Semaphore, .flags = flags};
}

void note_taken(const Request& request, const CallSite& site) {
  note_woken(request, site);
  note_acquired(request, site);
}

// Errors and signals are nothing that another thread has caused.
void note_found_empty(const Request& request, const CallSite& site) {
  if (errno == EAGAIN || errno == ETIMEDOUT) note_try_failed(request, site);
}

}  // namespace

// The wait is a cancellation point even if it need not block; sem_trywait is none. And a failed
// try must not show in errno.
GORDIAN_HOOK int sem_wait(sem_t* semaphore) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  pthread_testcancel();
  const Request request = request_of(semaphore);
  pass_gate(request, site);
  const int before = errno;
  int result = real.sem_trywait(semaphore);
  if (result != 0) {
    errno = before;
    result = wait_for(request, site, [semaphore] { return real.sem_wait(semaphore); });
  }
  if (result == 0) note_taken(request, site);
  return result;
}

GORDIAN_HOOK int sem_trywait(sem_t* semaphore) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.sem_trywait(semaphore);
  if (result == 0) note_taken(request_of(semaphore, kTry), site);
  if (result != 0) note_found_empty(request_of(semaphore, kTry), site);
  return result;
}

GORDIAN_HOOK int sem_timedwait(sem_t* semaphore, const timespec* until) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = request_of(semaphore, kTimed);
  const int result = wait_for(request, site, [&] { return real.sem_timedwait(semaphore, until); });
  if (result == 0) note_taken(request, site);
  if (result != 0) note_found_empty(request, site);
  return result;
}

GORDIAN_HOOK int sem_clockwait(sem_t* semaphore, clockid_t clock, const timespec* until) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = request_of(semaphore, kTimed);
  const int result =
      wait_for(request, site, [&] { return real.sem_clockwait(semaphore, clock, until); });
  if (result == 0) note_taken(request, site);
  if (result != 0) note_found_empty(request, site);
  return result;
}

// Async-signal-safe, and so are we.
GORDIAN_HOOK int sem_post(sem_t* semaphore) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = request_of(semaphore);
  note_posted(request, site);
  note_released(request, site);
  return real.sem_post(semaphore);
}

GORDIAN_HOOK int sem_init(sem_t* semaphore, int shared, unsigned value) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.sem_init(semaphore, shared, value);
  if (result == 0) {
    uint8_t flags = 0;
    if (shared != 0) flags |= gordian::format::kLockProcessShared;
    if (value != 1) flags |= gordian::format::kLockSemaphoreLike;
    note_born(Kind::Semaphore, address_of(semaphore), static_cast<uint16_t>(value), flags, site);
  }
  return result;
}

GORDIAN_HOOK int sem_destroy(sem_t* semaphore) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_destroyed(address_of(semaphore), site);
  return real.sem_destroy(semaphore);
}
