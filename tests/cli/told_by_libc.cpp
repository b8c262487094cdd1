// SPDX-License-Identifier: Apache-2.0
// Each way of told_by_libc.inc sends a value after two locks were taken in one order, and waits for
// it before they are taken in the other. Only that value forbids the deadlock: if gordian cc does
// not see how it was carried, gordian predict proves what cannot happen. A way's locks have its
// name.
//
// NAME as the argument: only that way. None: all of them, one after the other.
//
// WAYS: another file of ways. A second argument: the folder to be in.
#include <arpa/inet.h>
#include <clocale>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <immintrin.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <spawn.h>
#include <sstream>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <syslog.h>
#include <threads.h>
#include <unistd.h>

#ifndef WAYS
#define WAYS "told_by_libc.inc"
#endif

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
  char* volatile moved;
  rlimit limit_found;
  struct sigaction action;
  cpu_set_t processors;
  pid_t child;
  // Only read once the threads are there, but for what they cut up.
  alignas(64) char seven_text[8];
  char* to_cut;
  socklen_t length;
  iovec piece, seven_piece;
  int seven, two, full, file, socket, epoll;
  int empty[2];
  time_t one;
  FILE *stream, *sender;
  char *block, *mapped;
  int notifier, unseen;
  pid_t waited;
  timespec epochs[2];
  struct sigaction ignore;
  cpu_set_t first;
  rlimit lower;
  int nicer;
  alignas(64) sigset_t signals;
  alignas(64) int state = 7;
  alignas(64) Dl_info code;
  ifaddrs* interfaces;
  pthread_t carrier;
  void (*carry)(Slot*);
  alignas(64) int is_carried_unseen;
  alignas(64) char from[1024];
  alignas(64) char to[1024];
  alignas(64) char nothing[64];
  alignas(64) pthread_mutex_t lock;
  pthread_rwlock_t rwlock;
  mtx_t c11_lock;
  sem_t semaphore;
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

// Nobody sees these: no compiler tells of what assembly does behind an address.
static void set_unseen(int* flag) { asm volatile("movl $1, (%0)" : : "r"(flag) : "memory"); }
static bool is_set_unseen(const int* flag) {
  int seen = 0;
  asm volatile("movl (%1), %0" : "=r"(seen) : "r"(flag) : "memory");
  return seen != 0;
}
static void set_unseen(Slot* s) { set_unseen(&s->unseen); }
static void await_unseen(Slot* s) {
  while (!is_set_unseen(&s->unseen)) sched_yield();
}

static timespec soon(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  time.tv_nsec += 2'000'000;
  if (time.tv_nsec >= 1'000'000'000) time = {time.tv_sec + 1, 0};
  return time;
}
static void give_back(pthread_mutex_t* lock) { pthread_mutex_unlock(lock); }
static void give_back(pthread_rwlock_t* lock) { pthread_rwlock_unlock(lock); }
static void give_back(mtx_t* lock) { mtx_unlock(lock); }
static void give_back(sem_t* semaphore) { sem_post(semaphore); }
constexpr struct Realtime {
} REALTIME;
template <typename Lock, typename Ask>
static bool gives_up(Lock& lock, Ask ask, Realtime) {
  const timespec until = soon(CLOCK_REALTIME);
  if (ask(&lock, &until) != 0) return true;
  give_back(&lock);
  return false;
}
template <typename Lock, typename Ask>
static bool gives_up(Lock& lock, Ask ask, clockid_t clock) {
  const timespec until = soon(clock);
  if (ask(&lock, clock, &until) != 0) return true;
  give_back(&lock);
  return false;
}

static pthread_t main_thread;
static char own_name[32];
static void make_in_child() {
  if (fork() == 0) _exit(mkdir("new", 0700));
}
static char mkdir_name[] = "mkdir", new_name[] = "new";
static char* const command[] = {mkdir_name, new_name, nullptr};

static pthread_mutex_t block_lock = PTHREAD_MUTEX_INITIALIZER;
static void send_in_block(Slot* s) {
  pthread_mutex_lock(&block_lock);
  s->block[300] = s->mapped[300] = 1;
  pthread_mutex_unlock(&block_lock);
  set_unseen(s);
}
static char* realloc_it(Slot* s) { return static_cast<char*>(realloc(s->block, 1 << 20)); }
static char* reallocarray_it(Slot* s) {
  return static_cast<char*>(reallocarray(s->block, 1 << 10, 1 << 10));
}
static char* mremap_it(Slot* s) {
  return static_cast<char*>(mremap(s->mapped, 4096, 1 << 20, MREMAP_MAYMOVE));
}
static char* (*move_it)(Slot*);
static void* move(void* slot) {
  Slot* const s = static_cast<Slot*>(slot);
  await_unseen(s);
  pthread_mutex_lock(&block_lock);
  s->moved = move_it(s);
  pthread_mutex_unlock(&block_lock);
  return nullptr;
}
static bool is_in_moved(Slot* s, char* (*how)(Slot*)) {
  if (move_it == nullptr) {
    move_it = how;
    pthread_create(&s->other, nullptr, move, s);
  }
  pthread_mutex_lock(&block_lock);
  const bool is_there = s->moved != nullptr && s->moved[300] != 0;
  pthread_mutex_unlock(&block_lock);
  return is_there;
}

// Structs of many sizes, and a class that is copied by a function of its own.
struct Four {
  int number;
};
struct Eight {
  long number;
};
struct Sixteen {
  long number, other;
};
struct Twelve {
  int number, others[2];
};
struct Many {
  long number, others[4];
};
struct Large {
  long number, others[90];
};
struct Owner {
  explicit Owner(long to) : number(to) {}
  Owner(const Owner& other) : number(other.number) {}
  long number;
};
[[maybe_unused]] static const Many sevens_of_many = {7, {7, 7, 7, 7}};
[[maybe_unused]] static char sevens[64] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
                                           7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
struct Chooser {
  int seven() { return 7; }
  int (Chooser::*choice)();
};
struct Bits {
  unsigned few : 3, some : 15;
  char one;
};
// What is expected of a number lies where another thread wrote it.
[[maybe_unused]] static bool is_equal_to(int* expected) {
  int number = 1;
  return __atomic_compare_exchange_n(&number, expected, 2, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST);
}
template <typename Type>
static Type* as(char* bytes) {
  return reinterpret_cast<Type*>(bytes);
}
template <typename Type>
[[gnu::noinline]] static Type seven_of() {
  Type seven{};
  seven.number = 7;
  asm volatile("" : "+r"(seven.number));
  return seven;
}
[[maybe_unused, gnu::noinline]] static Owner make_owner() { return Owner(7); }
template <typename Type>
[[gnu::noinline]] static bool is_seven(Type taken) {
  return taken.number == 7;
}
template <typename Type>
[[gnu::noinline]] static void assign(Slot* s) {
  *as<Type>(s->to) = *as<Type>(s->from);
}
[[maybe_unused]] static void write_by_assembly(int* to) { asm volatile("movl $7, %0" : "=m"(*to)); }
[[maybe_unused]] static void add_by_assembly(int* to) { asm volatile("lock incl %0" : "+m"(*to)); }
[[maybe_unused]] static int read_by_assembly(int* from) {
  int number;
  asm volatile("movl %1, %0" : "=r"(number) : "m"(*from));
  return number;
}

// A third thread brings what the sender has written to the waiter.
[[maybe_unused]] static void send_to_carrier(Slot* s) {
  s->from[0] = 7;
  set_unseen(s);
}
static void* carry(void* slot) {
  Slot* const s = static_cast<Slot*>(slot);
  await_unseen(s);
  s->carry(s);
  set_unseen(&s->is_carried_unseen);
  return nullptr;
}
[[maybe_unused]] static bool is_carried(Slot* s, void (*how)(Slot*)) {
  if (s->carry == nullptr) {
    s->carry = how;
    pthread_create(&s->carrier, nullptr, carry, s);
    pthread_detach(s->carrier);
  }
  if (!is_set_unseen(&s->is_carried_unseen)) return false;
  if (s->to[0] == 0) abort();
  return true;
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
#include WAYS
#undef WAY

struct Way {
  const char* name;
  Slot* slot;
  void (*send)();
  void (*wait)();
};
#define WAY(name, send, is_there) {#name, &name##slot, name##sender, name##waiter},
static const Way kWays[] = {
#include WAYS
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
  s->block = static_cast<char*>(calloc(1, 1000));
  s->mapped = static_cast<char*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  s->mapped[0] = 1;
  s->notifier = inotify_init();
  if (s->notifier < 0) abort();
  s->ignore.sa_handler = SIG_IGN;
  // None of these is so already.
  getrlimit(RLIMIT_NOFILE, &s->lower);
  s->lower.rlim_cur -= 1;
  s->nicer = getpriority(PRIO_PROCESS, 0) + 1;
  cpu_set_t all;
  if (sched_getaffinity(0, sizeof all, &all) != 0) abort();
  int first = 0;
  while (!CPU_ISSET(first, &all)) ++first;
  CPU_SET(first, &s->first);
  sem_init(&s->semaphore, 0, 1);
  mtx_init(&s->c11_lock, mtx_timed);
  s->waited = fork();
  if (s->waited == 0) _exit(0);
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
  if (argc > 2 && chdir(argv[2]) != 0) return 1;
  main_thread = pthread_self();
  snprintf(own_name, sizeof own_name, "/gordian-told-%d", getpid());
  chosen = argc > 1 ? argv[1] : nullptr;
  for (const Way& way : kWays)
    if (is_chosen(way)) prepare(way.slot);
  pthread_t sender, waiter;
  pthread_create(&sender, nullptr, send_all, nullptr);
  pthread_create(&waiter, nullptr, wait_all, nullptr);
  pthread_join(sender, nullptr);
  pthread_join(waiter, nullptr);
}
