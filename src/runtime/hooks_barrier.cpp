// SPDX-License-Identifier: Apache-2.0
// pthread_barrier_*. Whoever leaves comes after everybody who arrived in the same round.
#include "runtime/barriers.h"
#include "runtime/hook.h"

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

GORDIAN_HOOK int pthread_barrier_wait(pthread_barrier_t* barrier) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request{.address = address_of(barrier), .object = 0, .kind = Kind::Barrier};
  pass_gate(request, site);
  // The request belongs to what the arrival ends: whatever others ask for once they have left comes
  // after it, and cannot keep them from coming.
  if (HookScope log(site); log) log->check_chain(request, site);
  const uint64_t round = note_arrival(request, site);
  if (is_recording()) {
    if (HookScope log(site); log) {
      record_signal(*log.operator->(), gordian::format::Event::Arrive, request, site);
    }
  }
  bool published = false;
  if (HookScope log(site); log) {
    gordian::format::Registers registers;
    capture_registers(registers);
    log->begin_wait(request, site, registers);
    published = true;
  }
  const int result = real.pthread_barrier_wait(barrier);
  if (published) {
    if (HookScope log(site); log) log->end_wait();
  }
  if (result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD) {
    if (is_recording()) {
      if (HookScope log(site); log) {
        record_signal(*log.operator->(), gordian::format::Event::Depart, request, site);
      }
    }
    note_departure(request, round, site);
  }
  pass_gate(request, site, gordian::format::GatePhase::Woken);
  return result;
}

GORDIAN_HOOK int pthread_barrier_init(pthread_barrier_t* barrier, const pthread_barrierattr_t* kind,
                                      unsigned needed) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const int result = real.pthread_barrier_init(barrier, kind, needed);
  if (result == 0) {
    int shared = PTHREAD_PROCESS_PRIVATE;
    if (kind != nullptr) pthread_barrierattr_getpshared(kind, &shared);
    note_born(Kind::Barrier, address_of(barrier), static_cast<uint16_t>(needed),
              shared == PTHREAD_PROCESS_SHARED ? gordian::format::kLockProcessShared : uint8_t{0},
              site);
    watch_barrier(address_of(barrier), needed);
  }
  return result;
}

GORDIAN_HOOK int pthread_barrier_destroy(pthread_barrier_t* barrier) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_destroyed(address_of(barrier), site);
  return real.pthread_barrier_destroy(barrier);
}
