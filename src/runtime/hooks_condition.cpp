// SPDX-License-Identifier: Apache-2.0
// pthread_cond_*, in the version of glibc 2.3.2. The older ones have another layout and stay
// untouched: exports.map names the version, so only its callers reach us.
//
// All waits are cancellation points and stay such: the real call is the only one made.
#include "runtime/hook.h"

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

Request request_of(const pthread_cond_t* condition, const pthread_mutex_t* mutex,
                   uint8_t flags = 0) {
  constexpr unsigned kSharedBit = 1;  // glibc: __PTHREAD_COND_SHARED_MASK
  if ((condition->__data.__wrefs & kSharedBit) != 0) flags |= kShared;
  return Request{.address = address_of(condition),
                 .object = address_of(mutex),
                 .kind = Kind::Condition,
                 .flags = flags};
}

}  // namespace

GORDIAN_HOOK int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = request_of(condition, mutex);
  const int result =
      wait_on_condition(request, site, [&] { return real.pthread_cond_wait(condition, mutex); });
  if (result == 0) note_woken(request, site);
  return result;
}

GORDIAN_HOOK int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                                        const timespec* until) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = request_of(condition, mutex, kTimed);
  const int result = wait_on_condition(
      request, site, [&] { return real.pthread_cond_timedwait(condition, mutex, until); });
  if (result == 0) note_woken(request, site);
  return result;
}

GORDIAN_HOOK int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                                        clockid_t clock, const timespec* until) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = request_of(condition, mutex, kTimed);
  const int result = wait_on_condition(
      request, site, [&] { return real.pthread_cond_clockwait(condition, mutex, clock, until); });
  if (result == 0) note_woken(request, site);
  return result;
}

GORDIAN_HOOK int pthread_cond_signal(pthread_cond_t* condition) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_posted(request_of(condition, nullptr), site);
  return real.pthread_cond_signal(condition);
}

GORDIAN_HOOK int pthread_cond_broadcast(pthread_cond_t* condition) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_posted(request_of(condition, nullptr), site, true);
  return real.pthread_cond_broadcast(condition);
}

GORDIAN_HOOK int pthread_cond_init(pthread_cond_t* condition,
                                   const pthread_condattr_t* kind) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.pthread_cond_init(condition, kind);
  if (result == 0) {
    const bool shared = (request_of(condition, nullptr).flags & kShared) != 0;
    note_born(Kind::Condition, address_of(condition), 0,
              shared ? gordian::format::kLockProcessShared : uint8_t{0}, site);
  }
  return result;
}

// Before the real call: afterwards the memory may be somebody else's.
GORDIAN_HOOK int pthread_cond_destroy(pthread_cond_t* condition) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_destroyed(address_of(condition), site);
  return real.pthread_cond_destroy(condition);
}
