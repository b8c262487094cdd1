#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian cc: programs that tell what they read and write, and what gordian predict makes of it."""

import json
import os
import random
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness
from harness import Skip, expect

# Two threads take two locks in both orders, the second one later. What keeps them apart is its first
# argument: nothing but a head start (which ends by itself), a flag, or what one hands to the other.
CROSSED = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int plain_function(int);
static pthread_mutex_t accounts = PTHREAD_MUTEX_INITIALIZER, audit = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static long balance[2];
static const char* how;
static int atomic_flag, teller_id;
static volatile char plain_flag[8];
static struct item { struct item* next; } *queue, handed;
static struct { char from[40], to[40]; } copied;
static char passed_by[16] __attribute__((aligned(8)));
static volatile size_t touched;
static int is(const char* what) { return strcmp(how, what) == 0; }
static void* teller(void* unused) {
  __atomic_store_n(&teller_id, syscall(SYS_gettid), __ATOMIC_RELEASE);
  pthread_mutex_lock(&accounts);
  pthread_mutex_lock(&audit);
  balance[0]++;
  pthread_mutex_unlock(&audit);
  pthread_mutex_unlock(&accounts);
  if (is("atomic")) __atomic_store_n(&atomic_flag, 1, __ATOMIC_RELEASE);
  if (is("exchange")) __atomic_fetch_add(&atomic_flag, 1, __ATOMIC_ACQ_REL);
  if (is("plain")) plain_flag[3] = 1;
  if (is("queue")) {
    pthread_mutex_lock(&gate);
    handed.next = queue;
    queue = &handed;
    pthread_mutex_unlock(&gate);
  }
  if (is("copy")) {
    pthread_mutex_lock(&gate);
    memcpy(copied.to, copied.from, strlen(how) * 10);
    pthread_mutex_unlock(&gate);
  }
  const size_t none = touched;
  if (is("nothing set")) memset(passed_by + 3, 1, none);
  if (is("nothing put")) strncpy(passed_by + 3, "x", none);
  if (is("nothing read")) passed_by[5] = 1;
  return unused;
}
static long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec;
}
static void head_start(void) {
  int other;
  for (long begin = now(); now() - begin < 5; sched_yield()) {
    other = __atomic_load_n(&teller_id, __ATOMIC_ACQUIRE);
    if (other != 0 && syscall(SYS_tgkill, getpid(), other, 0) != 0) return;
  }
}
static void* auditor(void* unused) {
  head_start();
  if (is("atomic")) while (!__atomic_load_n(&atomic_flag, __ATOMIC_ACQUIRE)) {}
  if (is("exchange")) for (int one = 1; !__atomic_compare_exchange_n(&atomic_flag, &one, 2, 0, 5, 5); one = 1) {}
  if (is("plain")) while (!plain_flag[3]) {}
  for (int done = !is("queue"); !done;) {
    pthread_mutex_lock(&gate);
    done = queue != NULL;
    pthread_mutex_unlock(&gate);
  }
  for (int done = !is("copy"); !done;) {
    pthread_mutex_lock(&gate);
    done = copied.to[20] == 'x';
    pthread_mutex_unlock(&gate);
  }
  touched = is("nothing read") ? strnlen(passed_by + 3, touched) : (size_t)passed_by[5];
  pthread_mutex_lock(&audit);
  pthread_mutex_lock(&accounts);
  balance[1]--;
  pthread_mutex_unlock(&accounts);
  pthread_mutex_unlock(&audit);
  return unused;
}
int main(int argc, char** argv) {
  how = argc > 1 ? argv[1] : "";
  memset(copied.from, 'x', sizeof copied.from);
  pthread_t one, two;
  pthread_create(&one, 0, teller, 0);
  pthread_create(&two, 0, auditor, 0);
  pthread_join(one, 0);
  pthread_join(two, 0);
#ifdef WITH_PLAIN
  return plain_function(-1);
#endif
}
"""

PLAIN = "int plain_function(int x) { return x + 1; }\n"

# Of a machine that has other work to do, in seconds.
SLOWEST_COMPILER = 240

ORDERED = ("atomic", "exchange", "plain", "queue", "copy")
UNORDERED = ("", "nothing set", "nothing put", "nothing read")


def compile_told(world, name, *words, compiler="cc", source=CROSSED):
    if shutil.which(compiler) is None:
        raise Skip(f"no {compiler}")
    world.write(name + ".c", source)
    world.environment["GORDIAN_CC"] = compiler
    made = world.run(world.gordian, "cc", "-O2", "-g", "-pthread", world.path(name + ".c"), *words, "-o", world.path(name),
                     timeout=SLOWEST_COMPILER)
    expect(made.status == 0 and made.err == "", "compiled, without a word", made)
    return world.path(name)


def recorded_findings(world, program, *words):
    path = world.path("run.grec")
    result = world.run(world.gordian, "run", "-q", "--on-deadlock=keep", "--record", path, "--", program, *words)
    expect(result.status == 0, "as without us", result)
    target = world.path("out.json")
    result = world.run(world.gordian, "predict", "--json", target, path)
    with open(target, encoding="utf-8") as file:
        report = json.load(file)
    os.remove(path)
    return report["findings"], result


def verdicts(world, program, *words):
    findings, result = recorded_findings(world, program, *words)
    return [finding["verdict"] for finding in findings], result


def check_twins(world, compiler):
    """Which thread runs when is left to the machine: a thread may even get the ring of one that has ended."""
    program = compile_told(world, "crossed", compiler=compiler)
    for how in UNORDERED:
        found, result = verdicts(world, program, how)
        expect(found == ["proved"] and result.status == 66, how + " orders nobody", result)
    for how in ORDERED:
        found, result = verdicts(world, program, how)
        expect(found == ["refuted"] and result.status == 0, how + " orders them", result)


def test_gcc(world):
    check_twins(world, "gcc")


def test_clang(world):
    """It leaves too much out: nothing is proved. What it does not leave out refutes."""
    program = compile_told(world, "crossed", compiler="clang")
    found, result = verdicts(world, program)
    expect(found == ["possible"], "possible", result)
    for how in ORDERED:
        found, result = verdicts(world, program, how)
        expect(found == ["refuted"], how + " orders them", result)


def test_exported_it_says_the_same(world):
    """As STD text; and on a time line each read has its write, which was before."""
    program = compile_told(world, "crossed")
    for how, expected in (("", "proved"), ("atomic", "refuted"), ("queue", "refuted")):
        path, target, text = world.path("run.grec"), world.path("out.json"), world.path("run.std")
        result = world.run(world.gordian, "run", "-q", "--record", path, "--", program, how)
        expect(result.status == 0, "recorded", result)
        for source in (path, text):
            if source == text:
                result = world.run(world.gordian, "export", path, "-o", text)
                expect(result.status == 0, "exported", result)
            result = world.run(world.gordian, "predict", "--json", target, source)
            with open(target, encoding="utf-8") as file:
                report = json.load(file)
            expect([finding["verdict"] for finding in report["findings"]] == [expected], source, result)
            expect(report["trace"]["complete_memory"], "all of it", result)
        result = world.run(world.gordian, "export", "--perfetto", path)
        events = json.loads(result.out)["traceEvents"]
        wrote = {event["id"]: event for event in events if event["ph"] == "s"}
        read = [event for event in events if event["ph"] == "f"]
        expect(all(event["id"] in wrote for event in read), "each read has its write", result)
        expect(how == "" or any(event["tid"] != wrote[event["id"]]["tid"] for event in read), "of another thread", result)
        expect(all(event["ts"] >= wrote[event["id"]]["ts"] for event in read), "before", result)


def test_what_calls_what_is_not_followed(world):
    program = compile_told(world, "caller", "-DWITH_PLAIN", world.write("random.c", """
#include <stdlib.h>
static struct random_data state;
static char bytes[64];
int plain_function(int x) {
  int value = x;
  initstate_r(1, bytes, sizeof bytes, &state);
  random_r(&state, &value);
  return 0;
}
"""))
    found, result = verdicts(world, program)
    expect(found == ["possible"] and "functions of libc that are not followed" in " ".join(result.out.split()), "said", result)
    with open(program, "rb") as file:
        expect(re.search(b"random_r, initstate_r|initstate_r, random_r", file.read()), "named in its note", result)


def test_checked_functions_are_followed_too(world):
    for words in (["-D_FORTIFY_SOURCE=2"], ["-Wp,-D_FORTIFY_SOURCE=2"]):
        program = compile_told(world, "crossed", *words)
        found, result = verdicts(world, program, "copy")
        expect(found == ["refuted"] and "reads and writes count" in result.out + result.err, str(words), result)


def test_alone_it_does_nothing(world):
    program = compile_told(world, "crossed")
    result = world.run(program)
    expect(result.status == 0 and result.out + result.err == "", "as without us", result)


def test_a_child_that_becomes_another_program(world):
    """It tells nothing, but takes no lock either."""
    source = CROSSED.replace("int main(", "int cross(") + """
#include <sys/wait.h>
int main(int argc, char** argv) {
  const int status = cross(argc, argv);
  const pid_t child = fork();
  if (child == 0) execlp("true", "true", NULL);
  waitpid(child, NULL, 0);
  return status;
}
"""
    program = compile_told(world, "crossed", source=source)
    found, result = verdicts(world, program)
    expect(found == ["proved"] and "reads and writes count" in result.out, "proved", result)

    world.write("other.c", "#include <pthread.h>\nstatic pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;\n"
                           "int main(void) { return pthread_mutex_lock(&lock); }\n")
    subprocess.run(["cc", "-pthread", "-o", world.path("other"), world.path("other.c")], check=True)
    program = compile_told(world, "crossed", source=source.replace('"true", "true"', f'"{world.path("other")}", "other"'))
    found, result = verdicts(world, program)
    expect(found == ["proved"] and "go by (the program was not built with gordian cc" in result.out, "says so", result)


def test_what_is_built_otherwise_is_not_whole(world):
    world.write("plain.c", PLAIN)
    made = subprocess.run(["cc", "-O2", "-fPIC", "-c", "-o", world.path("plain.o"), world.path("plain.c")], check=False)
    expect(made.returncode == 0, "cc")
    program = compile_told(world, "with-object", "-DWITH_PLAIN", world.path("plain.o"))
    found, result = verdicts(world, program)
    expect(found == ["possible"] and "with-object" in result.out, "an object file", result)

    subprocess.run(["ar", "rcs", world.path("libplain.a"), world.path("plain.o")], check=True)
    program = compile_told(world, "with-archive", "-DWITH_PLAIN", world.path("libplain.a"))
    found, result = verdicts(world, program)
    expect(found == ["possible"], "an archive", result)

    subprocess.run(["cc", "-shared", "-o", world.path("libplain.so"), world.path("plain.o")], check=True)
    program = compile_told(world, "with-library", "-DWITH_PLAIN", world.path("libplain.so"),
                           "-Wl,-rpath," + world.directory)
    found, result = verdicts(world, program)
    expect(found == ["possible"] and "libplain.so" in result.out, "a library", result)

    made = world.run(world.gordian, "cc", "-O2", "-shared", "-fPIC", "-o", world.path("libplain.so"), world.path("plain.c"))
    expect(made.status == 0, "the library anew", made)
    found, result = verdicts(world, program)
    expect(found == ["proved"], "a library that tells", result)


def compile_plain(world, name, source=PLAIN, *words):
    world.write(name + ".c", source)
    made = subprocess.run(["cc", "-O2", "-fPIC", "-c", *words, "-o", world.path(name + ".o"), world.path(name + ".c")], check=False)
    expect(made.returncode == 0, "cc")
    return world.path(name + ".o")


def test_code_wherever_it_lies(world):
    """Not in .text: what the linker puts into a section of another name."""
    hot = compile_plain(world, "hot", '__attribute__((section("hot"))) ' + PLAIN)
    for linker in ("bfd", "lld"):
        if shutil.which("ld." + linker) is None:
            continue
        program = compile_told(world, "crossed", "-DWITH_PLAIN", hot, "-fuse-ld=" + linker)
        found, result = verdicts(world, program)
        expect(found == ["possible"], linker + ": not all is told", result)


def test_what_only_bears_the_names_of_the_compilers_own(world):
    plain = compile_plain(world, "plain")
    os.mkdir(world.path("crt"))
    for name in ("crt1.o", "crtbeginX.o", "crtbeginS.o", "libgcc.a"):
        path = world.path("crt/" + name)
        if name.endswith(".a"):
            subprocess.run(["ar", "rcs", path, plain], check=True)
        else:
            shutil.copy(plain, path)
        # Where LIBRARY_PATH leads, it is searched as the compiler's own folders are.
        world.environment["LIBRARY_PATH"] = world.path("crt")
        program = compile_told(world, "crossed", "-DWITH_PLAIN", path)
        found, result = verdicts(world, program)
        expect(found == ["possible"], name, result)


def test_objects_put_together(world):
    """By ld -r, which adds code to one that tells; by gordian cc -r, which looks at what it adds."""
    world.write("crossed.c", CROSSED)
    parts = {"plain": compile_plain(world, "plain"), "hot": compile_plain(world, "hot", '__attribute__((section("hot"))) ' + PLAIN)}
    world.write("assembled.s", ".text\n.globl plain_function\nplain_function: ret\n.section .note.GNU-stack\n")
    subprocess.run(["cc", "-c", world.path("assembled.s"), "-o", world.path("assembled.o")], check=True)
    parts["assembled"] = world.path("assembled.o")
    world.write("told.c", PLAIN)
    parts["told"] = world.path("told.o")
    compilers = ["gcc"]
    linkers = [name for name in ("ld.bfd", "ld.lld", "ld.gold") if shutil.which(name) is not None]
    for compiler in compilers:
        world.environment["GORDIAN_CC"] = compiler
        for source, object_file, words in (("crossed.c", "crossed.o", ["-DWITH_PLAIN", "-pthread"]), ("told.c", "told.o", [])):
            made = world.run(world.gordian, "cc", "-O2", "-fPIC", *words, "-c", world.path(source), "-o", world.path(object_file),
                             timeout=SLOWEST_COMPILER)
            expect(made.status == 0, "compiled", made)
        for name, part in parts.items():
            ways = [([linker, "-r"], ["possible"]) for linker in linkers if name != "told"]
            ways.append(([world.gordian, "cc", "-nostdlib", "-r"], ["proved" if name == "told" else "possible"]))
            for words, expected in ways:
                made = world.run(*words, world.path("crossed.o"), part, "-o", world.path("both.o"))
                expect(made.status == 0, f"{words} {name}", made)
                made = world.run(world.gordian, "cc", "-pthread", world.path("both.o"), "-o", world.path("crossed"))
                expect(made.status == 0, f"{words} {name}", made)
                found, result = verdicts(world, world.path("crossed"))
                expect(found == expected, f"{compiler}: {words} {name}", result)


def test_objects_named_by_the_compiler(world):
    world.write("crossed.c", CROSSED)
    world.write("told.c", PLAIN)
    made = world.run(world.gordian, "cc", "-DWITH_PLAIN", "-pthread", "-c", "crossed.c", "told.c", cwd=world.directory,
                     timeout=SLOWEST_COMPILER)
    expect(made.status == 0, "compiled", made)
    made = world.run(world.gordian, "cc", "-pthread", "crossed.o", "told.o", "-o", "crossed", cwd=world.directory)
    expect(made.status == 0, "linked", made)
    found, result = verdicts(world, world.path("crossed"))
    expect(found == ["proved"], "each tells", result)


def test_linkers(world):
    linkers = [name for name in ("bfd", "gold", "lld") if shutil.which("ld." + name) is not None]
    for linker in linkers:
        program = compile_told(world, "crossed", "-fuse-ld=" + linker)
        found, result = verdicts(world, program)
        expect(found == ["proved"], linker, result)


def test_a_story_that_was_lucky(world):
    """Kvrocks' replication: a lock held exclusively, a join, and std::map, std::string and a socket in between."""
    scenarios = os.path.join(os.path.dirname(world.tools), "scenarios")
    for twin, expected in (("Lucky", ["proved"]), ("Repaired", [])):
        program = world.path("replication-" + twin)
        made = world.run(world.gordian, "c++", "-std=c++20", "-O1", "-pthread", "-I", scenarios, "-DSCENARIO_TWIN=" + twin,
                         "-o", program, os.path.join(scenarios, "replication", "replication.cpp"), timeout=SLOWEST_COMPILER)
        expect(made.status == 0, "compiled", made)
        found, result = verdicts(world, program)
        expect([verdict for verdict in found if verdict != "refuted"] == expected, twin, result)
        expect("reads and writes count" in result.out + result.err, twin + " tells all", result)


# The second thread is made when the first is gone, and its state lies where that of the first one was. That keeps
# nothing apart; what "handed" waits for does, though the one who waits frees it.
FREED = r"""
#include <atomic>
#include <cstring>
#include <mutex>
#include <sched.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
static std::mutex accounts, audit;
static std::atomic<int> teller_id;
int main(int argc, char** argv) {
  const bool is_handed = argc > 1 && std::strcmp(argv[1], "handed") == 0;
  volatile int* const handed = new int(0);
  std::thread teller([=] {
    teller_id = static_cast<int>(syscall(SYS_gettid));
    {
      const std::scoped_lock first(accounts);
      const std::scoped_lock second(audit);
    }
    *handed = 1;
  });
  while (teller_id == 0 || syscall(SYS_tgkill, getpid(), teller_id.load(), 0) == 0) sched_yield();
  std::thread auditor([=] {
    if (is_handed) {
      while (*handed == 0) sched_yield();
      delete handed;
    }
    const std::scoped_lock first(audit);
    const std::scoped_lock second(accounts);
  });
  teller.join();
  auditor.join();
}
"""


def test_memory_that_is_used_again_orders_nobody(world):
    world.write("freed.cpp", FREED)
    program = world.path("freed")
    made = world.run(world.gordian, "c++", "-std=c++20", "-O1", "-g", "-pthread", "-o", program, world.path("freed.cpp"),
                     timeout=SLOWEST_COMPILER)
    expect(made.status == 0 and made.err == "", "compiled", made)
    for how, expected in (("again", "proved"), ("handed", "refuted")):
        found, result = verdicts(world, program, how)
        expect(found == [expected], how, result)


# A courier copies what the teller writes until it is there, and ends; only then the auditor looks at the copy. So the
# auditor comes after the teller by the copy alone. "nothing" copies what nobody writes.
# A thread ends, another gets its ring, and a third hears of both, of the second one first. None of them sees in
# the program's memory which of them may run.
RING = r"""
#include <mutex>
#include <sched.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
static std::mutex accounts, audit;
alignas(64) static volatile int value;
alignas(64) static volatile int other;
alignas(64) static volatile int own;
alignas(64) static int writer_id;
alignas(64) static int may_read;
static void set(int* flag, int number) { asm volatile("movl %1, (%0)" : : "r"(flag), "r"(number) : "memory"); }
static int get(const int* flag) {
  int number;
  asm volatile("movl (%1), %0" : "=r"(number) : "r"(flag) : "memory");
  return number;
}
int main() {
  std::thread reader([] {
    while (get(&may_read) == 0) sched_yield();
    if (other != 1) _exit(1);
    own = 1;
    if (value != 7) _exit(1);
    const std::scoped_lock first(audit);
    const std::scoped_lock second(accounts);
  });
  std::thread([] {
    set(&writer_id, static_cast<int>(syscall(SYS_gettid)));
    {
      const std::scoped_lock first(accounts);
      const std::scoped_lock second(audit);
    }
    value = 7;
  }).detach();
  while (get(&writer_id) == 0) sched_yield();
  while (syscall(SYS_tgkill, getpid(), get(&writer_id), 0) == 0) sched_yield();
  std::thread heir([] {
    other = 1;
    set(&may_read, 1);
  });
  heir.join();
  reader.join();
}
"""


def compile_ways(world, name, *words):
    """The ways of told_by_NAME.inc, each of which forbids a deadlock that would be proved otherwise."""
    folder = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(folder, f"told_by_{name}.inc"), encoding="utf-8") as file:
        ways = re.findall(r"^WAY\((\w+),", file.read(), re.MULTILINE)
    program = world.path("told")
    made = world.run(world.gordian, "c++", "-std=c++17", *words, "-mcx16", "-pthread", f'-DWAYS="told_by_{name}.inc"',
                     "-o", program, os.path.join(folder, "told_by_libc.cpp"), timeout=SLOWEST_COMPILER)
    expect(made.status == 0 and made.err == "", "compiled, without a word", made)
    return program, ways


def way_of(finding):
    return re.sub("(one|two)$", "", finding["resources"][0]["name"])


def expect_all_told(world, program, ways):
    findings, result = recorded_findings(world, program)
    expect("reads and writes count" in result.out + result.err, "nothing is missing", result)
    refuted = {way_of(finding) for finding in findings if finding["verdict"] == "refuted"}
    expect(refuted == set(ways), f"lost: {set(ways) - refuted}", result)
    return findings, result


def test_what_libc_carries_from_thread_to_thread(world):
    program, ways = compile_ways(world, "libc", "-O2")
    findings, result = expect_all_told(world, program, ways)
    expect(len(findings) == len(ways), "each once", result)


def test_copies_are_those_of_a_model(world):
    """By themselves and recorded, which goes other ways."""
    program, seed = world.path("copies_model"), str(random.randrange(1 << 32))
    made = world.run(world.gordian, "c++", "-std=c++17", "-O1", "-g", "-fno-builtin", "-o", program,
                     os.path.join(os.path.dirname(os.path.abspath(__file__)), "copies_model.cpp"), timeout=SLOWEST_COMPILER)
    expect(made.status == 0 and made.err == "", "compiled, without a word", made)
    result = world.run(program, seed)
    expect(result.status == 0, "bare", result)
    result = world.run(world.gordian, "run", "-q", "--record", world.path("run.grec"), "--", program, seed)
    expect(result.status == 0, "recorded", result)


def check_compiler(world, *words):
    program, ways = compile_ways(world, "compiler", *words)
    findings, result = expect_all_told(world, program, set(ways) - {"nothing_copied"})
    others = [(way_of(finding), finding["verdict"]) for finding in findings if finding["verdict"] != "refuted"]
    expect(others == [("nothing_copied", "proved")], "a copy of what nobody wrote orders nobody", result)


def test_what_gcc_does_itself(world):
    check_compiler(world, "-O0")


def test_what_gcc_does_itself_at_its_best(world):
    check_compiler(world, "-O3")


def test_a_thread_that_gets_the_ring_of_another(world):
    """Who comes after what the second wrote comes not after the first, whose value is read later."""
    world.write("ring.cpp", RING)
    program = world.path("ring")
    made = world.run(world.gordian, "c++", "-std=c++17", "-O1", "-pthread", "-o", program, world.path("ring.cpp"),
                     timeout=SLOWEST_COMPILER)
    expect(made.status == 0, "compiled", made)
    found, result = verdicts(world, program)
    expect(found == ["refuted"] and "reads and writes count" in result.out, "refuted", result)


def test_small_stacks(world):
    """Copies go by way of the stack, one after the other in the same place."""
    world.write("frame.c", """
#include <pthread.h>
struct Large { char bytes[4000]; } made, places[64];
__attribute__((noinline)) struct Large make(int byte) { made.bytes[0] = (char)byte; return made; }
""" + "void* fill(void* unused) {\n" + "".join(f"  places[{i}] = make({i});\n" for i in range(32)) + """
  return unused;
}
int main(void) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  pthread_t thread;
  if (pthread_create(&thread, &attributes, fill, 0) != 0) return 1;
  pthread_join(thread, 0);
  return places[31].bytes[0] != 31;
}
""")
    for level in ("-O0", "-O2"):
        made = world.run(world.gordian, "cc", level, "-pthread", "-o", world.path("frame"), world.path("frame.c"),
                         timeout=SLOWEST_COMPILER)
        expect(made.status == 0, "compiled", made)
        result = world.run(world.path("frame"))
        expect(result.status == 0, level, result)


def test_a_gcc_that_is_not_known(world):
    """Nothing makes it tell all, so nothing that it compiled is whole."""
    world.write("gcc-unknown", '#!/bin/sh\n[ "$1 $2" = "-E -dM" ] && echo "#define __GNUC__ 99" && exit\nexec gcc "$@"\n')
    os.chmod(world.path("gcc-unknown"), 0o700)
    program = compile_told(world, "crossed", compiler=world.path("gcc-unknown"))
    found, result = verdicts(world, program)
    expect(found == ["possible"], "no proof", result)
    expect("a compiler it knows" in result.out, "why not", result)
    found, result = verdicts(world, program, "atomic")
    expect("(not all of crossed was built with" in result.out, "why not, where nothing is found, too", result)
    listed = world.run("readelf", "-p", ".note.gordian", program)
    expect("crossed.o" in listed.out, "names it", listed)


def test_what_gcc_cannot_tell(world):
    """A function that must not tell anything, an instruction of which it is not known how far it reaches, and code
    in assembly."""
    for hole in ('__attribute__((no_sanitize("thread"))) void leave_out(int* it) { *it = 1; }',
                 "#include <emmintrin.h>\nvoid stream(__m128i* to) { _mm_stream_si128(to, _mm_setzero_si128()); }",
                 'void move(int* to, int* from) { __asm__("movl %1, %%eax; movl %%eax, %0" : "=m"(*to) : "m"(*from) : "eax"); }',
                 'struct __attribute__((scalar_storage_order("big-endian"))) Big { int one; };\n'
                 'void swap(struct Big* to) { to->one = 1; }',
                 '__asm__(".globl set\\nset: movl $1, flag(%rip)\\nret\\n.comm flag, 4");'):
        program = compile_told(world, "crossed", source=CROSSED + hole + "\n")
        found, result = verdicts(world, program)
        expect(found == ["possible"], "no proof", result)


def test_assembly_that_is_no_code(world):
    source = CROSSED + '__asm__(".pushsection .note.x, \\"\\", @note\\n here: .long 1; .popsection # nothing");\n'
    found, result = verdicts(world, compile_told(world, "crossed", source=source))
    expect(found == ["proved"], "proved", result)


def test_a_function_by_another_name(world):
    """What the program calls memcpy is its own, and stays that."""
    world.write("own.c", """
#include <stddef.h>
#include <stdio.h>
void* memcpy(void* to, const void* from, size_t size) __asm__("own_copy");
void* own_copy(void* to, const void* from, size_t size) {
  for (size_t i = 0; i < size; ++i) ((volatile char*)to)[i] = ((const char*)from)[i];
  *(volatile char*)to = 'X';
  return to;
}
int main(int argc, char** argv) {
  char text[64] = "";
  memcpy(text, "hello, which is long enough", 28 - argc % 2);
  return puts(text) < 0;
}
""")
    for level in ("-O0", "-O2"):
        made = world.run(world.gordian, "cc", level, "-o", world.path("own"), world.path("own.c"), timeout=SLOWEST_COMPILER)
        expect(made.status == 0, "compiled", made)
        result = world.run(world.path("own"))
        expect(result.out.startswith("Xello, which"), "its own function", result)


def test_every_standard_and_warning(world):
    """What is compiled beside the source must not show."""
    world.write("old.c", "/* old */\nint main(void) { return 0; }\n")
    world.write("old.cpp", "int main() { return 0; }\n")
    world.write("new.cpp", "#define _GLIBCXX_DEBUG\n#include <vector>\n#include <string>\n"
                           "int main() { return static_cast<int>(std::vector<std::string>().size()); }\n")
    for compiler in ("gcc", "clang"):
        if shutil.which(compiler) is None:
            continue
        world.environment["GORDIAN_CC"] = compiler
        world.environment["GORDIAN_CXX"] = compiler.replace("gcc", "g++").replace("clang", "clang++")
        for words in (["cc", "-std=c90", "-pedantic-errors", "-Wall", "-Wextra", "-Werror"],
                      ["cc", "-std=c99", "-pedantic-errors", "-Wall", "-Wextra", "-Werror"],
                      ["c++", "-std=c++98", "-pedantic-errors", "-Wall", "-Wextra", "-Werror"],
                      ["c++", "-std=c++20", "-pedantic-errors", "-Wall", "-Wextra", "-Werror"]):
            if compiler == "clang":
                words = words + ["-Weverything", "-Wno-c++98-compat", "-Wno-c++98-compat-pedantic",
                                 "-Wno-reserved-macro-identifier", "-Wno-unused-macros", "-Wno-disabled-macro-expansion"]
            source = "old.c" if words[0] == "cc" else "old.cpp" if words[1] == "-std=c++98" else "new.cpp"
            made = world.run(world.gordian, *words, "-c", "-o", world.path("one.o"), world.path(source),
                             timeout=SLOWEST_COMPILER)
            expect(made.status == 0 and made.err == "", f"{compiler} {words}", made)


def test_what_is_only_preprocessed(world):
    world.write("crossed.c", CROSSED)
    world.environment["GORDIAN_CC"] = "gcc"
    made = world.run(world.gordian, "cc", "-E", "-o", world.path("crossed.i"), world.path("crossed.c"))
    expect(made.status == 0, "preprocessed", made)
    made = world.run(world.gordian, "cc", "-O2", "-pthread", "-o", world.path("crossed"), world.path("crossed.i"),
                     timeout=SLOWEST_COMPILER)
    expect(made.status == 0, "compiled", made)
    found, result = verdicts(world, world.path("crossed"))
    expect(found == ["proved"], "proved", result)
    world.write("text.h", "nothing but text\n")
    for compiler in ("gcc", "clang"):
        if shutil.which(compiler) is None:
            continue
        world.environment["GORDIAN_CC"] = compiler
        made = world.run(world.gordian, "cc", "-E", "-P", "-x", "c", world.path("text.h"))
        expect(made.out == "nothing but text\n", "as it was", made)


def test_a_compiler_with_options(world):
    """Which compiler it is it says itself: names in its options mislead nobody."""
    world.write("script", '#!/bin/sh\nexec clang "$@"\n')
    os.chmod(world.path("script"), 0o700)
    for words in ("gcc -I /usr/lib/clang", world.path("script")):
        if "script" in words and shutil.which("clang") is None:
            continue
        world.environment["GORDIAN_CC"] = words
        world.write("crossed.c", CROSSED)
        made = world.run(world.gordian, "cc", "-O2", "-pthread", world.path("crossed.c"), "-o", world.path("crossed"),
                         timeout=SLOWEST_COMPILER)
        expect(made.status == 0 and made.err == "", "compiled, without a word", made)
        found, result = verdicts(world, world.path("crossed"))
        expect(found == ["possible" if "script" in words else "proved"], words, result)


def test_what_the_process_keeps_for_its_threads(world):
    """Nothing else tells the one thread of the other."""
    program, ways = compile_ways(world, "process", "-O2")
    # What is so already, nobody has to tell.
    if len(os.sched_getaffinity(0)) == 1:
        ways.remove("sched_setaffinity_")
    if os.nice(0) == 19:
        ways.remove("setpriority_")
    for way in ways:
        own = world.path(way)
        os.mkdir(own)
        findings, result = recorded_findings(world, program, way, own)
        verdicts_of_way = [finding["verdict"] for finding in findings
                           if finding["resources"][0]["name"] in (way + "one", way + "two")]
        expect(verdicts_of_way == ["refuted"], way, result)
        expect("reads and writes count" in result.out + result.err, way + ": nothing is missing", result)


# The teller hands something to the auditor through memory that others than the program's own stores change. In
# what MAPPED_UNORDERED names nobody does.
MAPPED = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_mutex_t accounts = PTHREAD_MUTEX_INITIALIZER, audit = PTHREAD_MUTEX_INITIALIZER;
static const char* how;
static int file = -1, ends[2], teller_id;
static volatile char *seen, *other;
static char page[4096], one[] = "1";
static int is(const char* what) { return strcmp(how, what) == 0; }
static int begins(const char* what) { return strncmp(how, what, strlen(what)) == 0; }
static void must(int done) { if (!done) { perror(how); abort(); } }
static void take_both(pthread_mutex_t* first, pthread_mutex_t* second) {
  pthread_mutex_lock(first);
  pthread_mutex_lock(second);
  pthread_mutex_unlock(second);
  pthread_mutex_unlock(first);
}
static char* map(int protection, int flags, int from) {
  char* const mapped = mmap(NULL, sizeof page, protection, flags, from, 0);
  must(mapped != MAP_FAILED);
  return mapped;
}
// Leaves a file of zeros, open for nothing but reading.
static int make_file(const char* name) {
  const int made = open(name, O_CREAT | O_WRONLY, 0600);
  must(write(made, page, sizeof page) == sizeof page && close(made) == 0);
  return open(name, O_RDONLY);
}
static int receive_passed(void) {
  union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control;
  char byte = 'x';
  struct iovec piece = {&byte, 1};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  memset(&control, 0, sizeof control);
  struct cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int sent = open("file", O_RDWR);
  memcpy(CMSG_DATA(header), &sent, sizeof sent);
  must(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0 && sendmsg(ends[0], &message, 0) == 1 && close(sent) == 0);
  file = make_file("file");  // mapped while the descriptor is on its way
  seen = map(PROT_READ, MAP_SHARED, file);
  must(recvmsg(ends[1], &message, 0) == 1);
  int passed = -1;
  memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof passed);
  return passed;
}
static void relay_in_child(void) {
  if (fork() != 0) return;
  if (begins("anonymous")) {
    while (seen[0] == 0) sched_yield();
    seen[100] = 1;
  } else {
    char byte;
    must(read(ends[0], &byte, 1) == 1);
    const int opened = open("file", O_WRONLY);
    must(pwrite(opened, one, 1, 100) == 1);
  }
  _exit(0);
}
// The parent takes no locks, and waits.
static void go_on_in_child(void) {
  if (fork() == 0) return;
  must(wait(NULL) > 0);
  _exit(0);
}
static void prepare(void) {
  const int kind = begins("private") ? MAP_PRIVATE : MAP_SHARED;
  if (begins("anonymous")) {
    other = seen = map(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
    if (is("anonymous, twice")) other = mremap((void*)seen, 0, sizeof page, MREMAP_MAYMOVE);
    if (is("anonymous, by a child")) relay_in_child();
    return;
  }
  if (is("inherited, after a signal")) {
    signal(SIGUSR1, SIG_IGN);
    pthread_kill(pthread_self(), SIGUSR1);
  }
  if (is("memory of a name")) {
    file = memfd_create("file", 0);
    must(ftruncate(file, sizeof page) == 0);
  } else {
    file = make_file("file");
    if (is("inherited, to be written to") || is("file, open since before") || is("protected later") || is("private, open since before"))
      file = open("file", O_RDWR);
  }
  if (is("file, by an earlier child")) {
    must(pipe(ends) == 0);
    relay_in_child();
  }
  seen = map(is("private, own") || is("inherited, to be written to") ? PROT_READ | PROT_WRITE : PROT_READ, kind, file);
  if (is("file, by a child") || is("private, by a child")) {
    must(pipe(ends) == 0);
    relay_in_child();
  }
  if (is("protected later")) {
    other = map(PROT_READ, MAP_SHARED, file);
    must(mprotect((void*)other, sizeof page, PROT_READ | PROT_WRITE) == 0);
  }
  if (is("file, of a passed descriptor")) file = receive_passed();
  if (is("file, gone before it is written") || is("private, gone before it is written")) must(munmap((void*)seen, sizeof page) == 0);
  if (is("file, another one is written")) file = (make_file("second"), open("second", O_RDWR));
  if (is("inherited, to be written to")) other = map(PROT_READ | PROT_WRITE, kind, file);
  if (begins("inherited")) go_on_in_child();
  if (is("zeros")) {
    const int zero = open("/dev/zero", O_RDWR);
    seen = map(PROT_READ | PROT_WRITE, MAP_PRIVATE, zero);
  }
}
static void tell(void) {
  if (is("anonymous, by a child")) seen[0] = 1;
  if (is("anonymous, twice")) other[100] = 1;
  if (is("protected later") || is("inherited, to be written to")) other[100] = 1;
  if (is("memory of a name") || strstr(how, "open since before") || is("file, of a passed descriptor") ||
      is("file, another one is written"))
    must(pwrite(file, one, 1, 100) == 1);
  if (strstr(how, "by a child") || strstr(how, "by an earlier child")) { if (ends[1] != 0) must(write(ends[1], one, 1) == 1); }
  if (strstr(how, "opened later") || is("inherited, after a signal") || strstr(how, "gone before it is written")) {
    file = open("file", O_WRONLY);
    must(pwrite(file, one, 1, 100) == 1);
  }
  if (is("file, by a stream")) {
    FILE* const stream = fopen("file", "r+");
    must(fseek(stream, 100, SEEK_SET) == 0 && fputs(one, stream) >= 0 && fflush(stream) == 0);
  }
  if (is("file, cut")) must(truncate("file", 50) == 0);
  if (is("file, by a command")) must(system("printf 1 | dd of=file bs=1 seek=100 conv=notrunc status=none") == 0);
}
static int is_there(void) {
  if (is("file, cut")) return seen[70] == 0;
  return seen[100] != 0;
}
static void* teller(void* unused) {
  __atomic_store_n(&teller_id, syscall(SYS_gettid), __ATOMIC_RELEASE);
  take_both(&accounts, &audit);
  tell();
  return unused;
}
static void* auditor(void* sends) {
  for (int other_id = 0; other_id == 0 || syscall(SYS_tgkill, getpid(), other_id, 0) == 0; sched_yield())
    other_id = __atomic_load_n(&teller_id, __ATOMIC_ACQUIRE);
  while (sends != NULL && !is_there()) sched_yield();
  take_both(&audit, &accounts);
  return sends;
}
int main(int argc, char** argv) {
  must(chdir(argv[1]) == 0);
  how = argv[2];
  memset(page, 0, sizeof page);
  if (is("file, cut")) page[70] = 1;
  prepare();
  pthread_t first, second;
  pthread_create(&first, 0, teller, 0);
  pthread_create(&second, 0, auditor, argc > 3 ? argv : NULL);
  pthread_join(first, 0);
  pthread_join(second, 0);
  while (wait(NULL) > 0) {}
}
"""

MAPPED_ORDERED = ("anonymous, by a child", "anonymous, twice", "file, open since before", "file, opened later",
                  "file, by a stream", "file, cut", "file, of a passed descriptor", "file, by a child",
                  "file, by an earlier child", "file, by a command", "protected later", "memory of a name", "private, open since before",
                  "private, opened later", "private, by a child", "inherited, to be written to",
                  "inherited, after a signal")
MAPPED_UNORDERED = ("anonymous", "file, unwritten", "private, unwritten", "private, own", "file, another one is written",
                    "file, gone before it is written", "private, gone before it is written", "zeros")


def test_memory_that_others_change(world):
    program = compile_told(world, "mapped", source=MAPPED)
    for number, how in enumerate(MAPPED_UNORDERED + MAPPED_ORDERED):
        own = world.path(str(number))
        os.mkdir(own)
        is_told = ["told"] if how in MAPPED_ORDERED else []
        found, result = verdicts(world, program, own, how, *is_told)
        expect(len(found) == 1 and (found[0] in ("refuted", "possible") if is_told else found == ["proved"]), how, result)


def test_as_a_compiler_of_builds(world):
    world.write("plain.c", PLAIN)
    world.write("crossed.c", CROSSED)
    world.write("CMakeLists.txt", """
cmake_minimum_required(VERSION 3.20)
project(crossed C)
find_package(Threads REQUIRED)
add_library(plain STATIC plain.c)
add_executable(crossed crossed.c)
target_compile_definitions(crossed PRIVATE WITH_PLAIN)
target_link_libraries(crossed PRIVATE plain Threads::Threads)
""")
    world.environment["CC"] = world.gordian + " cc"
    made = world.run("cmake", "-S", world.directory, "-B", world.path("build"), "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                     timeout=SLOWEST_COMPILER)
    expect(made.status == 0, "configure", made)
    made = world.run("cmake", "--build", world.path("build"), timeout=SLOWEST_COMPILER)
    expect(made.status == 0, "build", made)
    found, result = verdicts(world, world.path("build/crossed"))
    expect(found == ["proved"], "proved", result)


def test_with_meson(world):
    """The other systems and compilers take longer: tools/try-compilers tries them."""
    if shutil.which("meson") is None:
        raise Skip("no meson")
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    result = world.run(os.path.join(root, "tools", "try-compilers"), "--build",
                       os.path.join(os.path.dirname(world.gordian), ".."), "--system", "meson", "gcc", timeout=300)
    expect(result.status == 0 and "proved" in result.out, "built and proved", result)


def test_dependencies_name_what_is_made(world):
    """A source that is compiled and linked in one go: make must find the program in the rule, not a file of ours."""
    world.write("plain.c", "int main(void) { return 0; }\n")
    for words, made_here, rule in ((["-o", "plain"], "plain.d", "plain: plain.c"),
                                   (["-o", "plain", "-MF", "rules"], "rules", "plain: plain.c"),
                                   ([], "plain.d", "plain.o: plain.c"),
                                   (["-o", "plain", "-MT", "mine"], "plain.d", "mine: plain.c")):
        made = world.run(world.gordian, "cc", "-MMD", "plain.c", *words, cwd=world.directory, timeout=SLOWEST_COMPILER)
        expect(made.status == 0 and made.err == "", "compiled", made)
        with open(world.path(made_here), encoding="utf-8") as file:
            expect(file.read().startswith(rule), f"{words}: {rule}", made)
        os.remove(world.path(made_here))


def test_lines_that_link_nothing(world):
    world.write("plain.h", "int plain(void);\n")
    world.write("plain.c", "int main(void) { return 0; }\n")
    result = world.run(world.gordian, "cc", "-###", world.path("plain.c"))
    expect(result.status == 0 and "gordian:" not in result.err, "only what would be run", result)
    for words in (["-x", "c-header"], ["-xc-header"], []):
        result = world.run(world.gordian, "cc", *words, world.path("plain.h"), "-o", world.path("plain.h.gch"))
        expect(result.status == 0 and os.path.exists(world.path("plain.h.gch")), f"a precompiled header {words}", result)
        os.remove(world.path("plain.h.gch"))


def test_folders_with_a_comma(world):
    """Where Gordian is installed, and where temporary files go."""
    installed, temporary = world.path("one,two"), world.path("three,four")
    os.mkdir(temporary)
    for folder in ("bin", "lib"):
        shutil.copytree(os.path.join(os.path.dirname(world.gordian), "..", folder), os.path.join(installed, folder), symlinks=True)
    world.write("crossed.c", CROSSED)
    made = world.run(os.path.join(installed, "bin", "gordian-cc"), "-pthread", world.path("crossed.c"), "-o", world.path("crossed"),
                     env=dict(world.environment, TMPDIR=temporary), timeout=SLOWEST_COMPILER)
    expect(made.status == 0 and made.err == "", "linked", made)
    found, result = verdicts(world, world.path("crossed"))
    expect(found == ["proved"], "whole", result)


def test_refused(world):
    world.write("plain.c", "int main(void) { return 0; }\n")
    result = world.run(world.gordian, "cc", "-static", "-o", world.path("plain"), world.path("plain.c"))
    expect(result.status == 2 and "-static" in result.err, "static", result)
    world.environment["GORDIAN_CC"] = "no-such-compiler"
    result = world.run(world.gordian, "cc", world.path("plain.c"))
    expect(result.status == 2 and "GORDIAN_CC" in result.err, "no compiler", result)
    world.environment.pop("GORDIAN_CC")
    result = world.run(world.gordian, "cc", "-o", world.path("plain"), world.path("missing.c"))
    expect(result.status not in (0, 66, 70) and not os.path.exists(world.path("plain")), "its own error", result)


harness.main(globals())
