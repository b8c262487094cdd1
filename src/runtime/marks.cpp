// SPDX-License-Identifier: Apache-2.0
#include "runtime/hook.h"
#include "runtime/log.h"
#include "runtime/modules.h"

namespace gordian::runtime {

void note_self_deadlock(const Request& request, const CallSite& site) {
  HookScope scope(site);
  if (!scope) return;
  uint32_t lock = 0;
  if (request.kind != format::Kind::Join) {
    format::LockEntry* entry = register_lock(request, site.pc);
    if (entry == nullptr) return;
    lock = logged_id(entry);
  }
  note_module_of(site.pc);
  if (auto* mark = begin_record<format::MarkRecord>(format::RecordType::Mark, scope->uid)) {
    mark->mark = format::MarkType::SelfDeadlockError;
    mark->a = lock;
    mark->b = request.kind == format::Kind::Join ? static_cast<uint32_t>(request.object) : 0;
    mark->site = site.pc;
    commit(mark);
  }
}

}  // namespace gordian::runtime
