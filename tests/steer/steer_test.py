#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian confirm and gordian explore as their user meets them. The lucky twins' many attempts are in
tools/confirm-scenarios; here is one of each sort."""

import os
import re
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness
from harness import expect

SYS_FUTEX = 202


def predict(world, program, *words):
    """What gordian run finds possible in a lucky run, as a file."""
    # Its luck is time alone (luck.h): on a busy machine it may run out, or a handshake may not come to its end.
    for _ in range(4):
        result = world.watch(world.kind(program), *words, options=("--json", world.path("found.json")))
        findings = world.report("found.json")["findings"]
        if result.status == 0 and findings:
            break
    expect(result.status == 0, "the lucky run ends well", result)
    expect([f["verdict"] for f in findings] == ["possible"], "predicted", result)
    return world.path("found.json")


def confirm(world, found, *words, options=()):
    result = world.run(world.gordian, "confirm", "--json", world.path("confirmed.json"), *options, found,
                       "--", *words, timeout=120)
    return result, world.report("confirmed.json")


def confirms(world, program, *words):
    found = predict(world, program, *words)
    result, report = confirm(world, found, world.kind(program), *words, options=("--tries=3",))
    expect(result.status == 66 and "DEADLOCK CONFIRMED" in result.err, "confirmed", result)
    expect([f["verdict"] for f in report["findings"]] == ["confirmed"], "the verdict", result)
    expect(report["attempts"][-1]["confirmed"], "the attempt", result)
    return result, report


def test_mutex(world):
    result, report = confirms(world, "mutex/lock_order", "cycle", "lucky")
    names = {t["name"] for t in report["findings"][0]["threads"] if t["role"] == "knot"}
    expect(names == {"left", "right"}, "the threads", result)
    seed = re.search(r"again with --replay (\d+)", result.err)[1]
    again, _ = confirm(world, world.path("found.json"), world.kind("mutex/lock_order"), "cycle", "lucky",
                       options=("--replay", seed))
    expect(again.status == 66, "the seed does it again", again)


# Predict numbers what it prints, confirm counts the same; the JSON of predict does as well.
def test_from_a_recording(world):
    words = (world.kind("mutex/lock_order"), "cycle", "lucky")
    recording = world.path("run.grec")
    result = world.watch(*words, options=("--record", recording))
    expect(result.status == 0, "the lucky run ends well", result)
    predicted = world.run(world.gordian, "predict", "--json", world.path("predicted.json"), recording)
    number = re.search(r"^finding (\d+)\nPOSSIBLE", predicted.out, re.MULTILINE)
    expect(number, "its number", predicted)
    for found in (recording, world.path("predicted.json")):
        result, report = confirm(world, found, *words, options=("--tries=3", "--finding", number[1]))
        expect(result.status == 66, "confirmed", result)
        expect([f["verdict"] for f in report["findings"]] == ["confirmed"], "the verdict", result)
    beyond = world.run(world.gordian, "confirm", "--finding=999", recording, "--", *words)
    expect(beyond.status == 2 and "no finding 999" in beyond.err, "said", beyond)


def run_and_confirm(world, *words, options=()):
    result = world.watch(*words, options=("--confirm", "--json", world.path("all.json"), *options), timeout=240)
    return result, world.report("all.json")


# Record, predict, confirm. The schedule is what only a recording knows.
def test_in_one_go(world):
    words = (world.kind("mutex/lock_order"), "cycle", "lucky")
    result, report = run_and_confirm(world, *words)
    expect(result.status == 66 and "DEADLOCK CONFIRMED" in result.err, "confirmed", result)
    expect([f["verdict"] for f in report["findings"]] == ["possible", "confirmed"], "the verdicts", result)
    expect(report["findings"][0]["witness"]["steps"], "the schedule", result)
    expect("finding 1\nPOSSIBLE" in result.err and "finding 1 confirmed in run" in result.err, "its number", result)
    expect("/proc/self" not in result.err, "no file is spoken of", result)


def test_in_one_go_keeps_the_recording_that_was_asked_for(world):
    recording = world.path("run.grec")
    result, _ = run_and_confirm(world, world.kind("mutex/lock_order"), "cycle", "lucky", options=("--record", recording))
    expect(result.status == 66, "confirmed", result)
    predicted = world.run(world.gordian, "predict", recording)
    expect("POSSIBLE" in predicted.out, "the recording", predicted)


# A gate lock excludes it: nothing is left to confirm, and nothing is left behind.
def test_in_one_go_where_nothing_is(world):
    folder = world.path("temporary")
    os.mkdir(folder)
    result = world.watch(world.kind("mutex/lock_order"), "gate", options=("--confirm",), env={"TMPDIR": folder})
    expect(result.status == 0 and "nothing to confirm" in result.err, "said", result)
    expect(os.listdir(folder) == [], "nothing left behind", result)


def test_three_mutexes(world):
    _, report = confirms(world, "mutex/lock_order", "three", "lucky")
    knot = [t for t in report["findings"][0]["threads"] if t["role"] == "knot"]
    expect(len(knot) == 3, f"{len(knot)} threads in the knot, not 3")


def test_rwlock(world):
    confirms(world, "rwlock/rwlock", "write-write", "lucky")


def test_join(world):
    confirms(world, "join/join", "lucky", "lucky")


def test_stories(world):
    for story in ("videoroom", "dtls-clock", "replication"):
        confirms(world, f"../{story}/{story}-lucky")


def test_spin(world):
    confirms(world, "spin/spin", "cycle", "lucky")


def test_glib(world):
    confirms(world, "glib/glib", "cycle", "lucky")


# A flag keeps the two sections apart: possible as far as locks show, and yet it never happens.
def test_not_reproduced(world):
    found = predict(world, "mutex/lock_order", "lucky")
    result, report = confirm(world, found, world.kind("mutex/lock_order"), "lucky",
                             options=("--tries=4", "--hold=200ms"))
    expect(result.status == 0 and report["findings"] == [], "nothing confirmed", result)
    expect("was not reproduced in 4 runs" in result.err, "the last word", result)
    # Each run is accounted for there, by where it left the plan.
    said = re.findall(r"^  runs? ([0-9, to]+): .* came ", result.err, re.MULTILINE)
    expect(said and {"1", "4"} <= set(re.findall(r"\d", " ".join(said))), "where they diverged", result)
    expect(len(report["attempts"]) == 4, "four attempts", result)
    expect(all(a["diverged"] and not a["confirmed"] for a in report["attempts"]), "why", result)


# A program that deadlocks by itself, elsewhere: real, but it says nothing about the finding.
def test_another_deadlock(world):
    found = predict(world, "mutex/lock_order", "cycle", "lucky")
    other = world.build("other", """
#include <pthread.h>
static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;
int main(void) { return pthread_mutex_lock(&alone) || pthread_mutex_lock(&alone); }
""", "-pthread")
    result, report = confirm(world, found, other)
    expect(result.status == 66 and len(report["findings"]) == 1, "a deadlock all the same", result)
    expect("another deadlock than that of finding 1" in result.err and "finding 1 confirmed" not in result.err,
           "but not this one", result)


def test_nothing_to_confirm(world):
    found = world.write("empty.json", '{"schema": 1, "findings": []}')
    result, _ = confirm(world, found, "true")
    expect(result.status == 0 and "nothing to confirm" in result.err, "said", result)


def test_bad_input(world):
    good = world.write("empty.json", '{"schema": 1, "findings": []}')
    bad = world.write("bad.json", "{")
    for words in (["confirm"], ["confirm", good], ["confirm", good, "--"], ["confirm", bad, "--", "true"],
                  ["confirm", "/nonexistent.json", "--", "true"],
                  ["confirm", "--finding", "1", good, "--", "true"],
                  ["confirm", "--tries", "0", good, "--", "true"],
                  ["confirm", "--replay", "x", good, "--", "true"],
                  ["confirm", "--hold", "1h", good, "--", "true"],
                  ["explore"], ["explore", "--"], ["explore", "--runs", "0", "true"],
                  ["explore", "--time", "soon", "true"], ["explore", "--depth", "0", "true"],
                  ["explore", "--seed", "-1", "true"], ["explore", "--seed", "1" + 20 * "0", "true"],
                  ["explore", "--json", "/nonexistent/x.json", "true"],
                  ["explore", "/no/such/program"]):
        result = world.run(world.gordian, *words)
        expect(result.status == 2, f"{words}: exit {result.status}, not 2", result)
        expect(result.err != "" and "internal error" not in result.err, f"{words}: the message", result)
    result = world.run(world.gordian, "confirm", bad, "--", "true")
    expect("neither a recording nor a report" in result.err and "--record" in result.err, "what it takes", result)


def test_explore(world):
    words = (world.kind("mutex/lock_order"), "cycle")
    result = world.run(world.gordian, "explore", "--runs=5", "--json", world.path("report.json"), *words)
    expect(result.status == 66 and "DEADLOCK CONFIRMED" in result.err, "found", result)
    seed = re.search(r"again with --seed (\d+)", result.err)[1]
    again = world.run(world.gordian, "explore", "--seed", seed, "--runs", "1", *words)
    expect(again.status == 66, "the seed does it again", again)
    expect(world.report()["attempts"][0]["confirmed"], "the attempt", result)


def test_explore_finds_nothing_where_nothing_is(world):
    words = (world.kind("mutex/lock_order"), "consistent")
    result = world.run(world.gordian, "explore", "--seed=1", "--time=3s", "--runs=3", *words, timeout=120)
    expect(result.status == 0 and "no deadlock" in result.err, "nothing", result)
    expect("1 new lock order" in result.err, "the lock order it saw", result)


def test_explore_tells_that_the_program_failed(world):
    result = world.run(world.gordian, "explore", "--seed=1", "--runs=2", "--json", world.path("report.json"), "false")
    expect(result.status == 0 and "no deadlock" in result.err, "no deadlock", result)
    expect("run 1" in result.err and "it ended with exit status 1" in result.err, "the first", result)
    expect("2 runs ended with an error of the program" in result.err, "how many", result)
    expect(["exit status 1" in attempt["diverged"] for attempt in world.report()["attempts"]] == [True, True], "each", result)


def test_each_run_reads_the_same_file(world):
    with open(world.write("input", "go\n"), "rb") as file:
        result = world.run(world.gordian, "explore", "--seed=1", "--runs=3", "sh", "-c", 'test "$(cat)" = go', stdin=file)
        expect(result.status == 0 and "ended with" not in result.err, "none of them failed", result)
    program = world.write("reads", f"#!/bin/sh\nread go && exec {world.kind('mutex/lock_order')} cycle lucky\n", 0o755)
    with open(world.path("input"), "rb") as file:
        result = world.watch(program, options=("--confirm",), stdin=file, timeout=120)
        expect(result.status == 66 and "DEADLOCK CONFIRMED" in result.err, "also those behind the recorded one", result)


# A program that never ends has shown nothing, neither a deadlock nor that there is none.
def test_explore_tells_that_no_run_came_to_its_end(world):
    options = ("--seed=1", "--runs=2", "--limit=300ms", "--json", world.path("report.json"))
    result = world.run(world.gordian, "explore", *options, "sleep", "600")
    expect(result.status == 2, f"exit {result.status}, not 2", result)
    expect("none of the 2 runs came to its end within 300 ms" in result.err and "--limit" in result.err, "said", result)
    expect("no deadlock" not in result.err, "nothing else is said", result)
    expect(["too long" in attempt["diverged"] for attempt in world.report()["attempts"]] == [True, True], "each", result)
    quiet = world.run(world.gordian, "explore", "--quiet", "--seed=1", "--runs=1", "--limit=300ms", "sleep", "600")
    expect(quiet.status == 2 and "the run did not come to its end within 300 ms" in quiet.err, "also then", quiet)


# One that ends now and then has: it says how often it did not.
def test_explore_tells_how_many_runs_were_too_long(world):
    program = world.write("every_other", f"#!/bin/sh\nmkdir {world.path('first')} 2>/dev/null && exec sleep 600\nexit 0\n", 0o755)
    result = world.run(world.gordian, "explore", "--seed=1", "--runs=2", "--limit=5s", program)
    expect(result.status == 0 and "no deadlock" in result.err, "no deadlock", result)
    expect("1 run ran too long and had to be ended" in result.err, "how many", result)


# The gates open when the judge is gone: the program ends by itself.
def test_survives_the_judge(world):
    judge = world.start([world.gordian, "explore", "--runs=1", "--seed=1",
                         world.kind("mutex/lock_order"), "consistent"])
    def is_program(pid):
        try:
            return os.readlink(f"/proc/{pid}/exe").endswith("/lock_order")
        except OSError:
            return False
    world.wait_for(lambda: any(map(is_program, world.processes())), "the program")
    judge.send_signal(signal.SIGKILL)
    judge.communicate()
    world.wait_for(lambda: not world.processes(), "the program's own end", timeout=60)


# A judge that dies before it has taken the board cannot say how to go on: nobody waits for it.
def test_survives_a_judge_that_dies_first(world):
    name = f"gordian-test-{os.getpid()}"
    judge = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    judge.bind("\0" + name)
    judge.listen()
    program = world.start([world.kind("mutex/lock_order"), "consistent"],
                          env={"LD_PRELOAD": world.runtime, "GORDIAN_JUDGE": name, "GORDIAN_STEER": "1"})
    # Its first message, with the board: from now on it waits.
    connection, _ = judge.accept()
    expect(connection.recv(64) != b"", "the board")
    connection.close()
    def waits():
        with open(f"/proc/{program.pid}/syscall", encoding="ascii") as file:
            return file.read().startswith(f"{SYS_FUTEX} ")
    world.wait_for(waits, "the program to wait")
    expect(program.poll() is None, "it waits for a judge that lives")
    begin = time.monotonic()
    judge.close()
    program.communicate()
    expect(program.returncode == 0, f"its own end, not {program.returncode}")
    expect(time.monotonic() - begin < 5, f"it waited {time.monotonic() - begin:.1f} s for a dead judge")


def test_unsteerable(world):
    program = world.build("fixed", "int main(void) { return 0; }", "-static")
    result = world.run(world.gordian, "explore", "--runs=2", program)
    expect(result.status == 2 and "could not be steered" in result.err, "said", result)


if __name__ == "__main__":
    harness.main(globals())
