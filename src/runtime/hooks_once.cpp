// SPDX-License-Identifier: Apache-2.0
// pthread_once: while the routine runs, its thread holds the control word; others wait for it.
//
// Which of the two we are, only the real call knows: it runs our routine, or it does not. So every
// caller publishes a wait, and our routine turns the wait into a hold.
#include "runtime/hook.h"

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

constexpr int kDone = 2;  // glibc: __PTHREAD_ONCE_DONE

// On the stack of the hook; found by the routine, which gets no argument, through the thread.
struct OnceCall {
  Request request;
  CallSite site;
  void (*routine)();
  void* outer;
  bool ran;
};

void run_routine() {
  auto* call = static_cast<OnceCall*>(this_thread.once);
  // The program's routine may use pthread_once as well, and may leave by an exception.
  this_thread.once = call->outer;
  call->ran = true;
  if (HookScope log(call->site); log) {
    log->end_wait();
    log->push(call->request, call->site);
    if (is_recording()) record_acquired(*log.operator->(), call->request, call->site);
    log->once_depth += 1;
  }
  call->routine();
}

__attribute__((noinline)) int call_once_slowly(pthread_once_t* control, void (*routine)(),
                                               const CallSite& site) {
  OnceCall call{.request = {.address = address_of(control), .object = 0, .kind = Kind::Once},
                .site = site,
                .routine = routine,
                .outer = this_thread.once,
                .ran = false};
  pass_gate(call.request, site);
  bool published = false;
  if (HookScope log(site); log) {
    gordian::format::Registers registers;
    capture_registers(registers);
    log->check_chain(call.request, site);
    log->begin_wait(call.request, site, registers);
    published = true;
  }
  this_thread.once = &call;
  const int result = real.pthread_once(control, run_routine);
  this_thread.once = call.outer;
  if (HookScope log(site); log) {
    if (call.ran) {
      log->end_once(call.request.address);
      if (is_recording()) record_released(*log.operator->(), call.request);
    } else if (published) {
      log->end_wait();
      if (is_recording()) record_passed(*log.operator->(), call.request, site);
    }
  }
  return result;
}

__attribute__((noinline)) void note_passed(const pthread_once_t* control, const CallSite& site) {
  if (HookScope log(site); log) {
    record_passed(*log.operator->(), {.address = address_of(control), .kind = Kind::Once}, site);
  }
}

}  // namespace

GORDIAN_HOOK int pthread_once(pthread_once_t* control, void (*routine)()) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  // ORDER: acquire, as glibc's own short cut: who sees it done sees what the routine did.
  if (__builtin_expect((__atomic_load_n(control, __ATOMIC_ACQUIRE) & kDone) != 0, 1)) {
    if (is_recording()) note_passed(control, site);
    return 0;
  }
  return call_once_slowly(control, routine, site);
}
