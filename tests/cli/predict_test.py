#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian predict as its user meets it: traces in, report, JSON and exit status out."""

import json
import os
import pty
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness
from harness import expect

CROSSED = """# two threads, two locks, both orders
T0|fork(T1)|1
T0|fork(T2)|2
T1|acq(A)|left.c:10
T1|acq(B)|left.c:11
T1|rel(B)|left.c:12
T1|rel(A)|left.c:13
T2|acq(B)|right.c:20
T2|acq(A)|right.c:21
T2|rel(A)|right.c:22
T2|rel(B)|right.c:23
"""
READ = "T0|w(x)|3\n" + CROSSED
ORDERED = CROSSED.replace("T2|acq(B)|right.c:20", "T1|w(x)|14\nT2|r(x)|19\nT2|acq(B)|right.c:20")


def predict(world, text, *options, name="trace.std"):
    path = world.write(name, text)
    target = world.path("out.json")
    result = world.run(world.gordian, "predict", *options, "--json", target, path)
    report = None
    if os.path.exists(target):
        with open(target, encoding="utf-8") as file:
            report = json.load(file)
        os.unlink(target)
    return result, report


def verdicts(report):
    return [finding["verdict"] for finding in report["findings"]]


def test_proved(world):
    result, report = predict(world, READ)
    expect(result.status == 66 and "DEADLOCK PROVED: 2 threads, 2 locks" in result.out, "report", result)
    finding = report["findings"][0]
    expect(verdicts(report) == ["proved"] and finding["kind"] == "lock-order", "finding", result)
    threads = {thread["name"]: thread for thread in finding["threads"]}
    expect(set(threads) == {"T1", "T2"}, "names of the trace", result)
    expect(threads["T1"]["wants"]["resource"] == "B", "the lock's name", result)
    expect(threads["T1"]["wants"]["site"] == "left.c:11", "the location", result)
    expect(threads["T2"]["holds"][0]["resource"] == "B", "held", result)
    expect(threads["T1"]["pid"] is None, "no process", result)
    witness = finding["witness"]
    expect(witness["replayed"] and witness["order"] == "recorded", "witness", result)
    expect({(stop["thread"], stop["before"]) for stop in witness["stops"]} == {("T1", 6), ("T2", 10)},
           "stops", result)
    expect(report["trace"]["events"] == 11 and report["trace"]["complete_memory"], "totals", result)


def test_possible_without_memory(world):
    for text, options in ((CROSSED, ()), (READ, ("--memory=none",))):
        result, report = predict(world, text, *options)
        expect(result.status == 0 and verdicts(report) == ["possible"], "possible", result)
        expect("POSSIBLE DEADLOCK" in result.out, "shown", result)
        result, report = predict(world, text, "--strict", *options)
        expect(result.status == 66, "strict", result)
    result, report = predict(world, CROSSED, "--memory=complete")
    expect(result.status == 66 and verdicts(report) == ["proved"], "said to be complete", result)


def test_refuted(world):
    result, report = predict(world, ORDERED)
    expect(result.status == 0 and verdicts(report) == ["refuted"], "refuted", result)
    expect("REFUTED" not in result.out and "1 pattern refuted" in result.out, "hidden", result)
    result, report = predict(world, ORDERED, "--refuted")
    expect("REFUTED: 2 threads" in result.out and "it has read what" in " ".join(result.out.split()),
           "shown with its reason", result)
    result, report = predict(world, ORDERED, "--memory=none")
    expect(verdicts(report) == ["possible"], "only memory forbids it", result)


def numbered(events):
    return "".join(f"{event}|{number}\n" for number, event in enumerate(events.split(), 1))


def test_a_hold_that_changes_its_mode(world):
    # T has L until it has read what X wrote, first as a writer, then as a reader: U comes behind that.
    sections = "T|fork(U) T|fork(X) X|acq(B) X|acq(A) X|rel(A) X|rel(B) X|w(v)"
    end = "T|rel(L) T|r({}) T|rrel(L) U|acq(L) U|rel(L) U|acq(A) U|acq(B) U|rel(B) U|rel(A)"
    for begin in ("T|acq(L) T|racq(L) " + sections, "T|racq(L) " + sections + " T|acq(L)"):
        for variable, verdict in (("v", "refuted"), ("unwritten", "proved")):
            result, report = predict(world, numbered(f"{begin} {end.format(variable)}"))
            expect(verdicts(report) == [verdict], f"{begin}, {variable}: {verdict}", result)


def test_who_begins_has_not_acted(world):
    # 99 never acts, and T1 was never forked: they may be one thread, whatever begins or ends.
    main = "T0|acq(A) T0|acq(B) T0|rel(B) T0|rel(A)"
    other = "T1|acq(B) T1|acq(A) T1|rel(A) T1|rel(B)"
    for begin in ("T0|w(x)", "T1|begin(0) T0|w(x)", "T0|w(x) T1|end(0)", "99|begin(0) T0|w(x)"):
        result, report = predict(world, numbered(f"{begin} {main} T0|fork(99) {other}"))
        expect(verdicts(report) == ["refuted"], f"{begin}: created behind the section", result)
        result, report = predict(world, numbered(f"{begin} T0|fork(99) {main} {other}"))
        expect(verdicts(report) == ["proved"], f"{begin}: created before it", result)


def test_a_request_is_no_sign_of_a_wake_up(world):
    begin = "T1|acq(m) T1|rel(m) T1|wait(c) T1|req(m)"
    section = "T2|acq(B) T2|acq(A) T2|rel(A) T2|rel(B) T2|w(x)"
    end = "T1|acq(m) T1|rel(m) T1|acq(A) T1|acq(B) T1|rel(B) T1|rel(A)"
    for middle, verdict in ((section + " T2|notify(c)", "refuted"), ("T2|notify(c) " + section, "proved")):
        result, report = predict(world, numbered(f"{begin} {middle} {end}"))
        expect(verdicts(report) == [verdict], f"{middle}: {verdict}", result)


def test_nothing(world):
    result, report = predict(world, "T1|acq(A)|1\n")
    expect(result.status == 0 and report["findings"] == [], "clean", result)
    expect("nothing found" in result.out, "said", result)
    result, report = predict(world, "T1|acq(A)|1\n", "--quiet")
    expect(result.out == "" and result.err == "", "quiet", result)


def test_malformed(world):
    for text, line, rule in (("T1|acq(A)|1\nT2|rel(A)|2\n", 2, "does not hold it"),
                             ("T1|acq(A)|1\n\n# x\nT2|acq(A)|2\n", 4, "while T1 holds it"),
                             ("T1|acq(A)|1\nT1|grab(A)|2\n", 2, "unknown operation"),
                             ("T1|w(A)*|1\n", 1, "not an event"),
                             (READ.replace("T1|acq(A)", "T0|join(T1)|9\nT1|acq(A)"), 6, "after it was joined"),
                             (READ + "T0|fork(T2)|30\n", 13, "after it has acted")):
        result, report = predict(world, text)
        expect(result.status == 2 and report is None, "refused", result)
        expect(f"trace.std:{line}: " in result.err and rule in result.err, "file, line and rule", result)
        expect(result.err.startswith("gordian: ") and result.out == "", "a message", result)


def test_bad_arguments(world):
    path = world.write("x.std", CROSSED)
    for words in ([], ["--nothing", path], ["--memory=some", path], ["/nonexistent/x"], [world.path("")],
                  ["--json", "/nonexistent/x.json", path], ["/dev/zero"]):
        result = world.run(world.gordian, "predict", *words)
        expect(result.status == 2 and "internal error" not in result.err and result.err != "",
               f"{words}", result)
        expect(result.out == "", "before anything is read", result)


def test_several_files(world):
    a = world.write("a.std", READ)
    b = world.write("b.std", READ.replace("right.c:20", "right.c:30"))
    target = world.path("both.json")
    result = world.run(world.gordian, "predict", "--json", target, a, b, a)
    with open(target, encoding="utf-8") as file:
        report = json.load(file)
    expect(result.status == 66 and verdicts(report) == ["proved"] * 3, "each run", result)
    expect([finding["file"] for finding in report["findings"]] == [a, b, a], "files", result)
    expect(result.out.count("DEADLOCK PROVED") == 2, "the same bug is told once", result)


def test_a_weaker_verdict_hides_no_stronger_one(world):
    ordered = world.write("ordered.std", ORDERED)
    possible = world.write("possible.std", CROSSED)
    proved = world.write("proved.std", READ)
    for files, shown in (([ordered, proved], ["PROVED"]), ([proved, ordered], ["PROVED"]),
                         ([ordered, possible, proved, possible], ["POSSIBLE", "PROVED"])):
        result = world.run(world.gordian, "predict", *files)
        words = [word for line in result.out.splitlines() for word in ("PROVED", "POSSIBLE") if word in line]
        expect(result.status == 66 and words == shown, f"{files}: {shown}", result)


def test_pipe(world):
    result = subprocess.run([world.gordian, "predict", "/dev/stdin"], input=READ, text=True,
                            capture_output=True, timeout=30, check=False)
    expect(result.returncode == 66 and "PROVED" in result.stdout, "reads a pipe")


def test_binary(world):
    numbers = {"T0": 0, "T1": 1, "T2": 2, "A": 0, "B": 1, "x": 0}
    codes = {"acq": 0, "rel": 1, "r": 2, "w": 3, "fork": 4}
    words = []
    for line in READ.splitlines():
        if not line.startswith("#"):
            thread, call, _ = line.split("|")
            op, argument = call.rstrip(")").split("(")
            words.append(len(words) << 48 | numbers[argument] << 14 | codes[op] << 10 | numbers[thread])
    data = struct.pack(">HIIQ", 3, 2, 1, len(words)) + struct.pack(f">{len(words)}Q", *words)
    path = world.path("trace.bin")
    for size, status in ((len(data), 66), (len(data) - 3, 2), (10, 2)):
        with open(path, "wb") as file:
            file.write(data[:size])
        result = world.run(world.gordian, "predict", path)
        expect(result.status == status, f"{size} bytes: {result.status}", result)


def test_progress_is_for_terminals(world):
    line = "T{0}|acq(L{1})|1\nT{0}|rel(L{1})|2\n"
    path = world.write("long.std", "".join(line.format(i % 7, i % 11) for i in range(400_000)))
    result = world.run(world.gordian, "predict", path)
    expect(result.status == 0 and result.err == "", "none in a file", result)
    master, slave = pty.openpty()
    with subprocess.Popen([world.gordian, "predict", path], stdout=subprocess.DEVNULL, stderr=slave) as child:
        status = child.wait(timeout=60)
    os.close(slave)
    os.set_blocking(master, False)
    try:
        shown = os.read(master, 65536).decode()
    except OSError:  # too fast for a bar
        shown = ""
    os.close(master)
    expect(status == 0, "exit")
    expect(shown == "" or (shown.startswith("\r") and shown.endswith("\x1b[K")), f"bar: {shown!r}")


harness.main(globals())
