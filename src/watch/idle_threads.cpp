// SPDX-License-Identifier: Apache-2.0
#include "watch/idle_threads.h"

namespace gordian::watch {

bool has_one_waker(const model::Resource& resource) {
  return model::is_owned(resource.kind) && !resource.semaphore_like &&
         resource.kind != model::ResourceKind::FileLock;
}

bool is_idle(const model::Snapshot& snapshot, const model::Thread& thread) {
  return thread.wait && thread.holds.empty() &&
         !has_one_waker(snapshot.resources[index_of(thread.wait->resource)]);
}

}  // namespace gordian::watch
