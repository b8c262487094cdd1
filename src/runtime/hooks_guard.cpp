// SPDX-License-Identifier: Apache-2.0
// Initialisation of function-local statics: the thread that initialises holds the guard, others
// wait for it. Compilers test the guard inline, so these run once per static, or while it is being
// initialised.
//
// The C++ runtime may be missing, come late, or be linked into several objects: the real function
// is looked up at each call (rare enough), and our frame may be unwound by an exception of the real
// one (a recursive initialisation): no state of ours depends on its return.
#include "runtime/hook.h"

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

using Acquire = int(uint64_t*);
using Release = void(uint64_t*);

Request guard_request(const uint64_t* guard) {
  return {.address = address_of(guard), .kind = Kind::Guard};
}

}  // namespace

GORDIAN_HOOK int __cxa_guard_acquire(uint64_t* guard) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  auto* acquire = reinterpret_cast<Acquire*>(find_next_symbol("__cxa_guard_acquire", ""));
  if (acquire == nullptr) __builtin_trap();  // called without a C++ runtime: nobody could go on
  const Request request = guard_request(guard);
  pass_gate(request, site);
  const int must_initialise = wait_for(request, site, [&] { return acquire(guard); });
  if (must_initialise != 0) note_acquired(request, site);
  return must_initialise;
}

GORDIAN_HOOK void __cxa_guard_release(uint64_t* guard) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_released(guard_request(guard), site);
  auto* release = reinterpret_cast<Release*>(find_next_symbol("__cxa_guard_release", ""));
  if (release == nullptr) __builtin_trap();
  release(guard);
}

GORDIAN_HOOK void __cxa_guard_abort(uint64_t* guard) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_released(guard_request(guard), site);
  auto* abort = reinterpret_cast<Release*>(find_next_symbol("__cxa_guard_abort", ""));
  if (abort == nullptr) __builtin_trap();
  abort(guard);
}
