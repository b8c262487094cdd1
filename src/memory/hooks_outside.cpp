// SPDX-License-Identifier: Apache-2.0
// System calls by which threads tell each other something: see outside.h. Streams of stdio are in
// hooks_streams.cpp.
#include "memory/copies.h"
#include "memory/mappings.h"
#include "memory/outside.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace gordian::memory;  // NOLINT(google-build-using-namespace): a file of hooks

namespace gordian::memory {

alignas(8) constinit uint64_t outside = 0;
constinit bool has_other_output = false;

void read_text(const char* text) {
  if (text != nullptr && may_tell()) on_was_read_range(number(text), strlen(text) + 1);
}
void wrote_text(const char* text) {
  if (text != nullptr && may_tell()) on_write_range(number(text), strlen(text) + 1);
}

}  // namespace gordian::memory

namespace {

void tell_bytes(int descriptor, const void* bytes, size_t size) {
  if (!is_heard(descriptor)) return;
  on_was_read_range(number(bytes), size);
  tell_outside();
}
void tell_pieces(int descriptor, const iovec* pieces, int count) {
  if (!is_heard(descriptor)) return;
  for (int i = 0; i < count; ++i) on_was_read_range(number(pieces[i].iov_base), pieces[i].iov_len);
  tell_outside();
}
void tell_each(int descriptor, const mmsghdr* messages, unsigned count) {
  for (unsigned i = 0; i < count; ++i)
    tell_pieces(descriptor, messages[i].msg_hdr.msg_iov,
                static_cast<int>(messages[i].msg_hdr.msg_iovlen));
}
void fill_pieces(const iovec* pieces, int count) {
  if (!may_tell()) return;
  for (int i = 0; i < count; ++i) on_write_range(number(pieces[i].iov_base), pieces[i].iov_len);
}
void fill_message(const msghdr* message) {
  fill_pieces(message->msg_iov, static_cast<int>(message->msg_iovlen));
  answer(message->msg_name, message->msg_namelen);
  answer(message->msg_control, message->msg_controllen);
  answer(message, sizeof *message);
}
void fill_messages(const mmsghdr* messages, unsigned count) {
  for (unsigned i = 0; i < count; ++i) fill_message(&messages[i].msg_hdr);
  answer(messages, count * sizeof *messages);
}
// Descriptors come with messages, too.
void received(ssize_t result, const msghdr* message) {
  if (result < 0) return;
  for (const cmsghdr* part = CMSG_FIRSTHDR(message); part != nullptr;
       part = CMSG_NXTHDR(const_cast<msghdr*>(message), const_cast<cmsghdr*>(part))) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = CMSG_LEN(0); at + sizeof(int) <= part->cmsg_len; at += sizeof(int)) {
      int file = -1;
      plain_copy(&file, reinterpret_cast<const char*>(part) + at, sizeof file);
      note_descriptor(file, false);
    }
  }
}
void received_each(int count, const mmsghdr* messages) {
  for (int i = 0; i < count; ++i) received(0, &messages[i].msg_hdr);
}
void answer_address(const sockaddr* address, const socklen_t* size) {
  if (address == nullptr || size == nullptr) return;
  answer(address, *size);
  answer(size, sizeof *size);
}
void answer_events(const epoll_event* events, int count) {
  if (count > 0) answer(events, static_cast<size_t>(count) * sizeof *events);
}
void answer_sets(int count, const fd_set* reads, const fd_set* writes, const fd_set* others) {
  const size_t size = count > 0 ? (static_cast<size_t>(count) + 63) / 64 * 8 : 0;
  answer(reads, size);
  answer(writes, size);
  answer(others, size);
}
void control(int command, const void* argument) {
  if (command == F_GETLK || command == F_OFD_GETLK) answer(argument, sizeof(flock));
  tell_outside();
}
void ask_device(unsigned long request, const void* at) {
  if (request == FIONREAD || request == TIOCOUTQ) {
    answer(at, sizeof(int));
  } else if (request != FIONBIO && request != FIOCLEX && request != FIONCLEX) {
    miss(gordian::format::kMemoryUnseenCause);
  }
  tell_outside();
}

}  // namespace

GORDIAN_OUTSIDE(ssize_t, write, (int file, const void* bytes, size_t size), (file, bytes, size),
                tell_bytes(file, bytes, size), GORDIAN_NOTHING)
GORDIAN_OUTSIDE(ssize_t, pwrite, (int file, const void* bytes, size_t size, off_t at),
                (file, bytes, size, at), tell_bytes(file, bytes, size), GORDIAN_NOTHING)
GORDIAN_OUTSIDE(ssize_t, pwrite64, (int file, const void* bytes, size_t size, off64_t at),
                (file, bytes, size, at), tell_bytes(file, bytes, size), GORDIAN_NOTHING)
GORDIAN_OUTSIDE(ssize_t, writev, (int file, const iovec* pieces, int count), (file, pieces, count),
                tell_pieces(file, pieces, count), GORDIAN_NOTHING)
GORDIAN_OUTSIDE(ssize_t, send, (int file, const void* bytes, size_t size, int flags),
                (file, bytes, size, flags), tell_bytes(file, bytes, size), GORDIAN_NOTHING)
GORDIAN_OUTSIDE(ssize_t, sendto,
                (int file, const void* bytes, size_t size, int flags, const sockaddr* to,
                 socklen_t to_size),
                (file, bytes, size, flags, to, to_size), tell_bytes(file, bytes, size),
                GORDIAN_NOTHING)
GORDIAN_OUTSIDE(ssize_t, sendmsg, (int file, const msghdr* message, int flags),
                (file, message, flags),
                tell_pieces(file, message->msg_iov, static_cast<int>(message->msg_iovlen)),
                GORDIAN_NOTHING)
GORDIAN_OUTSIDE(int, close, (int file), (file), tell_outside(), GORDIAN_NOTHING)
GORDIAN_OUTSIDE(int, shutdown, (int file, int how) noexcept, (file, how), tell_outside(),
                GORDIAN_NOTHING)
GORDIAN_OUTSIDE(int, rename, (const char* from, const char* to) noexcept, (from, to),
                tell_outside(), hear_outside())
GORDIAN_OUTSIDE(int, unlink, (const char* path) noexcept, (path), tell_outside(), hear_outside())
GORDIAN_OUTSIDE(int, eventfd_write, (int file, eventfd_t value), (file, value), tell_outside(),
                GORDIAN_NOTHING)

GORDIAN_OUTSIDE(ssize_t, read, (int file, void* bytes, size_t size), (file, bytes, size),
                answer(bytes, size), hear_outside())
GORDIAN_OUTSIDE(ssize_t, pread, (int file, void* bytes, size_t size, off_t at),
                (file, bytes, size, at), answer(bytes, size), hear_outside())
GORDIAN_OUTSIDE(ssize_t, pread64, (int file, void* bytes, size_t size, off64_t at),
                (file, bytes, size, at), answer(bytes, size), hear_outside())
GORDIAN_OUTSIDE(ssize_t, readv, (int file, const iovec* pieces, int count), (file, pieces, count),
                fill_pieces(pieces, count), hear_outside())
GORDIAN_OUTSIDE(ssize_t, recv, (int file, void* bytes, size_t size, int flags),
                (file, bytes, size, flags), answer(bytes, size), hear_outside())
GORDIAN_OUTSIDE(ssize_t, recvfrom,
                (int file, void* bytes, size_t size, int flags, sockaddr* from,
                 socklen_t* from_size),
                (file, bytes, size, flags, from, from_size),
                (answer(bytes, size), answer_address(from, from_size)), hear_outside())
GORDIAN_OUTSIDE(ssize_t, recvmsg, (int file, msghdr* message, int flags), (file, message, flags),
                fill_message(message), (hear_outside(), received(result, message)))
GORDIAN_OUTSIDE_AS(int, hear_messages, "recvmmsg",
                   (int file, mmsghdr* messages, unsigned count, int flags, timespec* limit),
                   (file, messages, count, flags, limit),
                   (fill_messages(messages, count), answer(limit, sizeof *limit)),
                   (hear_outside(), received_each(result, messages)))
GORDIAN_OUTSIDE_AS(ssize_t, read_pieces_at, "preadv",
                   (int file, const iovec* pieces, int count, off_t at), (file, pieces, count, at),
                   fill_pieces(pieces, count), hear_outside())
GORDIAN_OUTSIDE_AS(ssize_t, read_pieces_at_64, "preadv64",
                   (int file, const iovec* pieces, int count, off64_t at),
                   (file, pieces, count, at), fill_pieces(pieces, count), hear_outside())
GORDIAN_OUTSIDE_AS(ssize_t, read_pieces_so, "preadv2",
                   (int file, const iovec* pieces, int count, off_t at, int flags),
                   (file, pieces, count, at, flags), fill_pieces(pieces, count), hear_outside())
GORDIAN_OUTSIDE_AS(ssize_t, read_pieces_so_64, "preadv64v2",
                   (int file, const iovec* pieces, int count, off64_t at, int flags),
                   (file, pieces, count, at, flags), fill_pieces(pieces, count), hear_outside())
GORDIAN_OUTSIDE_AS(ssize_t, write_pieces_at, "pwritev",
                   (int file, const iovec* pieces, int count, off_t at), (file, pieces, count, at),
                   tell_pieces(file, pieces, count), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(ssize_t, write_pieces_at_64, "pwritev64",
                   (int file, const iovec* pieces, int count, off64_t at),
                   (file, pieces, count, at), tell_pieces(file, pieces, count), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, tell_messages, "sendmmsg",
                   (int file, mmsghdr* messages, unsigned count, int flags),
                   (file, messages, count, flags), tell_each(file, messages, count),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(ssize_t, send_file, "sendfile", (int to, int from, off_t* at, size_t size),
                   (to, from, at, size), (answer(at, sizeof *at), tell_outside()), hear_outside())
GORDIAN_OUTSIDE_AS(ssize_t, send_file_64, "sendfile64",
                   (int to, int from, off64_t* at, size_t size), (to, from, at, size),
                   (answer(at, sizeof *at), tell_outside()), hear_outside())
GORDIAN_OUTSIDE_AS(ssize_t, copy_range, "copy_file_range",
                   (int from, off64_t* from_at, int to, off64_t* to_at, size_t size,
                    unsigned flags),
                   (from, from_at, to, to_at, size, flags),
                   (answer(from_at, 8), answer(to_at, 8), tell_outside()), hear_outside())
GORDIAN_OUTSIDE_AS(ssize_t, splice_files, "splice",
                   (int from, off64_t* from_at, int to, off64_t* to_at, size_t size,
                    unsigned flags),
                   (from, from_at, to, to_at, size, flags),
                   (answer(from_at, 8), answer(to_at, 8), tell_outside()), hear_outside())
GORDIAN_OUTSIDE(int, accept, (int file, sockaddr* from, socklen_t* size), (file, from, size),
                answer_address(from, size), hear_outside())
GORDIAN_OUTSIDE(int, accept4, (int file, sockaddr* from, socklen_t* size, int flags),
                (file, from, size, flags), answer_address(from, size), hear_outside())
GORDIAN_OUTSIDE(int, connect, (int file, const sockaddr* to, socklen_t size), (file, to, size),
                tell_outside(), hear_outside())
GORDIAN_OUTSIDE(int, bind, (int file, const sockaddr* to, socklen_t size) noexcept,
                (file, to, size), tell_outside(), hear_outside())
GORDIAN_OUTSIDE(int, listen, (int file, int count) noexcept, (file, count), tell_outside(),
                hear_outside())
GORDIAN_OUTSIDE(int, poll, (pollfd * files, nfds_t count, int limit), (files, count, limit),
                answer(files, count * sizeof(pollfd)), hear_outside())
GORDIAN_OUTSIDE_AS(int, poll_so, "ppoll",
                   (pollfd * files, nfds_t count, const timespec* limit, const void* mask),
                   (files, count, limit, mask), answer(files, count * sizeof(pollfd)),
                   hear_outside())
GORDIAN_OUTSIDE(int, select,
                (int count, fd_set* reads, fd_set* writes, fd_set* others, timeval* limit),
                (count, reads, writes, others, limit),
                (answer_sets(count, reads, writes, others), answer(limit, sizeof *limit)),
                hear_outside())
GORDIAN_OUTSIDE_AS(int, select_so, "pselect",
                   (int count, fd_set* reads, fd_set* writes, fd_set* others, const timespec* limit,
                    const void* mask),
                   (count, reads, writes, others, limit, mask),
                   answer_sets(count, reads, writes, others), hear_outside())
GORDIAN_OUTSIDE(int, epoll_wait, (int file, epoll_event* events, int count, int limit),
                (file, events, count, limit), answer_events(events, count), hear_outside())
GORDIAN_OUTSIDE_AS(int, wait_for_events, "epoll_pwait",
                   (int file, epoll_event* events, int count, int limit, const void* mask),
                   (file, events, count, limit, mask), answer_events(events, count), hear_outside())
GORDIAN_OUTSIDE_AS(int, wait_for_events_so, "epoll_pwait2",
                   (int file, epoll_event* events, int count, const timespec* limit,
                    const void* mask),
                   (file, events, count, limit, mask), answer_events(events, count), hear_outside())
GORDIAN_OUTSIDE_AS(int, change_epoll, "epoll_ctl",
                   (int file, int operation, int about, epoll_event* event),
                   (file, operation, about, event), tell_outside(), hear_outside())
GORDIAN_OUTSIDE(int, eventfd_read, (int file, eventfd_t* value), (file, value),
                answer(value, sizeof(eventfd_t)), hear_outside())
GORDIAN_OUTSIDE(pid_t, waitpid, (pid_t child, int* status, int flags), (child, status, flags),
                (answer(status, sizeof *status), tell_outside()), hear_outside())
GORDIAN_OUTSIDE_AS(pid_t, wait_for_any, "wait", (int* status), (status),
                   answer(status, sizeof *status), hear_outside())
GORDIAN_OUTSIDE_AS(pid_t, wait_for_usage, "wait4",
                   (pid_t child, int* status, int flags, rusage* usage),
                   (child, status, flags, usage),
                   (answer(status, sizeof *status), answer(usage, sizeof *usage)), hear_outside())
GORDIAN_OUTSIDE_AS(int, wait_for_id, "waitid", (int kind, id_t id, siginfo_t* what, int flags),
                   (kind, id, what, flags), answer(what, sizeof *what), hear_outside())
GORDIAN_OUTSIDE(int, access, (const char* path, int mode) noexcept, (path, mode), GORDIAN_NOTHING,
                hear_outside())
GORDIAN_OUTSIDE(int, sigwait, (const sigset_t* set, int* signal), (set, signal),
                answer(signal, sizeof(int)), hear_outside())
GORDIAN_OUTSIDE_AS(int, wait_for_signal, "sigwaitinfo", (const sigset_t* set, siginfo_t* what),
                   (set, what), answer(what, sizeof *what), hear_outside())
GORDIAN_OUTSIDE_AS(int, wait_for_signal_until, "sigtimedwait",
                   (const sigset_t* set, siginfo_t* what, const timespec* limit),
                   (set, what, limit), answer(what, sizeof *what), hear_outside())

GORDIAN_OUTSIDE_AS(int, open_file, "open", (const char* path, int flags, mode_t mode),
                   (path, flags, mode), tell_outside(),
                   (hear_outside(), note_descriptor(result, (flags & O_TRUNC) != 0)))
GORDIAN_OUTSIDE_AS(int, open_file_at_64, "openat64",
                   (int folder, const char* path, int flags, mode_t mode),
                   (folder, path, flags, mode), tell_outside(),
                   (hear_outside(), note_descriptor(result, (flags & O_TRUNC) != 0)))
GORDIAN_OUTSIDE_AS(int, create_file, "creat", (const char* path, mode_t mode), (path, mode),
                   tell_outside(), (hear_outside(), note_descriptor(result, true)))
GORDIAN_OUTSIDE_AS(int, create_unnamed, "mkstemp", (char* path), (path),
                   (answer(path, strlen(path)), tell_outside()), hear_outside())
GORDIAN_OUTSIDE_AS(int, create_unnamed_64, "mkstemp64", (char* path), (path),
                   (answer(path, strlen(path)), tell_outside()), hear_outside())
GORDIAN_OUTSIDE_AS(int, run_command, "system", (const char* command), (command),
                   (read_text(command), tell_outside(), note_child()), hear_outside())
GORDIAN_OUTSIDE_AS(char*, create_folder, "mkdtemp", (char* path), (path),
                   (answer(path, strlen(path)), tell_outside()), hear_outside())
GORDIAN_OUTSIDE_AS(int, open_file_64, "open64", (const char* path, int flags, mode_t mode),
                   (path, flags, mode), tell_outside(),
                   (hear_outside(), note_descriptor(result, (flags & O_TRUNC) != 0)))
GORDIAN_OUTSIDE_AS(int, open_file_at, "openat",
                   (int folder, const char* path, int flags, mode_t mode),
                   (folder, path, flags, mode), tell_outside(),
                   (hear_outside(), note_descriptor(result, (flags & O_TRUNC) != 0)))
GORDIAN_OUTSIDE_AS(int, hear_status, "stat", (const char* path, void* status), (path, status),
                   answer(status, sizeof(struct stat)), hear_outside())
GORDIAN_OUTSIDE_AS(int, hear_link_status, "lstat", (const char* path, void* status), (path, status),
                   answer(status, sizeof(struct stat)), hear_outside())
GORDIAN_OUTSIDE_AS(int, hear_file_status, "fstat", (int file, void* status), (file, status),
                   answer(status, sizeof(struct stat)), hear_outside())
GORDIAN_OUTSIDE_AS(int, hear_status_at, "fstatat",
                   (int folder, const char* path, void* status, int flags),
                   (folder, path, status, flags), answer(status, sizeof(struct stat)),
                   hear_outside())
GORDIAN_OUTSIDE_AS(int, hear_status_64, "stat64", (const char* path, void* status), (path, status),
                   answer(status, sizeof(struct stat)), hear_outside())
GORDIAN_OUTSIDE_AS(int, hear_link_status_64, "lstat64", (const char* path, void* status),
                   (path, status), answer(status, sizeof(struct stat)), hear_outside())
GORDIAN_OUTSIDE_AS(int, hear_file_status_64, "fstat64", (int file, void* status), (file, status),
                   answer(status, sizeof(struct stat)), hear_outside())
GORDIAN_OUTSIDE_AS(int, hear_status_at_64, "fstatat64",
                   (int folder, const char* path, void* status, int flags),
                   (folder, path, status, flags), answer(status, sizeof(struct stat)),
                   hear_outside())
GORDIAN_OUTSIDE_AS(int, hear_all_status, "statx",
                   (int folder, const char* path, int flags, unsigned mask, void* status),
                   (folder, path, flags, mask, status), answer(status, sizeof(struct statx)),
                   hear_outside())
GORDIAN_OUTSIDE_AS(void*, hear_folder, "readdir", (void* folder), (folder), GORDIAN_NOTHING,
                   hear_outside())
GORDIAN_OUTSIDE_AS(void*, hear_folder_64, "readdir64", (void* folder), (folder), GORDIAN_NOTHING,
                   hear_outside())
GORDIAN_OUTSIDE_AS(int, make_folder, "mkdir", (const char* path, mode_t mode), (path, mode),
                   tell_outside(), hear_outside())
GORDIAN_OUTSIDE_AS(int, remove_folder, "rmdir", (const char* path), (path), tell_outside(),
                   hear_outside())
GORDIAN_OUTSIDE_AS(int, remove_file, "remove", (const char* path), (path), tell_outside(),
                   hear_outside())
GORDIAN_OUTSIDE_AS(int, link_file, "link", (const char* from, const char* to), (from, to),
                   tell_outside(), hear_outside())
GORDIAN_OUTSIDE_AS(int, link_by_name, "symlink", (const char* from, const char* to), (from, to),
                   tell_outside(), hear_outside())
GORDIAN_OUTSIDE_AS(ssize_t, hear_link, "readlink", (const char* path, char* to, size_t size),
                   (path, to, size), answer(to, size), hear_outside())
GORDIAN_OUTSIDE_AS(int, rename_at, "renameat",
                   (int from_folder, const char* from, int to_folder, const char* to),
                   (from_folder, from, to_folder, to), tell_outside(), hear_outside())
GORDIAN_OUTSIDE_AS(int, remove_at, "unlinkat", (int folder, const char* path, int flags),
                   (folder, path, flags), tell_outside(), hear_outside())
GORDIAN_OUTSIDE_AS(off_t, seek_file, "lseek", (int file, off_t at, int whence), (file, at, whence),
                   tell_outside(), hear_outside())
GORDIAN_OUTSIDE_AS(off64_t, seek_file_64, "lseek64", (int file, off64_t at, int whence),
                   (file, at, whence), tell_outside(), hear_outside())
GORDIAN_OUTSIDE_AS(int, cut_path, "truncate", (const char* path, off_t size), (path, size),
                   tell_outside(), (hear_outside(), note_cut(path)))
GORDIAN_OUTSIDE_AS(int, cut_file, "ftruncate", (int file, off_t size), (file, size), tell_outside(),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, cut_file_64, "ftruncate64", (int file, off_t size), (file, size),
                   tell_outside(), GORDIAN_NOTHING)

// Locks on files, and settings of descriptors: the last argument may be an address.
GORDIAN_OUTSIDE_AS(int, control_file, "fcntl", (int file, int command, void* argument),
                   (file, command, argument), control(command, argument), hear_outside())
GORDIAN_OUTSIDE_AS(int, control_file_64, "fcntl64", (int file, int command, void* argument),
                   (file, command, argument), control(command, argument), hear_outside())
GORDIAN_OUTSIDE_AS(int, lock_file, "flock", (int file, int operation), (file, operation),
                   tell_outside(), hear_outside())
GORDIAN_OUTSIDE_AS(int, lock_range, "lockf", (int file, int command, off_t size),
                   (file, command, size), tell_outside(), hear_outside())
// The kernel counts what is to be read, and answers so; other requests know better.
GORDIAN_OUTSIDE_AS(int, request_of_device, "ioctl", (int file, unsigned long request, void* at),
                   (file, request, at), ask_device(request, at), hear_outside())

// What is not followed at all: signals that one thread sends another or that a clock sends.
GORDIAN_OUTSIDE_AS(unsigned, set_alarm, "alarm", (unsigned seconds), (seconds),
                   if (seconds != 0) miss(gordian::format::kMemoryUnseenCause), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, set_timer, "setitimer", (int which, const void* time, itimerval* before),
                   (which, time, before),
                   (answer(before, sizeof *before), miss(gordian::format::kMemoryUnseenCause)),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, make_timer, "timer_create", (clockid_t clock, void* event, void** timer),
                   (clock, event, timer),
                   (answer(timer, sizeof *timer), miss(gordian::format::kMemoryUnseenCause)),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE(int, kill, (pid_t process, int signal) noexcept, (process, signal),
                if (signal != 0) miss(gordian::format::kMemoryUnseenCause), hear_outside())
GORDIAN_OUTSIDE(int, pthread_kill, (pthread_t thread, int signal) noexcept, (thread, signal),
                if (signal != 0) miss(gordian::format::kMemoryUnseenCause), GORDIAN_NOTHING)
GORDIAN_OUTSIDE(int, sigqueue, (pid_t process, int signal, const sigval value) noexcept,
                (process, signal, value), miss(gordian::format::kMemoryUnseenCause),
                GORDIAN_NOTHING)
GORDIAN_OUTSIDE(int, dup2, (int from, int to) noexcept, (from, to),
                if (to == STDOUT_FILENO || to == STDERR_FILENO) has_other_output = true,
                GORDIAN_NOTHING)

GORDIAN_OUTSIDE_AS(int, place_file, "dup3", (int from, int to, int flags), (from, to, flags),
                   if (to == STDOUT_FILENO || to == STDERR_FILENO) has_other_output = true,
                   GORDIAN_NOTHING)

// Pages locked in memory would be all those of the shadow: where there is one, none are.
GORDIAN_OUTSIDE(int, mlockall, (int flags) noexcept, (flags), if (shadow.base != 0) return 0,
                GORDIAN_NOTHING)
