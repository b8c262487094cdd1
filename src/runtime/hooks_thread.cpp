// SPDX-License-Identifier: Apache-2.0
// pthread_create and the joins. A join is a wait like any other, for a thread.
#include "runtime/hook.h"
#include "runtime/threads.h"

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

Request join_of(pthread_t thread, uint8_t flags = 0) {
  return Request{.address = static_cast<uint64_t>(thread),
                 .object = uid_of_thread(thread),
                 .kind = Kind::Join,
                 .flags = flags};
}

}  // namespace

GORDIAN_HOOK int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                                void* (*routine)(void*), void* argument) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  gordian::format::Card* card = nullptr;
  if (HookScope log(site); log) {
    card = card_for_child(reinterpret_cast<void*>(routine), argument, attributes, site);
  }
  if (card == nullptr) return real.pthread_create(thread, attributes, routine, argument);

  // Now, while the card is ours: the child may be gone before the call returns, and `*thread` with
  // it.
  const uint32_t uid = card->uid;
  const int result = real.pthread_create(thread, attributes, run_thread, card);
  if (HookScope log(site); log) {
    if (result == 0) {
      child_created(uid, site);
    } else {
      child_not_created(card);
    }
  }
  return result;
}

GORDIAN_HOOK int pthread_join(pthread_t thread, void** value) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = join_of(thread);
  pass_gate(request, site);
  const int result = wait_for(request, site, [&] { return real.pthread_join(thread, value); });
  if (result == 0) note_joined(request, site);
  return result;
}

GORDIAN_HOOK int pthread_tryjoin_np(pthread_t thread, void** value) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = join_of(thread, kTry);
  const int result = real.pthread_tryjoin_np(thread, value);
  if (result == 0) note_joined(request, site);
  return result;
}

GORDIAN_HOOK int pthread_timedjoin_np(pthread_t thread, void** value, const timespec* until) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = join_of(thread, kTimed);
  const int result =
      wait_for(request, site, [&] { return real.pthread_timedjoin_np(thread, value, until); });
  if (result == 0) note_joined(request, site);
  return result;
}

GORDIAN_HOOK int pthread_clockjoin_np(pthread_t thread, void** value, clockid_t clock,
                                      const timespec* until) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = join_of(thread, kTimed);
  const int result = wait_for(
      request, site, [&] { return real.pthread_clockjoin_np(thread, value, clock, until); });
  if (result == 0) note_joined(request, site);
  return result;
}
