// SPDX-License-Identifier: Apache-2.0
// What the runtime of `gordian cc` calls: see format/memory.h.
#include "format/memory.h"
#include "runtime/hook.h"

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

namespace format = gordian::format;

GORDIAN_HOOK bool gordian_memory_begin(const format::MemoryClient* client) {
  ensure_started();
  return is_recording() && begin_memory(*client);
}

GORDIAN_HOOK format::MemoryTurn gordian_memory_thread(void* thread, format::MemoryRing* ring) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  if (!is_recording() || this_thread.ended != 0) return format::MemoryTurn::Never;
  if (HookScope log(site); log) return begin_memory_thread(*log.operator->(), thread, *ring);
  return format::MemoryTurn::NotNow;
}

GORDIAN_HOOK bool gordian_memory_read_from(uint32_t from, uint64_t position) {
  const CallSite site = GORDIAN_CALL_SITE();
  if (!is_recording()) return false;
  HookScope log(site);
  return log && record_read_from(*log.operator->(), from, position);
}

GORDIAN_HOOK void gordian_memory_missed(uint32_t why) {
  if (is_alive()) note_missed_memory(why);
}
