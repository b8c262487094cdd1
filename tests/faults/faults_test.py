#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a hostile world may do to us: no hang, no crash, nothing left behind, and the program's output
and end are those of a bare run."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness
from harness import Skip, expect, same_as_bare

SEED = int(os.environ.get("GORDIAN_TEST_SEED", "1"))

# Threads that nest locks, wait on conditions and come and go, for about as long as it is told.
BUSY = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t table = PTHREAD_RWLOCK_INITIALIZER;
static int turn, count, rounds;
static void* play(void* me) {
  for (int i = 0; i < rounds; ++i) {
    pthread_rwlock_rdlock(&table);
    pthread_mutex_lock(&a);
    pthread_mutex_lock(&b);
    while (turn != (int)(long)me) {
      pthread_mutex_unlock(&b);
      pthread_cond_wait(&turned, &a);
      pthread_mutex_lock(&b);
    }
    turn = 1 - turn;
    ++count;
    pthread_cond_signal(&turned);
    pthread_mutex_unlock(&b);
    pthread_mutex_unlock(&a);
    pthread_rwlock_unlock(&table);
  }
  return 0;
}
int main(int argc, char** argv) {
  rounds = argc > 1 ? atoi(argv[1]) : 2000;
  for (int i = 0; i < 3; ++i) {
    pthread_t one, two;
    turn = 0;
    if (pthread_create(&one, 0, play, (void*)0) || pthread_create(&two, 0, play, (void*)1)) return 9;
    pthread_join(one, 0);
    pthread_join(two, 0);
  }
  printf("%d turns\n", count);
  return 21;
}
"""

CYCLE = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
pthread_mutex_t first_lock = PTHREAD_MUTEX_INITIALIZER, second_lock = PTHREAD_MUTEX_INITIALIZER;
static int here;
static void* cross(void* swap) {
  pthread_mutex_t* one = swap ? &second_lock : &first_lock;
  pthread_mutex_t* two = swap ? &first_lock : &second_lock;
  pthread_mutex_lock(one);
  __atomic_fetch_add(&here, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&here, __ATOMIC_SEQ_CST) < 2) sched_yield();
  pthread_mutex_lock(two);
  return 0;
}
static void deadlock(void) {
  pthread_t one, two;
  pthread_create(&one, 0, cross, (void*)0);
  pthread_create(&two, 0, cross, (void*)1);
  pthread_join(one, 0);
  pthread_join(two, 0);
}
"""


def busy(world):
    return world.build("busy", BUSY, "-pthread")


def expect_cycle_found(world, *words, options=(), **more):
    result = world.watch(*words, options=["--json", world.path("report.json"), *options], **more)
    expect(result.status == 66, "the deadlock was not found", result)
    findings = world.report()["findings"]
    expect([f["verdict"] for f in findings] == ["deadlock"], "one deadlock", result)
    return result


# --- death


def running(world, program):
    """The pids of those that have become `program`."""
    found = []
    for pid in world.processes():
        try:
            if os.readlink(f"/proc/{pid}/exe") == program:
                found.append(pid)
        except OSError:
            pass
    return found


def test_program_killed_at_any_moment(world):
    program = busy(world)
    dice = random.Random(SEED)
    for i in range(40):
        process = world.start([world.gordian, "run", "--", program, "1000000"])
        world.wait_for(lambda: running(world, program), "the program", 10)
        time.sleep(dice.uniform(0, 0.08))
        for pid in running(world, program):
            os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=10)
        expect(process.returncode == -signal.SIGKILL, f"round {i}: {process.returncode} {err}")
        expect(b"DEADLOCK" not in err, f"round {i}: {err}")


def test_judge_killed_at_any_moment(world):
    program = busy(world)
    dice = random.Random(SEED + 1)
    for i in range(25):
        path = world.path(f"out-{i}")
        with open(path, "wb") as out:
            process = world.start([world.gordian, "run", "--", program, "3000"], stdout=out, stderr=out)
        # Not before it has a child: then there is no program yet, and that is right too.
        world.wait_for(lambda: len(world.processes()) > 1 or process.poll() is not None, "the program", 10)
        time.sleep(dice.uniform(0, 0.1))
        process.kill()
        process.wait()
        world.wait_for(lambda: not world.processes(), "the program's end", 30)
        with open(path, "rb") as out:
            text = out.read()
        # Empty only if the judge died between fork and exec.
        expect(text in (b"18000 turns\n", b""), f"round {i}: {text}")


def test_judge_killed_while_a_deadlock_stands(world):
    program = world.build("cycle", CYCLE + "int main(void) { deadlock(); return 0; }", "-pthread")
    process = world.start([world.gordian, "run", "--on-deadlock=keep", "--json", world.path("report.json"), "--", program])
    world.wait_for(lambda: os.path.exists(world.path("report.json")), "the report")
    process.kill()
    process.wait()
    left = world.processes()
    expect(len(left) == 1, f"the program goes on without its judge: {left}")
    os.kill(left[0], signal.SIGKILL)


def test_program_stopped_and_continued(world):
    program = busy(world)
    process = world.start([world.gordian, "run", "--json", world.path("report.json"), "--", program, "20000"])
    world.wait_for(lambda: len(world.processes()) > 1, "the program")
    for _ in range(8):
        pids = [p for p in world.processes() if p != process.pid]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(0.15)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.02)
    out, err = process.communicate(timeout=60)
    expect(process.returncode == 21 and out == b"120000 turns\n", f"{process.returncode} {out} {err}")
    expect(not world.report()["findings"], "findings", err.decode())


def test_stopped_holder_is_no_deadlock(world):
    """Everybody waits for a thread that a signal stopped: it can be continued."""
    program = busy(world)
    process = world.start([world.gordian, "run", "--json", world.path("report.json"), "--", program, "30000"])
    (pid,) = world.wait_for(lambda: [p for p in world.processes() if p != process.pid], "the program")
    time.sleep(0.05)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.0)
    os.kill(pid, signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    expect(process.returncode == 21 and b"DEADLOCK" not in err, f"{process.returncode} {out} {err}")


# --- limits


def limited(which, soft, hard=None):
    def apply():
        resource.setrlimit(which, (soft, soft if hard is None else hard))
    return apply


def watch_under_limit(world, shell_limit):
    """The limit is the program's alone: set by a shell between us and it."""
    program = busy(world)
    words = ["sh", "-c", f"{shell_limit}; exec '{program}' 500"]
    return same_as_bare(world, *words, ignore_stderr=True)


def test_file_size_limit(world):
    for blocks in (0, 1, 100, 20000):
        watch_under_limit(world, f"ulimit -f {blocks}")


def test_file_size_limit_still_finds(world):
    program = world.build("cycle", CYCLE + "int main(void) { deadlock(); return 0; }", "-pthread")
    expect_cycle_found(world, "sh", "-c", f"ulimit -f 0; exec '{program}'")


def test_address_space_limit(world):
    for kilobytes in (60_000, 200_000, 1_000_000, 4_000_000):
        watch_under_limit(world, f"ulimit -s 256; ulimit -v {kilobytes}")


def test_address_space_limit_still_finds(world):
    program = world.build("cycle", CYCLE + "int main(void) { deadlock(); return 0; }", "-pthread")
    expect_cycle_found(world, "sh", "-c", f"ulimit -s 256; ulimit -v 400000; exec '{program}'")


def test_address_space_limit_set_by_the_program(world):
    program = world.build("frugal", r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void use(void) {
  void* block = malloc(100 << 20);
  printf("%s\n", block != NULL ? "enough" : "too little");
  free(block);
  pthread_mutex_lock(&lock);
  pthread_mutex_unlock(&lock);
  fflush(stdout);
}
int main(int argc, char** argv) {
  struct rlimit limit = {200 << 20, 200 << 20};
  if (argc > 1) prlimit(0, RLIMIT_AS, &limit, NULL); else setrlimit(RLIMIT_AS, &limit);
  use();
  if (fork() == 0) { use(); _exit(0); }
  wait(NULL);
  return 0;
}
""", "-pthread")
    same_as_bare(world, program)
    result = same_as_bare(world, program, "prlimit")
    expect(result.out == "enough\nenough\n", "works", result)


def test_descriptor_limit(world):
    for count in (3, 4, 5, 10):
        # The limit comes last: the program itself opens nothing.
        program = world.build("limited", r"""
#include <sys/resource.h>
#include <unistd.h>
#include <stdlib.h>
int main(int argc, char** argv) {
  struct rlimit limit = {atoi(argv[1]), atoi(argv[1])};
  setrlimit(RLIMIT_NOFILE, &limit);
  execv(argv[2], argv + 2);
  return 99;
}
""")
        bare = world.run(program, str(count), busy(world), "500")
        result = world.watch(program, str(count), busy(world), "500")
        expect(result.status == bare.status and result.out == bare.out, f"with {count} descriptors", f"{bare}{result}")


def test_no_descriptors_left(world):
    """The program uses up all its descriptors, then starts threads and children."""
    program = world.build("hungry", CYCLE + r"""
#include <fcntl.h>
#include <unistd.h>
#include <sys/wait.h>
#include <stdio.h>
int main(int argc, char** argv) {
  while (open("/dev/null", O_RDONLY) >= 0) {}
  pid_t child = fork();
  if (child == 0) {
    pthread_mutex_lock(&first_lock);
    pthread_mutex_unlock(&first_lock);
    _exit(3);
  }
  int status;
  waitpid(child, &status, 0);
  if (WEXITSTATUS(status) != 3) return 1;
  puts("no descriptors");
  fflush(stdout);
  if (argc > 1) deadlock();
  return 0;
}
""", "-pthread")
    same_as_bare(world, program, ignore_stderr=True)
    expect_cycle_found(world, program, "deadlock")


def test_small_stacks(world):
    program = world.build("small-stacks", r"""
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static void* work(void* x) {
  for (int i = 0; i < 100; ++i) {
    pthread_mutex_lock(&a);
    pthread_mutex_lock(&b);
    pthread_mutex_unlock(&b);
    pthread_mutex_unlock(&a);
  }
  return x;
}
int main(void) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 16384);
  pthread_t threads[50];
  for (int i = 0; i < 50; ++i) if (pthread_create(&threads[i], &attributes, work, 0)) return 1;
  for (int i = 0; i < 50; ++i) pthread_join(threads[i], 0);
  puts("small");
  return 0;
}
""", "-pthread")
    result = same_as_bare(world, program)
    expect(result.status == 0, "works", result)


def test_locked_memory(world):
    program = world.build("locked", CYCLE + r"""
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
int main(int argc, char** argv) {
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) { puts("not allowed"); return 0; }
  pthread_mutex_lock(&first_lock);
  pthread_mutex_lock(&second_lock);
  pthread_mutex_unlock(&second_lock);
  pthread_mutex_unlock(&first_lock);
  char line[256];
  long locked = 0;
  FILE* status = fopen("/proc/self/status", "r");
  while (fgets(line, sizeof line, status)) sscanf(line, "VmLck: %ld", &locked);
  fclose(status);
  puts(locked < 300000 ? "little memory" : line);
  fflush(stdout);
  if (argc > 1) deadlock();
  return 0;
}
""", "-pthread")
    same_as_bare(world, program)
    expect_cycle_found(world, program, "deadlock")


# --- rights


def jail(world):
    return world.build("jail", r"""
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
// jail NUMBER[,NUMBER...] PROGRAM ARGS: these system calls fail with EPERM.
int main(int argc, char** argv) {
  struct sock_filter filter[64];
  int n = 0;
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (char* at = argv[1]; *at;) {
    long number = strtol(at, &at, 10);
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    if (*at == ',') ++at;
  }
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {n, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 98;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 98;
  execv(argv[2], argv + 2);
  return 99;
}
""")


SYSCALLS = {"memfd_create": 319, "socket": 41, "connect": 42, "sendmsg": 46, "readlink": 89, "madvise": 28,
            "fcntl": 72, "getrlimit": 97, "prlimit64": 302, "ftruncate": 77, "sched_getaffinity": 204,
            "gettid": 186, "getsockopt": 55, "tgkill": 234, "membarrier": 324, "rseq": 334}


def test_seccomp(world):
    program, wall = busy(world), jail(world)
    bare = world.run(program, "500")
    for name, number in SYSCALLS.items():
        result = world.watch(wall, str(number), program, "500")
        if result.status == 98:
            raise Skip("no seccomp here")
        expect((result.status, result.out) == (bare.status, bare.out), f"without {name}", result)
    numbers = ",".join(str(n) for n in list(SYSCALLS.values())[:8])
    result = world.watch(wall, numbers, program, "500")
    expect((result.status, result.out) == (bare.status, bare.out), "without all of them", result)


def test_seccomp_still_finds(world):
    wall = jail(world)
    program = world.build("cycle", CYCLE + "int main(void) { deadlock(); return 0; }", "-pthread")
    expect_cycle_found(world, wall, str(SYSCALLS["memfd_create"]), program)


def test_chroot_and_setuid(world):
    if os.getuid() != 0:
        raise Skip("needs root")
    program = world.build("server", CYCLE + r"""
#include <grp.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char** argv) {
  pthread_mutex_lock(&first_lock);
  pthread_mutex_unlock(&first_lock);
  if (chroot(argv[1]) != 0 || chdir("/") != 0) { puts("not allowed"); return 0; }
  if (setgroups(0, 0) != 0 || setgid(65534) != 0 || setuid(65534) != 0) { puts("not allowed"); return 0; }
  pid_t child = fork();
  if (child == 0) {
    pthread_mutex_lock(&second_lock);
    pthread_mutex_unlock(&second_lock);
    _exit(0);
  }
  puts("jailed");
  fflush(stdout);
  if (argc > 2) deadlock();
  return 0;
}
""", "-pthread")
    folder = world.path("root")
    os.mkdir(folder)
    same_as_bare(world, program, folder)
    result = expect_cycle_found(world, program, folder, "deadlock")
    expect("first_lock" in result.err, "names", result)


def test_other_namespaces(world):
    probe = world.run("unshare", "-pf", "--mount-proc", "true")
    if probe.status != 0:
        raise Skip("no namespaces here")
    program = world.build("cycle", CYCLE + "int main(void) { deadlock(); return 0; }", "-pthread")
    # The judge inside with the program, and outside of it.
    result = world.run("unshare", "-pf", "--mount-proc", world.gordian, "run", "--", program)
    expect(result.status == 66 and "DEADLOCK" in result.err, "inside", result)
    result = world.watch("unshare", "-pf", "--mount-proc", program, timeout=30)
    expect(result.status == 66 and "DEADLOCK" in result.err, "outside", result)


def test_traced(world):
    if subprocess.run(["which", "strace"], capture_output=True, check=False).returncode != 0:
        raise Skip("no strace")
    program = busy(world)
    result = world.watch("strace", "-f", "-o", "/dev/null", program, "50")
    if "PTRACE" in result.err or "ptrace" in result.err:
        raise Skip("no ptrace here")
    expect(result.status == 21 and result.out == "300 turns\n", "under strace", result)


# --- processes and threads


def test_fork_storm(world):
    program = world.build("storm", CYCLE + r"""
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static void take(void) {
  pthread_mutex_lock(&first_lock);
  pthread_mutex_lock(&second_lock);
  pthread_mutex_unlock(&second_lock);
  pthread_mutex_unlock(&first_lock);
}
static void* worker(void* stop) {
  while (!__atomic_load_n((int*)stop, __ATOMIC_SEQ_CST)) sched_yield();
  return 0;
}
int main(void) {
  int stop = 0, good = 0;
  pthread_t thread;
  pthread_create(&thread, 0, worker, &stop);
  for (int i = 0; i < 400; ++i) {
    take();
    pid_t child = fork();
    if (child == 0) {
      take();
      if (i % 10 == 0) {
        if (fork() == 0) { take(); _exit(0); }
        wait(0);
      }
      _exit(i % 100);
    }
    if (i % 8 != 7) continue;
    for (int status; wait(&status) > 0;) ++good;
  }
  for (int status; wait(&status) > 0;) ++good;
  stop = 1;
  pthread_join(thread, 0);
  printf("%d children\n", good);
  return 0;
}
""", "-pthread")
    result = same_as_bare(world, program, options=["--json", world.path("report.json")])
    expect(result.out == "400 children\n", "children", result)
    expect(not world.report()["findings"], "findings", result)


def test_exec_storm(world):
    script = "i=0; while [ $i -lt 60 ]; do /bin/true; i=$((i+1)); done; echo $i"
    same_as_bare(world, "sh", "-c", script)


def test_thread_churn(world):
    program = world.build("churn", r"""
#include <pthread.h>
#include <stdio.h>
static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static int count;
static void* work(void* x) {
  pthread_mutex_lock(&a);
  pthread_mutex_lock(&b);
  ++count;
  pthread_mutex_unlock(&b);
  pthread_mutex_unlock(&a);
  return x;
}
int main(void) {
  for (int i = 0; i < 3000; ++i) {
    pthread_t one, two;
    pthread_create(&one, 0, work, 0);
    pthread_create(&two, 0, work, 0);
    pthread_join(one, 0);
    if (i % 2) pthread_join(two, 0); else pthread_detach(two);
  }
  pthread_mutex_lock(&a);
  printf("%d\n", count > 5990);
  return 0;
}
""", "-pthread")
    same_as_bare(world, program)


# Stands behind us, before libc: its calls return only when the child has had its way.
SLOW_PARENT = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <threads.h>
int child_is_done;
static void wait_for_child(void) {
  while (!__atomic_load_n(&child_is_done, __ATOMIC_SEQ_CST)) sched_yield();
}
int pthread_create(pthread_t* thread, const pthread_attr_t* how, void* (*routine)(void*), void* argument) {
  int (*next)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) = dlsym(RTLD_NEXT, "pthread_create");
  int result = next(thread, how, routine, argument);
  if (result == 0) wait_for_child();
  return result;
}
int thrd_create(thrd_t* thread, thrd_start_t routine, void* argument) {
  int (*next)(thrd_t*, thrd_start_t, void*) = dlsym(RTLD_NEXT, "thrd_create");
  int result = next(thread, routine, argument);
  if (result == thrd_success) wait_for_child();
  return result;
}
"""


def test_child_faster_than_its_creator(world):
    """A thread ends the memory that holds its own id before the call that made it returns."""
    library = world.build("slow_parent.so", SLOW_PARENT, "-shared", "-fPIC")
    program = world.build("fast_child", r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <threads.h>
extern int child_is_done;
static void* work(void* context) {
  munmap(context, 4096);
  __atomic_store_n(&child_is_done, 1, __ATOMIC_SEQ_CST);
  return 0;
}
static int c11_work(void* context) {
  thrd_detach(thrd_current());
  work(context);
  return 0;
}
int main(int argc, char** argv) {
  void* context = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  pthread_attr_t detached;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  int result = argc > 1 ? thrd_create(context, c11_work, context)
                        : pthread_create(context, &detached, work, context);
  printf("made %d\n", result);
  return 0;
}
""", library, "-pthread")
    for words in ([program], [program, "c11"]):
        result = same_as_bare(world, *words)
        expect(result.out == "made 0\n", "works", result)


def test_timer_handler_that_locks(world):
    """A handler interrupts every hook anywhere, and takes locks of its own."""
    program = world.build("timer", r"""
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t in_handler = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t table = PTHREAD_RWLOCK_INITIALIZER;
static sem_t sem;
static volatile int interruptions;
static void handler(int number) {
  int kept = errno;
  if (pthread_mutex_trylock(&in_handler) == 0) {
    sem_post(&sem);
    sem_trywait(&sem);
    pthread_mutex_unlock(&in_handler);
  }
  __atomic_fetch_add(&interruptions, 1, __ATOMIC_RELAXED);
  errno = kept;
}
static void* work(void* stop) {
  for (long i = 0; i < 400000 && interruptions < 1500; ++i) {
    pthread_rwlock_rdlock(&table);
    pthread_mutex_lock(&a);
    pthread_mutex_lock(&b);
    pthread_mutex_unlock(&a);
    pthread_mutex_unlock(&b);
    pthread_rwlock_unlock(&table);
    errno = 77;
    pthread_mutex_lock(&b);
    pthread_mutex_unlock(&b);
    if (errno != 77) return (void*)1;
  }
  return 0;
}
int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, 0);
  sem_init(&sem, 0, 0);
  struct itimerval often = {{0, 500}, {0, 500}};
  setitimer(ITIMER_REAL, &often, 0);
  pthread_t threads[4];
  long bad = 0;
  for (int i = 0; i < 4; ++i) pthread_create(&threads[i], 0, work, 0);
  for (int i = 0; i < 4; ++i) { void* result; pthread_join(threads[i], &result); bad += (long)result; }
  printf("%ld\n", bad);
  return 0;
}
""", "-pthread")
    result = same_as_bare(world, program, options=["--json", world.path("report.json")])
    expect(not [f for f in world.report()["findings"] if f["verdict"] == "deadlock"], "a deadlock", result)


def test_everything_at_once(world):
    """Cancelled, signalled and stopped at random, and no deadlock is claimed."""
    program = world.kind("cancel/cancel")
    for case in ("storm", "handler-locks", "condition"):
        process = world.start([world.gordian, "run", "--json", world.path("report.json"), "--", program, case])
        dice = random.Random(SEED)
        while process.poll() is None:
            for pid in world.processes():
                if pid != process.pid:
                    try:
                        os.kill(pid, signal.SIGSTOP)
                        time.sleep(dice.uniform(0, 0.03))
                        os.kill(pid, signal.SIGCONT)
                    except OSError:
                        pass
            time.sleep(dice.uniform(0, 0.02))
        out, err = process.communicate()
        expect(process.returncode == 0 and out == b"done\n", f"{case}: {process.returncode} {out} {err}")
        expect(not world.report()["findings"], f"{case}: {err.decode()}")


# --- lies


def test_a_liar_talks_to_the_judge(world):
    """Somebody of the same user sends nonsense to the judge's socket."""
    liar = world.write("liar.py", r"""
import array, os, socket, sys
name = os.environ.get("GORDIAN_JUDGE")
if not name:
    print("nobody to lie to")
    sys.exit(0)
def talk(data, fd=None):
    try:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect("\0" + name)
        more = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        s.sendmsg([data], more)
        s.close()
    except OSError:
        pass
magic = (0x314452424E445247).to_bytes(8, "little")
hello = lambda size, address=0: (0x3144524 << 0).to_bytes(8, "little") + (1).to_bytes(4, "little") + os.getpid().to_bytes(4, "little") + address.to_bytes(8, "little") + size.to_bytes(8, "little")
talk(b"")
talk(b"x" * 5000)
talk(os.urandom(32))
for size in (0, 1, 4096, 1 << 40, (1 << 64) - 1):
    talk(hello(size))
    small = os.memfd_create("gordian-board")
    os.write(small, os.urandom(10000))
    talk(hello(size), small)
    talk(magic + hello(size)[8:], small)
    os.ftruncate(small, 10)
for _ in range(300):
    talk(os.urandom(40), os.open("/dev/zero", os.O_RDONLY))
print("lied")
""")
    result = world.watch(sys.executable, liar, timeout=60)
    expect(result.status == 0 and "lied" in result.out or "nobody" in result.out, "the judge survives", result)
    expect("internal error" not in result.err, "the judge survives", result)
    script = f"'{sys.executable}' '{liar}'; '{world.kind('mutex/lock_order')}' cycle"
    expect_cycle_found(world, "sh", "-c", script)


def test_board_scribbled_over(world):
    """The program itself writes over the board, as a wild pointer would."""
    program = world.build("scribble", BUSY.replace("int main", "int play_all") + r"""
#include <string.h>
#include <stdint.h>
int main(int argc, char** argv) {
  char line[512];
  unsigned seed = (unsigned)atoi(argv[1]);
  char* start = 0; char* end = 0;
  FILE* maps = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, maps)) {
    void *low, *high;
    if (strstr(line, "gordian-board") && sscanf(line, "%p-%p", &low, &high) == 2) {
      if (!start) start = low;
      end = high;
    }
  }
  fclose(maps);
  char* words[] = {"busy", "300"};
  int status = 0;
  for (int round = 0; round < 5; ++round) {
    // Not the first page's own sizes: those our own hooks use as they stand.
    for (int i = 0; start && i < 2000; ++i) {
      seed = seed * 1103515245 + 12345;
      size_t at = 4096 + (seed >> 4) % 400000;
      if (start + at < end) start[at] = (char)(seed >> 16);
    }
    status = play_all(2, words);
  }
  return status == 21 ? 0 : 1;
}
""", "-pthread")
    for seed in range(6):
        result = world.watch(program, str(seed), timeout=30)
        expect(result.status == 0 or result.status == 66, f"seed {seed}", result)
        expect("internal error" not in result.err, f"seed {seed}", result)


harness.main(globals())
