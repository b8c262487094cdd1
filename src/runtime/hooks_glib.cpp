// SPDX-License-Identifier: Apache-2.0
// GLib's locks. Calls inside libglib are bound locally, so nothing here is seen twice but GRecMutex
// and GRWLock: those are heap pthread objects that libglib locks through the dynamic linker. Their
// hooks therefore call the pthread functions themselves; `object` is the pthread object, which is
// what the kernel shows a waiter at.
//
// The names are exported as aliases of hidden functions: a table of the exported ones would be
// bound like any other reference, to GLib's.
#include "runtime/hooks_glib.h"

#include "runtime/hook.h"
#include "runtime/lock_table.h"
#include "runtime/order.h"

#include <stddef.h>

namespace gordian::runtime {

constinit GlibFunctions real_glib{};

namespace {

Request glib_request(const volatile void* object, Kind kind, uint8_t flags = 0) {
  return {.address = address_of(object), .kind = kind, .flags = flags};
}

void born(const volatile void* object, Kind kind, const CallSite& site) {
  note_born(kind, address_of(object), 0, 0, site);
}

void ended(const volatile void* object, const CallSite& site) {
  note_destroyed(address_of(object), site);
}

// The pthread object behind a GRecMutex or GRWLock; null until GLib made one at first use.
template <typename Object>
Object* behind(void* glib_object) {
  // ORDER: pairs with GLib's compare-and-exchange that installs the object it initialised.
  return __atomic_load_n(static_cast<Object**>(glib_object), __ATOMIC_ACQUIRE);
}

Request recursive_request(void* mutex, uint8_t flags = 0) {
  return {.address = address_of(mutex),
          .object = address_of(behind<pthread_mutex_t>(mutex)),
          .kind = Kind::GlibRecMutex,
          .flags = flags,
          .recursive = true};
}

Request rwlock_request(void* lock, uint8_t flags) {
  return {.address = address_of(lock),
          .object = address_of(behind<pthread_rwlock_t>(lock)),
          .kind = Kind::GlibRwLock,
          .flags = flags,
          .recursive = (flags & kSharedMode) != 0};
}

// A bit lock is an address and a bit. Bits share a word, so the bit goes where no address has one.
constexpr int kBitShift = 56;
Request bit_request(const volatile void* address, int bit, uint8_t flags = 0) {
  return {.address = address_of(address) | static_cast<uint64_t>(bit & 63) << kBitShift,
          .object = static_cast<uint64_t>(bit),
          .kind = Kind::GlibBit,
          .flags = flags};
}

}  // namespace
}  // namespace gordian::runtime

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): the hooks are C
                                   // functions

#define GORDIAN_GLIB_HOOK(name, result, arguments)                                               \
  extern "C" result name arguments __attribute__((visibility("default"), alias("hook_" #name))); \
  extern "C" __attribute__((visibility("hidden"))) result hook_##name arguments

// ---- GMutex

GORDIAN_GLIB_HOOK(g_mutex_init, void, (void* mutex)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  born(mutex, Kind::GlibMutex, site);
  real_glib.g_mutex_init(mutex);
}

GORDIAN_GLIB_HOOK(g_mutex_clear, void, (void* mutex)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  ended(mutex, site);
  real_glib.g_mutex_clear(mutex);
}

GORDIAN_GLIB_HOOK(g_mutex_lock, void, (void* mutex)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = glib_request(mutex, Kind::GlibMutex);
  pass_gate(request, site);
  if (!real_glib.g_mutex_trylock(mutex)) {
    wait_for(request, site, [&] {
      real_glib.g_mutex_lock(mutex);
      return 0;
    });
  }
  note_acquired(request, site);
}

GORDIAN_GLIB_HOOK(g_mutex_trylock, int, (void* mutex)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int taken = real_glib.g_mutex_trylock(mutex);
  if (taken) note_acquired(glib_request(mutex, Kind::GlibMutex, kTry), site);
  if (!taken) note_try_failed(glib_request(mutex, Kind::GlibMutex, kTry), site);
  return taken;
}

GORDIAN_GLIB_HOOK(g_mutex_unlock, void, (void* mutex)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_released(glib_request(mutex, Kind::GlibMutex), site);
  real_glib.g_mutex_unlock(mutex);
}

// ---- GRecMutex

GORDIAN_GLIB_HOOK(g_rec_mutex_init, void, (void* mutex)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  real_glib.g_rec_mutex_init(mutex);
  born(mutex, Kind::GlibRecMutex, site);
}

GORDIAN_GLIB_HOOK(g_rec_mutex_clear, void, (void* mutex)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  ended(mutex, site);
  real_glib.g_rec_mutex_clear(mutex);
}

// First use of a zero-filled GRecMutex: GLib makes the pthread object, and locks it through our own
// pthread hook. That one hold is taken back, so that the lock is on the card once, under its name.
static bool try_through_glib(void* mutex, const CallSite& site) {
  if (!real_glib.g_rec_mutex_trylock(mutex)) return false;
  note_released({.address = address_of(behind<pthread_mutex_t>(mutex)), .kind = Kind::Mutex}, site);
  return true;
}

GORDIAN_GLIB_HOOK(g_rec_mutex_lock, void, (void* mutex)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  pass_gate(recursive_request(mutex), site);
  auto* impl = behind<pthread_mutex_t>(mutex);
  const bool taken =
      impl != nullptr ? real.pthread_mutex_trylock(impl) == 0 : try_through_glib(mutex, site);
  const Request request = recursive_request(mutex);
  if (!taken) {
    impl = behind<pthread_mutex_t>(mutex);
    wait_for(request, site, [&] { return real.pthread_mutex_lock(impl); });
  }
  note_acquired(request, site);
}

GORDIAN_GLIB_HOOK(g_rec_mutex_trylock, int, (void* mutex)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  auto* impl = behind<pthread_mutex_t>(mutex);
  const bool taken =
      impl != nullptr ? real.pthread_mutex_trylock(impl) == 0 : try_through_glib(mutex, site);
  if (taken) note_acquired(recursive_request(mutex, kTry), site);
  if (!taken) note_try_failed(recursive_request(mutex, kTry), site);
  return taken;
}

GORDIAN_GLIB_HOOK(g_rec_mutex_unlock, void, (void* mutex)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_released(recursive_request(mutex), site);
  real.pthread_mutex_unlock(behind<pthread_mutex_t>(mutex));
}

// ---- GRWLock

GORDIAN_GLIB_HOOK(g_rw_lock_init, void, (void* lock)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  real_glib.g_rw_lock_init(lock);
  born(lock, Kind::GlibRwLock, site);
}

GORDIAN_GLIB_HOOK(g_rw_lock_clear, void, (void* lock)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  ended(lock, site);
  real_glib.g_rw_lock_clear(lock);
}

// Makes GLib create the pthread object behind a zero-filled GRWLock, by a try that is undone.
static pthread_rwlock_t* rwlock_behind(void* lock) {
  auto* impl = behind<pthread_rwlock_t>(lock);
  if (impl == nullptr && real_glib.g_rw_lock_reader_trylock(lock)) {
    real_glib.g_rw_lock_reader_unlock(lock);
  }
  return behind<pthread_rwlock_t>(lock);
}

GORDIAN_GLIB_HOOK(g_rw_lock_writer_lock, void, (void* lock)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  pthread_rwlock_t* impl = rwlock_behind(lock);
  const Request request = rwlock_request(lock, 0);
  pass_gate(request, site);
  if (real.pthread_rwlock_trywrlock(impl) != 0) {
    wait_for(request, site, [&] { return real.pthread_rwlock_wrlock(impl); });
  }
  note_acquired(request, site);
}

GORDIAN_GLIB_HOOK(g_rw_lock_writer_trylock, int, (void* lock)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const bool taken = real.pthread_rwlock_trywrlock(rwlock_behind(lock)) == 0;
  if (taken) note_acquired(rwlock_request(lock, kTry), site);
  if (!taken) note_try_failed(rwlock_request(lock, kTry), site);
  return taken;
}

GORDIAN_GLIB_HOOK(g_rw_lock_writer_unlock, void, (void* lock)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_released(rwlock_request(lock, 0), site);
  real.pthread_rwlock_unlock(rwlock_behind(lock));
}

GORDIAN_GLIB_HOOK(g_rw_lock_reader_lock, void, (void* lock)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  pthread_rwlock_t* impl = rwlock_behind(lock);
  const Request request = rwlock_request(lock, kSharedMode);
  pass_gate(request, site);
  if (real.pthread_rwlock_tryrdlock(impl) != 0) {
    wait_for(request, site, [&] { return real.pthread_rwlock_rdlock(impl); });
  }
  note_acquired(request, site);
}

GORDIAN_GLIB_HOOK(g_rw_lock_reader_trylock, int, (void* lock)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const bool taken = real.pthread_rwlock_tryrdlock(rwlock_behind(lock)) == 0;
  if (taken) note_acquired(rwlock_request(lock, kTry | kSharedMode), site);
  if (!taken) note_try_failed(rwlock_request(lock, kTry | kSharedMode), site);
  return taken;
}

GORDIAN_GLIB_HOOK(g_rw_lock_reader_unlock, void, (void* lock)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_released(rwlock_request(lock, kSharedMode), site);
  real.pthread_rwlock_unlock(rwlock_behind(lock));
}

// ---- GCond: releases and re-takes its mutex inside libglib, unseen

GORDIAN_GLIB_HOOK(g_cond_init, void, (void* condition)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  born(condition, Kind::GlibCond, site);
  real_glib.g_cond_init(condition);
}

GORDIAN_GLIB_HOOK(g_cond_clear, void, (void* condition)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  ended(condition, site);
  real_glib.g_cond_clear(condition);
}

GORDIAN_GLIB_HOOK(g_cond_wait, void, (void* condition, void* mutex)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request{
      .address = address_of(condition), .object = address_of(mutex), .kind = Kind::GlibCond};
  wait_on_condition(request, site, [&] {
    real_glib.g_cond_wait(condition, mutex);
    return 0;
  });
}

GORDIAN_GLIB_HOOK(g_cond_wait_until, int, (void* condition, void* mutex, int64_t end)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request{.address = address_of(condition),
                        .object = address_of(mutex),
                        .kind = Kind::GlibCond,
                        .flags = kTimed};
  return wait_on_condition(request, site,
                           [&] { return real_glib.g_cond_wait_until(condition, mutex, end); });
}

GORDIAN_GLIB_HOOK(g_cond_signal, void, (void* condition)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_posted(glib_request(condition, Kind::GlibCond), site);
  real_glib.g_cond_signal(condition);
}

GORDIAN_GLIB_HOOK(g_cond_broadcast, void, (void* condition)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_posted(glib_request(condition, Kind::GlibCond), site, true);
  real_glib.g_cond_broadcast(condition);
}

// ---- One-time initialisation: who enters first holds it until it leaves

GORDIAN_GLIB_HOOK(g_once_init_enter, int, (volatile void* location)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = glib_request(location, Kind::GlibOnce);
  pass_gate(request, site);
  const int first = wait_for(request, site, [&] { return real_glib.g_once_init_enter(location); });
  if (first) note_acquired(request, site);
  return first;
}

GORDIAN_GLIB_HOOK(g_once_init_leave, void, (volatile void* location, unsigned long result)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_released(glib_request(location, Kind::GlibOnce), site);
  real_glib.g_once_init_leave(location, result);
}

// ---- Bit locks

GORDIAN_GLIB_HOOK(g_bit_lock, void, (volatile int* address, int bit)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = bit_request(address, bit);
  pass_gate(request, site);
  if (!real_glib.g_bit_trylock(address, bit)) {
    wait_for(request, site, [&] {
      real_glib.g_bit_lock(address, bit);
      return 0;
    });
  }
  note_acquired(request, site);
}

GORDIAN_GLIB_HOOK(g_bit_trylock, int, (volatile int* address, int bit)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int taken = real_glib.g_bit_trylock(address, bit);
  if (taken) note_acquired(bit_request(address, bit, kTry), site);
  if (!taken) note_try_failed(bit_request(address, bit, kTry), site);
  return taken;
}

GORDIAN_GLIB_HOOK(g_bit_unlock, void, (volatile int* address, int bit)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_released(bit_request(address, bit), site);
  real_glib.g_bit_unlock(address, bit);
}

GORDIAN_GLIB_HOOK(g_pointer_bit_lock, void, (void* address, int bit)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = bit_request(address, bit);
  pass_gate(request, site);
  if (!real_glib.g_pointer_bit_trylock(address, bit)) {
    wait_for(request, site, [&] {
      real_glib.g_pointer_bit_lock(address, bit);
      return 0;
    });
  }
  note_acquired(request, site);
}

GORDIAN_GLIB_HOOK(g_pointer_bit_trylock, int, (void* address, int bit)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int taken = real_glib.g_pointer_bit_trylock(address, bit);
  if (taken) note_acquired(bit_request(address, bit, kTry), site);
  if (!taken) note_try_failed(bit_request(address, bit, kTry), site);
  return taken;
}

GORDIAN_GLIB_HOOK(g_pointer_bit_unlock, void, (void* address, int bit)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_released(bit_request(address, bit), site);
  real_glib.g_pointer_bit_unlock(address, bit);
}

// ---- GAsyncQueue: its lock and condition are invisible, so a pop is a wait of its own

GORDIAN_GLIB_HOOK(g_async_queue_pop, void*, (void* queue)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  pass_gate(glib_request(queue, Kind::GlibQueue), site);
  void* data = real_glib.g_async_queue_try_pop(queue);
  if (data != nullptr) return data;
  return wait_for(glib_request(queue, Kind::GlibQueue), site,
                  [&] { return real_glib.g_async_queue_pop(queue); });
}

GORDIAN_GLIB_HOOK(g_async_queue_timeout_pop, void*, (void* queue, uint64_t timeout)) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  void* data = real_glib.g_async_queue_try_pop(queue);
  if (data != nullptr) return data;
  return wait_for(glib_request(queue, Kind::GlibQueue, kTimed), site,
                  [&] { return real_glib.g_async_queue_timeout_pop(queue, timeout); });
}

// Needed by the others, not hooked: a try that takes nothing is no event.
extern "C" __attribute__((visibility("hidden"))) void* hook_g_async_queue_try_pop(void* queue) {
  return real_glib.g_async_queue_try_pop(queue);
}
extern "C" void* g_async_queue_try_pop(void* queue)
    __attribute__((visibility("default"), alias("hook_g_async_queue_try_pop")));

namespace gordian::runtime {

// Not constinit, since a cast to void* is no constant expression; gcc still initialises it at link
// time (tools/check: the library has one constructor).
const GlibStandIn kGlibStandIns[] = {
#define GORDIAN_STAND_IN(name, result, arguments) \
  {#name, reinterpret_cast<void*>(hook_##name), reinterpret_cast<void**>(&real_glib.name)},
    GORDIAN_GLIB_FUNCTIONS(GORDIAN_STAND_IN)
#undef GORDIAN_STAND_IN
        {nullptr, nullptr, nullptr},
};

}  // namespace gordian::runtime
