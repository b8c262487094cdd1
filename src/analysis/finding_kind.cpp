// SPDX-License-Identifier: Apache-2.0
#include "analysis/finding_kind.h"

#include <optional>

namespace gordian::analysis {

using model::FindingKind;
using model::ResourceKind;

namespace {

FindingKind kind_of_want(const model::Resource& resource) {
  if (resource.semaphore_like) return FindingKind::Semaphore;
  switch (resource.kind) {
    case ResourceKind::Mutex:
    case ResourceKind::Spin:
    case ResourceKind::GlibMutex:
    case ResourceKind::GlibRecMutex:
    case ResourceKind::GlibBit:
    case ResourceKind::Custom:
      return FindingKind::LockOrder;
    case ResourceKind::RwLock:
    case ResourceKind::GlibRwLock:
    case ResourceKind::Gate:
      return FindingKind::RwLock;
    case ResourceKind::Once:
    case ResourceKind::Guard:
    case ResourceKind::GlibOnce:
      return FindingKind::Once;
    case ResourceKind::Thread:
    case ResourceKind::Child:
    case ResourceKind::Worker:
      return FindingKind::Join;
    case ResourceKind::Condition:
    case ResourceKind::GlibCond:
    case ResourceKind::Futex:
    case ResourceKind::Future:
      return FindingKind::Condition;
    case ResourceKind::Semaphore:
      return FindingKind::Semaphore;
    case ResourceKind::Barrier:
      return FindingKind::Barrier;
    case ResourceKind::GlibQueue:
    case ResourceKind::Queue:
    case ResourceKind::Channel:
    case ResourceKind::Pipe:
      return FindingKind::Queue;
    case ResourceKind::FileLock:
      return FindingKind::FileLock;
    case ResourceKind::Lease:
      return FindingKind::Lease;
  }
  return FindingKind::Mixed;
}

}  // namespace

FindingKind kind_of_wants(const std::vector<const model::Resource*>& wanted) {
  FindingKind locks = FindingKind::LockOrder;
  std::optional<FindingKind> other;
  for (const model::Resource* resource : wanted) {
    const FindingKind kind = kind_of_want(*resource);
    if (kind == FindingKind::LockOrder) continue;
    if (kind == FindingKind::RwLock) {
      locks = kind;
    } else if (other && *other != kind) {
      return FindingKind::Mixed;
    } else {
      other = kind;
    }
  }
  return other.value_or(locks);
}

bool is_signalled(const model::Resource& resource) {
  return resource.semaphore_like || !model::is_owned(resource.kind);
}

}  // namespace gordian::analysis
