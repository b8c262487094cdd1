// SPDX-License-Identifier: Apache-2.0
// std::future: the wait for its state, and the one call that makes it ready.
//
// What is done inline in the program (a state that is ready already, or has no waiter yet) passes
// us by: then no order is known, and none is claimed. The functions are libstdc++'s, which may be
// missing, or come late: the real one is looked up at each call, of which each is about to block or
// to wake.
#include "runtime/hook.h"

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

// Members of std::__atomic_futex_unsigned_base; the times are classes of one integer each, which
// the ABI passes as that integer.
#define GORDIAN_FUTURE_WAIT_UNTIL                                                         \
  "_ZNSt28__atomic_futex_unsigned_base19_M_futex_wait_untilEPjjbNSt6chrono8durationIlSt5" \
  "ratioILl1ELl1EEEENS2_IlS3_ILl1ELl1000000000EEEE"
#define GORDIAN_FUTURE_WAIT_UNTIL_STEADY                                                         \
  "_ZNSt28__atomic_futex_unsigned_base26_M_futex_wait_until_steadyEPjjbNSt6chrono8durationIlSt5" \
  "ratioILl1ELl1EEEENS2_IlS3_ILl1ELl1000000000EEEE"
#define GORDIAN_FUTURE_NOTIFY_ALL "_ZNSt28__atomic_futex_unsigned_base19_M_futex_notify_allEPj"

namespace {

using WaitUntil = bool(void*, unsigned*, unsigned, bool, int64_t, int64_t);
using NotifyAll = void(unsigned*);

Request request_of(const unsigned* state, uint8_t flags = 0) {
  return {.address = address_of(state), .kind = Kind::Future, .flags = flags};
}

// True: it is ready, or may be. The caller looks again.
__attribute__((always_inline)) inline bool wait_until(const char* name, const CallSite& site,
                                                      void* self, unsigned* state, unsigned value,
                                                      bool timed, int64_t seconds,
                                                      int64_t nanoseconds) {
  auto* wait = reinterpret_cast<WaitUntil*>(find_next_symbol(name, ""));
  if (wait == nullptr) __builtin_trap();  // called without libstdc++: nobody could go on
  const Request request = request_of(state, timed ? kTimed : uint8_t{0});
  // It was not ready a moment ago, and gets ready once: earlier posts were another's at its
  // address.
  forget_posts(request, site);
  const bool woken = wait_for(
      request, site, [&] { return wait(self, state, value, timed, seconds, nanoseconds); });
  if (woken) note_woken(request, site);
  return woken;
}

}  // namespace

GORDIAN_HOOK bool future_wait_until(void* self, unsigned* state, unsigned value, bool timed,
                                    int64_t seconds,
                                    int64_t nanoseconds) asm(GORDIAN_FUTURE_WAIT_UNTIL);
GORDIAN_HOOK bool future_wait_until_steady(void* self, unsigned* state, unsigned value, bool timed,
                                           int64_t seconds, int64_t nanoseconds)  //
    asm(GORDIAN_FUTURE_WAIT_UNTIL_STEADY);
GORDIAN_HOOK void future_notify_all(unsigned* state) asm(GORDIAN_FUTURE_NOTIFY_ALL);

bool future_wait_until(void* self, unsigned* state, unsigned value, bool timed, int64_t seconds,
                       int64_t nanoseconds) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  return wait_until(GORDIAN_FUTURE_WAIT_UNTIL, site, self, state, value, timed, seconds,
                    nanoseconds);
}

bool future_wait_until_steady(void* self, unsigned* state, unsigned value, bool timed,
                              int64_t seconds, int64_t nanoseconds) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  return wait_until(GORDIAN_FUTURE_WAIT_UNTIL_STEADY, site, self, state, value, timed, seconds,
                    nanoseconds);
}

void future_notify_all(unsigned* state) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_posted(request_of(state), site);
  auto* notify = reinterpret_cast<NotifyAll*>(find_next_symbol(GORDIAN_FUTURE_NOTIFY_ALL, ""));
  if (notify == nullptr) __builtin_trap();
  notify(state);
}
