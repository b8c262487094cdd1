// SPDX-License-Identifier: Apache-2.0
// File locks: flock belongs to an open file, fcntl to a process, and both block like any mutex.
//
// RUN(flock, ofd, fcntl-and-mutex, flock-self, flock-and-mutex): gordian run -- %program %case
// EXIT(flock, ofd, fcntl-and-mutex, flock-self, flock-and-mutex): 66
// JSON(flock, ofd, fcntl-and-mutex, flock-self, flock-and-mutex): findings=1
// JSON(flock): verdict=deadlock kind=file-lock knot=parent,child
// JSON(ofd): verdict=deadlock kind=file-lock knot=parent,child
// JSON(fcntl-and-mutex): verdict=deadlock kind=file-lock|mixed knot=parent,child
// JSON(flock-self): verdict=deadlock kind=file-lock|self-lock
// JSON(flock-and-mutex): verdict=deadlock kind=file-lock|mixed knot=left,right
//
// A wait for a file lock gets its time limit from a signal.
// RUN(flock-alarm): gordian run -- %program %case
// EXIT(flock-alarm): 0
// JSON(flock-alarm): no verdict=deadlock
// STDOUT(flock-alarm): Interrupted
//
// RUN(consistent, fcntl-refused, try, queue, ranges, no-request): gordian run -- %program %case
// EXIT(consistent, fcntl-refused, try, queue, ranges, no-request): 0
// JSON(consistent, fcntl-refused, try, queue, ranges, no-request): no verdict=deadlock
// STDOUT(fcntl-refused): EDEADLK
// STDOUT(no-request): three times EFAULT, then locked
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <cstdio>
#include <cstdlib>
#include <errno.h>
#include <fcntl.h>
#include <new>
#include <pthread.h>
#include <signal.h>
#include <string>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

pthread_mutex_t journal = PTHREAD_MUTEX_INITIALIZER;

namespace {

using scenario::Steps;
using scenario::Thread;

int open_file(const char* name) {
  const int descriptor = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) std::exit(1);
  return descriptor;
}

template <typename T>
T* map_shared() {
  return new (mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
      T;
}

void name(const char* text) { pthread_setname_np(pthread_self(), text); }

void wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
}

struct flock whole_file(short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

int lock_by_fcntl(int descriptor, int command) {
  struct flock lock = whole_file(F_WRLCK);
  return fcntl(descriptor, command, &lock);
}

// Each process opens both files itself, holds one and wants the other.
template <typename Lock>
void cross(Lock lock) {
  auto* steps = map_shared<Steps>();
  const pid_t child = fork();
  name(child == 0 ? "child" : "parent");
  const int mine = open_file(child == 0 ? "b.lock" : "a.lock");
  const int other = open_file(child == 0 ? "a.lock" : "b.lock");
  lock(mine);
  steps->meet(2);
  lock(other);
  if (child == 0) _exit(0);
  wait_for(child);
}

void by_flock() {
  cross([](int descriptor) { flock(descriptor, LOCK_EX); });
}

// Neither is restarted: the first whose alarm rings gives up, and the other gets both.
void flock_alarm() {
  cross([](int descriptor) {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    sigaction(SIGALRM, &action, nullptr);
    alarm(1);
    if (flock(descriptor, LOCK_EX) != 0 && errno == EINTR) {
      std::puts("Interrupted");
      std::fflush(stdout);
      std::exit(0);
    }
    alarm(0);
  });
}

void ofd() {
  cross([](int descriptor) { lock_by_fcntl(descriptor, F_OFD_SETLKW); });
}

struct Shared {
  pthread_mutex_t mutex;
  Steps steps;
};

// The kernel knows of the file lock alone, and so cannot refuse.
void fcntl_and_mutex() {
  auto* shared = map_shared<Shared>();
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&shared->mutex, &attributes);
  const pid_t child = fork();
  name(child == 0 ? "child" : "parent");
  const int file = open_file("a.lock");
  if (child == 0) {
    lock_by_fcntl(file, F_SETLKW);
    shared->steps.meet(2);
    pthread_mutex_lock(&shared->mutex);
    _exit(0);
  }
  pthread_mutex_lock(&shared->mutex);
  shared->steps.meet(2);
  lock_by_fcntl(file, F_SETLKW);
  wait_for(child);
}

void flock_self() {
  const int once = open_file("a.lock");
  const int again = open_file("a.lock");
  flock(once, LOCK_EX);
  flock(again, LOCK_EX);
}

void flock_and_mutex() {
  Steps both_hold_one;
  Thread left("left", [&] {
    const int file = open_file("a.lock");
    flock(file, LOCK_EX);
    both_hold_one.meet(2);
    pthread_mutex_lock(&journal);
  });
  Thread right("right", [&] {
    const int file = open_file("a.lock");
    pthread_mutex_lock(&journal);
    both_hold_one.meet(2);
    flock(file, LOCK_EX);
  });
}

void consistent() {
  const pid_t child = fork();
  const int a = open_file("a.lock");
  const int b = open_file("b.lock");
  for (int i = 0; i < 200; ++i) {
    flock(a, LOCK_EX);
    flock(b, LOCK_SH);
    flock(b, LOCK_UN);
    flock(a, LOCK_UN);
    lock_by_fcntl(a, F_SETLKW);
    struct flock unlock = whole_file(F_UNLCK);
    fcntl(a, F_SETLK, &unlock);
    if (lockf(b, F_LOCK, 0) == 0 && lockf(b, F_ULOCK, 0) != 0) std::exit(1);
  }
  if (child == 0) _exit(0);
  wait_for(child);
}

// Of two processes that lock crosswise by fcntl the kernel refuses one.
void fcntl_refused() {
  auto* steps = map_shared<Steps>();
  const pid_t child = fork();
  const int mine = open_file(child == 0 ? "b.lock" : "a.lock");
  const int other = open_file(child == 0 ? "a.lock" : "b.lock");
  lock_by_fcntl(mine, F_SETLKW);
  steps->meet(2);
  if (lock_by_fcntl(other, F_SETLKW) != 0 && errno == EDEADLK) std::puts("EDEADLK");
  std::fflush(stdout);
  if (child == 0) _exit(0);
  close(mine);
  wait_for(child);
}

void try_other() {
  auto* steps = map_shared<Steps>();
  auto* tried = map_shared<Steps>();
  const pid_t child = fork();
  const int mine = open_file(child == 0 ? "b.lock" : "a.lock");
  const int other = open_file(child == 0 ? "a.lock" : "b.lock");
  flock(mine, LOCK_EX);
  steps->meet(2);
  flock(other, LOCK_EX | LOCK_NB);
  lock_by_fcntl(other, F_SETLK);
  tried->meet(2);
  if (child == 0) _exit(0);
  wait_for(child);
}

// The child waits until the parent lets go.
void queue() {
  const int file = open_file("a.lock");
  flock(file, LOCK_EX);
  const pid_t child = fork();
  if (child == 0) {
    const int own = open_file("a.lock");
    flock(own, LOCK_EX);
    _exit(0);
  }
  const std::string path = "/proc/" + std::to_string(child) + "/syscall";
  for (;;) {
    std::FILE* status = std::fopen(path.c_str(), "re");
    long number = -1;
    const int fields = status == nullptr ? 0 : std::fscanf(status, "%ld", &number);
    if (status != nullptr) std::fclose(status);
    if (fields == 1 && number == 73) break;  // SYS_flock
    sched_yield();
  }
  flock(file, LOCK_UN);
  wait_for(child);
}

// Two parts of one file exclude nobody.
void ranges() {
  auto* steps = map_shared<Steps>();
  const pid_t child = fork();
  const int file = open_file("a.lock");
  struct flock lock = whole_file(F_WRLCK);
  lock.l_start = child == 0 ? 0 : 100;
  lock.l_len = 10;
  fcntl(file, F_SETLKW, &lock);
  steps->meet(2);
  lock.l_start += 10;
  fcntl(file, F_SETLKW, &lock);
  if (child == 0) _exit(0);
  wait_for(child);
}

// Where no request can be read the call fails, and nothing else.
void no_request() {
  const int file = open_file("a.lock");
  auto* const page = static_cast<char*>(
      mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  mprotect(page + 4096, 4096, PROT_NONE);
  int faults = 0;
  for (void* nowhere : {reinterpret_cast<void*>(1), static_cast<void*>(page + 4096),
                        static_cast<void*>(page + 4095)}) {
    if (fcntl(file, F_SETLKW, nowhere) == -1 && errno == EFAULT) ++faults;
  }
  auto* const last = new (page + 4096 - sizeof(struct flock)) struct flock(whole_file(F_WRLCK));
  if (faults == 3 && fcntl(file, F_SETLKW, last) == 0) std::puts("three times EFAULT, then locked");
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"flock", by_flock},
                             {"flock-alarm", flock_alarm},
                             {"ofd", ofd},
                             {"fcntl-and-mutex", fcntl_and_mutex},
                             {"flock-self", flock_self},
                             {"flock-and-mutex", flock_and_mutex},
                             {"consistent", consistent},
                             {"fcntl-refused", fcntl_refused},
                             {"try", try_other},
                             {"queue", queue},
                             {"no-request", no_request},
                             {"ranges", ranges}});
}
