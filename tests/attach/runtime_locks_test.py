#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian attach on locks that no program declares: those of streams, of malloc's arenas, and the
lock of a Python interpreter."""

import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness
from attach_test import attach, hang
from harness import Skip, expect

# One thread keeps a stream locked and wants the table, the other prints with the table held. "calm":
# the first does not want the table, and could let go of the stream.
STREAM = r"""
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;
static FILE* audit_log;
static int calm;
static void* lists(void* me) {
  flockfile(audit_log);
  pthread_barrier_wait(&both);
  if (calm) sleep(50);
  pthread_mutex_lock(&table);
  return me;
}
static void* changes(void* me) {
  pthread_mutex_lock(&table);
  pthread_barrier_wait(&both);
  fprintf(audit_log, "changed\n");
  return me;
}
int main(int argc, char** argv) {
  pthread_t threads[2];
  calm = argc > 2;
  alarm(60);
  audit_log = strcmp(argv[1], "stdout") == 0 ? stdout : fopen(argv[1], "w");
  pthread_barrier_init(&both, 0, 2);
  pthread_create(&threads[0], 0, lists, 0);
  pthread_create(&threads[1], 0, changes, 0);
  pthread_join(threads[0], 0);
  return 0;
}
"""

# A signal comes between the two instructions of printf that lock the stream and write down who has it,
# and its handler prints too: the child is led there in single steps. "calm": the handler only sleeps.
STREAM_INTERRUPTED = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
static FILE* audit_log;
static int calm;
static void on_signal(int number) {
  if (calm) for (;;) pause();
  fprintf(audit_log, "signal %d\n", number);
}
static void reports(void) { fprintf(audit_log, "changed\n"); }
int main(int argc, char** argv) {
  calm = argc > 2;
  alarm(60);
  audit_log = strcmp(argv[1], "stdout") == 0 ? stdout : fopen(argv[1], "w");
  signal(SIGUSR1, on_signal);
  int* lock = *(int**)((char*)audit_log + 136); /* struct _IO_FILE: _lock */
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    reports();
    _exit(1);
  }
  int status;
  waitpid(child, &status, 0);
  for (;;) {
    ptrace(PTRACE_SINGLESTEP, child, 0, 0);
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return 2;
    const int word = (int)ptrace(PTRACE_PEEKDATA, child, lock, 0);
    if (word != 0 && ptrace(PTRACE_PEEKDATA, child, lock + 2, 0) == 0) break;
  }
  ptrace(PTRACE_DETACH, child, 0, SIGUSR1);
  fprintf(stderr, "%d\n", (int)child);
  waitpid(child, &status, 0);
  return 0;
}
"""

# A thread is interrupted inside malloc, with the arena's lock held (its filter turns the system call
# by which the heap grows into SIGSYS), and its handler wants the table; the table's holder allocates
# from the same arena. "calm": the handler does not want the table.
ARENA = r"""
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static sem_t interrupted, held;
static int calm;
static void* volatile kept;
static void on_signal(int number) {
  sem_post(&interrupted);
  if (calm) sleep(50);
  pthread_mutex_lock(&table);
  pthread_mutex_unlock(&table);
}
static void* grow(void* me) {
  struct sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_brk, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof rules / sizeof rules[0], rules};
  sem_wait(&held);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    _exit(77);
  for (int i = 0; i < 64; ++i) kept = malloc(100000);
  return me;
}
static void* change(void* me) {
  pthread_mutex_lock(&table);
  sem_post(&held);
  sem_wait(&interrupted);
  kept = malloc(50000);
  pthread_mutex_unlock(&table);
  return me;
}
int main(int argc, char** argv) {
  pthread_t threads[2];
  calm = argc > 1;
  alarm(60);
  mallopt(M_ARENA_MAX, 1);
  sem_init(&interrupted, 0, 0);
  sem_init(&held, 0, 0);
  signal(SIGSYS, on_signal);
  pthread_create(&threads[0], 0, grow, 0);
  pthread_create(&threads[1], 0, change, 0);
  pthread_join(threads[1], 0);
  return 0;
}
"""

# For Python: "take" lets go of the interpreter's lock while it works (ctypes.CDLL), "put" does not
# (ctypes.PyDLL), so it waits for the mutex with that lock held.
EXTENSION = r"""
#include <pthread.h>
#include <semaphore.h>
static pthread_mutex_t store = PTHREAD_MUTEX_INITIALIZER;
static sem_t taken, putting;
__attribute__((constructor)) static void begin(void) {
  sem_init(&taken, 0, 0);
  sem_init(&putting, 0, 0);
}
void take_store(void) {
  pthread_mutex_lock(&store);
  sem_post(&taken);
  sem_wait(&putting);
}
void wait_taken(void) { sem_wait(&taken); }
void put_store(void) {
  sem_post(&putting);
  pthread_mutex_lock(&store);
}
"""

SCRIPT = r"""
import ctypes
import sys
import threading
import time

free = ctypes.CDLL(sys.argv[1])
keeping = ctypes.PyDLL(sys.argv[1]) if sys.argv[2] == "cycle" else free


class Cache:
    def refresh(self):
        free.take_store()
        while True:
            time.sleep(0.01)


def flush_all():
    free.wait_taken()
    keeping.put_store()


threads = [threading.Thread(target=Cache().refresh, daemon=True),
           threading.Thread(target=flush_all, daemon=True)]
for thread in threads:
    thread.start()
time.sleep(60)
"""


def seen_at_once(world, pid, *options):
    """The answer of a look that comes right behind another one: a look that stops threads to read
    their registers makes their sleep begin anew, and must not hide a stall from the next."""
    world.wait_for(lambda: attach(world, pid, *options)[1]["findings"], "a finding")
    result, report = attach(world, pid, *options)
    expect(report["findings"], "no finding the second time", result)
    return result, report


def locks_of(report):
    return sorted(r["name"] for r in report["findings"][0]["resources"] if r["kind"] != "thread")


def silent(world, pid):
    time.sleep(0.7)  # a stall has to be so old: with less it would be silent for a wrong reason
    for _ in range(3):
        result, _ = attach(world, pid, "--strict")
        expect(result.status == 0 and "nothing is stuck" in result.out, "no finding", result)


def asleep(pid, calls):
    """All threads sleep, in these system calls in some order."""
    def check():
        found = []
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/syscall", encoding="ascii") as file:
                found.append(file.read().split()[0])
        return sorted(found) == sorted(calls)
    return check


def test_the_lock_of_a_stream_has_a_name(world):
    program = world.build("stream", STREAM, "-pthread")
    log = world.path("audit.log")
    for stream, name in (("stdout", "stdout's lock"), (log, "audit_log")):
        process = hang(world, program, stream)
        result, report = attach(world, process.pid)
        expect(result.status == 66, "a deadlock: a stream names its owner", result)
        names = locks_of(report)
        expect(len(names) == 2 and name in names[0] + names[1] and "table" in names, name, result)
        world.end_all()
        process = world.start([program, stream, "calm"])
        world.wait_for(asleep(process.pid, ["202", "202", "230"]), "all to sleep")
        silent(world, process.pid)
        world.end_all()


def test_a_stream_interrupted_before_it_names_its_owner(world):
    program = world.build("interrupted", STREAM_INTERRUPTED)
    log = world.path("interrupted.log")
    for stream, name in (("stdout", "stdout's lock"), (log, "audit_log")):
        for calm, call in (([], "202"), (["calm"], "34")):
            process = world.start([program, stream, *calm], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            child = int(process.stderr.readline())
            world.wait_for(asleep(child, [call]), "the child to sleep")
            if calm:
                silent(world, child)
            else:
                result, report = seen_at_once(world, child)
                expect(result.status == 0 and report["findings"][0]["kind"] == "self-lock", "a stall of one thread", result)
                expect(len(locks_of(report)) == 1 and name in locks_of(report)[0], name, result)
                expect("reports" in result.out, "the stack past the signal", result)
                expect("async-signal-safe" in report["findings"][0]["advice"], "what to change", result)
            os.kill(child, 9)
            process.wait()


def test_an_arena_of_malloc_has_a_name(world):
    program = world.build("arena", ARENA, "-pthread")
    process = world.start([program])
    world.wait_for(lambda: process.poll() is not None or asleep(process.pid, ["202"] * 3)(),
                   "all to sleep")
    if process.poll() == 77:
        raise Skip("no seccomp filters here")
    result, report = seen_at_once(world, process.pid)
    expect(result.status == 0, "never more than a stall: who has it is inferred", result)
    expect(locks_of(report) == ["malloc's main arena", "table"], "both locks", result)
    expect("grow" in result.out and "on_signal" in result.out, "the stack past the signal", result)
    world.end_all()
    process = world.start([program, "calm"])
    world.wait_for(asleep(process.pid, ["202", "202", "230"]), "all to sleep")
    silent(world, process.pid)
    world.end_all()


def debian_python():
    """The system's interpreter, if it is one of those whose layout is known."""
    python = "/usr/bin/python3"
    if not os.path.exists(python):
        raise Skip("there is no /usr/bin/python3")
    version = subprocess.run([python, "-c", "import sys; print(sys.version_info[:2])"],
                             capture_output=True, check=True, text=True).stdout.strip()
    if version != "(3, 11)":
        raise Skip(f"its layout is not known: {version}")
    return python


def awake_cores(world, pid):
    """Cores in which the one who waits for the interpreter's lock is awake, between two sleeps of
    5 ms: in a function that it calls for the next one, and in its own code."""
    if not shutil.which("gdb"):
        return []
    cores = [world.path("called.core"), world.path("own.core")]
    made = world.run("gdb", "-batch", "-nx", "-p", str(pid), "-ex", "set debuginfod enabled off",
                     "-ex", "break clock_gettime", "-ex", "continue",
                     "-ex", f"generate-core-file {cores[0]}", "-ex", "delete", "-ex", "finish",
                     "-ex", f"generate-core-file {cores[1]}", "-ex", "detach", timeout=60)
    expect(all(os.path.exists(core) for core in cores), "no core", made)
    return cores


def test_the_lock_of_python_has_a_name(world):
    python = debian_python()
    extension = world.build("extension.so", EXTENSION, "-pthread", "-shared", "-fPIC")
    script = world.write("shop.py", SCRIPT)
    process = world.start([python, script, extension, "cycle"])
    world.wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) == 3, "its threads")
    result, report = seen_at_once(world, process.pid)
    expect(result.status == 0, "never more than a stall: whoever wants the GIL polls", result)
    finding = report["findings"][0]
    expect(locks_of(report) == ["Python's GIL", "store"], "both locks", result)
    stacks = [[(f["function"], f["line"]) for f in t["wants"]["stack"]] for t in finding["threads"]]
    lines = SCRIPT.splitlines()
    for function, call in (("Cache.refresh", "free.take_store()"), ("flush_all", "keeping.put_store()")):
        line = 1 + next(i for i, text in enumerate(lines) if call in text)
        expect(any((function, line) in stack for stack in stacks), f"{function}:{line}", result)
    expect("shop.py" in result.out, "the file", result)
    for core in awake_cores(world, process.pid):
        result = world.run(world.gordian, "core", core, timeout=60)
        expect("Python's GIL" in result.out and "store" in result.out, "both locks", result)
        expect("Cache.refresh" in result.out and "flush_all" in result.out, "the functions", result)
        os.unlink(core)
    world.end_all()
    # Its twin lets go of the GIL while it waits for the store: its holder goes on.
    process = world.start([python, script, extension, "twin"])
    world.wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) == 3, "its threads")
    silent(world, process.pid)
    world.end_all()


if __name__ == "__main__":
    harness.main(globals())
