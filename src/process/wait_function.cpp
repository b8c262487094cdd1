// SPDX-License-Identifier: Apache-2.0
#include "process/wait_function.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace gordian::process {
namespace {

struct Entry {
  std::string_view name;
  WaitTarget target;
};

// With the names of the halves into which glibc splits them: a binary with its symbols shows those.
constexpr Entry kFunctions[] = {
    {"pthread_mutex_lock", WaitTarget::Mutex},
    {"pthread_mutex_lock_full", WaitTarget::Mutex},
    {"pthread_mutex_timedlock", WaitTarget::Mutex},
    {"pthread_mutex_clocklock", WaitTarget::Mutex},
    {"pthread_mutex_clocklock_common", WaitTarget::Mutex},
    {"pthread_mutex_cond_lock", WaitTarget::Mutex},
    {"pthread_mutex_cond_lock_full", WaitTarget::Mutex},
    {"mtx_lock", WaitTarget::Mutex},
    {"mtx_timedlock", WaitTarget::Mutex},
    {"pthread_cond_wait", WaitTarget::Condition},
    {"pthread_cond_wait_common", WaitTarget::Condition},
    {"pthread_cond_timedwait", WaitTarget::Condition},
    {"pthread_cond_clockwait", WaitTarget::Condition},
    {"cnd_wait", WaitTarget::Condition},
    {"cnd_timedwait", WaitTarget::Condition},
    {"pthread_rwlock_rdlock", WaitTarget::ReadLock},
    {"pthread_rwlock_rdlock_full", WaitTarget::ReadLock},
    {"pthread_rwlock_rdlock_full64", WaitTarget::ReadLock},
    {"pthread_rwlock_timedrdlock", WaitTarget::ReadLock},
    {"pthread_rwlock_clockrdlock", WaitTarget::ReadLock},
    {"pthread_rwlock_wrlock", WaitTarget::WriteLock},
    {"pthread_rwlock_wrlock_full", WaitTarget::WriteLock},
    {"pthread_rwlock_wrlock_full64", WaitTarget::WriteLock},
    {"pthread_rwlock_timedwrlock", WaitTarget::WriteLock},
    {"pthread_rwlock_clockwrlock", WaitTarget::WriteLock},
    {"sem_wait", WaitTarget::Semaphore},
    {"sem_wait_slow", WaitTarget::Semaphore},
    {"sem_wait_slow64", WaitTarget::Semaphore},
    {"sem_timedwait", WaitTarget::Semaphore},
    {"sem_clockwait", WaitTarget::Semaphore},
    {"pthread_barrier_wait", WaitTarget::Barrier},
    {"pthread_join", WaitTarget::Join},
    {"pthread_timedjoin_np", WaitTarget::Join},
    {"pthread_clockjoin_np", WaitTarget::Join},
    {"pthread_clockjoin_ex", WaitTarget::Join},
    {"thrd_join", WaitTarget::Join},
    {"pthread_once", WaitTarget::Once},
    {"pthread_once_slow", WaitTarget::Once},
    {"call_once", WaitTarget::Once},
    {"cxa_guard_acquire", WaitTarget::Guard},
    {"pthread_spin_lock", WaitTarget::Spin},
    {"g_mutex_lock", WaitTarget::GlibMutex},
    {"g_mutex_lock_slowpath", WaitTarget::GlibMutex},
    {"g_cond_wait", WaitTarget::GlibCondition},
    {"g_cond_wait_until", WaitTarget::GlibCondition},
    {"g_bit_lock", WaitTarget::GlibBit},
    {"g_pointer_bit_lock", WaitTarget::GlibBit},
    {"g_once_init_enter", WaitTarget::GlibOnce},
    {"g_once_init_enter_pointer", WaitTarget::GlibOnce},
    {"g_async_queue_pop", WaitTarget::GlibQueue},
    {"g_async_queue_pop_unlocked", WaitTarget::GlibQueue},
    {"g_rec_mutex_lock", WaitTarget::RecMutex},
    {"g_rw_lock_reader_lock", WaitTarget::GlibReadLock},
    {"g_rw_lock_writer_lock", WaitTarget::GlibWriteLock},
};

void drop(std::string_view& name, std::string_view prefix) {
  if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
}

void drop_underscores(std::string_view& name) {
  name.remove_prefix(std::min(name.find_first_not_of('_'), name.size()));
}

}  // namespace

std::string_view plain_name(std::string_view symbol) {
  std::string_view name = symbol.substr(0, symbol.find('@'));
  if (name.starts_with("_Z")) return name;
  drop_underscores(name);
  drop(name, "GI_");
  drop_underscores(name);
  drop(name, "interceptor_");
  drop(name, "new_");
  return name;
}

std::span<const std::string_view> wait_functions() {
  static const auto names = [] {
    std::array<std::string_view, std::size(kFunctions)> all;
    std::transform(std::begin(kFunctions), std::end(kFunctions), all.begin(),
                   [](const Entry& entry) { return entry.name; });
    return all;
  }();
  return names;
}

std::optional<WaitTarget> find_wait_target(std::string_view plain_name) {
  if (plain_name.find("__atomic_futex_unsigned_base") != std::string_view::npos)
    return WaitTarget::Future;
  const auto* const found =
      std::find_if(std::begin(kFunctions), std::end(kFunctions),
                   [&](const Entry& entry) { return entry.name == plain_name; });
  if (found == std::end(kFunctions)) return std::nullopt;
  return found->target;
}

}  // namespace gordian::process
