// SPDX-License-Identifier: Apache-2.0
// What threads tell each other through the kernel: pipes, sockets, files, children.
//
// Which call hears which is not followed. The world outside is one place of memory: whoever tells
// it something writes there before, whoever hears from it reads there after. So what is heard comes
// after all that was told. Standard output and error are not heard by the program itself, unless it
// puts other files in their places.
#include "memory/real_functions.h"
#include "memory/thread.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace gordian::memory;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

alignas(8) constinit uint64_t outside = 0;
constinit bool has_other_output = false;  // descriptor 1 or 2 is another file now

void tell_outside() { on_write(number(&outside)); }
void hear_outside() { on_was_read(number(&outside)); }

bool is_heard(int descriptor) { return descriptor > STDERR_FILENO || has_other_output; }
bool is_heard(FILE* file) { return (file != stdout && file != stderr) || has_other_output; }

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
void fill_pieces(const iovec* pieces, int count) {
  for (int i = 0; i < count; ++i) on_write_range(number(pieces[i].iov_base), pieces[i].iov_len);
}

}  // namespace

// A hook that does BEFORE, the real call, then AFTER.
#define GORDIAN_OUTSIDE(type, name, parameters, arguments, before, after) \
  namespace {                                                             \
  GORDIAN_REAL(name);                                                     \
  __attribute__((constructor)) void find_##name() { GORDIAN_FIND(name); } \
  }                                                                       \
  GORDIAN_HOOK type name parameters {                                     \
    if (real_##name == nullptr) GORDIAN_FIND(name);                       \
    before;                                                               \
    auto const result = real_##name arguments;                            \
    after;                                                                \
    return result;                                                        \
  }

#define GORDIAN_NOTHING static_cast<void>(0)

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
                on_write_range(number(bytes), size), hear_outside())
GORDIAN_OUTSIDE(ssize_t, pread, (int file, void* bytes, size_t size, off_t at),
                (file, bytes, size, at), on_write_range(number(bytes), size), hear_outside())
GORDIAN_OUTSIDE(ssize_t, pread64, (int file, void* bytes, size_t size, off64_t at),
                (file, bytes, size, at), on_write_range(number(bytes), size), hear_outside())
GORDIAN_OUTSIDE(ssize_t, readv, (int file, const iovec* pieces, int count), (file, pieces, count),
                fill_pieces(pieces, count), hear_outside())
GORDIAN_OUTSIDE(ssize_t, recv, (int file, void* bytes, size_t size, int flags),
                (file, bytes, size, flags), on_write_range(number(bytes), size), hear_outside())
GORDIAN_OUTSIDE(ssize_t, recvfrom,
                (int file, void* bytes, size_t size, int flags, sockaddr* from,
                 socklen_t* from_size),
                (file, bytes, size, flags, from, from_size), on_write_range(number(bytes), size),
                hear_outside())
GORDIAN_OUTSIDE(ssize_t, recvmsg, (int file, msghdr* message, int flags), (file, message, flags),
                fill_pieces(message->msg_iov, static_cast<int>(message->msg_iovlen)),
                hear_outside())
GORDIAN_OUTSIDE(int, accept, (int file, sockaddr* from, socklen_t* size), (file, from, size),
                GORDIAN_NOTHING, hear_outside())
GORDIAN_OUTSIDE(int, accept4, (int file, sockaddr* from, socklen_t* size, int flags),
                (file, from, size, flags), GORDIAN_NOTHING, hear_outside())
GORDIAN_OUTSIDE(int, connect, (int file, const sockaddr* to, socklen_t size), (file, to, size),
                tell_outside(), hear_outside())
GORDIAN_OUTSIDE(int, poll, (pollfd * files, nfds_t count, int limit), (files, count, limit),
                on_write_range(number(files), count * sizeof(pollfd)), hear_outside())
GORDIAN_OUTSIDE(int, select,
                (int count, fd_set* reads, fd_set* writes, fd_set* others, timeval* limit),
                (count, reads, writes, others, limit), GORDIAN_NOTHING, hear_outside())
GORDIAN_OUTSIDE(int, epoll_wait, (int file, epoll_event* events, int count, int limit),
                (file, events, count, limit),
                on_write_range(number(events),
                               (count > 0 ? static_cast<size_t>(count) : 0) * sizeof(epoll_event)),
                hear_outside())
GORDIAN_OUTSIDE(int, eventfd_read, (int file, eventfd_t* value), (file, value),
                on_write_range(number(value), sizeof(eventfd_t)), hear_outside())
GORDIAN_OUTSIDE(pid_t, waitpid, (pid_t child, int* status, int flags), (child, status, flags),
                GORDIAN_NOTHING, hear_outside())
GORDIAN_OUTSIDE(int, access, (const char* path, int mode) noexcept, (path, mode), GORDIAN_NOTHING,
                hear_outside())
GORDIAN_OUTSIDE(int, sigwait, (const sigset_t* set, int* signal), (set, signal),
                on_write_range(number(signal), sizeof(int)), hear_outside())

// Streams: their buffers lie in libc, which tells nothing.
GORDIAN_OUTSIDE(FILE*, fopen, (const char* path, const char* mode), (path, mode), tell_outside(),
                hear_outside())
GORDIAN_OUTSIDE(int, fclose, (FILE * file), (file), tell_outside(), GORDIAN_NOTHING)
GORDIAN_OUTSIDE(int, fflush, (FILE * file), (file), if (is_heard(file)) tell_outside(),
                GORDIAN_NOTHING)
GORDIAN_OUTSIDE(
    size_t, fwrite, (const void* bytes, size_t size, size_t count, FILE* file),
    (bytes, size, count, file),
    if (is_heard(file)) {
      on_was_read_range(number(bytes), size * count);
      tell_outside();
    },
    GORDIAN_NOTHING)
GORDIAN_OUTSIDE(
    int, fputs, (const char* text, FILE* file), (text, file),
    if (is_heard(file)) {
      on_was_read_range(number(text), strlen(text));
      tell_outside();
    },
    GORDIAN_NOTHING)
GORDIAN_OUTSIDE(size_t, fread, (void* bytes, size_t size, size_t count, FILE* file),
                (bytes, size, count, file), on_write_range(number(bytes), size* count),
                hear_outside())
GORDIAN_OUTSIDE(char*, fgets, (char* bytes, int size, FILE* file), (bytes, size, file),
                if (size > 0) on_write_range(number(bytes), static_cast<size_t>(size)),
                hear_outside())
GORDIAN_OUTSIDE(int, fgetc, (FILE * file), (file), GORDIAN_NOTHING, hear_outside())
GORDIAN_OUTSIDE(int, getc, (FILE * file), (file), GORDIAN_NOTHING, hear_outside())
// The same for a symbol whose declaration is in the way: an argument list that varies, a body in a
// header, the name of a structure.
#define GORDIAN_OUTSIDE_AS(type, hook, symbol, parameters, arguments, before, after) \
  GORDIAN_HOOK_AS(type, hook, symbol, parameters);                                   \
  GORDIAN_HOOK type hook parameters {                                                \
    if (real_##hook == nullptr) find_##hook();                                       \
    before;                                                                          \
    auto const result = real_##hook arguments;                                       \
    after;                                                                           \
    return result;                                                                   \
  }

namespace {

void hear_line_of(const ssize_t length, char** line, size_t* size) {
  if (length <= 0) return;
  on_write_range(number(*line), static_cast<size_t>(length));
  on_write(number(line));
  on_write(number(size));
  hear_outside();
}

}  // namespace

GORDIAN_OUTSIDE_AS(ssize_t, hear_delimited, "__getdelim",
                   (char** line, size_t* size, int end, FILE* file), (line, size, end, file),
                   GORDIAN_NOTHING, hear_line_of(result, line, size))
GORDIAN_OUTSIDE_AS(ssize_t, hear_line, "getline", (char** line, size_t* size, FILE* file),
                   (line, size, file), GORDIAN_NOTHING, hear_line_of(result, line, size))
GORDIAN_OUTSIDE_AS(int, open_file, "open", (const char* path, int flags, mode_t mode),
                   (path, flags, mode), tell_outside(), hear_outside())
GORDIAN_OUTSIDE_AS(int, open_file_64, "open64", (const char* path, int flags, mode_t mode),
                   (path, flags, mode), tell_outside(), hear_outside())
GORDIAN_OUTSIDE_AS(int, open_file_at, "openat",
                   (int folder, const char* path, int flags, mode_t mode),
                   (folder, path, flags, mode), tell_outside(), hear_outside())
GORDIAN_OUTSIDE_AS(FILE*, open_stream_64, "fopen64", (const char* path, const char* mode),
                   (path, mode), tell_outside(), hear_outside())
GORDIAN_OUTSIDE_AS(int, hear_status, "stat", (const char* path, void* status), (path, status),
                   on_write_range(number(status), sizeof(struct stat)), hear_outside())
GORDIAN_OUTSIDE_AS(int, hear_link_status, "lstat", (const char* path, void* status), (path, status),
                   on_write_range(number(status), sizeof(struct stat)), hear_outside())
GORDIAN_OUTSIDE_AS(int, hear_file_status, "fstat", (int file, void* status), (file, status),
                   on_write_range(number(status), sizeof(struct stat)), hear_outside())
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
GORDIAN_OUTSIDE_AS(int, cut_file, "ftruncate", (int file, off_t size), (file, size), tell_outside(),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, cut_file_64, "ftruncate64", (int file, off_t size), (file, size),
                   tell_outside(), GORDIAN_NOTHING)

// What is not followed at all: signals that one thread sends another, memory at two addresses.
GORDIAN_OUTSIDE(int, kill, (pid_t process, int signal) noexcept, (process, signal),
                if (signal != 0) miss(gordian::format::kMemoryUnseenCause), GORDIAN_NOTHING)
GORDIAN_OUTSIDE(int, pthread_kill, (pthread_t thread, int signal) noexcept, (thread, signal),
                if (signal != 0) miss(gordian::format::kMemoryUnseenCause), GORDIAN_NOTHING)
GORDIAN_OUTSIDE(int, sigqueue, (pid_t process, int signal, const sigval value) noexcept,
                (process, signal, value), miss(gordian::format::kMemoryUnseenCause),
                GORDIAN_NOTHING)
GORDIAN_OUTSIDE(void*, shmat, (int segment, const void* address, int flags) noexcept,
                (segment, address, flags), miss(gordian::format::kMemoryUnseenCause),
                GORDIAN_NOTHING)
GORDIAN_OUTSIDE(void*, mmap,
                (void* address, size_t size, int protection, int flags, int file,
                 off_t at) noexcept,
                (address, size, protection, flags, file, at),
                if ((flags & MAP_SHARED) != 0 && (flags & MAP_ANONYMOUS) == 0 &&
                    (protection & PROT_WRITE) != 0) miss(gordian::format::kMemoryUnseenCause),
                hear_outside())

GORDIAN_OUTSIDE(int, dup2, (int from, int to) noexcept, (from, to),
                if (to == STDOUT_FILENO || to == STDERR_FILENO) has_other_output = true,
                GORDIAN_NOTHING)

// Pages locked in memory would be all those of the shadow: where there is one, none are.
GORDIAN_OUTSIDE(int, mlockall, (int flags) noexcept, (flags), if (shadow.base != 0) return 0,
                GORDIAN_NOTHING)
