#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian core, and the gdb command, on real cores: gdb's, the kernel's, compressed, cut off, from
another machine, of other C libraries."""

import json
import lzma
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness
from harness import Skip, expect
from run_scenario import activity

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GIB = 1 << 30


def waits(world):
    """The program tests/core/waits.c."""
    with open(os.path.join(HERE, "waits.c"), encoding="utf-8") as file:
        return world.build("waits", file.read(), "-pthread")


def quiet(world, pid=None):
    """Returns when all threads of this test's programs, or of this one, sleep and stay where they are."""
    last, same = None, 0
    end = time.monotonic() + 20
    while same < 3 and time.monotonic() < end:
        now = activity(world.marker, pid)
        same = same + 1 if now and now == last else 0
        last = now
        time.sleep(0.02)


def hang(world, *words, wait=True):
    process = world.start(list(words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if wait:
        quiet(world)
    return process


def gcore(world, process, name="core"):
    if not shutil.which("gcore"):
        raise Skip("there is no gcore (package gdb)")
    made = world.run("gcore", "-o", world.path(name), str(process.pid), timeout=60)
    path = world.path(f"{name}.{process.pid}")
    expect(os.path.exists(path), "gcore wrote no core", made)
    return path


def core_of(world, *words, wait=True):
    process = hang(world, *words, wait=wait)
    path = gcore(world, process)
    process.kill()
    process.wait()
    return path


def ask(world, core, *options, timeout=60, **more):
    """(result, findings)"""
    report = world.path("answer.json")
    if os.path.exists(report):
        os.unlink(report)
    result = world.run(world.gordian, "core", "--json", report, *options, core, timeout=timeout, **more)
    expect(result.status in (0, 2, 66), "an exit status that does not exist", result)
    if result.status == 2:
        expect(result.err.startswith("gordian: "), "no message", result)
        return result, None
    with open(report, encoding="utf-8") as file:
        found = json.load(file)
    expect(found["schema"] == 1 and found["command"] == "core", "another report", found)
    return result, found["findings"]


def locks_of(finding):
    return sorted(r["name"] for r in finding["resources"] if r["kind"] != "thread")


def is_the_cycle(findings):
    return (len(findings) == 1 and findings[0]["verdict"] == "deadlock"
            and [t["role"] for t in findings[0]["threads"]].count("knot") == 2
            and locks_of(findings[0]) == ["first", "second"])


def test_cycle(world):
    program = waits(world)
    result, findings = ask(world, core_of(world, program, "mutex"))
    expect(result.status == 66 and is_the_cycle(findings), "not the cycle", result)
    functions = {f["function"] for t in findings[0]["threads"] for f in (t["wants"] or {}).get("stack", [])}
    expect({"left_locks", "right_locks"} <= functions, f"no lines of the program: {functions}", result)
    expect("waits.c:" in result.out, "no lines", result)
    for thread in findings[0]["threads"]:
        for hold in thread["holds"]:
            taken = [f["function"] for f in hold["stack"]][:1]
            expect(taken in (["left_locks"], ["right_locks"]), f"not where it was taken: {taken}", result)
    expect(result.err == "", "something on stderr", result)


def test_healthy_program_gives_nothing(world):
    """Ten cores of threads at work, each at another moment."""
    program = waits(world)
    process = hang(world, program, "healthy", wait=False)
    world.wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) == 4, "its threads")
    for turn in range(10):
        core = gcore(world, process)
        for options in ((), ("--stall", "--strict")):
            result, findings = ask(world, core, *options)
            expect(result.status == 0 and findings == [], f"core {turn}: found something", result)
        expect("nothing is stuck" in result.out, "not said", result)
        os.unlink(core)
    process.kill()
    process.wait()


def kernel_core(world, *words):
    """The core the kernel writes of a program that hangs; Skip says why there is none."""
    with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as file:
        pattern = file.read().strip()
    if pattern.startswith("|") or "/" in pattern:
        raise Skip(f"the kernel writes its cores elsewhere: {pattern}")
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        raise Skip("cores are not allowed here")
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    def prepare():
        resource.setrlimit(resource.RLIMIT_CORE, unlimited)
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # ignored in what a shell has put into the background

    process = world.start(list(words), stdout=subprocess.DEVNULL, preexec_fn=prepare)
    quiet(world)
    process.send_signal(signal.SIGQUIT)
    process.wait()
    cores = [name for name in os.listdir(world.directory) if re.fullmatch(rf"core(\.{process.pid})?", name)]
    if not cores:
        raise Skip("the kernel wrote no core")
    path = world.path("kernel-core")
    os.rename(world.path(cores[0]), path)
    return path


def test_core_of_the_kernel(world):
    result, findings = ask(world, kernel_core(world, waits(world), "mutex"))
    expect(result.status == 66 and is_the_cycle(findings), "not the cycle", result)


def compressed(world, core):
    """The same core as systemd-coredump keeps it, by each packer that is there."""
    with open(core, "rb") as file:
        data = file.read()
    with open(core + ".xz", "wb") as file:
        file.write(lzma.compress(data, preset=0))
    packed = [core + ".xz"]
    for tool, name in (("zstd", ".zst"), ("lz4", ".lz4")):
        if shutil.which(tool):
            world.run(tool, "-q", core, "-o" if tool == "zstd" else core + name, *([core + name] if tool == "zstd" else []))
            packed.append(core + name)
    return packed


def test_compressed(world):
    core = core_of(world, waits(world), "mutex")
    packed = compressed(world, core)
    for path in packed:
        result, findings = ask(world, path)
        expect(result.status == 66 and is_the_cycle(findings), f"{path}: not the cycle", result)
    # Cut off in the middle: as far as it goes, and said.
    with open(packed[0], "rb") as file:
        half = file.read()
    with open(core + ".half.xz", "wb") as file:
        file.write(half[:len(half) // 2])
    result, _ = ask(world, core + ".half.xz")
    expect("cut off" in result.err, "not said that it is cut off", result)


# Each hangs in another way (see waits.c), so its core is read by other code.
HANGS = ("mutex", "recursive", "error-checking", "adaptive", "robust", "priority", "process-shared", "self", "c11",
         "writers", "reader", "join", "condition", "semaphore", "barrier", "once", "spin")


def cut(world, core, turns, seed):
    """A core cut off at random places: always an answer or an error, never more than 2 GiB, and never
    a deadlock that the whole core does not show. How often which exit status."""
    def deadlocks(findings):
        return [{t["tid"] for t in f["threads"] if t["role"] == "knot"} for f in findings or [] if f["verdict"] == "deadlock"]

    size = os.path.getsize(core)
    result, findings = ask(world, core)
    whole = deadlocks(findings)
    dice = random.Random(seed)
    piece = world.path("piece")
    answers = {}
    for turn in range(turns):
        # Two thirds of the places at the ends, where the kernel and gdb have headers and notes.
        near = dice.randrange(min(size, 20000))
        at = (near, size - 1 - near, dice.randrange(size))[turn % 3]
        with open(core, "rb") as source, open(piece, "wb") as target:
            left = at
            while left > 0:
                block = source.read(min(left, 1 << 20))
                target.write(block)
                left -= len(block)
        result, findings = ask(
            world, piece, "--threads",
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 * GIB, 2 * GIB)))
        answers[result.status] = answers.get(result.status, 0) + 1
        # At its very end gdb's core has section headers, which nobody needs.
        expect(result.status == 2 or "cut off" in result.err or deadlocks(findings) == whole,
               f"{core} cut at {at} of {size}: not said", result)
        expect(all(knot in whole for knot in deadlocks(findings)), f"{core} cut at {at} of {size}: another deadlock", result)
    return answers


def test_cut_off(world):
    """Ten places of a few cores; test_cut_off_everywhere takes more."""
    program = waits(world)
    core = core_of(world, program, "mutex")
    for number, path in enumerate((core, *compressed(world, core), core_of(world, program, "join"))):
        cut(world, path, 10, seed=number)


def test_cut_off_everywhere(world):
    """Every core at 1,000 places: core_test.py cut_off_everywhere with GORDIAN_LONG=1, or =PLACES.

    GORDIAN_HANGS=join,once takes only the cores of these hangs."""
    places = int(os.environ.get("GORDIAN_LONG") or 0)
    if not places:
        raise Skip("takes long: set GORDIAN_LONG=1 (1,000 places), or to another number of places")
    places = 1000 if places == 1 else places
    program = waits(world)
    for hang_ in os.environ.get("GORDIAN_HANGS", ",".join(HANGS)).split(","):
        core = core_of(world, program, hang_)
        others = [kernel_core(world, program, "mutex"), *compressed(world, core)] if hang_ == "mutex" else []
        for path in (core, *others):
            answers = cut(world, path, places, seed=int(os.environ.get("GORDIAN_SEED", "2")))
            print(f"  {hang_} {os.path.splitext(path)[1] if path in others else ''}: {places} places, exit statuses {answers}", flush=True)
            os.unlink(path)


def test_sysroot(world):
    """The program and its libraries have gone from here and lie below another root."""
    program = waits(world)
    core = core_of(world, program, "mutex")
    root = world.path("root")
    os.makedirs(root + world.directory)
    shutil.move(program, root + program)
    result, findings = ask(world, core)
    expect("is not on this machine" in result.err, "not said what is missing", result)
    expect(not findings or locks_of(findings[0]) != ["first", "second"], "names from nowhere", result)
    result, findings = ask(world, core, "--sysroot", root)
    expect(is_the_cycle(findings) and result.err == "", "not found below the root", result)
    result, findings = ask(world, core, "--exe", root + program)
    expect(is_the_cycle(findings) and result.err == "", "not found by --exe", result)
    # Side by side, without the folders.
    flat = world.path("flat")
    os.mkdir(flat)
    shutil.copy(root + program, flat)
    _, findings = ask(world, core, "--sysroot", flat)
    expect(is_the_cycle(findings), "not found side by side", result)
    # Another build is refused, by name and silently.
    other = world.build("other", "int main(void) { return 3; }")
    result, _ = ask(world, core, "--exe", other)
    expect(result.status == 2 and "another build-id" in result.err, "took another program", result)
    shutil.copy(other, program)
    result, _ = ask(world, core)
    expect("is not the file that was loaded" in result.err, "took another program", result)


def test_the_board_in_a_core_names_readers(world):
    """A program that was started by gordian run has written down who reads."""
    judge = world.start([world.gordian, "run", "-q", "--on-deadlock=keep", "--log", world.path("log"),
                         "--", world.kind("rwlock/rwlock"), "upgrade"])

    def program():
        return [p for p in world.processes() if is_program(p)]

    def is_program(pid):
        try:
            return os.readlink(f"/proc/{pid}/exe").endswith("/rwlock")
        except OSError:
            return False  # it has ended meanwhile
    world.wait_for(program, "the program")
    pid = program()[0]
    world.wait_for(lambda: len(os.listdir(f"/proc/{pid}/task")) >= 3, "its threads")
    quiet(world, pid)  # the judge beside it never sleeps long
    if not shutil.which("gcore"):
        raise Skip("there is no gcore (package gdb)")
    made = world.run("gcore", "-o", world.path("core"), str(pid), timeout=60)
    core = world.path(f"core.{pid}")
    expect(os.path.exists(core), "gcore wrote no core", made)
    judge.kill()
    judge.wait()
    world.end_all()
    result, findings = ask(world, core)
    expect(result.status == 66 and findings[0]["kind"] == "rwlock", "a deadlock", result)
    expect("map_lock (shared)" in result.out, "its readers", result)


def test_not_a_core(world):
    junk = world.write("junk", "no core\n")
    for words in ([junk], ["/bin/true"], ["/nonexistent"], [world.directory], ["/dev/null"], [],
                  ["--nothing", junk], ["--json", "/nonexistent/x", junk]):
        result = world.run(world.gordian, "core", *words)
        expect(result.status == 2 and result.err != "" and result.out == "", f"{words}", result)
        expect("internal error" not in result.err, f"{words}", result)


def test_help_names_all_options(world):
    result = world.run(world.gordian, "core", "--help")
    expect(result.status == 0, "help is no failure", result)
    with open(os.path.join(ROOT, "man", "gordian-core.1"), encoding="utf-8") as file:
        manual = file.read().replace("\\", "")
    for option in ("--exe", "--sysroot", "--json", "--stall", "--threads", "--strict", "--redact-argv"):
        expect(option in result.out, f"no {option}", result)
        expect(option in manual, f"no {option} in the manual")


def gdb(world, *commands, **more):
    if not shutil.which("gdb"):
        raise Skip("there is no gdb")
    script = os.path.join(ROOT, "gdb", "gordian.py")
    words = ["gdb", "-nx", "-batch", "-ex", f"source {script}"]
    for command in commands:
        words += ["-ex", command]
    return world.run(*words, env={"GORDIAN": world.gordian}, timeout=60, **more)


def test_gdb_on_a_core(world):
    program = waits(world)
    core = core_of(world, program, "mutex")
    result = gdb(world, f"file {program}", f"core-file {core}", "gordian", "print $gordian_status")
    expect("DEADLOCK: 2 threads" in result.out and "first" in result.out, "no report", result)
    expect("$1 = 66" in result.out, "no status", result)


def test_gdb_on_a_process(world):
    program = waits(world)
    process = hang(world, program, "mutex")
    before = set(os.listdir("/tmp"))
    result = gdb(world, f"attach {process.pid}", "gordian", "print $gordian_status", "detach")
    expect("DEADLOCK: 2 threads" in result.out and "$1 = 66" in result.out, "no report", result)
    left = [name for name in set(os.listdir("/tmp")) - before if name.startswith("gordian-gdb")]
    expect(left == [], f"left behind: {left}", result)
    expect(process.poll() is None, "the process has ended", result)
    process.kill()
    process.wait()


def test_gdb_without_a_process(world):
    result = gdb(world, "gordian")
    expect("not being run" in result.err + result.out, "no message", result)


# --- docs/decoded.md, by version of glibc

COLUMNS = {"2.31": "bullseye", "2.36": None, "2.41": "trixie"}


def documented():
    """{case: {version: cell}} of the table in docs/decoded.md."""
    with open(os.path.join(ROOT, "docs", "decoded.md"), encoding="utf-8") as file:
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")]
                for line in file if line.startswith("|")]
    head = next(row for row in rows if row[0] == "case")
    versions = [re.search(r"2\.\d+", cell)[0] for cell in head[2:]]
    table = {}
    for row in rows:
        if row[0].startswith("`"):
            table[row[0].strip("`")] = dict(zip(versions, row[2:]))
    return table


def link_with(world, version):
    """waits.c on the C library of that version; None if it is not here."""
    release = COLUMNS[version]
    if release is None:
        system = os.confstr("CS_GNU_LIBC_VERSION").split()[1]
        return waits(world) if system == version else None
    root = os.path.join(os.environ.get("GORDIAN_GLIBCS", os.path.join(ROOT, "build", "glibcs")), release)
    old = os.path.join(root, "lib", "x86_64-linux-gnu")
    lib = old if os.path.exists(os.path.join(old, "libc.so.6")) else root + "/usr/lib/x86_64-linux-gnu"
    dev = root + "/usr/lib/x86_64-linux-gnu"
    if not os.path.exists(lib + "/libc.so.6"):
        return None
    threads = [lib + "/libpthread.so.0", dev + "/libpthread_nonshared.a"]
    program = world.path("waits-" + version)
    made = world.run(
        "cc", "-O2", "-g", "-nostdlib", "-pie", "-fPIE", "-o", program, dev + "/Scrt1.o", dev + "/crti.o",
        os.path.join(HERE, "waits.c"), *[path for path in threads if os.path.exists(path)],
        lib + "/libc.so.6", dev + "/libc_nonshared.a", dev + "/crtn.o",
        "-Wl,-rpath," + lib, "-Wl,--dynamic-linker=" + lib + "/ld-linux-x86-64.so.2")
    expect(made.status == 0, "cannot link with the other C library", made)
    return program


def expect_attached(world, pid, case, version, promised):
    """gordian attach says of the living process what the table promises."""
    path = world.path("attached.json")
    answer = []

    def seen():
        answer[:] = [world.run(world.gordian, "attach", "--json", path, str(pid), timeout=60)]
        with open(path, encoding="utf-8") as file:
            findings = json.load(file)["findings"]
        answer.append(findings[0]["verdict"] if findings else "-")
        return answer[1] != "-"
    if promised == "-":
        seen()
    else:
        world.wait_for(seen, f"a finding: {case} on glibc {version}")  # a stall has to be old enough
    result, said = answer
    expect(said == promised, f"attach: {case} on glibc {version}: {said}, not {promised}", result)
    expect("unknown glibc" not in result.err, f"glibc {version}", result)


def test_decoded_by_version(world):
    """What the table promises, of living processes and of cores, for each C library that is here
    (tools/glibcs fetches the others)."""
    table = documented()
    seen = []
    for version in COLUMNS:
        program = link_with(world, version)
        if program is None:
            continue
        seen.append(version)
        for case, promised in table.items():
            if case == "healthy":
                continue  # test_healthy_program_gives_nothing: it never comes to rest
            process = hang(world, program, case)
            expect_attached(world, process.pid, case, version, promised[version])
            core = gcore(world, process)
            process.kill()
            process.wait()
            result, findings = ask(world, core, "--stall")
            os.unlink(core)
            said = findings[0]["verdict"] if findings else "-"
            expect(said == promised[version],
                   f"{case} on glibc {version}: {said}, but the table says {promised[version]}", result)
            expect("unknown glibc" not in result.err, f"glibc {version}", result)
    print(f"  glibc {', '.join(seen)}")
    if not seen:
        raise Skip("none of the C libraries of the table is here")


if __name__ == "__main__":
    harness.main(globals())
