#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian run --record, gordian predict and gordian export on real programs."""

import json
import os
import random
import re
import signal
import sys

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(TESTS, "support"))
import harness
from harness import expect

# Two threads take two locks in both orders, one after the other: by nothing that orders the
# sections (FREE), or the second begins only when the first has signalled.
CROSSED = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
static pthread_mutex_t accounts = PTHREAD_MUTEX_INITIALIZER, audit = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static int is_open, waits, passed;
static void* teller(void* unused) {
  pthread_setname_np(pthread_self(), "teller");
  pthread_mutex_lock(&accounts);
  pthread_mutex_lock(&audit);
  pthread_mutex_unlock(&audit);
  pthread_mutex_unlock(&accounts);
#ifdef FREE
  __atomic_store_n(&passed, 1, __ATOMIC_RELEASE);
#else
  for (int done = 0; !done; sched_yield()) {
    pthread_mutex_lock(&gate);
    if (waits) {
      is_open = done = 1;
      pthread_cond_signal(&opened);
    }
    pthread_mutex_unlock(&gate);
  }
#endif
  return unused;
}
static void* auditor(void* unused) {
  pthread_setname_np(pthread_self(), "auditor");
#ifdef FREE
  while (!__atomic_load_n(&passed, __ATOMIC_ACQUIRE)) {
  }
#else
  pthread_mutex_lock(&gate);
  waits = 1;
  while (!is_open) pthread_cond_wait(&opened, &gate);
  pthread_mutex_unlock(&gate);
#endif
  pthread_mutex_lock(&audit);
  pthread_mutex_lock(&accounts);
  pthread_mutex_unlock(&accounts);
  pthread_mutex_unlock(&audit);
  return unused;
}
int main(void) {
  pthread_t one, two;
  pthread_create(&two, 0, auditor, 0);
  pthread_create(&one, 0, teller, 0);
  pthread_join(one, 0);
  pthread_join(two, 0);
}
"""

# The two locks, in either order.
BOTH_ORDERS = r"""
#include <pthread.h>
static pthread_mutex_t accounts = PTHREAD_MUTEX_INITIALIZER, audit = PTHREAD_MUTEX_INITIALIZER;
static void from_accounts(void) {
  pthread_mutex_lock(&accounts);
  pthread_mutex_lock(&audit);
  pthread_mutex_unlock(&audit);
  pthread_mutex_unlock(&accounts);
}
static void from_audit(void) {
  pthread_mutex_lock(&audit);
  pthread_mutex_lock(&accounts);
  pthread_mutex_unlock(&accounts);
  pthread_mutex_unlock(&audit);
}
"""

# The teller begins behind the auditor's end, since main has the gate until then: it waits for a
# post, or for a flag that no recording tells.
GATED = BOTH_ORDERS + r"""
#include <semaphore.h>
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static sem_t done;
static int passed;
static void* teller(void* unused) {
  pthread_mutex_lock(&gate);
  pthread_mutex_unlock(&gate);
  from_accounts();
  return unused;
}
static void* auditor(void* unused) {
  from_audit();
#ifdef POSTS
  sem_post(&done);
#endif
  __atomic_store_n(&passed, 1, __ATOMIC_RELEASE);
  return unused;
}
int main(void) {
  pthread_t one, two;
  sem_init(&done, 0, 0);
  pthread_mutex_lock(&gate);
  pthread_create(&one, 0, teller, 0);
  pthread_create(&two, 0, auditor, 0);
#ifdef POSTS
  sem_wait(&done);
#endif
  while (!__atomic_load_n(&passed, __ATOMIC_ACQUIRE)) {
  }
  pthread_mutex_unlock(&gate);
  pthread_join(one, 0);
  pthread_join(two, 0);
}
"""

# Several threads count under one lock, as fast as they can, until they are done or killed.
BUSY = r"""
#include <pthread.h>
#include <stdlib.h>
static pthread_mutex_t lock[2] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
static long rounds;
static void* count(void* which) {
  for (long i = 0; i < rounds; ++i) {
    pthread_mutex_lock(&lock[(long)which]);
    pthread_mutex_unlock(&lock[(long)which]);
  }
  return 0;
}
int main(int argc, char** argv) {
  rounds = argc > 1 ? atol(argv[1]) : 1L << 60;
  pthread_t other;
  pthread_create(&other, 0, count, (void*)1);
  count(0);
  pthread_join(other, 0);
}
"""


def record(world, *words, options=(), name="run.grec", **more):
    path = world.path(name)
    return world.run(world.gordian, "run", "-q", "--on-deadlock=keep", "--record", path, *options, "--", *words,
                     **more), path


STARTER = r"""
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_mutex_t before_exec = PTHREAD_MUTEX_INITIALIZER;
int main(int argc, char** argv) {
  int status = 0;
  pid_t child = fork();
  if (child == 0) {
    pthread_mutex_lock(&before_exec);
    pthread_mutex_unlock(&before_exec);
    execv(argv[1], argv + 1);
    _exit(1);
  }
  return waitpid(child, &status, 0) != child || status != 0 || argc != 2;
}
"""


def predict(world, path, *options):
    target = world.path("out.json")
    result = world.run(world.gordian, "predict", *options, "--json", target, path)
    with open(target, encoding="utf-8") as file:
        return result, json.load(file)


def export(world, path, *options):
    result = world.run(world.gordian, "export", *options, path)
    expect(result.status == 0, "exported", result)
    return result.out


# Each thread is joined as soon as it is made, mostly before it has run.
IN_TURN = BOTH_ORDERS + r"""
static void* teller(void* unused) {
  from_accounts();
  return unused;
}
static void* auditor(void* unused) {
  from_audit();
  return unused;
}
int main(void) {
  for (int i = 0; i < 20; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, 0, i % 2 ? teller : auditor, 0) != 0) return 1;
    pthread_join(thread, 0);
  }
}
"""


def test_programs_with_a_sanitizer(world):
    """Its functions come behind ours, and do not work before it has come to life, which is after us."""
    world.environment.update(TSAN_OPTIONS="detect_deadlocks=0", ASAN_OPTIONS="verify_asan_link_order=0")
    for sanitizer in ("thread", "address", "undefined"):
        program = world.build(sanitizer, IN_TURN, "-pthread", "-fsanitize=" + sanitizer)
        bare = world.run(program)
        if bare.status != 0:
            raise harness.Skip(f"the {sanitizer} sanitizer does not run here: {bare.err}")
        result, path = record(world, program)
        expect(result.status == 0, f"{sanitizer}: as without us", result)
        text = export(world, path)
        expect(len(re.findall(r"\|join\(", text)) == 20, f"{sanitizer}: each join", result)
        result, report = predict(world, path, "--strict")
        expect(result.status == 0 and report["trace"]["acquisitions"] >= 40, f"{sanitizer}: ordered by the joins", result)


def test_possible_with_names(world):
    program = world.build("crossed", CROSSED, "-pthread", "-DFREE")
    result, path = record(world, program)
    expect(result.status == 0, "as without us", result)
    expect(os.stat(path).st_mode & 0o777 == 0o600, "for its owner alone", result)
    result, report = predict(world, path)
    expect(result.status == 0, "not proved", result)
    expect([finding["verdict"] for finding in report["findings"]] == ["possible"], "possible", result)
    finding = report["findings"][0]
    threads = {thread["name"]: thread for thread in finding["threads"]}
    expect(set(threads) == {"teller", "auditor"}, "threads by name", result)
    expect({resource["name"] for resource in finding["resources"]} == {"accounts", "audit"}, "locks by name", result)
    expect("crossed.c:" in json.dumps(threads["teller"]["wants"]), "with its line", result)
    expect(finding["witness"]["replayed"], "replayed", result)


# Named before its first use, named while in use, and named in its first life only.
NAMED = r"""
#include <gordian/annotate.h>
#include <pthread.h>
static pthread_mutex_t early = PTHREAD_MUTEX_INITIALIZER, late = PTHREAD_MUTEX_INITIALIZER, reused;
static void cross(pthread_mutex_t* a, pthread_mutex_t* b) {
  pthread_mutex_lock(a);
  pthread_mutex_lock(b);
  pthread_mutex_unlock(b);
  pthread_mutex_unlock(a);
}
static void* auditor(void* unused) {
  cross(&late, &early);
  cross(&reused, &early);
  return unused;
}
int main(void) {
  pthread_t other;
  GORDIAN_NAMED(&early, "the accounts");
  GORDIAN_NAMED(&reused, "no more");
  pthread_mutex_init(&reused, 0);
  cross(&early, &late);
  GORDIAN_NAMED(&late, "an audit");
  cross(&early, &reused);
  pthread_create(&other, 0, auditor, 0);
  pthread_join(other, 0);
}
"""


def names_of(finding):
    return {resource["name"] for resource in finding["resources"]}


def test_lines_without_a_table_of_addresses(world):
    """clang writes no .debug_aranges."""
    program = world.build("crossed", CROSSED, "-pthread", "-g", "-DFREE")
    made = world.run("objcopy", "--remove-section", ".debug_aranges", program)
    expect(made.status == 0, "objcopy", made)
    result = world.run(world.gordian, "run", "--", program)
    expect(len(re.findall(r"teller +\S*crossed\.c:\d+", result.err)) >= 2, "lines", result)


def test_announced_names(world):
    program = world.build("named", NAMED, "-pthread", "-I" + os.path.join(TESTS, "..", "include"))
    result, path = record(world, program)
    result, report = predict(world, path, "--refuted")
    found = [names_of(finding) for finding in report["findings"]]
    expect(sorted(map(sorted, found)) == [["an audit", "the accounts"], ["reused", "the accounts"]], f"names: {found}", result)
    text = export(world, path)
    expect("# L0 is the accounts\n" in text and " is reused\n" in text, "STD names them too", result)


def test_announced_kinds(world):
    if not os.path.exists(world.kind("sync/parts")):
        return
    _, path = record(world, world.kind("sync/parts"), "lucky")
    result, report = predict(world, path)
    found = {resource["name"]: resource for finding in report["findings"] for resource in finding["resources"]}
    expect({name: resource["kind"] for name, resource in found.items()} == {"streams": "mutex", "handle": "mutex"},
           f"kinds: {found}", result)
    expect(found["streams"]["level"] == 2, "its level", result)
    result = world.run(world.gordian, "predict", path)
    expect("lock of the program's own" not in result.out + result.err, "called what it is", result)


def test_a_signal_refutes(world):
    program = world.build("crossed", CROSSED, "-pthread")
    result, path = record(world, program)
    result, report = predict(world, path)
    expect([finding["verdict"] for finding in report["findings"]] == ["refuted"], "refuted", result)


def test_a_post_inside_of_a_section_refutes(world):
    for option, verdict in (("-DPOSTS", "refuted"), ("-DSPINS", "possible")):
        program = world.build("gated", GATED, "-pthread", option)
        result, path = record(world, program)
        result, report = predict(world, path)
        expect([finding["verdict"] for finding in report["findings"]] == [verdict], f"{option}: {verdict}", result)


def test_std_says_the_same(world):
    program = world.build("crossed", CROSSED, "-pthread", "-DFREE")
    result, path = record(world, program)
    text = export(world, path)
    result, report = predict(world, world.write("run.std", text))
    expect([finding["verdict"] for finding in report["findings"]] == ["possible"], "possible, not proved", result)
    program = world.build("ordered", CROSSED, "-pthread")
    result, path = record(world, program)
    result, report = predict(world, world.write("ordered.std", export(world, path)))
    expect([finding["verdict"] for finding in report["findings"]] == ["refuted"], "the signal's order too", result)


def test_timeline(world):
    program = world.build("crossed", CROSSED, "-pthread", "-DFREE")
    result, path = record(world, program)
    trace = json.loads(export(world, path, "--perfetto"))
    events = trace["traceEvents"]
    names = {event["args"]["name"] for event in events if event["name"] == "thread_name"}
    expect({"teller", "auditor"} <= names, "threads", result)
    holds = [event["name"] for event in events if event.get("cat") == "hold"]
    expect(holds.count("holds accounts") == 2 and holds.count("holds audit") == 2, "holds", result)
    waits = [event for event in events if event.get("cat") == "wait"]
    expect(any("the end of" in event["name"] for event in waits), "joins", result)
    expect(all(event["dur"] >= 0 for event in events if event["ph"] == "X"), "time goes on", result)


def test_every_kind_of_lock(world):
    """What a scenario did is well-formed as STD, and nothing is missing from it."""
    seen = 0
    for program, case in KINDS:
        if not os.path.exists(world.kind(program)):
            continue
        seen += 1
        name = f"{program} {case}"
        path = world.path("kind.grec")
        world.run(world.gordian, "run", "-q", "--no-children", "--record", path, "--", world.kind(program), case)
        text = export(world, path)
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        result, report = predict(world, world.write("kind.std", text))
        expect(result.status in (0, 66), f"{name}: well-formed", result)
        expect(report["trace"]["events"] == len(lines), f"{name}: all lines are events", result)
        _, own = predict(world, path)
        locks = sum(1 for line in lines if re.search(r"\|(acq|racq|tacq)\(", line))
        expect(own["trace"]["acquisitions"] == locks and lines, f"{name}: {own['trace']} and {locks} acquisitions", result)
    expect(seen > 10, "scenarios are there", result)


KINDS = [("mutex/lock_order", "lucky"), ("mutex/lock_order", "try"), ("mutex/types", "recursive"),
         ("mutex/types", "owner-died"), ("rwlock/rwlock", "lucky-write-read"), ("rwlock/rwlock", "shared-mutex"),
         ("spin/spin", "consistent"), ("condition/condition", "lucky-outer-lock"), ("condition/condition", "broadcast"),
         ("semaphore/semaphore", "lucky"), ("barrier/barrier", "asked-before"), ("once/once", "guard-done"),
         ("join/join", "lucky"), ("glib/glib", "lucky"), ("glib/glib", "recursive"), ("c11/c11", "recursive"),
         ("cancel/cancel", "condition"), ("annotate/annotate", "lucky"), ("mutex/lock_order", "cycle")]


def counted(world, path):
    """Acquisitions that a reader can use, and what the recording says it lost."""
    _, report = predict(world, path)
    return report["trace"]["acquisitions"]


def test_blocking_loses_nothing(world):
    program = world.build("busy", BUSY, "-pthread")
    result, path = record(world, program, "200000", options=["--record-full=block"], timeout=120)
    expect(result.status == 0, "as without us", result)
    expect(counted(world, path) == 400000, f"{counted(world, path)} acquisitions", result)


# Three hundred stacks of 4 KiB, while nobody takes anything out of the ring.
MANY_STACKS = r"""
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void lock_at(int depth) {
  volatile char frame[128];
  frame[0] = 0;
  if (depth > 0) {
    lock_at(depth - 1);
  } else {
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
  }
  frame[1] = 0;
}
int main(void) {
  kill(getppid(), SIGSTOP);
  for (int depth = 100; depth < 400; ++depth) lock_at(depth);
  kill(getppid(), SIGCONT);
}
"""


def test_stacks_leave_room_for_events(world):
    result, path = record(world, world.build("stacks", MANY_STACKS, "-pthread"))
    expect(result.status == 0, "as without us", result)
    _, report = predict(world, path)
    expect(report["trace"]["missing"] == 0, f"{report['trace']['missing']} records are missing", result)
    expect(report["trace"]["acquisitions"] == 300, "every acquisition", result)


def test_cut_anywhere(world):
    program = world.build("busy", BUSY, "-pthread")
    result, path = record(world, program, "30000", options=["--record-full=block"], timeout=120)
    with open(path, "rb") as file:
        whole = file.read()
    chance = random.Random(4)
    for _ in range(20):
        size = chance.randrange(len(whole))
        with open(world.path("cut.grec"), "wb") as file:
            file.write(whole[:size])
        result = world.run(world.gordian, "predict", "-q", world.path("cut.grec"))
        expect(result.status == (2 if size < 80 else 0), f"cut at {size} of {len(whole)}", result)
    # In the middle of the first chunk: no process is known then.
    with open(world.path("cut.grec"), "wb") as file:
        file.write(whole[:100])
    result = world.run(world.gordian, "predict", world.path("cut.grec"))
    expect("damaged, or ends before its program did" in result.out, "said", result)


def kill_at_random(world, whom):
    program = world.build("busy", BUSY, "-pthread")
    chance = random.Random(whom)
    for turn in range(3):
        path = world.path(f"killed{turn}.grec")
        judge = world.start([world.gordian, "run", "-q", "--record", path, "--", program])
        least = chance.randrange(1, 200) * 1000
        world.wait_for(lambda: os.path.exists(path) and os.path.getsize(path) > least, "some of the recording")
        victims = [pid for pid in world.processes() if (pid == judge.pid) == (whom == "judge")]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        if whom == "judge":
            world.end_all()
        judge.communicate(timeout=30)
        result = world.run(world.gordian, "predict", path)
        expect(result.status == 0, f"readable after {least} bytes", result)
        expect(counted(world, path) > 0, "with something in it", result)


def test_program_killed(world):
    kill_at_random(world, "program")


def test_judge_killed(world):
    kill_at_random(world, "judge")


def test_old_versions_are_read(world):
    """One small recording of each version of the format; this is CROSSED, without its executable."""
    golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "traces", "v1", "crossed.grec")
    result, report = predict(world, golden)
    expect([finding["verdict"] for finding in report["findings"]] == ["possible"], "its finding", result)
    expect({thread["name"] for thread in report["findings"][0]["threads"]} == {"teller", "auditor"}, "names", result)
    expect(report["trace"]["acquisitions"] == 4, "all of it", result)


def test_refusals(world):
    result = world.run(world.gordian, "run", "--record", world.path("no/such"), "--", "/bin/true")
    expect(result.status == 2 and "cannot write" in result.err, "no folder", result)
    os.symlink(world.path("elsewhere"), world.path("link"))
    result = world.run(world.gordian, "run", "--record", world.path("link"), "--", "/bin/true")
    expect(result.status == 2 and "symbolic link" in result.err, "a link", result)
    result = world.run(world.gordian, "export", world.write("text", "T0|acq(L)|1\n"))
    expect(result.status == 2 and "not a recording" in result.err, "no recording", result)


def test_one_program_of_several(world):
    """A child that executes a program is two of them under one id, and each can be named."""
    program = world.build("crossed", CROSSED, "-pthread", "-DFREE")
    shell = world.build("starter", STARTER, "-pthread")
    _, path = record(world, shell, program)
    kept = world.write("kept.std", "precious")
    result = world.run(world.gordian, "export", path, "-o", kept)
    expect(result.status == 2 and "of several" in result.err, "which one?", result)
    with open(kept, encoding="utf-8") as file:
        expect(file.read() == "precious", "nothing was begun", result)
    named = re.findall(r"(\d+:\d+) \(", result.err)
    expect([name.split(":")[1] for name in named] == ["1", "2"], "both are named", result)
    texts = [export(world, path, "--pid", name) for name in named]
    expect("before_exec" in texts[0] and "before_exec" not in texts[1], "before it", result)
    expect("teller" in texts[1], "after it", result)
    for wrong in (named[0].split(":")[0] + ":3", "0", "1:", "1:0", "x"):
        result = world.run(world.gordian, "export", "--pid", wrong, path)
        expect(result.status == 2 and "gordian:" in result.err, wrong, result)


if __name__ == "__main__":
    harness.main(globals())
