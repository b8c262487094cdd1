// SPDX-License-Identifier: Apache-2.0
#include "dump/waits.h"

#include "base/text.h"
#include "dump/frame_text.h"
#include "dump/lines.h"
#include "dump/names.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>

namespace gordian::dump {

using model::Mode;
using model::ResourceKind;

namespace {

enum class Act : uint8_t {
  Transparent,  // below the function that matters: futex_wait
  Wait,         // this is it
  Override,     // built on another wait, and says more than that: take_gil
  Condition,    // takes its lock only when something is true: what is inside may look like a lock
  Idle,
};

struct Known {
  std::string_view name;
  Act act;
  Posture posture = Posture::Busy;
  ResourceKind kind = ResourceKind::Mutex;
  Mode mode = Mode::Exclusive;
  bool timed = false;
};

constexpr Posture kBlocked = Posture::Blocked;
constexpr Posture kWaiting = Posture::Waiting;
constexpr Mode kShared = Mode::Shared;
constexpr Mode kAlone = Mode::Exclusive;
using Kind = ResourceKind;

// Plain names: see plain_name().
constexpr Known kKnown[] = {
    {"syscall", Act::Transparent},
    {"syscall_cancel", Act::Transparent},
    {"syscall_cancel_arch", Act::Transparent},
    {"internal_syscall_cancel", Act::Transparent},
    {"kernel_vsyscall", Act::Transparent},
    {"futex_wait", Act::Transparent},
    {"futex_wait_simple", Act::Transparent},
    {"futex_abstimed_wait", Act::Transparent},
    {"futex_abstimed_wait64", Act::Transparent},
    {"futex_abstimed_wait_common", Act::Transparent},
    {"futex_abstimed_wait_common64", Act::Transparent},
    {"futex_abstimed_wait_cancelable", Act::Transparent},
    {"futex_abstimed_wait_cancelable64", Act::Transparent},
    {"futex_wait_cancelable", Act::Transparent},
    {"futex_reltimed_wait_cancelable", Act::Transparent},
    {"futex_lock_pi64", Act::Transparent},
    {"do_futex_wait", Act::Transparent},
    {"std::sys::unix::futex::futex_wait", Act::Transparent},
    {"std::sys::pal::unix::futex::futex_wait", Act::Transparent},
    {"AbslInternalPerThreadSemWait", Act::Transparent},
    {"absl::Mutex::DecrementSynchSem", Act::Transparent},
    {"absl::Mutex::Block", Act::Transparent},
    {"AbslInternalSpinLockDelay", Act::Transparent},
    {"absl::base_internal::SpinLockDelay", Act::Transparent},
    {"base::internal::SpinLockDelay", Act::Transparent},  // gperftools
    {"sys_futex", Act::Transparent},
    {"futex4", Act::Transparent},  // musl
    {"futex4_cp", Act::Transparent},
    {"futexwait", Act::Transparent},
    {"timedwait", Act::Transparent},
    {"timedwait_cp", Act::Transparent},
    {"syscall_cp", Act::Transparent},
    {"syscall_cp_c", Act::Transparent},
    {"syscall_cp_asm", Act::Transparent},
    {"cp_end", Act::Transparent},
    {"QtLinuxFutex::futexWait", Act::Transparent},
    {"QtLinuxFutex::_q_futex", Act::Transparent},
    {"QtFutex::futexWait", Act::Transparent},
    {"lockInternal_helper", Act::Transparent},
    {"QWaitCondition::wait", Act::Transparent},
    {"QWaitConditionPrivate::wait", Act::Transparent},
    {"QReadWriteLockPrivate::lockForRead", Act::Transparent},
    {"QReadWriteLockPrivate::lockForWrite", Act::Transparent},
    {"folly::detail::futexWaitImpl", Act::Transparent},
    {"folly::SharedMutexImpl::futexWaitForZeroBits", Act::Transparent},
    {"folly::SharedMutexImpl::waitForZeroBits", Act::Transparent},
    {"os_event::wait", Act::Transparent},  // InnoDB
    {"os_event::wait_low", Act::Transparent},
    {"os_event_wait_low", Act::Transparent},
    {"sync_array_wait_event", Act::Transparent},
    {"TTASEventMutex::wait", Act::Transparent},
    {"TTASEventMutex::spin_and_try_lock", Act::Transparent},

    {"lll_lock_wait", Act::Wait, kBlocked},
    {"lll_lock_wait_private", Act::Wait, kBlocked},
    {"lll_lock", Act::Wait, kBlocked},
    {"lll_lock_elision", Act::Wait, kBlocked},
    {"lll_mutex_lock_optimized", Act::Wait, kBlocked},
    {"lll_timedlock_wait", Act::Wait, kBlocked, Kind::Mutex, kAlone, true},
    {"pthread_mutex_lock", Act::Wait, kBlocked},
    {"pthread_mutex_lock_full", Act::Wait, kBlocked},
    {"pthread_mutex_cond_lock", Act::Wait, kBlocked},
    {"pthread_mutex_cond_lock_full", Act::Wait, kBlocked},
    {"pthread_mutex_cond_lock_adjust", Act::Wait, kBlocked},
    {"pthread_mutex_timedlock", Act::Wait, kBlocked, Kind::Mutex, kAlone, true},
    {"pthread_mutex_clocklock", Act::Wait, kBlocked, Kind::Mutex, kAlone, true},
    {"pthread_mutex_clocklock_common", Act::Wait, kBlocked, Kind::Mutex, kAlone, true},
    {"std::mutex::lock", Act::Wait, kBlocked},
    {"std::recursive_mutex::lock", Act::Wait, kBlocked},
    {"gthread_mutex_lock", Act::Wait, kBlocked},
    {"gthread_recursive_mutex_lock", Act::Wait, kBlocked},
    {"mtx_lock", Act::Wait, kBlocked},
    {"pthread_rwlock_rdlock", Act::Wait, kBlocked, Kind::RwLock, kShared},
    {"pthread_rwlock_rdlock_full", Act::Wait, kBlocked, Kind::RwLock, kShared},
    {"pthread_rwlock_rdlock_full64", Act::Wait, kBlocked, Kind::RwLock, kShared},
    {"pthread_rwlock_wrlock", Act::Wait, kBlocked, Kind::RwLock},
    {"pthread_rwlock_wrlock_full", Act::Wait, kBlocked, Kind::RwLock},
    {"pthread_rwlock_wrlock_full64", Act::Wait, kBlocked, Kind::RwLock},
    {"pthread_rwlock_timedrdlock", Act::Wait, kBlocked, Kind::RwLock, kShared, true},
    {"pthread_rwlock_timedwrlock", Act::Wait, kBlocked, Kind::RwLock, kAlone, true},
    {"pthread_rwlock_clockrdlock", Act::Wait, kBlocked, Kind::RwLock, kShared, true},
    {"pthread_rwlock_clockwrlock", Act::Wait, kBlocked, Kind::RwLock, kAlone, true},
    {"std::glibcxx_rwlock_rdlock", Act::Wait, kBlocked, Kind::RwLock, kShared},
    {"std::glibcxx_rwlock_wrlock", Act::Wait, kBlocked, Kind::RwLock},
    {"std::shared_mutex::lock_shared", Act::Wait, kBlocked, Kind::RwLock, kShared},
    {"std::shared_mutex::lock", Act::Wait, kBlocked, Kind::RwLock},
    {"std::shared_mutex_pthread::lock_shared", Act::Wait, kBlocked, Kind::RwLock, kShared},
    {"std::shared_mutex_pthread::lock", Act::Wait, kBlocked, Kind::RwLock},
    {"pthread_spin_lock", Act::Wait, kBlocked, Kind::Spin},
    {"pthread_once_slow", Act::Wait, kBlocked, Kind::Once},
    {"pthread_once", Act::Wait, kBlocked, Kind::Once},
    {"cxa_guard_acquire", Act::Override, kBlocked, Kind::Guard},

    {"pthread_join", Act::Wait, kBlocked, Kind::Thread},
    {"pthread_timedjoin_ex", Act::Wait, kBlocked, Kind::Thread},
    {"pthread_clockjoin_ex", Act::Wait, kBlocked, Kind::Thread},
    {"pthread_timedjoin_np", Act::Wait, kBlocked, Kind::Thread, kAlone, true},
    {"lll_wait_tid", Act::Wait, kBlocked, Kind::Thread},
    {"std::thread::join", Act::Wait, kBlocked, Kind::Thread},
    {"g_thread_join", Act::Wait, kBlocked, Kind::Thread},
    {"thrd_join", Act::Wait, kBlocked, Kind::Thread},

    {"pthread_cond_wait", Act::Wait, kWaiting, Kind::Condition},
    {"pthread_cond_wait_common", Act::Wait, kWaiting, Kind::Condition},
    {"pthread_cond_timedwait", Act::Wait, kWaiting, Kind::Condition, kAlone, true},
    {"pthread_cond_timedwait64", Act::Wait, kWaiting, Kind::Condition, kAlone, true},
    {"pthread_cond_clockwait", Act::Wait, kWaiting, Kind::Condition, kAlone, true},
    {"pthread_cond_clockwait64", Act::Wait, kWaiting, Kind::Condition, kAlone, true},
    {"std::condition_variable::wait", Act::Wait, kWaiting, Kind::Condition},
    {"sem_wait", Act::Wait, kWaiting, Kind::Semaphore},
    {"new_sem_wait", Act::Wait, kWaiting, Kind::Semaphore},
    {"new_sem_wait_slow", Act::Wait, kWaiting, Kind::Semaphore},
    {"new_sem_wait_slow64", Act::Wait, kWaiting, Kind::Semaphore},
    {"sem_timedwait", Act::Wait, kWaiting, Kind::Semaphore, kAlone, true},
    {"sem_clockwait", Act::Wait, kWaiting, Kind::Semaphore, kAlone, true},
    {"pthread_barrier_wait", Act::Wait, kWaiting, Kind::Barrier},
    {"std::atomic_futex_unsigned_base::M_futex_wait_until", Act::Wait, kWaiting, Kind::Future},
    {"std::atomic_futex_unsigned_base::_M_futex_wait_until", Act::Wait, kWaiting, Kind::Future},

    {"g_mutex_lock", Act::Override, kBlocked, Kind::GlibMutex},
    {"g_mutex_lock_slowpath", Act::Override, kBlocked, Kind::GlibMutex},
    {"g_rec_mutex_lock", Act::Override, kBlocked, Kind::GlibRecMutex},
    {"g_rec_mutex_lock_slowpath", Act::Override, kBlocked, Kind::GlibRecMutex},
    {"g_rw_lock_reader_lock", Act::Override, kBlocked, Kind::GlibRwLock, kShared},
    {"g_rw_lock_writer_lock", Act::Override, kBlocked, Kind::GlibRwLock},
    {"g_bit_lock", Act::Override, kBlocked, Kind::GlibBit},
    {"g_pointer_bit_lock", Act::Override, kBlocked, Kind::GlibBit},
    {"g_once_init_enter", Act::Override, kBlocked, Kind::GlibOnce},
    {"g_cond_wait", Act::Override, kWaiting, Kind::GlibCond},
    {"g_cond_wait_until", Act::Override, kWaiting, Kind::GlibCond, kAlone, true},

    {"take_gil", Act::Override, kBlocked, Kind::Mutex},
    {"PyThread_acquire_lock", Act::Override, kBlocked, Kind::Custom},
    {"PyThread_acquire_lock_timed", Act::Override, kBlocked, Kind::Custom},
    {"PyMutex_LockTimed", Act::Override, kBlocked, Kind::Custom},
    {"PyMutex_Lock", Act::Override, kBlocked, Kind::Custom},
    {"QMutex::lock", Act::Override, kBlocked},
    {"QMutex::lockInternal", Act::Override, kBlocked},
    {"QBasicMutex::lock", Act::Override, kBlocked},
    {"QBasicMutex::lockInternal", Act::Override, kBlocked},
    {"QRecursiveMutex::lock", Act::Override, kBlocked},
    {"QReadWriteLock::lockForRead", Act::Override, kBlocked, Kind::RwLock, kShared},
    {"QReadWriteLock::lockForWrite", Act::Override, kBlocked, Kind::RwLock},
    {"absl::Mutex::Lock", Act::Override, kBlocked},
    {"absl::Mutex::LockSlow", Act::Override, kBlocked},
    {"absl::Mutex::LockSlowLoop", Act::Override, kBlocked},
    {"absl::Mutex::LockSlowWithDeadline", Act::Override, kBlocked},
    {"absl::Mutex::lock", Act::Override, kBlocked},
    {"absl::Mutex::ReaderLock", Act::Override, kBlocked, Kind::RwLock, kShared},
    {"absl::Mutex::lock_shared", Act::Override, kBlocked, Kind::RwLock, kShared},
    {"absl::Mutex::Await", Act::Condition, kWaiting, Kind::Condition},
    {"absl::Mutex::AwaitCommon", Act::Condition, kWaiting, Kind::Condition},
    {"absl::Mutex::LockWhen", Act::Condition, kWaiting, Kind::Condition},
    {"absl::Mutex::ReaderLockWhen", Act::Condition, kWaiting, Kind::Condition},
    {"absl::CondVar::Wait", Act::Override, kWaiting, Kind::Condition},
    {"absl::CondVar::WaitCommon", Act::Override, kWaiting, Kind::Condition},
    {"absl::Notification::WaitForNotification", Act::Condition, kWaiting, Kind::Condition},
    {"absl::BlockingCounter::Wait", Act::Condition, kWaiting, Kind::Condition},
    {"absl::base_internal::SpinLock::SlowLock", Act::Override, kBlocked, Kind::Spin},
    {"absl::base_internal::SpinLock::Lock", Act::Override, kBlocked, Kind::Spin},
    {"SpinLock::SlowLock", Act::Override, kBlocked, Kind::Spin},  // gperftools
    {"SpinLock::Lock", Act::Override, kBlocked, Kind::Spin},
    {"parking_lot::raw_mutex::RawMutex::lock_slow", Act::Override, kBlocked},
    {"parking_lot::raw_rwlock::RawRwLock::lock_shared_slow", Act::Override, kBlocked, Kind::RwLock,
     kShared},
    {"parking_lot::raw_rwlock::RawRwLock::lock_exclusive_slow", Act::Override, kBlocked,
     Kind::RwLock},
    {"std::sys::unix::locks::futex_mutex::Mutex::lock_contended", Act::Wait, kBlocked},
    {"std::sys::sync::mutex::futex::Mutex::lock_contended", Act::Wait, kBlocked},
    {"std::sys::unix::locks::futex_rwlock::RwLock::read_contended", Act::Wait, kBlocked,
     Kind::RwLock, kShared},
    {"std::sys::sync::rwlock::futex::RwLock::read_contended", Act::Wait, kBlocked, Kind::RwLock,
     kShared},
    {"std::sys::unix::locks::futex_rwlock::RwLock::write_contended", Act::Wait, kBlocked,
     Kind::RwLock},
    {"std::sys::sync::rwlock::futex::RwLock::write_contended", Act::Wait, kBlocked, Kind::RwLock},
    {"std::sys::unix::locks::futex::Mutex::lock_contended", Act::Wait, kBlocked},
    {"std::sys::unix::locks::futex::RwLock::read_contended", Act::Wait, kBlocked, Kind::RwLock,
     kShared},
    {"std::sys::unix::locks::futex::RwLock::write_contended", Act::Wait, kBlocked, Kind::RwLock},
    {"folly::SharedMutexImpl::lockExclusiveImpl", Act::Override, kBlocked, Kind::RwLock},
    {"folly::SharedMutexImpl::lockSharedImpl", Act::Override, kBlocked, Kind::RwLock, kShared},
    {"srw_mutex_impl::wait", Act::Override, kBlocked},  // MariaDB
    {"srw_mutex_impl::wait_and_lock", Act::Override, kBlocked},
    {"ssux_lock_impl::wait", Act::Override, kBlocked, Kind::RwLock},
    {"ssux_lock_impl::wr_wait", Act::Override, kBlocked, Kind::RwLock},
    {"ssux_lock_impl::rd_wait", Act::Override, kBlocked, Kind::RwLock, kShared},
    {"PolicyMutex::enter", Act::Override, kBlocked},  // MySQL's InnoDB
    {"rw_lock_s_lock_spin", Act::Override, kBlocked, Kind::RwLock, kShared},
    {"rw_lock_x_lock_func", Act::Override, kBlocked, Kind::RwLock},
    {"rw_lock_sx_lock_func", Act::Override, kBlocked, Kind::RwLock},
    {"boost::mutex::lock", Act::Wait, kBlocked},
    {"boost::recursive_mutex::lock", Act::Wait, kBlocked},
    {"boost::shared_mutex::lock_shared", Act::Override, kBlocked, Kind::RwLock, kShared},
    {"boost::shared_mutex::lock", Act::Override, kBlocked, Kind::RwLock},
};

constexpr std::string_view kIdle[] = {
    "poll",
    "ppoll",
    "epoll_wait",
    "epoll_pwait",
    "epoll_wait_nocancel",
    "epoll_pwait2",
    "select",
    "pselect",
    "accept",
    "accept4",
    "recv",
    "recvfrom",
    "recvmsg",
    "read",
    "readv",
    "nanosleep",
    "clock_nanosleep",
    "usleep",
    "sleep",
    "pause",
    "libc_pause",
    "sigwait",
    "do_sigwait",
    "sigwaitinfo",
    "sigtimedwait",
    "sigsuspend",
    "wait4",
    "waitpid",
    "waitid",
    "io_getevents",
    "io_uring_enter",
    "kevent",
    "msgrcv",
    "rt_sigtimedwait",
    "poll_nocancel",
    "libc_read",
    "libc_recv",
    "libc_accept",
    "read_nocancel",
    "libc_recvfrom",
    "libc_recvmsg",
    "libc_poll",
    "clock_nanosleep_time64",
    "libc_pselect",
    "libc_select",
    "new_epoll_wait",
    "clock_nanosleep_2",
    "clock_nanosleep_time64_2",
    "poll_2",
    "wait",
};

const std::unordered_map<std::string_view, const Known*>& known_functions() {
  static const std::unordered_map<std::string_view, const Known*> table = [] {
    std::unordered_map<std::string_view, const Known*> result;
    for (const Known& known : kKnown) result.emplace(known.name, &known);
    return result;
  }();
  return table;
}

const Known* find_known(std::string_view plain) {
  const auto found = known_functions().find(plain);
  if (found != known_functions().end()) return found->second;
  // The insides of other libraries' waits.
  static constexpr Known kInside{"", Act::Transparent};
  for (const std::string_view prefix : {"absl::synchronization_internal::", "parking_lot_core::"})
    if (plain.starts_with(prefix)) return &kInside;
  // Old glibc's out-of-line slow paths are numbered.
  static constexpr Known kSlowPath{"L_lock_", Act::Wait, Posture::Blocked};
  for (const std::string_view prefix : {"L_lock_", "L_mutex_lock_", "L_cond_lock_"})
    if (plain.starts_with(prefix)) return &kSlowPath;
  return nullptr;
}

bool is_libc(std::string_view module) {
  const std::string_view name = base_name(module);
  return name.empty() || name.starts_with("libc.") || name.starts_with("libc-2") ||
         name.starts_with("libpthread") || name.starts_with("libglib-2.0") ||
         name.starts_with("ld-");
}

bool is_idle(std::string_view plain) {
  return std::find(std::begin(kIdle), std::end(kIdle), plain) != std::end(kIdle);
}

bool is_pthread(std::string_view plain) {
  for (const std::string_view prefix :
       {"pthread_", "lll_", "L_", "gthread_", "mtx_", "std::mutex", "std::recursive_mutex",
        "std::shared_mutex", "std::glibcxx_rwlock", "boost::mutex", "boost::recursive"})
    if (plain.starts_with(prefix)) return true;
  return false;
}

bool is_musl(const Frame& frame) {
  return frame.module.find("musl") != std::string_view::npos ||
         frame.file.starts_with("src/thread/") ||
         frame.file.find("/src/thread/") != std::string_view::npos;
}

// Between the wait and the program: std::lock_guard, boost::unique_lock, a guard class.
bool wraps_wait(std::string_view plain) {
  for (const std::string_view prefix :
       {"std::", "gthread_", "pthread_", "gnu_cxx::", "boost::unique_lock", "boost::lock_guard",
        "boost::shared_lock", "absl::MutexLock", "absl::ReaderMutexLock", "g_async_queue_",
        "lock_api::", "parking_lot::", "QMutexLocker", "g_mutex_locker", "boost::condition_var",
        "boost::thread", "folly::detail"})
    if (plain.starts_with(prefix)) return true;
  return false;
}

std::string_view first_of(std::string_view args, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const std::string_view value = find_argument(args, name);
    if (parse_hex(value)) return value;
  }
  return {};
}

// The lock's address as a frame prints it; empty: it does not.
std::string_view address_argument(const Frame& frame, std::string_view plain, ResourceKind kind) {
  const std::string_view args = frame.args;
  switch (kind) {
    case ResourceKind::Mutex:
    case ResourceKind::GlibMutex:
    case ResourceKind::GlibRecMutex:
    case ResourceKind::Spin:
    case ResourceKind::Custom:
    case ResourceKind::GlibBit: {
      const std::string_view value =
          first_of(args, {"mutex", "__mutex", "__m", "rec_mutex", "lock", "address", "m", "mu"});
      if (!value.empty()) return value;
      if (plain.starts_with("lll_")) return first_of(args, {"futex"});
      if (plain.ends_with("::lock") || plain.ends_with("::lockInternal") ||
          plain.ends_with("::lock_contended") || plain.ends_with("::Lock") ||
          plain.ends_with("::lock_slow") || plain.ends_with("::LockSlow") ||
          plain.ends_with("::SlowLock") || plain.starts_with("absl::Mutex::") ||
          plain.starts_with("srw_mutex_impl::") || plain == "PolicyMutex::enter")
        return first_of(args, {"this", "self"});
      return {};
    }
    case ResourceKind::RwLock:
    case ResourceKind::GlibRwLock: {
      const std::string_view value =
          first_of(args, {"rwlock", "__rwlock", "rw_lock", "__m", "lock", "rw"});
      if (!value.empty()) return value;
      if (plain.starts_with("ssux_lock_impl::") || plain.find("::lock") != plain.npos ||
          plain.ends_with("_contended") || plain.ends_with("::ReaderLock"))
        return first_of(args, {"this", "self"});
      return {};
    }
    case ResourceKind::Condition:
    case ResourceKind::GlibCond:
      return first_of(args, {"cond", "__cond", "c"});
    case ResourceKind::Semaphore:
      return first_of(args, {"sem"});
    case ResourceKind::Barrier:
      return first_of(args, {"barrier"});
    case ResourceKind::Once:
    case ResourceKind::GlibOnce:
      return first_of(args, {"once_control", "__once", "location"});
    case ResourceKind::Guard:
      return first_of(args, {"g", "guard"});
    case ResourceKind::Futex:
      return first_of(args, {"futex_word", "futex"});
    default:
      return {};
  }
}

void set_address(WaitFact& wait, std::string_view value) {
  const auto address = parse_hex(value);
  if (!address) return;
  wait.address = *address;
  const size_t open = value.find('<');
  if (open == std::string_view::npos) return;
  std::string_view symbol = value.substr(open + 1);
  const size_t close = symbol.rfind('>');
  if (close == std::string_view::npos) return;
  symbol = symbol.substr(0, close);
  constexpr std::string_view kGuard = "guard variable for ";
  if (symbol.starts_with(kGuard)) symbol.remove_prefix(kGuard.size());
  wait.symbol = symbol;
}

void read_join(const Thread& thread, size_t end, WaitFact& wait) {
  for (size_t i = 0; i < end; ++i) {
    const std::string_view args = thread.frames[i].args;
    if (wait.joined == 0) {
      for (const std::string_view name : {"threadid", "th", "pd", "t"}) {
        const std::string_view value = find_argument(args, name);
        if (const auto hex = parse_hex(value))
          wait.joined = *hex;
        else if (const auto decimal = Cursor(value).number())
          wait.joined = static_cast<uint64_t>(*decimal);
        if (wait.joined != 0) break;
      }
    }
    // The futex word of a join holds the joined thread's id, inside of its descriptor.
    constexpr int64_t kLargestTid = 1 << 22;
    if (const auto tid = Cursor(find_argument(args, "expected")).number();
        tid && *tid > 0 && *tid <= kLargestTid && wait.joined_tid == 0)
      wait.joined_tid = *tid;
    if (wait.address == 0)
      if (const auto word = parse_hex(find_argument(args, "futex_word"))) wait.address = *word;
  }
}

// A time limit that is not null, in any frame of the wait.
std::optional<bool> has_limit(const Thread& thread, size_t end) {
  std::optional<bool> result;
  for (size_t i = 0; i < end; ++i) {
    const std::string_view args = thread.frames[i].args;
    for (const std::string_view name : {"abstime", "timeout", "reltime", "at", "ts", "to"}) {
      const auto value = parse_hex(find_argument(args, name));
      if (!value) continue;
      if (*value != 0) return true;
      result = false;
    }
  }
  return result;
}

WaitFact recognise_native(const Thread& thread) {
  WaitFact wait;
  const size_t frames = std::min<size_t>(thread.frames.size(), 64);
  std::array<std::string, 64> plain;
  size_t i = 0;
  bool transparent = false;
  const Known* found = nullptr;
  for (; i < frames; ++i) {
    plain[i] = plain_name(thread.frames[i].function);
    // A stripped libc does not name the insides of its waits.
    if (thread.frames[i].function.empty() && is_libc(thread.frames[i].module) && i < 5) continue;
    const Known* known = find_known(plain[i]);
    // musl's word for futex_wait, elsewhere the wait for a child.
    const bool is_musl_wait = plain[i] == "wait" && is_musl(thread.frames[i]);
    // A spin lock sleeps between its looks.
    const bool is_delay = is_idle(plain[i]) && i + 1 < frames &&
                          plain_name(thread.frames[i + 1].function).ends_with("SpinLockDelay");
    if (is_musl_wait || is_delay || (known != nullptr && known->act == Act::Transparent)) {
      transparent = true;
      continue;
    }
    if (known != nullptr) {
      found = known;
      break;
    }
    if (is_idle(plain[i])) {
      wait.posture = Posture::Idle;
      wait.site = i + 1;
      return wait;
    }
    break;
  }
  if (found == nullptr) {
    wait.site = i;
    if (!transparent) return wait;  // at work
    // GLib's own slow path has no name in a stripped library; its other waits have exported ones.
    if (i >= 2 && i < frames && thread.frames[i - 1].function.empty() &&
        !thread.frames[i].function.empty() &&
        thread.frames[i - 1].module.find("libglib-2.0") != std::string_view::npos) {
      wait.posture = Posture::Blocked;
      wait.kind = ResourceKind::GlibMutex;
      return wait;
    }
    wait.posture = Posture::Waiting;
    wait.kind = ResourceKind::Futex;
  } else {
    wait.posture = found->posture;
    wait.kind = found->kind;
    wait.mode = found->mode;
    wait.timed = found->timed;
    wait.site = i + 1;
    wait.is_gil = found->name == "take_gil";
  }
  // Outwards through what is still the wait itself. What says more than the plain signal wins.
  size_t end = wait.site;
  const bool is_inner_lock = wait.posture == Posture::Blocked;
  for (size_t j = end; j < frames && j < end + 12; ++j) {
    plain[j] = plain_name(thread.frames[j].function);
    const Known* known = find_known(plain[j]);
    if (known != nullptr && known->act == Act::Idle) break;
    // An initialisation that runs is no wait.
    if (known != nullptr && known->kind == ResourceKind::Once && wait.kind != ResourceKind::Once &&
        found != nullptr)
      break;
    if (known == nullptr && !wraps_wait(plain[j])) {
      if (!thread.frames[j].function.empty() || j > end) break;
      continue;
    }
    end = j + 1;
    if (known == nullptr || known->act == Act::Transparent) continue;
    const bool is_more =
        known->act == Act::Condition ||
        (known->act == Act::Override && !(is_inner_lock && known->posture == Posture::Waiting));
    const bool is_raw = wait.kind == ResourceKind::Futex;
    const bool is_same_family =
        known->posture == wait.posture &&
        (wait.kind == known->kind ||
         (wait.kind == ResourceKind::Mutex && found != nullptr && found->name.starts_with("lll_")));
    if (!is_more && !is_raw && !is_same_family) continue;
    if (is_more || is_raw || known->kind != ResourceKind::Mutex) {
      wait.kind = known->kind;
      wait.posture = known->posture;
      wait.mode = known->mode;
      wait.timed = known->timed;
    } else {
      wait.timed = wait.timed || known->timed;
    }
    if (known->name == "take_gil") wait.is_gil = true;
  }
  wait.site = end;
  wait.is_foreign = found == nullptr || found->kind != wait.kind || !is_pthread(found->name);
  if (wait.is_gil) {
    wait.timed = false;
    wait.symbol = "the GIL";
    return wait;
  }
  if (const auto limit = has_limit(thread, end)) {
    wait.timed = *limit;
  } else {
    // musl's functions without a limit go on as those with one.
    for (size_t j = 0; j < end; ++j) wait.timed &= !is_musl(thread.frames[j]);
  }
  if (wait.kind == ResourceKind::Custom) {
    // Python waits in slices, or without end: microseconds=-1.
    wait.timed = false;
    for (size_t j = 0; j < end; ++j)
      if (const auto limit = Cursor(find_argument(thread.frames[j].args, "microseconds")).number())
        wait.timed = *limit > 0;
  }
  if (wait.kind == ResourceKind::Thread) {
    read_join(thread, end, wait);
    return wait;
  }
  for (size_t j = 0; j < end && wait.address == 0; ++j)
    set_address(wait, address_argument(thread.frames[j], plain[j], wait.kind));
  // Outer frames often know the symbol.
  for (size_t j = 0; j < end && wait.symbol.empty() && wait.address != 0; ++j) {
    WaitFact other;
    set_address(other, address_argument(thread.frames[j], plain[j], wait.kind));
    if (other.address == wait.address) wait.symbol = other.symbol;
  }
  if (wait.kind == ResourceKind::Condition || wait.kind == ResourceKind::GlibCond) {
    for (size_t j = 0; j < end && wait.companion == 0; ++j)
      if (const auto mutex = parse_hex(first_of(thread.frames[j].args, {"mutex", "__m", "mu"})))
        wait.companion = *mutex;
  }
  // Without libc's debug information a wrapper may still print what it was given.
  for (size_t j = end; j < frames && j < end + 3 && wait.address == 0 && wait.posture == kBlocked;
       ++j) {
    plain[j] = plain_name(thread.frames[j].function);
    if (!is_lock_wrapper(plain[j])) break;
    set_address(wait, first_of(thread.frames[j].args, {"mutex", "lock", "rwlock", "mtx", "mut",
                                                       "mu", "m", "l", "that", "this", "self"}));
  }
  return wait;
}

// What lies `offset` behind the lock's first byte; nothing: not shown.
GoAddress behind(GoAddress part, uint64_t offset) {
  return part.value > offset ? GoAddress{part.value - offset, part.is_doubtful} : GoAddress{};
}

// The sure one, else the one at hand.
void prefer(GoAddress& known, GoAddress other) {
  if (other && (!known || (known.is_doubtful && !other.is_doubtful))) known = other;
}

WaitFact recognise_go(const Thread& thread) {
  WaitFact wait;
  const std::string_view state = thread.state;
  const auto is = [&](std::string_view what) { return state.starts_with(what); };
  if (is("chan send")) {
    wait.posture = Posture::Blocked;
    wait.kind = ResourceKind::Channel;
  } else if (is("chan receive")) {
    wait.posture = Posture::Waiting;
    wait.kind = ResourceKind::Channel;
  } else if (is("sync.Mutex.Lock")) {
    wait.posture = Posture::Blocked;
  } else if (is("sync.RWMutex.")) {
    wait.posture = Posture::Blocked;
    wait.kind = ResourceKind::RwLock;
    if (is("sync.RWMutex.R")) wait.mode = Mode::Shared;
  } else if (is("semacquire") || is("sync.WaitGroup.Wait")) {
    wait.posture = Posture::Waiting;
    wait.kind = ResourceKind::Semaphore;
  } else if (is("sync.Cond.Wait")) {
    wait.posture = Posture::Waiting;
    wait.kind = ResourceKind::Condition;
  } else {
    wait.posture = is("running") || is("runnable") ? Posture::Busy : Posture::Idle;
  }
  // Where sync's types keep the words that goroutines sleep on.
  constexpr uint64_t kMutexWord = 4, kWriterWord = 8, kReaderWord = 12;
  GoAddress semaphore, mutex, rwlock;
  bool reads = wait.mode == Mode::Shared;
  size_t site = 0;
  for (; site < thread.frames.size(); ++site) {
    const Frame& frame = thread.frames[site];
    const std::string name = plain_name(frame.function);
    if (name.starts_with("runtime/pprof.")) wait.posture = Posture::Idle;  // who wrote the dump
    if (!is_plumbing(frame, name, Dialect::Go)) break;
    const GoAddress address = first_go_argument(frame.args);
    if (name.ends_with("(*Once).doSlow") || name.ends_with("(*Once).Do")) {
      // The frames outwards run the initialisation, or wait for its mutex.
      if (name.ends_with("doSlow") && mutex && wait.posture == Posture::Blocked) {
        wait.kind = ResourceKind::Once;
        if (address) prefer(mutex, {address.value + kMutexWord, address.is_doubtful});
        continue;
      }
      if (!mutex && !semaphore) break;
      continue;
    }
    if (name.find("runtime_Semacquire") != name.npos || name == "runtime.semacquire1") {
      prefer(semaphore, address);
      if (name.ends_with("RWMutexR")) reads = true;
    } else if (name.find("(*Mutex).") != name.npos) {
      wait.posture = Posture::Blocked;
      if (wait.kind == ResourceKind::Semaphore) wait.kind = ResourceKind::Mutex;
      prefer(mutex, behind(semaphore, kMutexWord));
      prefer(mutex, address);
    } else if (name.find("(*RWMutex).") != name.npos) {
      wait.posture = Posture::Blocked;
      wait.kind = ResourceKind::RwLock;
      if (name.find(").R") != name.npos) reads = true;
      // Behind other writers it waits for the mutex inside, which is at the start.
      wait.is_read_held = !reads && !mutex;
      prefer(rwlock, mutex ? mutex : behind(semaphore, reads ? kReaderWord : kWriterWord));
      prefer(rwlock, address);
    } else if (name.ends_with("(*WaitGroup).Wait")) {
      wait.is_wait_group = wait.posture == Posture::Waiting;
    } else if (name == "runtime.chansend" || name == "runtime.chansend1" ||
               name == "runtime.chanrecv" || name == "runtime.chanrecv1" ||
               name == "runtime.chanrecv2") {
      if (wait.kind == ResourceKind::Channel) wait.address = address.value;
    }
  }
  if (wait.kind == ResourceKind::Mutex || wait.kind == ResourceKind::Once) {
    prefer(mutex, behind(semaphore, kMutexWord));
    wait.address = mutex.value;
    wait.is_doubtful = mutex.is_doubtful;
  }
  if (wait.kind == ResourceKind::RwLock) {
    wait.address = rwlock.value;
    wait.is_doubtful = rwlock.is_doubtful;
    if (reads) wait.mode = Mode::Shared;
  }
  wait.site = site;
  return wait;
}

// Something to join the waits for one class by: its name, hashed (FNV-1a).
uint64_t address_of_class(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return hash | (uint64_t{1} << 63);
}

WaitFact recognise_java(const Thread& thread) {
  WaitFact wait;
  wait.posture = Posture::Idle;
  const std::string_view state = thread.state;
  size_t site = 0;
  bool joins = false;
  std::string top;
  for (; site < thread.frames.size(); ++site) {
    const std::string name = plain_name(thread.frames[site].function);
    if (site == 0) top = name;
    if (!is_plumbing(thread.frames[site], name, Dialect::Java)) break;
    if (name == "java.lang.Thread.join") joins = true;
    if (name.ends_with("ReadLock.lock")) wait.mode = Mode::Shared;
  }
  const bool is_runtimes_own = site == thread.frames.size();
  wait.site = is_runtimes_own ? 0 : site;
  for (const MonitorLine& line : thread.monitors) {
    if (line.what != MonitorLine::What::ClassInit) continue;
    wait.posture = Posture::Blocked;
    wait.kind = ResourceKind::Once;
    wait.is_class_init = true;
    wait.symbol = line.type;
    wait.address = address_of_class(line.type);
    return wait;
  }
  if (state.starts_with("RUNNABLE")) {
    const bool in_native = top.ends_with("Native") || top.ends_with("0") ||
                           top.ends_with("epollWait") || top.ends_with("poll") ||
                           top.ends_with("accept") || top.ends_with(".wait");
    wait.posture = is_runtimes_own || in_native ? Posture::Idle : Posture::Busy;
    return wait;
  }
  for (const MonitorLine& line : thread.monitors) {
    using What = MonitorLine::What;
    if (line.what == What::Locked || line.what == What::OwnsSynchronizer) continue;
    wait.address = line.address;
    wait.type = line.type;
    wait.timed = state.starts_with("TIMED_WAITING");
    const bool is_lock = line.type.find("ReentrantLock") != line.type.npos ||
                         line.type.find("ReentrantReadWriteLock") != line.type.npos ||
                         line.type.find("StampedLock") != line.type.npos;
    if (line.what == What::WaitingToLock) {
      wait.posture = Posture::Blocked;
      wait.kind = ResourceKind::Mutex;
      return wait;
    }
    if (line.what == What::Parking && is_lock) {
      wait.posture = Posture::Blocked;
      wait.kind = line.type.find("ReadWrite") != line.type.npos ? ResourceKind::RwLock
                                                                : ResourceKind::Mutex;
      return wait;
    }
    wait.posture = Posture::Waiting;
    wait.kind = joins ? ResourceKind::Thread : ResourceKind::Condition;
  }
  return wait;
}

WaitFact recognise_python(const Thread& thread) {
  WaitFact wait;
  wait.posture = thread.state.starts_with("active") ? Posture::Busy : Posture::Idle;
  size_t site = 0;
  while (site < thread.frames.size() && thread.frames[site].file.ends_with("threading.py")) {
    const std::string_view name = thread.frames[site].function;
    if (name == "join" || name == "_wait_for_tstate_lock") {
      wait.posture = Posture::Waiting;
      wait.kind = ResourceKind::Thread;
    } else if (name == "wait" || name == "acquire") {
      wait.posture = Posture::Waiting;
      wait.kind = ResourceKind::Condition;
    } else {
      break;
    }
    ++site;
  }
  wait.site = site;
  return wait;
}

}  // namespace

GoAddress first_go_argument(std::string_view args) {
  const std::string_view first = trimmed(args.substr(0, args.find(',')));
  return {parse_hex(first).value_or(0), first.ends_with('?')};
}

bool is_wait_function(std::string_view plain) { return find_known(plain) != nullptr; }

WaitFact recognise_wait(const Thread& thread) {
  switch (thread.dialect) {
    case Dialect::Go:
      return recognise_go(thread);
    case Dialect::Java:
      return recognise_java(thread);
    case Dialect::Python:
      return recognise_python(thread);
    case Dialect::Native:
      break;
  }
  return recognise_native(thread);
}

uint64_t running_once(const Frame& frame, std::string_view plain, Dialect dialect) {
  if (dialect == Dialect::Go && plain.ends_with("(*Once).doSlow")) {
    // struct { done; m Mutex }: the mutex is behind the first word.
    const GoAddress once = first_go_argument(frame.args);
    return once ? once.value + 4 : 0;
  }
  constexpr std::string_view kInit = ".<clinit>";
  if (dialect == Dialect::Java && frame.function.ends_with(kInit))
    return address_of_class(frame.function.substr(0, frame.function.size() - kInit.size()));
  if (plain != "pthread_once_slow" && plain != "pthread_once") return 0;
  return parse_hex(first_of(frame.args, {"once_control"})).value_or(0);
}

}  // namespace gordian::dump
