// SPDX-License-Identifier: Apache-2.0
// C11 threads: glibc builds them on its internal pthread functions, not on the exported ones, so
// they need hooks of their own. mtx_t is a pthread_mutex_t inside, cnd_t a pthread_cond_t.
#include "runtime/hook.h"
#include "runtime/threads.h"

#include <threads.h>

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

Request mutex_request(mtx_t* mutex, uint8_t flags = 0) {
  const auto* inside = reinterpret_cast<const pthread_mutex_t*>(mutex);
  return {.address = address_of(mutex),
          .kind = Kind::Mutex,
          .flags = flags,
          .recursive = inside->__data.__kind == PTHREAD_MUTEX_RECURSIVE_NP};
}

Request condition_request(cnd_t* condition, mtx_t* mutex, uint8_t flags = 0) {
  return {.address = address_of(condition),
          .object = address_of(mutex),
          .kind = Kind::Condition,
          .flags = flags};
}

}  // namespace

GORDIAN_HOOK int mtx_init(mtx_t* mutex, int type) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.mtx_init(mutex, type);
  if (result == thrd_success) {
    const auto kind = reinterpret_cast<pthread_mutex_t*>(mutex)->__data.__kind;
    note_born(Kind::Mutex, address_of(mutex), static_cast<uint16_t>(kind), 0, site);
  }
  return result;
}

GORDIAN_HOOK void mtx_destroy(mtx_t* mutex) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_destroyed(address_of(mutex), site);
  real.mtx_destroy(mutex);
}

GORDIAN_HOOK int mtx_lock(mtx_t* mutex) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = mutex_request(mutex);
  pass_gate(request, site);
  int result = real.mtx_trylock(mutex);
  if (result == thrd_busy) {
    result = wait_for(request, site, [mutex] { return real.mtx_lock(mutex); });
  }
  if (result == thrd_success) note_acquired(request, site);
  return result;
}

GORDIAN_HOOK int mtx_timedlock(mtx_t* __restrict mutex, const timespec* __restrict until) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = mutex_request(mutex, kTimed);
  const int result = wait_for(request, site, [&] { return real.mtx_timedlock(mutex, until); });
  if (result == thrd_success) note_acquired(request, site);
  if (result == thrd_timedout) note_try_failed(request, site);
  return result;
}

GORDIAN_HOOK int mtx_trylock(mtx_t* mutex) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.mtx_trylock(mutex);
  if (result == thrd_success) note_acquired(mutex_request(mutex, kTry), site);
  if (result == thrd_busy) note_try_failed(mutex_request(mutex, kTry), site);
  return result;
}

GORDIAN_HOOK int mtx_unlock(mtx_t* mutex) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_released(mutex_request(mutex), site);
  return real.mtx_unlock(mutex);
}

GORDIAN_HOOK int cnd_wait(cnd_t* condition, mtx_t* mutex) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  return wait_on_condition(condition_request(condition, mutex), site,
                           [&] { return real.cnd_wait(condition, mutex); });
}

GORDIAN_HOOK int cnd_timedwait(cnd_t* __restrict condition, mtx_t* __restrict mutex,
                               const timespec* __restrict until) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  return wait_on_condition(condition_request(condition, mutex, kTimed), site,
                           [&] { return real.cnd_timedwait(condition, mutex, until); });
}

GORDIAN_HOOK int cnd_signal(cnd_t* condition) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_posted(condition_request(condition, nullptr), site);
  return real.cnd_signal(condition);
}

GORDIAN_HOOK int cnd_broadcast(cnd_t* condition) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_posted(condition_request(condition, nullptr), site, true);
  return real.cnd_broadcast(condition);
}

// The trampoline passes its routine's result through as a pointer; thrd_join reads the int in it.
GORDIAN_HOOK int thrd_create(thrd_t* thread, thrd_start_t routine, void* argument) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  gordian::format::Card* card = nullptr;
  if (HookScope log(site); log) {
    card = card_for_child(reinterpret_cast<void*>(routine), argument, nullptr, site);
  }
  if (card == nullptr) return real.thrd_create(thread, routine, argument);
  const uint32_t uid = card->uid;
  const int result = real.thrd_create(
      thread, reinterpret_cast<thrd_start_t>(reinterpret_cast<void*>(run_thread)), card);
  if (HookScope log(site); log) {
    if (result == thrd_success) {
      child_created(uid, site);
    } else {
      child_not_created(card);
    }
  }
  return result;
}

GORDIAN_HOOK int thrd_join(thrd_t thread, int* value) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request{.address = static_cast<uint64_t>(thread),
                        .object = uid_of_thread(thread),
                        .kind = Kind::Join};
  pass_gate(request, site);
  const int result = wait_for(request, site, [&] { return real.thrd_join(thread, value); });
  if (result == thrd_success) note_joined(request, site);
  return result;
}
