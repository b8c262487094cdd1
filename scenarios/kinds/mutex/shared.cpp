// SPDX-License-Identifier: Apache-2.0
// Process-shared mutexes: a cycle between two processes, related by fork or only by a file.
//
// RUN(fork, file): gordian run -- %program %case
// EXIT(fork, file): 66
// JSON(fork, file): findings=1
// JSON(fork, file): verdict=deadlock kind=lock-order knot=parent,child
//
// RUN(consistent, robust): gordian run -- %program %case
// EXIT(consistent, robust): 0
// JSON(consistent, robust): findings=0
// STDOUT(robust): EOWNERDEAD
//
// The child is not watched: nothing is known of it.
// RUN(unwatched): gordian run --no-children -- %program consistent
// EXIT(unwatched): 0
// JSON(unwatched): findings=0
#include "support/cases.h"
#include "support/steps.h"

#include <cstdio>
#include <errno.h>
#include <fcntl.h>
#include <new>
#include <pthread.h>
#include <stdlib.h>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using scenario::Steps;

struct Shared {
  pthread_mutex_t orders;
  pthread_mutex_t stock;
  Steps steps;
};

Shared* map_shared(int descriptor) {
  const int flags = descriptor < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
  return static_cast<Shared*>(
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, flags, descriptor, 0));
}

void make(Shared* shared, bool robust) {
  new (shared) Shared;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  if (robust) pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&shared->orders, &attributes);
  pthread_mutex_init(&shared->stock, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

void name(const char* text) { pthread_setname_np(pthread_self(), text); }

void wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) std::exit(1);
}

void take_crosswise(Shared* shared, bool parent) {
  pthread_mutex_lock(parent ? &shared->orders : &shared->stock);
  shared->steps.meet(2);
  pthread_mutex_lock(parent ? &shared->stock : &shared->orders);
}

void forked() {
  Shared* shared = map_shared(-1);
  make(shared, false);
  const pid_t child = fork();
  name(child == 0 ? "child" : "parent");
  take_crosswise(shared, child != 0);
  if (child != 0) wait_for(child);
}

// The two map the same file, each at an address of its own.
void file() {
  char path[] = "shared-XXXXXX";
  const int descriptor = mkstemp(path);
  unlink(path);
  if (ftruncate(descriptor, sizeof(Shared)) != 0) std::exit(1);
  Shared* shared = map_shared(descriptor);
  make(shared, false);
  const pid_t child = fork();
  if (child == 0) {
    mmap(nullptr, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const std::string number = std::to_string(descriptor);
    execl("/proc/self/exe", "shared", "file-child", number.c_str(), nullptr);
    _exit(1);
  }
  name("parent");
  take_crosswise(shared, true);
  wait_for(child);
}

void consistent() {
  Shared* shared = map_shared(-1);
  make(shared, false);
  const pid_t child = fork();
  for (int i = 0; i < 1000; ++i) {
    pthread_mutex_lock(&shared->orders);
    pthread_mutex_lock(&shared->stock);
    pthread_mutex_unlock(&shared->stock);
    pthread_mutex_unlock(&shared->orders);
  }
  if (child == 0) _exit(0);
  wait_for(child);
}

void robust() {
  Shared* shared = map_shared(-1);
  make(shared, true);
  const pid_t child = fork();
  if (child == 0) {
    pthread_mutex_lock(&shared->orders);
    _exit(0);
  }
  wait_for(child);
  if (pthread_mutex_lock(&shared->orders) == EOWNERDEAD) std::puts("EOWNERDEAD");
  pthread_mutex_consistent(&shared->orders);
  pthread_mutex_unlock(&shared->orders);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3) {
    name("child");
    Shared* shared = map_shared(std::atoi(argv[2]));
    take_crosswise(shared, false);
    return 0;
  }
  return scenario::run_case(
      argc, argv,
      {{"fork", forked}, {"file", file}, {"consistent", consistent}, {"robust", robust}});
}
