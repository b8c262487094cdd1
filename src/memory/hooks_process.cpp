// SPDX-License-Identifier: Apache-2.0
// What the kernel and libc keep for the whole process or for its files: one thread sets it, another
// asks for it, or sees it in what a call does. See outside.h.
#include "memory/mappings.h"
#include "memory/outside.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/types.h>

using namespace gordian::memory;  // NOLINT(google-build-using-namespace): a file of hooks

// Sets something, and may tell how it was before.
#define GORDIAN_SETS(type, hook, symbol, parameters, arguments) \
  GORDIAN_OUTSIDE_AS(type, hook, symbol, parameters, arguments, tell_outside(), hear_outside())
#define GORDIAN_ASKS(type, hook, symbol, parameters, arguments) \
  GORDIAN_OUTSIDE_AS(type, hook, symbol, parameters, arguments, GORDIAN_NOTHING, hear_outside())

// ---- files

GORDIAN_SETS(int, make_fifo, "mkfifo", (const char* path, mode_t mode), (path, mode))
GORDIAN_SETS(int, make_node, "mknod", (const char* path, mode_t mode, dev_t device),
             (path, mode, device))
GORDIAN_SETS(int, change_mode, "chmod", (const char* path, mode_t mode), (path, mode))
GORDIAN_SETS(int, change_file_mode, "fchmod", (int file, mode_t mode), (file, mode))
GORDIAN_SETS(int, change_mode_at, "fchmodat",
             (int folder, const char* path, mode_t mode, int flags), (folder, path, mode, flags))
GORDIAN_SETS(int, change_owner, "chown", (const char* path, uid_t user, gid_t group),
             (path, user, group))
GORDIAN_SETS(int, change_file_owner, "fchown", (int file, uid_t user, gid_t group),
             (file, user, group))
GORDIAN_SETS(int, change_link_owner, "lchown", (const char* path, uid_t user, gid_t group),
             (path, user, group))
GORDIAN_SETS(int, change_owner_at, "fchownat",
             (int folder, const char* path, uid_t user, gid_t group, int flags),
             (folder, path, user, group, flags))
GORDIAN_SETS(int, change_seconds, "utime", (const char* path, const void* times), (path, times))
GORDIAN_SETS(int, change_times, "utimes", (const char* path, const void* times), (path, times))
GORDIAN_SETS(int, change_times_at, "utimensat",
             (int folder, const char* path, const void* times, int flags),
             (folder, path, times, flags))
GORDIAN_SETS(int, change_file_times, "futimens", (int file, const void* times), (file, times))
GORDIAN_SETS(int, change_open_times, "futimes", (int file, const void* times), (file, times))
GORDIAN_SETS(int, reserve, "posix_fallocate", (int file, off_t at, off_t size), (file, at, size))
GORDIAN_SETS(int, reserve_64, "posix_fallocate64", (int file, off64_t at, off64_t size),
             (file, at, size))
GORDIAN_SETS(int, reserve_so, "fallocate", (int file, int mode, off_t at, off_t size),
             (file, mode, at, size))
GORDIAN_SETS(int, reserve_so_64, "fallocate64", (int file, int mode, off64_t at, off64_t size),
             (file, mode, at, size))
GORDIAN_ASKS(int, access_at, "faccessat", (int folder, const char* path, int mode, int flags),
             (folder, path, mode, flags))
GORDIAN_ASKS(void*, open_folder, "opendir", (const char* path), (path))
GORDIAN_ASKS(void*, open_folder_of, "fdopendir", (int file), (file))
GORDIAN_SETS(int, watch_path, "inotify_add_watch", (int file, const char* path, uint32_t mask),
             (file, path, mask))
GORDIAN_ASKS(int, copy_file, "dup", (int file), (file))
GORDIAN_SETS(int, set_option, "setsockopt",
             (int file, int level, int name, const void* value, unsigned size),
             (file, level, name, value, size))
GORDIAN_SETS(void*, open_semaphore, "sem_open",
             (const char* name, int flags, mode_t mode, unsigned value), (name, flags, mode, value))
GORDIAN_SETS(int, unlink_semaphore, "sem_unlink", (const char* name), (name))

// ---- the process

GORDIAN_SETS(mode_t, mask_modes, "umask", (mode_t mask), (mask))
GORDIAN_SETS(int, change_folder, "chdir", (const char* path), (path))
GORDIAN_SETS(int, change_folder_to, "fchdir", (int folder), (folder))
GORDIAN_SETS(int, change_root, "chroot", (const char* path), (path))
GORDIAN_SETS(int, set_limit, "setrlimit", (int what, const void* limit), (what, limit))
GORDIAN_SETS(int, set_limit_64, "setrlimit64", (int what, const void* limit), (what, limit))
GORDIAN_SETS(int, be_nice, "nice", (int more), (more))
GORDIAN_SETS(int, set_priority, "setpriority", (int which, id_t who, int value),
             (which, who, value))
GORDIAN_ASKS(int, ask_priority, "getpriority", (int which, id_t who), (which, who))
GORDIAN_SETS(int, set_personality, "personality", (unsigned long what), (what))
GORDIAN_OUTSIDE_AS(int, control_process, "prctl",
                   (int what, unsigned long one, unsigned long two, unsigned long three,
                    unsigned long four),
                   (what, one, two, three, four),
                   (what == PR_GET_NAME ? answer(reinterpret_cast<void*>(one), 16)
                    : what == PR_GET_PDEATHSIG || what == PR_GET_CHILD_SUBREAPER
                        ? answer(reinterpret_cast<void*>(one), sizeof(int))
                    : what == PR_SET_SECCOMP ? note_filter()
                                             : GORDIAN_NOTHING,
                    tell_outside()),
                   hear_outside())
GORDIAN_SETS(int, set_user, "setuid", (uid_t user), (user))
GORDIAN_SETS(int, set_effective_user, "seteuid", (uid_t user), (user))
GORDIAN_SETS(int, set_users, "setreuid", (uid_t real, uid_t effective), (real, effective))
GORDIAN_SETS(int, set_group, "setgid", (gid_t group), (group))
GORDIAN_SETS(int, set_effective_group, "setegid", (gid_t group), (group))
GORDIAN_SETS(int, set_both_groups, "setregid", (gid_t real, gid_t effective), (real, effective))
GORDIAN_SETS(int, set_groups, "setgroups", (size_t count, const gid_t* groups), (count, groups))
GORDIAN_SETS(int, take_groups, "initgroups", (const char* user, gid_t group), (user, group))
GORDIAN_ASKS(uid_t, ask_user, "getuid", (), ())
GORDIAN_ASKS(uid_t, ask_effective_user, "geteuid", (), ())
GORDIAN_ASKS(gid_t, ask_group, "getgid", (), ())
GORDIAN_ASKS(gid_t, ask_effective_group, "getegid", (), ())
GORDIAN_SETS(pid_t, begin_session, "setsid", (), ())
GORDIAN_ASKS(pid_t, ask_session, "getsid", (pid_t process), (process))
GORDIAN_SETS(int, set_process_group, "setpgid", (pid_t process, pid_t group), (process, group))
GORDIAN_SETS(int, lead_process_group, "setpgrp", (), ())
GORDIAN_ASKS(pid_t, ask_process_group, "getpgid", (pid_t process), (process))
GORDIAN_ASKS(pid_t, ask_own_process_group, "getpgrp", (), ())
GORDIAN_SETS(int, set_foreground, "tcsetpgrp", (int file, pid_t group), (file, group))
GORDIAN_ASKS(pid_t, ask_foreground, "tcgetpgrp", (int file), (file))
GORDIAN_SETS(char*, set_locale, "setlocale", (int category, const char* name), (category, name))
GORDIAN_ASKS(void*, ask_locale, "localeconv", (), ())
GORDIAN_ASKS(char*, ask_language, "nl_langinfo", (int item), (item))
GORDIAN_SETS(int, mask_log, "setlogmask", (int mask), (mask))
GORDIAN_SETS(sighandler_t, set_signal, "signal", (int signal, sighandler_t handler),
             (signal, handler))
GORDIAN_SETS(sighandler_t, set_signal_once, "__sysv_signal", (int signal, sighandler_t handler),
             (signal, handler))
GORDIAN_SETS(int, let_signal_interrupt, "siginterrupt", (int signal, int on), (signal, on))

// ---- threads

GORDIAN_SETS(int, name_thread, "pthread_setname_np", (pthread_t thread, const char* name),
             (thread, name))
GORDIAN_SETS(int, set_processors, "sched_setaffinity", (pid_t task, size_t size, const void* set),
             (task, size, set))
GORDIAN_SETS(int, set_thread_processors, "pthread_setaffinity_np",
             (pthread_t thread, size_t size, const void* set), (thread, size, set))
GORDIAN_SETS(int, set_scheduler, "sched_setscheduler",
             (pid_t task, int policy, const void* parameters), (task, policy, parameters))
GORDIAN_ASKS(int, ask_scheduler, "sched_getscheduler", (pid_t task), (task))
GORDIAN_SETS(int, set_thread_schedule, "pthread_setschedparam",
             (pthread_t thread, int policy, const void* parameters), (thread, policy, parameters))
GORDIAN_SETS(int, set_thread_priority, "pthread_setschedprio", (pthread_t thread, int priority),
             (thread, priority))
// What the other thread does from then on comes after this, and it calls nothing that would say so.
GORDIAN_OUTSIDE_AS(int, cancel_thread, "pthread_cancel", (pthread_t thread), (thread),
                   miss(gordian::format::kMemoryUnseenCause), GORDIAN_NOTHING)

// ---- processes: what a child does comes after what its parent did. fork() tells by itself.

#define GORDIAN_SPAWNS(hook, symbol)                                                             \
  GORDIAN_OUTSIDE_AS(int, hook, symbol,                                                          \
                     (pid_t * child, const char* path, const void* actions,                      \
                      const void* attributes, char* const* arguments, char* const* environment), \
                     (child, path, actions, attributes, arguments, environment),                 \
                     (tell_outside(), note_child()), hear_outside())
GORDIAN_SPAWNS(spawn, "posix_spawn")
GORDIAN_SPAWNS(spawn_by_name, "posix_spawnp")

// What one thread registers runs in the thread that ends the program, which hears of it just
// before: what is registered later runs earlier.
GORDIAN_HOOK_AS(int, register_exit, "__cxa_atexit",
                (void (*run)(void*), void* argument, void* object));
namespace {
void hear_at_exit(void*) { hear_outside(); }
}  // namespace
GORDIAN_HOOK int register_exit(void (*run)(void*), void* argument, void* object) {
  const bool tells = may_tell();
  if (tells) tell_outside();
  const int result = found_register_exit()(run, argument, object);
  if (tells && result == 0) found_register_exit()(hear_at_exit, nullptr, object);
  return result;
}

// ---- memory that moves

namespace {

// As memcpy would tell it. The new place is known only when it is done, but to nobody else yet.
class Move {
 public:
  Move(const void* from, size_t size) : from_(number(from)), size_(size) {
    if (from == nullptr || !may_tell()) size_ = 0;
    if (size_ != 0) on_was_read_range(from_, size_);
  }
  void done(const void* to) const {
    if (size_ != 0 && to != nullptr && number(to) != from_ && may_tell())
      on_write_range(number(to), size_);
  }

 private:
  uint64_t from_;
  size_t size_;
};

size_t kept_of(void* block, size_t size) {
  const size_t had = block == nullptr ? 0 : malloc_usable_size(block);
  return had < size ? had : size;
}

}  // namespace

GORDIAN_HOOK_AS(void*, resize, "realloc", (void* block, size_t size));
GORDIAN_HOOK void* resize(void* block, size_t size) {
  if (!may_tell()) return found_resize()(block, size);
  const Move move(block, kept_of(block, size));
  void* const to = found_resize()(block, size);
  move.done(to);
  return to;
}

GORDIAN_HOOK_AS(void*, resize_array, "reallocarray", (void* block, size_t count, size_t size));
GORDIAN_HOOK void* resize_array(void* block, size_t count, size_t size) {
  size_t bytes = 0;
  if (!may_tell() || __builtin_mul_overflow(count, size, &bytes))
    return found_resize_array()(block, count, size);
  const Move move(block, kept_of(block, bytes));
  void* const to = found_resize_array()(block, count, size);
  move.done(to);
  return to;
}

GORDIAN_HOOK_AS(void*, remap, "mremap",
                (void* from, size_t had, size_t size, int flags, void* wanted));
GORDIAN_HOOK void* remap(void* from, size_t had, size_t size, int flags, void* wanted) {
  const Move move(from, had < size ? had : size);
  note_moved(number(from), had, size, flags);
  void* const to = found_remap()(from, had, size, flags, wanted);
  if (to != MAP_FAILED) move.done(to);
  return to;
}

// The pages are empty afterwards.
GORDIAN_OUTSIDE_AS(int, advise, "madvise", (void* from, size_t size, int what), (from, size, what),
                   if (what == MADV_DONTNEED || what == MADV_REMOVE) answer(from, size),
                   GORDIAN_NOTHING)
