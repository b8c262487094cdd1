// SPDX-License-Identifier: Apache-2.0
// Processes that fork, exec, spawn and clone, and owners that are no more.
//
// RUN(fork-orphan, thread-orphan, in-child, in-daemon, in-grandchild, exec-cycle, spawn-cycle): gordian run -- %program %case
// EXIT(fork-orphan, thread-orphan, in-child, in-daemon, in-grandchild, exec-cycle, spawn-cycle): 66
// JSON(fork-orphan, thread-orphan, in-child, in-daemon, in-grandchild, exec-cycle, spawn-cycle): findings=1
// JSON(in-daemon): verdict=deadlock kind=lock-order knot=left,right locks=settings,cache
// JSON(fork-orphan): verdict=deadlock kind=orphan knot=child locks=settings
// JSON(thread-orphan): verdict=deadlock kind=orphan knot=heir locks=settings
// JSON(in-child): verdict=deadlock kind=lock-order knot=left,right locks=settings,cache
// JSON(in-grandchild): verdict=deadlock kind=lock-order knot=left,right locks=settings,cache
// JSON(exec-cycle): verdict=deadlock kind=lock-order knot=left,right locks=settings,cache
// JSON(spawn-cycle): verdict=deadlock kind=lock-order knot=left,right locks=settings,cache
//
// The owner has ended and is still in the way: as the first thread of a process that goes on, or as
// a process whose parent has not asked yet.
// RUN(main-gone, zombie-owner): gordian run -- %program %case
// EXIT(main-gone, zombie-owner): 66
// JSON(main-gone): verdict=deadlock kind=orphan knot=heir locks=settings
// JSON(zombie-owner): verdict=deadlock kind=orphan
//
// Woken by a process that has no card, but lives in the same memory.
// RUN(same-memory): gordian run -- %program %case
// EXIT(same-memory): 0
// JSON(same-memory): findings=0
//
// RUN(held): gordian run -- %program %case
// EXIT(held): 0
// JSON(held): findings=1
// JSON(held): kind=held-at-exit locks=settings
//
// RUN(fork, fork-holding, exec, vfork, spawn, raw-clone, daemon, atfork, atfork-anew, workers): gordian run -- %program %case
// EXIT(fork, fork-holding, exec, vfork, spawn, raw-clone, daemon, atfork, atfork-anew, workers): 0
// JSON(fork, fork-holding, exec, vfork, spawn, raw-clone, daemon, atfork, atfork-anew, workers): findings=0
//
// RUN(children-off): gordian run --no-children -- %program in-child-timed
// EXIT(children-off): 0
// JSON(children-off): findings=0
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <string>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <time.h>
#include <unistd.h>
#include <vector>

extern char** environ;

pthread_mutex_t settings = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t cache = PTHREAD_MUTEX_INITIALIZER;

namespace {

using scenario::Steps;
using scenario::Thread;

void take_both(int times) {
  for (int i = 0; i < times; ++i) {
    pthread_mutex_lock(&settings);
    pthread_mutex_lock(&cache);
    pthread_mutex_unlock(&cache);
    pthread_mutex_unlock(&settings);
  }
}

void cycle() {
  Steps both_hold_one;
  auto body = [&](pthread_mutex_t* first, pthread_mutex_t* second) {
    pthread_mutex_lock(first);
    both_hold_one.meet(2);
    pthread_mutex_lock(second);
  };
  Thread left("left", [&] { body(&settings, &cache); });
  Thread right("right", [&] { body(&cache, &settings); });
}

void consistent() {
  Thread left("left", [] { take_both(100); });
  Thread right("right", [] { take_both(100); });
}

void wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) std::exit(1);
}

// At the fork another thread holds the lock. It does not exist in the child.
void fork_orphan() {
  Steps held, done;
  Thread holder("holder", [&] {
    pthread_mutex_lock(&settings);
    held.advance();
    done.wait_for(1);
    pthread_mutex_unlock(&settings);
  });
  held.wait_for(1);
  const pid_t child = fork();
  if (child == 0) {
    pthread_setname_np(pthread_self(), "child");
    pthread_mutex_lock(&settings);
    _exit(0);
  }
  done.advance();
  wait_for(child);
}

// It ended with the lock held.
void thread_orphan() {
  {
    Thread holder("holder", [] { pthread_mutex_lock(&settings); });
  }
  Thread heir("heir", [] { pthread_mutex_lock(&settings); });
}

// main leaves by pthread_exit and takes the lock with it.
void main_gone() {
  pthread_mutex_lock(&settings);
  static const pid_t main_tid = getpid();
  std::thread([] {
    pthread_setname_np(pthread_self(), "heir");
    const std::string path = "/proc/self/task/" + std::to_string(main_tid) + "/stat";
    for (char state = 0; state != 'Z'; sched_yield()) {
      std::FILE* file = std::fopen(path.c_str(), "re");
      if (file == nullptr || std::fscanf(file, "%*d (%*[^)]) %c", &state) != 1) std::abort();
      std::fclose(file);
    }
    pthread_mutex_lock(&settings);
  }).detach();
  pthread_exit(nullptr);
}

void zombie_owner() {
  auto* shared = static_cast<pthread_mutex_t*>(mmap(
      nullptr, sizeof(pthread_mutex_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(shared, &attributes);
  const pid_t child = fork();
  if (child == 0) {
    pthread_mutex_lock(shared);
    _exit(0);
  }
  siginfo_t end;
  waitid(P_PID, static_cast<id_t>(child), &end, WEXITED | WNOWAIT);
  pthread_mutex_lock(shared);
}

sem_t woken;

// Sleeps for longer than a judge needs.
int post_later(void*) {
  const timespec later{.tv_sec = 1, .tv_nsec = 0};
  syscall(SYS_nanosleep, &later, nullptr);
  sem_post(&woken);
  return 0;
}

void same_memory() {
  alignas(16) static char stack[65536];
  sem_init(&woken, 0, 0);
  const pid_t child = clone(post_later, stack + sizeof stack, CLONE_VM | SIGCHLD, nullptr);
  if (child < 0) std::exit(1);
  sem_wait(&woken);
  wait_for(child);
}

void held() {
  Thread holder("holder", [] { pthread_mutex_lock(&settings); });
}

void in_child() {
  const pid_t child = fork();
  if (child == 0) {
    cycle();
    _exit(0);
  }
  wait_for(child);
}

// Daemons start with a clean environment, and are watched all the same.
void in_daemon() {
  clearenv();
  in_child();
}

void in_grandchild() {
  const pid_t child = fork();
  if (child == 0) {
    in_child();
    _exit(0);
  }
  wait_for(child);
}

void run_self(const char* which) {
  execl("/proc/self/exe", "process", which, nullptr);
  _exit(1);
}

void exec_cycle() {
  take_both(10);
  pthread_mutex_lock(&settings);  // gone with the old program
  run_self("cycle");
}

void exec_clean() {
  consistent();
  pthread_mutex_lock(&settings);
  run_self("consistent");
}

void spawn(const char* which) {
  const char* words[] = {"process", which, nullptr};
  pid_t child = 0;
  if (posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, const_cast<char**>(words), environ) !=
      0) {
    std::exit(1);
  }
  wait_for(child);
}

void spawn_cycle() { spawn("cycle"); }
void spawn_clean() {
  take_both(10);
  spawn("consistent");
}

void fork_clean() {
  for (int i = 0; i < 5; ++i) {
    consistent();
    const pid_t child = fork();
    if (child == 0) {
      consistent();
      _exit(0);
    }
    wait_for(child);
  }
}

// The thread that forks holds a lock: so does the child, and it may give it back.
void fork_holding() {
  pthread_mutex_lock(&settings);
  const pid_t child = fork();
  pthread_mutex_lock(&cache);
  pthread_mutex_unlock(&cache);
  pthread_mutex_unlock(&settings);
  consistent();
  if (child == 0) _exit(0);
  wait_for(child);
}

void by_vfork() {
  pthread_mutex_lock(&settings);
  for (int i = 0; i < 5; ++i) {
    const pid_t child = vfork();
    if (child == 0) {
      execl("/bin/true", "true", nullptr);
      _exit(1);
    }
    wait_for(child);
  }
  pthread_mutex_unlock(&settings);
  consistent();
}

// A child made without libc's knowing, as some sandboxes and checkpointers do.
void raw_clone() {
  consistent();
  const long child = syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child == 0) {
    take_both(100);
    syscall(SYS_exit_group, 0);
  }
  consistent();
  wait_for(static_cast<pid_t>(child));
}

void daemonize() {
  Steps unused;
  int ends[2];
  if (pipe(ends) != 0) std::exit(1);
  if (fork() == 0) {
    setsid();
    if (fork() == 0) {
      consistent();
      if (write(ends[1], "x", 1) != 1) _exit(1);
      _exit(0);
    }
    _exit(0);
  }
  char byte;
  if (read(ends[0], &byte, 1) != 1) std::exit(1);
  wait(nullptr);
}

// What a careful library does: takes its locks around the fork.
void at_fork() {
  pthread_atfork([] { pthread_mutex_lock(&settings); }, [] { pthread_mutex_unlock(&settings); },
                 [] { pthread_mutex_unlock(&settings); });
  Steps stop;
  Thread busy("busy", [&] { take_both(2000); });
  for (int i = 0; i < 20; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      take_both(10);
      _exit(0);
    }
    wait_for(child);
  }
}

// The child makes the lock anew, as allocators do with theirs: nobody holds it any more.
void at_fork_anew() {
  pthread_atfork([] { pthread_mutex_lock(&settings); }, [] { pthread_mutex_unlock(&settings); },
                 [] { pthread_mutex_init(&settings, nullptr); });
  const pid_t child = fork();
  if (child == 0) {
    {
      Thread reader("reader", [] {
        pthread_mutex_lock(&settings);
        pthread_mutex_unlock(&settings);
      });
    }
    _exit(0);
  }
  wait_for(child);
}

void workers() {
  std::vector<pid_t> children;
  for (int i = 0; i < 20; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      consistent();
      _exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) wait_for(child);
}

// A deadlock that the child itself gets out of, seen by nobody.
void in_child_timed() {
  const pid_t child = fork();
  if (child == 0) {
    alarm(1);
    cycle();
  }
  int status;
  waitpid(child, &status, 0);
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"cycle", cycle},
                             {"consistent", consistent},
                             {"fork-orphan", fork_orphan},
                             {"thread-orphan", thread_orphan},
                             {"held", held},
                             {"main-gone", main_gone},
                             {"zombie-owner", zombie_owner},
                             {"same-memory", same_memory},
                             {"in-child", in_child},
                             {"in-daemon", in_daemon},
                             {"in-grandchild", in_grandchild},
                             {"exec-cycle", exec_cycle},
                             {"exec", exec_clean},
                             {"spawn-cycle", spawn_cycle},
                             {"spawn", spawn_clean},
                             {"fork", fork_clean},
                             {"fork-holding", fork_holding},
                             {"vfork", by_vfork},
                             {"raw-clone", raw_clone},
                             {"daemon", daemonize},
                             {"atfork", at_fork},
                             {"atfork-anew", at_fork_anew},
                             {"workers", workers},
                             {"in-child-timed", in_child_timed}});
}
