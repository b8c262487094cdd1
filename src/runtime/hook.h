// SPDX-License-Identifier: Apache-2.0
// What every hooks_*.cpp starts with. To hook one more function:
//
//   1. real_functions.h: a line in GORDIAN_REAL_FUNCTIONS (always in libc), or find_next_symbol
//   from
//      a slow path (may be missing, or come later by dlopen).
//   2. hooks_THING.cpp, the hook itself:
//
//        // Takes a THING; blocks while another thread holds it.
//        GORDIAN_HOOK int thing_lock(thing_t* thing) {
//          const CallSite site = GORDIAN_CALL_SITE();  // first: who called, and the frame
//          ensure_started();                           // fills `real`; fork is noticed here
//          const Request request{.address = address_of(thing), .kind = Kind::Thing};
//          pass_gate(request, site);                   // steered runs only
//          int result = real.thing_trylock(thing);     // no record yet: it cannot block
//          if (result == EBUSY) {                      // publishes the wait around the real call
//            result = wait_for(request, site, [&] { return real.thing_lock(thing); });
//          }
//          if (result == 0) note_acquired(request, site);
//          return result;
//        }
//        // Recorded before the real release: afterwards somebody else may own or free it.
//        GORDIAN_HOOK int thing_unlock(thing_t* thing) {
//          ensure_started();
//          note_released(request_of(thing), GORDIAN_CALL_SITE());
//          return real.thing_unlock(thing);
//        }
//
//   3. exports.txt: the name. If libc has the symbol twice: exports.map, under its version.
//   4. A scenario.
//
// No scope is ever open across a real blocking call (HookScope says why). No hook allocates, takes
// a lock of libc, changes errno or calls the program's code inside a scope.
//
// Kinds of call beside locks:
//   waits without owner (semaphore, barrier)     wait_for with the Kind, then note_woken;
//                                                 note_posted before the waker's real call
//   conditions                                    wait_on_condition, then note_woken
//   birth and death of a lock                     note_born, note_destroyed
//   a request that gives up by itself             .flags = kTimed;  one that never blocks: kTry
#pragma once

#include "format/board.h"
#include "runtime/board.h"
#include "runtime/gates.h"
#include "runtime/lock_table.h"
#include "runtime/order.h"
#include "runtime/real_functions.h"
#include "runtime/recording.h"
#include "runtime/thread_card.h"

#include <errno.h>

#define GORDIAN_HOOK extern "C" __attribute__((visibility("default")))

// The caller of the hook it stands in: return address, and the stack pointer after the return.
#define GORDIAN_CALL_SITE()                                  \
  ::gordian::runtime::CallSite {                             \
    reinterpret_cast<uint64_t>(__builtin_return_address(0)), \
        reinterpret_cast<uint64_t>(__builtin_dwarf_cfa())    \
  }

namespace gordian::runtime {

using format::Kind;
using format::kPriority;
using format::kShared;
using format::kSharedMode;
using format::kSpinning;
using format::kTimed;
using format::kTry;

inline uint64_t address_of(const volatile void* object) {
  return reinterpret_cast<uint64_t>(object);
}

// Makes the real, blocking call with the wait published. The wait is published before because in a
// real deadlock the call never returns, and the card is then the only evidence.
template <typename Call>
__attribute__((always_inline)) inline auto wait_for(const Request& request, const CallSite& site,
                                                    Call call) {
  bool published = false;
  if (HookScope log(site); log) {
    format::Registers registers;
    capture_registers(registers);
    log->check_chain(request, site);
    log->begin_wait(request, site, registers);
    if (is_recording()) record_request(*log.operator->(), request, site);
    published = true;
  }
  auto result = call();
  if (published) {
    if (HookScope log(site); log) {
      log->end_wait();
      if (is_recording()) record_wait_end(*log.operator->(), request);
    }
  }
  if (!is_lock(request.kind)) pass_gate(request, site, format::GatePhase::Woken);
  return result;
}

// Of a wait on a condition: nobody signalled in time. GLib says TRUE when somebody did.
inline bool gave_up(const Request& request, int result) {
  if (request.kind == Kind::GlibCond) return (request.flags & kTimed) != 0 && result == 0;
  return result != 0;
}

// A wait for a signal that releases a lock meanwhile: `request.object` is the lock, of the kind
// `lock_kind`. The lock's hold stays on the card, suspended; see ThreadState::suspend_hold.
template <typename Call>
__attribute__((always_inline)) inline auto wait_on_condition(const Request& request,
                                                             const CallSite& site, Call call) {
  pass_gate(request, site);
  bool published = false;
  if (HookScope log(site); log) {
    format::Registers registers;
    capture_registers(registers);
    log->suspend_hold(request.object);
    if (log->card->hold_count > 1) log->check_chain(request, site);
    log->begin_wait(request, site, registers);
    if (is_recording()) record_condition_wait(*log.operator->(), request, site);
    published = true;
  }
  auto result = call();
  if (published) {
    if (HookScope log(site); log) {
      log->end_wait();
      log->resume_hold(request.object);
      if (is_recording()) {
        record_condition_wake(*log.operator->(), request, site, gave_up(request, result));
      }
    }
  }
  pass_gate(request, site, format::GatePhase::Woken);
  return result;
}

// The real call succeeded: the thread holds it now.
__attribute__((always_inline)) inline void note_acquired(const Request& request,
                                                         const CallSite& site) {
  if (HookScope log(site); log) {
    if (__builtin_expect(request.recursive, 0) && log->got_again(request.address)) return;
    log->check_chain(request, site);
    log->push(request, site);
    if (is_recording()) record_acquired(*log.operator->(), request, site);
  }
}

// A try found it taken.
inline void note_try_failed(const Request& request, const CallSite& site) {
  if (!is_recording()) return;
  if (HookScope log(site); log) record_try_failed(*log.operator->(), request, site);
}

__attribute__((always_inline)) inline void note_released(const Request& request,
                                                         const CallSite& site) {
  if (HookScope log(site); log) {
    if (is_recording()) record_cancelled_wait(*log.operator->(), request);
    if (log->pop(request, site) && is_recording()) record_released(*log.operator->(), request);
  }
}

// An init succeeded: a lock is born, with its kind word and kLock* flags.
inline void note_born(Kind kind, uint64_t address, uint16_t type, uint8_t flags,
                      const CallSite& site) {
  if (HookScope log(site); log) {
    // Made anew it is free: allocators do that to their locks in a forked child, instead of
    // releasing what they took before the fork.
    const Request request{.address = address, .kind = kind};
    while (log->find_hold(address) != nullptr) {
      if (log->pop(request, site) && is_recording()) record_released(*log.operator->(), request);
    }
    lock_born(address, kind, type, flags, site.pc);
  }
}

inline void note_destroyed(uint64_t address, const CallSite& site) {
  if (HookScope log(site); log) lock_ended(address);
}

// The real call refused with EDEADLK.
void note_self_deadlock(const Request& request, const CallSite& site);

}  // namespace gordian::runtime
