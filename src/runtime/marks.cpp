// SPDX-License-Identifier: Apache-2.0
#include "runtime/hook.h"
#include "runtime/log.h"
#include "runtime/modules.h"

namespace gordian::runtime {

void note_self_deadlock(const Request& request, const CallSite& site) {
  HookScope scope(site);
  if (!scope) return;
  const format::LockEntry* entry = register_lock(request.address, request.kind, site.pc);
  if (entry == nullptr) return;
  note_module_of(site.pc);
  if (auto* mark = begin_record<format::MarkRecord>(format::RecordType::Mark, scope->uid)) {
    mark->mark = format::MarkType::SelfDeadlockError;
    mark->a = entry->id;
    mark->site = site.pc;
    commit(mark);
  }
}

}  // namespace gordian::runtime
