// SPDX-License-Identifier: Apache-2.0
// Each way of told_by_libc.inc sends a value after two locks were taken in one order, and waits for
// it before they are taken in the other. Only that value forbids the deadlock: if gordian cc does
// not see how it was carried, gordian predict proves what cannot happen. A way's locks have its
// name.
//
// NAME as the argument: only that way. None: all of them, one after the other.
#include <arpa/inet.h>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sstream>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

using Wide = unsigned __int128;

struct alignas(64) Slot {
  alignas(64) char bytes[4096];
  int ints[4];
  double real, whole;
  char* text;
  size_t size;
  void* pointer;
  pthread_t thread, other;
  pollfd polled;
  fd_set set;
  timeval seconds;
  timespec time;
  epoll_event event;
  struct stat status;
  struct statx all_status;
  tm fields;
  rusage usage;
  rlimit limit;
  utsname system;
  sockaddr address;
  int sorted[2];
  wchar_t wide[4];
  mmsghdr messages;
  Wide widest;
  // Only read once the threads are there, but for what they cut up.
  alignas(64) char seven_text[8];
  char* to_cut;
  socklen_t length;
  iovec piece, seven_piece;
  int seven, two, full, file, socket, epoll;
  int empty[2];
  time_t one;
  FILE *stream, *sender;
};

static int compare(const void* one, const void* other) {
  return *static_cast<const int*>(one) - *static_cast<const int*>(other);
}
static void* return_it(void* it) { return it; }
static bool heard(int file) {
  char byte;
  return read(file, &byte, 1) == 1;
}
static int scanned(const char* text) {
  int found = 0;
  sscanf(text, "%d", &found);
  return found;
}
static int printed(const char* text) {
  char bytes[16];
  return snprintf(bytes, sizeof bytes, "%s", text);
}
// A call that the compiler does not do itself.
static size_t call(size_t (*volatile function)(const char*), const char* text) {
  return function(text);
}

static void take_both(pthread_mutex_t* one, pthread_mutex_t* other) {
  pthread_mutex_lock(one);
  pthread_mutex_lock(other);
  pthread_mutex_unlock(other);
  pthread_mutex_unlock(one);
}

#define WAY(name, send, is_there)                               \
  static Slot name##slot;                                       \
  static pthread_mutex_t name##one = PTHREAD_MUTEX_INITIALIZER, \
                         name##two = PTHREAD_MUTEX_INITIALIZER; \
  __attribute__((noinline)) static void name##sender() {        \
    [[maybe_unused]] Slot* const s = &name##slot;               \
    take_both(&name##one, &name##two);                          \
    static_cast<void>(send);                                    \
  }                                                             \
  __attribute__((noinline)) static void name##waiter() {        \
    Slot volatile* const seen = &name##slot;                    \
    Slot* const s = const_cast<Slot*>(seen);                    \
    while (!(is_there)) {                                       \
      sched_yield();                                            \
      asm volatile("" : : : "memory");                          \
    }                                                           \
    take_both(&name##two, &name##one);                          \
  }
#include "told_by_libc.inc"
#undef WAY

struct Way {
  const char* name;
  Slot* slot;
  void (*send)();
  void (*wait)();
};
#define WAY(name, send, is_there) {#name, &name##slot, name##sender, name##waiter},
static const Way kWays[] = {
#include "told_by_libc.inc"
};

static void prepare(Slot* s) {
  strcpy(s->seven_text, "7 x");
  s->to_cut = s->seven_text;
  s->seven = 7;
  s->two = 2;
  s->one = 1;
  s->length = sizeof s->address;
  s->sorted[0] = 2;
  s->sorted[1] = 1;
  s->piece = {s->bytes, 1};
  s->seven_piece = {s->seven_text, 1};
  s->messages.msg_hdr.msg_iov = &s->piece;
  s->messages.msg_hdr.msg_iovlen = 1;
  int ends[2];
  if (pipe(ends) != 0 || pipe(s->empty) != 0) abort();
  if (write(ends[1], "x", 1) != 1) abort();
  s->full = ends[0];
  close(ends[1]);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || write(ends[1], "x", 1) != 1) abort();
  s->socket = ends[0];
  s->stream = tmpfile();
  if (s->stream == nullptr || fputs("7 x\n", s->stream) < 0) abort();
  rewind(s->stream);
  s->file = fileno(s->stream);
  s->sender = fdopen(s->empty[1], "w");
  s->polled = {s->full, POLLIN, 0};
  FD_SET(s->full, &s->set);
  s->epoll = epoll_create1(0);
  epoll_event event{};
  event.events = EPOLLIN;
  epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->full, &event);
}

static const char* chosen;
static bool is_chosen(const Way& way) { return chosen == nullptr || strcmp(chosen, way.name) == 0; }

static void* send_all(void* unused) {
  for (const Way& way : kWays)
    if (is_chosen(way)) way.send();
  return unused;
}
static void* wait_all(void* unused) {
  for (const Way& way : kWays)
    if (is_chosen(way)) way.wait();
  return unused;
}

int main(int argc, char** argv) {
  chosen = argc > 1 ? argv[1] : nullptr;
  for (const Way& way : kWays)
    if (is_chosen(way)) prepare(way.slot);
  pthread_t sender, waiter;
  pthread_create(&sender, nullptr, send_all, nullptr);
  pthread_create(&waiter, nullptr, wait_all, nullptr);
  pthread_join(sender, nullptr);
  pthread_join(waiter, nullptr);
}
