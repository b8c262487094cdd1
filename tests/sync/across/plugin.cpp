// SPDX-License-Identifier: Apache-2.0
// The library of program.cpp.
#include <gordian/sync.h>

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED void lock_again(gordian::recursive_mutex& mutex) { gordian::hold again(mutex); }
EXPORTED void stop(gordian::worker& worker) { worker.stop(); }
EXPORTED bool may_enter(gordian::work_gate& gate) { return static_cast<bool>(gate.try_enter()); }
EXPORTED void post(gordian::deferred& later, void (*call)()) { later.post(call); }
EXPORTED void take_both(gordian::mutex& first, gordian::mutex& second) {
  gordian::hold one(first);
  gordian::hold two(second);
}
