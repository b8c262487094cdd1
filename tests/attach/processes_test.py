#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian attach on processes of all kinds: in another pid namespace, with their binary gone, static,
stripped, inside a signal handler or generated code, with very many threads or ever new ones."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness
from attach_test import attach, hang, sleeps
from harness import Skip, expect

# Two mutexes in opposite order. "handler": one of them is wanted in a signal handler; "generated": by
# code that was made at run time, and has no unwind tables.
CYCLE = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static pthread_mutex_t orders = PTHREAD_MUTEX_INITIALIZER, stock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;
static const char* how = "";
static void want(pthread_mutex_t* mutex) {
  pthread_mutex_lock(mutex);
  __asm__ volatile("" ::: "memory"); /* no tail call: its frame stays */
}
static void on_signal(int number) { want(&stock); }
static void* sell(void* me) {
  pthread_mutex_lock(&orders);
  pthread_barrier_wait(&both);
  if (strcmp(how, "handler") == 0) {
    raise(SIGUSR1);
  } else if (strcmp(how, "generated") == 0) {
    /* push %rbp; mov %rsp,%rbp; call *%rsi; pop %rbp; ret */
    static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd6, 0x5d, 0xc3};
    unsigned char* made = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) _exit(77);
    memcpy(made, code, sizeof code);
    ((void (*)(pthread_mutex_t*, void (*)(pthread_mutex_t*)))made)(&stock, want);
  } else {
    want(&stock);
  }
  return me;
}
static void* refill(void* me) {
  pthread_mutex_lock(&stock);
  pthread_barrier_wait(&both);
  want(&orders);
  return me;
}
int main(int argc, char** argv) {
  pthread_t threads[2];
  if (argc > 1) how = argv[1];
  alarm(60);
  signal(SIGUSR1, on_signal);
  pthread_barrier_init(&both, 0, 2);
  pthread_create(&threads[0], 0, sell, 0);
  pthread_create(&threads[1], 0, refill, 0);
  pthread_join(threads[0], 0);
  return 0;
}
"""

# A knot beside threads that begin and end all the time ("busy"), or beside very many idle ones.
CROWD = r"""
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static pthread_mutex_t orders = PTHREAD_MUTEX_INITIALIZER, stock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t both;
static long count;
static void* sell(void* me) {
  pthread_mutex_lock(&orders);
  pthread_barrier_wait(&both);
  pthread_mutex_lock(&stock);
  return me;
}
static void* refill(void* me) {
  pthread_mutex_lock(&stock);
  pthread_barrier_wait(&both);
  pthread_mutex_lock(&orders);
  return me;
}
static void* work(void* me) {
  pthread_mutex_lock(&count_lock);
  ++count;
  pthread_mutex_unlock(&count_lock);
  return me;
}
static void* idle(void* me) {
  pthread_mutex_lock(&count_lock);
  ++count;
  for (;;) pthread_cond_wait(&never, &count_lock);
  return me;
}
int main(int argc, char** argv) {
  pthread_t thread;
  pthread_attr_t small;
  int busy = strcmp(argv[1], "busy") == 0;
  int knot = argc <= 2;
  alarm(100);
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 16384);
  pthread_attr_setguardsize(&small, 0);
  pthread_barrier_init(&both, 0, 2);
  if (knot) {
    pthread_create(&thread, &small, sell, 0);
    pthread_create(&thread, &small, refill, 0);
  }
  for (int i = 0; !busy && i < atoi(argv[1]); ++i)
    if (pthread_create(&thread, &small, idle, 0) != 0) _exit(77);
  while (busy) {
    pthread_t four[4];
    for (int i = 0; i < 4; ++i) pthread_create(&four[i], &small, work, 0);
    for (int i = 0; i < 4; ++i) pthread_join(four[i], 0);
  }
  pause();
  return 0;
}
"""


def is_the_cycle(result, report, locks=("orders", "stock")):
    findings = report["findings"]
    expect(result.status == 66 and len(findings) == 1, "one deadlock", result)
    names = sorted(r["name"] for r in findings[0]["resources"] if r["kind"] == "mutex")
    expect(names == sorted(locks), f"its locks, not {names}", result)
    knot = [t for t in findings[0]["threads"] if t["role"] == "knot"]
    expect(len(knot) == 2, "its two threads", result)
    return findings[0]


def functions_of(finding):
    return {f["function"] for t in finding["threads"] for f in (t["wants"] or {}).get("stack", [])}


def test_another_pid_namespace(world):
    if os.geteuid() != 0:
        raise Skip("only root can make a pid namespace")
    program = world.build("cycle", CYCLE, "-pthread")
    outer = world.start(["unshare", "--pid", "--fork", "--kill-child", program])
    def inner():
        with open(f"/proc/{outer.pid}/task/{outer.pid}/children", encoding="ascii") as file:
            children = file.read().split()
        return int(children[0]) if children else 0
    world.wait_for(lambda: outer.poll() is not None or inner() != 0, "the child")
    if outer.poll() is not None:
        raise Skip(f"unshare does not work here: {outer.stderr.read().decode()}")
    pid = inner()
    world.wait_for(lambda: os.path.realpath(f"/proc/{pid}/exe") == program, "the program")
    world.wait_for(lambda: len(os.listdir(f"/proc/{pid}/task")) == 3, "its threads")
    world.wait_for(sleeps(pid), "all threads to sleep")
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        numbers = re.search(r"^NSpid:\s+(\d+)\s+(\d+)$", file.read(), re.MULTILINE)
    expect(numbers and int(numbers[2]) == 1, "it is the first process of its namespace")
    result, report = attach(world, pid)
    finding = is_the_cycle(result, report)
    tids = {t["tid"] for t in finding["threads"]}
    expect(tids <= {int(t) for t in os.listdir(f"/proc/{pid}/task")}, f"our numbers: {tids}", result)
    world.end_all()


def test_a_binary_that_was_deleted_or_replaced(world):
    program = world.build("cycle", CYCLE, "-pthread")
    process = hang(world, program)
    os.unlink(program)
    is_the_cycle(*attach(world, process.pid))
    # Another program has taken its place, with other symbols there.
    other = world.build("other", "int main(void) { return 3; }")
    shutil.move(other, program)
    result, report = attach(world, process.pid)
    finding = is_the_cycle(result, report)
    expect({"sell", "refill"} <= functions_of(finding), "its own functions", result)
    world.end_all()


def test_a_static_binary(world):
    program = world.build("cycle", CYCLE, "-pthread", "-static")
    process = hang(world, program)
    result, report = attach(world, process.pid)
    finding = is_the_cycle(result, report)
    expect({"sell", "refill"} <= functions_of(finding), "its functions", result)
    world.end_all()


def test_a_stripped_binary(world):
    if not shutil.which("objcopy"):
        raise Skip("there is no objcopy")
    program = world.build("cycle", CYCLE, "-pthread")
    debug = world.path("cycle.debug")
    world.run("objcopy", "--only-keep-debug", program, debug)
    world.run("objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", program)
    # Beside it lies the file with what was taken away.
    process = hang(world, program)
    result, report = attach(world, process.pid)
    finding = is_the_cycle(result, report)
    expect({"sell", "refill"} <= functions_of(finding) and "cycle.c:" in result.out, "words", result)
    # Without that file there are no names, but the deadlock is the same.
    os.unlink(debug)
    result, report = attach(world, process.pid)
    expect(result.status == 66 and len(report["findings"]) == 1, "the same deadlock", result)
    knot = [t["tid"] for t in report["findings"][0]["threads"] if t["role"] == "knot"]
    expect(len(knot) == 2 and "sell" not in result.out, "its threads, no names from nowhere", result)
    world.end_all()


def test_past_a_signal_frame(world):
    program = world.build("cycle", CYCLE, "-pthread")
    process = hang(world, program, "handler")
    result, report = attach(world, process.pid)
    finding = is_the_cycle(result, report)
    expect({"on_signal", "sell"} <= functions_of(finding), "both sides of the signal", result)
    world.end_all()


def test_generated_code_is_shown_as_such(world):
    program = world.build("cycle", CYCLE, "-pthread", "-fno-omit-frame-pointer")
    process = hang(world, program, "generated")
    if process.poll() == 77:
        raise Skip("no memory that is both writable and executable")
    result, report = attach(world, process.pid)
    finding = is_the_cycle(result, report)
    expect("sell" in functions_of(finding), "the caller of the generated code", result)
    expect("generated" in result.out or "without unwind tables" in result.out, "said what it is", result)
    world.end_all()


def test_threads_that_come_and_go(world):
    program = world.build("crowd", CROWD, "-pthread")
    process = world.start([program, "busy"])
    world.wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) >= 3, "its threads")
    expected = None
    for _ in range(10):
        # The knot stands from some moment on; it is told then, and nothing else ever.
        result, report = attach(world, process.pid)
        names = [sorted(r["name"] for r in f["resources"]) for f in report["findings"]]
        expect(names in ([], [["orders", "stock"]]), f"something else: {names}", result)
        expect(not expected or names == expected, "it was there before", result)
        expected = names or expected
    expect(expected, "the knot")
    world.end_all()
    process = world.start([program, "busy", "calm"])
    world.wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) >= 2, "its threads")
    for _ in range(10):
        result, _ = attach(world, process.pid, "--strict")
        expect(result.status == 0, "no finding", result)
    world.end_all()


def test_ten_thousand_threads(world):
    program = world.build("crowd", CROWD, "-pthread")
    process = world.start([program, "10000"])
    world.wait_for(lambda: process.poll() is not None or
                   len(os.listdir(f"/proc/{process.pid}/task")) == 10003, "its threads", timeout=60)
    if process.poll() is not None:
        raise Skip("so many threads are not allowed here")
    path = world.path("attach.json")
    def seen():
        result = world.run(world.gordian, "attach", "--json", path, str(process.pid), timeout=60)
        return result.status == 66 and ["orders", "stock"] == sorted(
            r["name"] for r in harness.json.load(open(path, encoding="utf-8"))["findings"][0]["resources"]
            if r["kind"] == "mutex")
    world.wait_for(seen, "the knot", timeout=60)
    world.end_all()


def test_ptrace_scope_is_named(world):
    """Who may not look is told which setting forbids it."""
    if os.geteuid() != 0:
        raise Skip("only root can become somebody else")
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
            scope = int(file.read())
    except OSError as error:
        raise Skip("this kernel has no ptrace_scope") from error
    if scope == 0:
        raise Skip("ptrace_scope is 0: nothing forbids it")
    program = world.build("cycle", CYCLE, "-pthread")
    as_nobody = dict(user=65534, group=65534, extra_groups=[])
    process = world.start([program], **as_nobody)
    world.wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) == 3, "its threads")
    result = world.run(world.gordian, "attach", str(process.pid), **as_nobody)
    expect(result.status == 2 and "ptrace_scope" in result.err and "CAP_SYS_PTRACE" in result.err,
           "the setting and the capability", result)
    world.end_all()


# Counts how often its calls were cut short.
SLEEPER = r"""
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>
static volatile sig_atomic_t ended;
static void on_end(int number) { ended = 1; }
int main(void) {
  int set = epoll_create1(0), interrupted = 0;
  struct epoll_event event;
  signal(SIGTERM, on_end);
  while (!ended)
    if (epoll_wait(set, &event, 1, -1) < 0 && errno == EINTR && !ended) ++interrupted;
  printf("interrupted %s\n", interrupted > 0 ? "yes" : "no");
  return 0;
}
"""


def test_only_with_stop_are_others_stopped(world):
    program = world.build("sleeper", SLEEPER)
    for options, answer in (((), b"interrupted no\n"), (("--stop",), b"interrupted yes\n")):
        process = world.start([program])
        world.wait_for(sleeps(process.pid, "232"), "it to sleep")
        for _ in range(3):
            result, _ = attach(world, process.pid, "--threads", *options)
            expect(result.status == 0 and "epoll_wait" in result.out, "no finding", result)
            world.wait_for(sleeps(process.pid, "232"), "it to sleep again")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        expect(out == answer, f"{answer} with {options}", (out, err))


if __name__ == "__main__":
    harness.main(globals())
