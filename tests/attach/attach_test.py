#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian attach and gordian ps on live processes: what they say, and that healthy programs neither
get a finding nor notice anything."""

import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness
from harness import Skip, expect

# Threads that nest locks in one order, wait for each other and sleep in all the usual ways, and count
# the calls that were interrupted.
HEALTHY = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t table = PTHREAD_RWLOCK_INITIALIZER;
static sem_t tokens;
static int turn, stop;
static long rounds, interrupted;
static void* play(void* me) {
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    pthread_rwlock_rdlock(&table);
    pthread_mutex_lock(&a);
    turn = 1 - turn;
    pthread_cond_broadcast(&turned);
    pthread_mutex_lock(&b);
    ++rounds;
    pthread_mutex_unlock(&b);
    pthread_mutex_unlock(&a);
    pthread_rwlock_unlock(&table);
    sem_post(&tokens);
  }
  return me;
}
static void* follow(void* me) {
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    pthread_mutex_lock(&a);
    int seen = turn;
    while (turn == seen && !stop) pthread_cond_wait(&turned, &a);
    pthread_mutex_unlock(&a);
    pthread_rwlock_wrlock(&table);
    pthread_rwlock_unlock(&table);
    sem_wait(&tokens);
  }
  return me;
}
static void* idle(void* me) {
  int set = epoll_create1(0);
  struct epoll_event event;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
    if (epoll_wait(set, &event, 1, 100) < 0 && errno == EINTR) ++interrupted;
  return me;
}
int main(int argc, char** argv) {
  struct timespec end, now;
  pthread_t threads[5];
  sem_init(&tokens, 0, 0);
  pthread_create(&threads[0], 0, play, 0);
  pthread_create(&threads[1], 0, play, 0);
  pthread_create(&threads[2], 0, follow, 0);
  pthread_create(&threads[3], 0, follow, 0);
  pthread_create(&threads[4], 0, idle, 0);
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += argc > 1 ? atoi(argv[1]) : 3;
  do {
    usleep(1000);
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < 5; ++i) {
    pthread_mutex_lock(&a);
    turn = 1 - turn;
    pthread_cond_broadcast(&turned);
    pthread_mutex_unlock(&a);
    for (int j = 0; j < 1000; ++j) sem_post(&tokens);
  }
  pthread_join(threads[0], 0);
  pthread_join(threads[4], 0);
  printf("rounds %d interrupted %ld\n", rounds > 0, interrupted);
  fflush(stdout);
  _exit(0);
}
"""


# Two threads that take spin locks in "opposite" order and hang, or in the "same", over and over.
SPIN = r"""
#include <pthread.h>
#include <string.h>
#include <unistd.h>
static pthread_spinlock_t fast_a, fast_b;
static pthread_barrier_t both;
static int opposite;
static void* forwards(void* me) {
  for (;;) {
    pthread_spin_lock(&fast_a);
    if (opposite) pthread_barrier_wait(&both);
    pthread_spin_lock(&fast_b);
    pthread_spin_unlock(&fast_b);
    pthread_spin_unlock(&fast_a);
  }
  return me;
}
static void* backwards(void* me) {
  pthread_spin_lock(&fast_b);
  pthread_barrier_wait(&both);
  pthread_spin_lock(&fast_a);
  return me;
}
int main(int argc, char** argv) {
  pthread_t threads[2];
  opposite = argc > 1 && strcmp(argv[1], "opposite") == 0;
  alarm(25);
  pthread_spin_init(&fast_a, 0);
  pthread_spin_init(&fast_b, 0);
  pthread_barrier_init(&both, 0, 2);
  pthread_create(&threads[0], 0, forwards, 0);
  pthread_create(&threads[1], 0, opposite ? backwards : forwards, 0);
  pthread_join(threads[0], 0);
  return 0;
}
"""

# Waits for other processes and on pipes: "child" waits for one that fills a pipe nobody reads,
# "pipe", "sockets" and "tcp" read with a lock held that the writer wants. With "work" as well somebody is
# still there who could go on.
OTHER_END = r"""
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static int ends[2];
static int connect_loopback(void) {
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof here;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr*)&here, size) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, (struct sockaddr*)&here, &size) != 0)
    return -1;
  ends[0] = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(ends[0], (struct sockaddr*)&here, size) != 0) return -1;
  ends[1] = accept(listener, 0, 0);
  close(listener);
  return ends[1] < 0 ? -1 : 0;
}
static pthread_barrier_t both;
static void* take(void* me) {
  char byte;
  pthread_mutex_lock(&table);
  pthread_barrier_wait(&both);
  return read(ends[0], &byte, 1) == 1 ? me : 0;
}
static void* give(void* me) {
  pthread_barrier_wait(&both);
  pthread_mutex_lock(&table);
  return write(ends[1], "x", 1) == 1 ? me : 0;
}
static void* work(void* me) {
  for (;;) sleep(100);
  return me;
}
int main(int argc, char** argv) {
  static char much[1 << 20];
  pthread_t threads[3];
  int works = argc > 2;
  alarm(60);
  if (strcmp(argv[1], "sockets") == 0) {
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
  } else if (strcmp(argv[1], "tcp") == 0) {
    if (connect_loopback() != 0) return 1;
  } else if (pipe(ends) != 0) {
    return 1;
  }
  if (strcmp(argv[1], "child") == 0) {
    pid_t child = fork();
    if (child == 0) {
      alarm(60);
      if (works) work(0);
      _exit(write(ends[1], much, sizeof much) != sizeof much);
    }
    return waitpid(child, 0, 0) != child;
  }
  pthread_barrier_init(&both, 0, 2);
  pthread_create(&threads[0], 0, take, 0);
  pthread_create(&threads[1], 0, give, 0);
  if (works) pthread_create(&threads[2], 0, work, 0);
  pthread_join(threads[0], 0);
  return 0;
}
"""


def sleeps(pid, call="202"):
    """Some thread other than the first sleeps in that system call."""
    def check():
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/syscall", encoding="ascii") as file:
                if not file.read().startswith(call + " "):
                    return False
        return True
    return check


def attach(world, pid, *options):
    path = world.path("attach.json")
    result = world.run(world.gordian, "attach", "--json", path, *options, str(pid))
    report = json.load(open(path, encoding="utf-8")) if os.path.exists(path) else None
    return result, report


def hang(world, *words):
    process = world.start(list(words))
    world.wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) >= 3, "its threads")
    world.wait_for(sleeps(process.pid), "all threads to sleep")
    return process


def test_a_deadlock_exits_with_66(world):
    process = hang(world, world.kind("mutex/lock_order"), "cycle")
    result, report = attach(world, process.pid)
    expect(result.status == 66, "66", result)
    expect([f["verdict"] for f in report["findings"]] == ["deadlock"], "one deadlock", result)
    expect(report["command"] == "attach", "the command's name", result)
    # Nothing has changed: it says so again.
    again, _ = attach(world, process.pid)
    expect(again.status == 66, "66 again", again)
    world.end_all()


def test_a_healthy_program_gets_no_finding_and_does_not_notice(world):
    program = world.build("healthy", HEALTHY, "-pthread")
    process = world.start([program, "4"])
    world.wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) >= 6, "its threads")
    looks = 0
    while process.poll() is None and looks < 20:
        result, _ = attach(world, process.pid, "--strict")
        if process.poll() is not None:
            break
        expect(result.status == 0 and "nothing is stuck" in result.out, "no finding", result)
        looks += 1
    out, err = process.communicate(timeout=30)
    expect(looks > 0, "at least one look", looks)
    expect(out == b"rounds 1 interrupted 0\n", "its own output", (out, err))


def test_threads_prints_stacks(world):
    process = hang(world, world.kind("mutex/lock_order"), "cycle")
    result, _ = attach(world, process.pid, "--threads")
    expect("pthread_join" in result.out and "main" in result.out, "the main thread's stack", result)
    world.end_all()


def test_a_board_names_readers(world):
    judge = world.start([world.gordian, "run", "-q", "--on-deadlock=keep", "--log",
                         world.path("log"), "--", world.kind("rwlock/rwlock"), "upgrade"])
    children = lambda: [p for p in world.processes() if p != judge.pid and
                        os.path.realpath(f"/proc/{p}/exe").endswith("rwlock")]
    (pid,) = world.wait_for(children, "the program")
    world.wait_for(lambda: len(os.listdir(f"/proc/{pid}/task")) >= 3, "its threads")
    world.wait_for(sleeps(pid), "all threads to sleep")
    result, report = attach(world, pid)
    expect(result.status == 66, "66", result)
    finding = report["findings"][0]
    expect(finding["kind"] == "rwlock" and "map_lock (shared)" in result.out, "its readers", result)
    world.end_all()


BETWEEN = """
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
struct Shared { pthread_mutex_t first, second; pthread_barrier_t both_hold_one; } *shared;
void child(void) {
  pthread_mutex_lock(&shared->first);
  pthread_barrier_wait(&shared->both_hold_one);
  pthread_mutex_lock(&shared->second);
}
void parent(void) {
  pthread_mutex_lock(&shared->second);
  pthread_barrier_wait(&shared->both_hold_one);
  pthread_mutex_lock(&shared->first);
}
int main(void) {
  shared = mmap(0, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setprotocol(&kind, PTHREAD_PRIO_INHERIT);
  pthread_mutex_init(&shared->first, &kind);
  pthread_mutex_init(&shared->second, &kind);
  pthread_barrierattr_t wide;
  pthread_barrierattr_init(&wide);
  pthread_barrierattr_setpshared(&wide, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&shared->both_hold_one, &wide, 2);
  if (fork() == 0) child();
  else parent();
}
"""


def test_priority_inheriting_mutexes_between_processes(world):
    parent = world.start([world.build("between", BETWEEN, "-O1", "-g", "-pthread")])
    (child,) = world.wait_for(lambda: [p for p in world.processes() if p != parent.pid], "the child")

    def answer():
        result, report = attach(world, parent.pid)
        return (result, report["findings"]) if report["findings"] else None

    result, (finding,) = world.wait_for(answer, "a finding")
    expect(finding["verdict"] == "deadlock" and finding["kind"] == "lock-order", "a deadlock", result)
    expect({thread["pid"] for thread in finding["threads"]} == {parent.pid, child}, "of both", result)
    wanted = {thread["wants"]["resource"] for thread in finding["threads"]}
    held = {hold["resource"] for thread in finding["threads"] for hold in thread["holds"]}
    expect(len(wanted) == 2 and wanted == held, "each wants what the other holds", result)
    world.end_all()


def test_ps_lists_it(world):
    process = hang(world, world.kind("mutex/lock_order"), "cycle")
    result = world.run(world.gordian, "ps", "--for", "1ms")
    expect(result.status == 0, "0", result)
    lines = [line.split() for line in result.out.splitlines()[1:]]
    expect(any(words[0] == str(process.pid) and words[1] == "2" for words in lines), "its line",
           result)
    world.end_all()


def test_no_such_process(world):
    result = world.run(world.gordian, "attach", "4194303")
    expect(result.status == 2 and "no such process" in result.err, "2", result)
    result = world.run(world.gordian, "attach", "not-a-number")
    expect(result.status == 2 and "not a process number" in result.err, "2", result)


def test_a_stopped_process_says_so(world):
    process = world.start(["sleep", "60"])
    os.kill(process.pid, signal.SIGSTOP)

    def is_stopped():
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "T"
    world.wait_for(is_stopped, "it to stop")
    result, report = attach(world, process.pid)
    expect(result.status == 0 and not report["findings"], "nothing found", result)
    expect("nothing is stuck" not in result.out, "claims that it is well", result)
    expect("1 stopped by a signal" in result.out and f"kill -CONT {process.pid}" in result.err, "says so", result)
    world.end_all()


def test_no_permission_says_which(world):
    if os.geteuid() != 0:
        raise Skip("only root can become somebody else")
    process = hang(world, world.kind("mutex/lock_order"), "cycle")
    os.chmod(world.directory, 0o755)
    result = world.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                       world.gordian, "attach", str(process.pid))
    if "ermission denied" in result.err and "gordian:" not in result.err:
        raise Skip("the program lies where nobody else may look")
    expect(result.status == 2, "2", result)
    expect("CAP_SYS_PTRACE" in result.err, "the capability that is missing", result)
    world.end_all()


def test_spin_locks_with_stop(world):
    program = world.build("spin", SPIN, "-pthread")
    process = world.start([program, "opposite"])
    world.wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) >= 3, "its threads")
    result = None
    def seen():
        nonlocal result
        result, report = attach(world, process.pid, "--stop")
        return bool(report["findings"])
    world.wait_for(seen, "a finding")
    expect(result.status == 0 and "STALL" in result.out.upper(), "a stall", result)
    expect("fast_a" in result.out and "fast_b" in result.out, "both locks", result)
    expect("inferred" in result.out or "looks" in result.out, "why it is only a stall", result)
    world.end_all()


def test_busy_spin_locks_get_no_finding(world):
    program = world.build("spin", SPIN, "-pthread")
    process = world.start([program, "same"])
    world.wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) >= 3, "its threads")
    for _ in range(10):
        result, _ = attach(world, process.pid, "--stop", "--strict")
        expect(result.status == 0 and "nothing is stuck" in result.out, "no finding", result)
    world.end_all()


def asleep_in(pid, calls):
    """Its threads, and those of its child, sleep in these system calls, in some order."""
    def check():
        found = []
        for one in [pid] + [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]:
            for tid in os.listdir(f"/proc/{one}/task"):
                found.append(open(f"/proc/{one}/task/{tid}/syscall").read().split()[0])
        return sorted(found) == sorted(calls)
    return check


def the_other_end(world, case, calls, words):
    program = world.build("other_end", OTHER_END, "-pthread")
    process = world.start([program, case])
    world.wait_for(asleep_in(process.pid, calls), "all to sleep")
    result = None
    def seen():
        nonlocal result
        result, report = attach(world, process.pid)
        expect(result.status == 0, "never more than a stall", result)
        return bool(report["findings"])
    world.wait_for(seen, "a finding")
    for word in words:
        expect(word in result.out, word, result)
    world.end_all()
    # Its twin, in which somebody could still go on.
    process = world.start([program, case, "work"])
    calls = [call for call in calls if case != "child" or call != "1"] + ["230"]
    world.wait_for(asleep_in(process.pid, calls), "all to sleep")
    time.sleep(0.7)  # a stall has to be so old: with less it would be silent for a wrong reason
    for _ in range(3):
        result, _ = attach(world, process.pid, "--strict")
        expect(result.status == 0 and "nothing is stuck" in result.out, "no finding", result)
    world.end_all()


def test_a_child_that_waits_for_its_parent(world):
    the_other_end(world, "child", ["1", "61"], ["child process other_end", "pipe on descriptor"])


def test_a_pipe_between_own_threads(world):
    the_other_end(world, "pipe", ["202", "202", "0"], ["pipe on descriptor", "table"])


def test_a_pair_of_sockets_between_own_threads(world):
    the_other_end(world, "sockets", ["202", "202", "0"], ["socket on descriptor", "table"])


def test_a_tcp_connection_between_own_threads(world):
    the_other_end(world, "tcp", ["202", "202", "0"], ["socket on descriptor", "table"])


PLUGIN = r"""
void take_table(void);
__attribute__((constructor)) static void begin(void) { take_table(); }
"""

# One thread loads a plugin whose constructor wants a lock; its holder asks for the loader meanwhile.
LOADER = r"""
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>
static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;
static const char* plugin;
void take_table(void) {
  pthread_barrier_wait(&both);
  pthread_mutex_lock(&table);
}
static void* load(void* me) { return dlopen(plugin, RTLD_NOW) ? me : 0; }
static void* hold(void* me) {
  pthread_mutex_lock(&table);
  pthread_barrier_wait(&both);
  return dlopen("libm.so.6", RTLD_NOW) ? me : 0;
}
int main(int argc, char** argv) {
  pthread_t threads[2];
  plugin = argv[argc - 1];
  alarm(60);
  pthread_barrier_init(&both, 0, 2);
  pthread_create(&threads[0], 0, load, 0);
  pthread_create(&threads[1], 0, hold, 0);
  pthread_join(threads[0], 0);
  return 0;
}
"""


def test_the_loader_lock_has_a_name(world):
    plugin = world.build("plugin", PLUGIN, "-shared", "-fPIC")
    process = hang(world, world.build("loader", LOADER, "-pthread", "-rdynamic", "-ldl"), plugin)
    result, report = attach(world, process.pid)
    expect(result.status == 66, "66", result)
    expect("the dynamic loader's lock" in result.out and "table" in result.out, "both locks", result)
    world.end_all()


def test_watch_ends_with_the_process(world):
    program = world.build("healthy", HEALTHY, "-pthread")
    process = world.start([program, "1"])
    world.wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) >= 6, "its threads")
    watcher = world.start([world.gordian, "attach", "--watch", str(process.pid)])
    process.communicate(timeout=30)
    out, err = watcher.communicate(timeout=30)
    expect(watcher.returncode == 0, "0", (out, err))


if __name__ == "__main__":
    harness.main(globals())
