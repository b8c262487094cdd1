#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian attach and gordian ps on live processes: what they say, and that healthy programs neither
get a finding nor notice anything."""

import json
import os
import signal
import subprocess
import sys

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
    children = lambda: [p for p in world.processes() if p != judge.pid]
    world.wait_for(lambda: children() and
                   os.path.realpath(f"/proc/{children()[0]}/exe").endswith("rwlock"), "the program")
    pid = children()[0]
    world.wait_for(lambda: len(os.listdir(f"/proc/{pid}/task")) >= 3, "its threads")
    world.wait_for(sleeps(pid), "all threads to sleep")
    result, report = attach(world, pid)
    expect(result.status == 66, "66", result)
    finding = report["findings"][0]
    expect(finding["kind"] == "rwlock" and "map_lock (shared)" in result.out, "its readers", result)
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
