#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian cc: programs that tell what they read and write, and what gordian predict makes of it."""

import json
import os
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

ORDERED = ("atomic", "exchange", "plain", "queue", "copy")


def compile_told(world, name, *words, compiler="cc", source=CROSSED):
    if shutil.which(compiler) is None:
        raise Skip(f"no {compiler}")
    world.write(name + ".c", source)
    world.environment["GORDIAN_CC"] = compiler
    made = world.run(world.gordian, "cc", "-O2", "-g", "-pthread", world.path(name + ".c"), *words, "-o", world.path(name))
    expect(made.status == 0 and made.err == "", "compiled, without a word", made)
    return world.path(name)


def verdicts(world, program, *words):
    path = world.path("run.grec")
    result = world.run(world.gordian, "run", "-q", "--on-deadlock=keep", "--record", path, "--", program, *words)
    expect(result.status == 0, "as without us", result)
    target = world.path("out.json")
    result = world.run(world.gordian, "predict", "--json", target, path)
    with open(target, encoding="utf-8") as file:
        report = json.load(file)
    os.remove(path)
    return [finding["verdict"] for finding in report["findings"]], result


def check_twins(world, compiler):
    """Which thread runs when is left to the machine: a thread may even get the ring of one that has ended."""
    program = compile_told(world, "crossed", compiler=compiler)
    found, result = verdicts(world, program)
    expect(found == ["proved"] and result.status == 66, "proved", result)
    for how in ORDERED:
        found, result = verdicts(world, program, how)
        expect(found == ["refuted"] and result.status == 0, how + " orders them", result)


def test_gcc(world):
    check_twins(world, "gcc")


def test_clang(world):
    check_twins(world, "clang")


def test_alone_it_does_nothing(world):
    program = compile_told(world, "crossed")
    result = world.run(program)
    expect(result.status == 0 and result.out + result.err == "", "as without us", result)


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


def test_a_story_that_was_lucky(world):
    """Kvrocks' replication: a lock held exclusively, a join, and std::map, std::string and a socket in between."""
    scenarios = os.path.join(os.path.dirname(world.tools), "scenarios")
    for twin, expected in (("Lucky", ["proved"]), ("Repaired", [])):
        program = world.path("replication-" + twin)
        made = world.run(world.gordian, "c++", "-std=c++20", "-O1", "-pthread", "-I", scenarios, "-DSCENARIO_TWIN=" + twin,
                         "-o", program, os.path.join(scenarios, "replication", "replication.cpp"))
        expect(made.status == 0, "compiled", made)
        found, result = verdicts(world, program)
        expect([verdict for verdict in found if verdict != "refuted"] == expected, twin, result)


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
    made = world.run("cmake", "-S", world.directory, "-B", world.path("build"), "-DCMAKE_BUILD_TYPE=RelWithDebInfo")
    expect(made.status == 0, "configure", made)
    made = world.run("cmake", "--build", world.path("build"))
    expect(made.status == 0, "build", made)
    found, result = verdicts(world, world.path("build/crossed"))
    expect(found == ["proved"], "proved", result)


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
