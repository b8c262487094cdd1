#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian explain on pasted backtraces: what they prove, what they suggest, what they do not show."""

import html
import os
import quopri
import random
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import harness
import recorded
from harness import Skip, expect
from samples import LOCKS, POLL, SAMPLES, START, TWO_LAYERS, hung_in


def explain(world, text, *options):
    """(verdict, kind, knot, victims) of each finding, and the whole result."""
    path = world.path("pasted.txt")
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    result = world.run(world.gordian, "explain", path, "--json", world.path("report.json"), *options)
    expect(result.status in (0, 66) and not result.err, "it could not be read", result)
    found = []
    for finding in world.report()["findings"]:
        roles = {"knot": [], "victim": []}
        for thread in finding["threads"]:
            roles[thread["role"]].append(thread["tid"])
        found.append((finding["verdict"], finding["kind"], sorted(roles["knot"]), sorted(roles["victim"])))
        likely = finding["verdict"] == "stall"
        expect(likely == ("likely" in finding["summary"]), "the word is the promise", result)
        expect(bool(finding["reason"]) == likely, "a stall has a reason, a deadlock needs none", result)
    certain = any(verdict == "deadlock" for verdict, *_ in found)
    expect(result.status == (66 if certain or (found and "--strict" in options) else 0), "exit status", result)
    return found, result


def blocks(text):
    first, *threads = re.split(r"(?m)^(?=Thread \d+ \()", text)
    return first, threads


def test_samples(world):
    for name, (text, expected) in SAMPLES.items():
        found, result = explain(world, text)
        expect(found == expected, f"{name}: {found}, not {expected}", result)


def test_words_fit_the_program(world):
    """The loader's lock has a name and its functions are nobody's, and Java has no std::scoped_lock."""
    _, result = explain(world, SAMPLES["loader"][0])
    expect("the dynamic loader's lock" in result.out and "_rtld_global" not in result.out, "no name", result)
    expect("dlopen_doit" not in result.out and "call_init" not in result.out, "not folded", result)
    _, result = explain(world, SAMPLES["java_owned"][0])
    expect("What to change" in result.out and "std::" not in result.out, "C++ for Java", result)
    expect("unknown place, when" not in result.out, "says that it cannot say", result)
    for name in ("go_asleep_self", "go_asleep_copy"):
        _, result = explain(world, SAMPLES[name][0])
        expect("What to change" in result.out, "no advice", result)
        expect(all(word not in result.out for word in ("std::", "pthread", "recursive")), "C++ for Go", result)
    _, result = explain(world, SAMPLES["both_owners"][0].replace("sides.c:", "sides.cpp:"))
    expect("std::scoped_lock" in result.out, "no advice", result)


def test_other_locks(world):
    """One hang, its waits as other libraries and other versions of glibc show them."""
    for lock in LOCKS:
        found, result = explain(world, hung_in(lock))
        expect(found == [("stall", "lock-order", [501, 502], [])], f"{lock}: {found}", result)


def test_as_people_paste_it(world):
    for name, (text, expected) in SAMPLES.items():
        quoted = re.sub("(?m)^", "> > ", text)
        for form, changed in {
                "carriage returns": text.replace("\n", "\r\n"),
                "mail": quoted,
                "fence": "It hangs, see\n```gdb\n" + text + "\n```\nThank you!\n",
                "indented": re.sub("(?m)^", "    ", text),
                "double spaced": text.replace("\n", "\n\n"),
                "HTML": html.escape(text),
                "trailing blanks": re.sub("(?m)$", "   ", text),
                "byte order mark": "\ufeff" + text,
                "colours": re.sub(r"(?m)^(#\d+)", "\x1b[33m\\1\x1b[m", text),
        }.items():
            found, result = explain(world, changed)
            expect(found == expected, f"{name}, {form}: {found}, not {expected}", result)


def test_wrapped_lines(world):
    for name in ("two_layers", "self_lock", "gone", "replica", "two_sides"):
        text, expected = SAMPLES[name]
        at_place = re.sub(r"(?m)^(#\d+ .{30,}?) (at|from) ", r"\1\n    \2 ", text)
        narrow = "\n".join(re.sub(r"(.{1,76})( |$)", r"\1\n", line).rstrip("\n") if line.startswith("#") else line
                           for line in text.split("\n"))
        for changed in (at_place, narrow):
            found, result = explain(world, changed)
            expect(found == expected, f"{name}: {found}, not {expected}", result)


def session(blocks, select):
    """What a user sees who lists the threads, then selects one after another and asks for its stack."""
    rows, stacks = "(gdb) info threads\n  Id   Target Id         Frame \n", ""
    for block in blocks:
        number, target, top = re.match(r"Thread (\d+) \((.*)\):\n#0  (.*)\n", block).groups()
        rows += f"  {number}    {target} {top}\n"
        stacks += select.format(number=number, target=target, top=top) + block.split("\n", 1)[1]
    return rows + stacks


def test_one_thread_after_the_other(world):
    for name in ("two_layers", "self_lock", "replica"):
        text, expected = SAMPLES[name]
        _, threads = blocks(text)
        for select in ("(gdb) thread {number}\n[Switching to thread {number} ({target})]\n#0  {top}\n(gdb) bt\n",
                       "(gdb) thread {number}\n[Switching to thread {number} ({target})]#0  {top}\n(gdb) where\n",
                       "```\nthread {number}\n(gdb) bt\n", "(gdb) t {number}\n(gdb) bt\n",
                       "(gdb) thread apply {number} bt\n\nThread {number} ({target}):\n"):
            found, result = explain(world, session(threads, select))
            expect(found == expected, f"{name}, {select}: {found}, not {expected}", result)


def test_only_the_selected_frame(world):
    """Old versions of gdb print the frame behind the thread; of the second thread there is nothing else."""
    text = "".join(f"(gdb) thread {n}\n[Switching to thread {n} (Thread 0x7f55aa06{n}6c0 (LWP {100 + n}))]"
                   "#0  0x0000003d1a80d4c4 in \n__lll_lock_wait () from /lib64/libpthread.so.0 \n"
                   f"(gdb) f 3\n#3  0x0000000000400a{n}b in f{n} () at lock.cpp:1{n}\n" for n in (2, 3))
    _, result = explain(world, text, "--threads")
    expect(result.out.count("wants the mutex") == 2, "not read", result)


def test_two_processes(world):
    """Threads of a parent and its child have the same addresses, and nothing to do with each other."""
    _, threads = blocks(TWO_LAYERS)
    halves = [[block for block in threads if f"LWP {lwp})" not in block] for lwp in (501, 502)]
    halves[1] = [re.sub(r"LWP (\d+)", lambda m: f"LWP 1{m.group(1)}", block) for block in halves[1]]
    plain, child = "".join(halves[0]), "".join(halves[1])
    numbered = [re.sub(r"(?m)^Thread (\d+)", rf"Thread {n}.\1", part) for n, part in ((1, plain), (2, child))]
    # The child's last thread, which the parent has not, comes before all that both have.
    more = child.replace("Thread 5 (", "Thread 6 (").replace("Thread 4 (", "Thread 5 (")
    for text in (plain + child, child + plain, plain + more, more + plain, "Attaching to process 500\n" + plain + "Attaching to process 1500\n" + child,
                 "".join(numbered)):
        found, result = explain(world, text)
        expect(found == [], f"{found}", result)
    text = "Attaching to process 7\n" + plain + "Attaching to process 500\n" + TWO_LAYERS
    found, result = explain(world, text)
    expect(found == SAMPLES["two_layers"][1], f"{found}", result)
    numbered = re.sub(r"(?m)^Thread (\d+)", r"Thread 1.\1", TWO_LAYERS)
    found, result = explain(world, numbered)
    expect(found == SAMPLES["two_layers"][1], f"{found}", result)


def quoted_printable(text):
    return quopri.encodestring(text.encode()).decode()


def test_between_the_terminal_and_the_report(world):
    """Encoded mail, gdb's pager, comments of source text, and what logs put before each line."""
    new_page, old_page = ("--Type <RET> for more, q to quit, c to continue without paging--",
                          "---Type <return> to continue, or q <return> to quit---")
    changes = {
        "quoted-printable": quoted_printable,
        "build server": lambda text: re.sub("(?m)^", "2026-01-02T10:11:12.1234567Z 44: ", text),
        "log": lambda text: re.sub("(?m)^", "[2026-01-02 10:11:12,123] ", text),
        "container": lambda text: re.sub("(?m)^", "server_1    | ", text),
        "comment": lambda text: re.sub("(?m)^", "    // ", text),
        "hash comment": lambda text: re.sub("(?m)^", "# ", text),
        "table": lambda text: re.sub("(?m)^", "| ", text),
        "escaped for Markdown": lambda text: re.sub("([#_*])", r"\\\1", text),
    }
    for page in (new_page, old_page):
        changes[page] = lambda text, page=page: re.sub("(?m)^(#[37] )", page + r"\n\1", text)
        changes[page + ", fused"] = lambda text, page=page: re.sub("(?m)^(#[37] )", page + r"\1", text)
    changes[new_page + ", answered"] = lambda text: re.sub("(?m)^(#[37] )", new_page + r"c\n\1", text)
    for name in ("two_layers", "replica", "token", "java_owned"):
        text, expected = SAMPLES[name]
        for form, change in changes.items():
            found, result = explain(world, change(text))
            expect(found == expected, f"{name}, {form}: {found}, not {expected}", result)


def test_other_order_names_and_addresses(world):
    for seed in range(10):
        chance = random.Random(seed)
        for name in ("two_layers", "self_lock", "gone", "replica"):
            text, expected = SAMPLES[name]
            first, threads = blocks(text)
            chance.shuffle(threads)
            changed = first + "".join(threads)
            shift = chance.randrange(1, 1000) << 16
            changed = re.sub(r"0x([0-9a-f]{11,16})\b", lambda m: hex(int(m.group(1), 16) + shift), changed)
            changed = re.sub(r"threadid=(\d{9,})", lambda m: f"threadid={int(m.group(1)) + shift}", changed)
            for old in ("core", "room", "Secure", "Socket", "Layer", "call_hangup", "dialog", "Store", "Replica",
                        "Session", "read_all", "pong", "clock_stop"):
                new = f"f{chance.randrange(10**6)}"
                changed = re.sub(rf"\b{old}(?=[_:])|(?<=::){old}\b|\b{old}(?= \()", new, changed)
            found, result = explain(world, changed)
            expect(found == expected, f"{name}, seed {seed}: {found}, not {expected}", result)


def test_a_missing_edge_is_no_claim(world):
    """Any thread of the knot left out, or found in poll instead."""
    idle = "\n".join(f"#{i}  {frame}" for i, frame in enumerate(POLL + START)) + "\n\n"
    for name in ("two_layers", "self_lock", "gone", "replica"):
        text, expected = SAMPLES[name]
        first, threads = blocks(text)
        for i, block in enumerate(threads):
            lwp = int(re.search(r"LWP (\d+)", block).group(1))
            if lwp not in expected[0][2]:
                continue
            head = block.split("\n")[0] + "\n"
            variants = [idle] if name == "replica" and lwp == 805 else ["", idle]
            for instead in variants:
                changed = first + "".join(threads[:i] + ([head + instead] if instead else []) + threads[i + 1:])
                found, result = explain(world, changed)
                expect(found == [], f"{name} without {lwp}: {found}", result)
    for name in ("two_layers", "self_lock", "gone"):
        text, expected = SAMPLES[name]
        found, result = explain(world, text.replace("mutex", "matrix").replace("lll_lock", "xxx").replace("futex", "foo"))
        expect(found == [], f"{name} without any lock: {found}", result)


def test_what_cannot_be_known_is_said(world):
    _, result = explain(world, TWO_LAYERS)
    expect("->__data.__owner" in result.out, "no command that settles it", result)
    _, result = explain(world, SAMPLES["one_mutex"][0])
    expect("not known: 2 threads wait for the lock mutex_a" in result.out, "an open question", result)
    expect("no circle of threads" in result.out, "what it found", result)
    _, result = explain(world, SAMPLES["python"][0])
    expect("py-spy" in result.out, "no command that settles it", result)


def test_identical_stacks_are_grouped(world):
    idle = "".join(f"\nThread {n} (Thread 0x7f55aa{n:03x}6c0 (LWP {n})):\n" +
                   "\n".join(f"#{i}  {frame}" for i, frame in enumerate(POLL + START)) + "\n" for n in range(300, 200, -1))
    found, result = explain(world, idle)
    expect(found == [] and "100 threads, idle in poll" in result.out, "not grouped", result)


def test_the_same_hang_twice(world):
    """Two dumps of one process, minutes apart, in one paste."""
    found, result = explain(world, TWO_LAYERS + "\nfive minutes later\n\n" + TWO_LAYERS)
    expect(found == SAMPLES["two_layers"][1], f"{found}", result)


def test_strict(world):
    explain(world, TWO_LAYERS, "--strict")


def test_standard_input(world):
    result = world.run(world.gordian, "explain", "-", input=TWO_LAYERS.encode())
    expect("STALL, likely a deadlock: 2 threads, 2 locks" in result.out, "not read", result)


def test_no_backtrace(world):
    for text in ("", "hello\n", "#12 is a duplicate of #13\n", "\0" * 100):
        result = world.run(world.gordian, "explain", "-", input=text.encode())
        expect(result.status == 2 and "no backtrace" in result.err and not result.out, "exit 2 and a message", result)
    for words in ([], ["/no/such/file"], ["--nothing", "x"], ["a", "b"]):
        result = world.run(world.gordian, "explain", *words)
        expect(result.status == 2 and result.err.startswith("gordian: "), f"{words}", result)


def test_hostile_bytes_are_escaped(world):
    hostile = TWO_LAYERS.replace('"admin"', '"\x1b]0;x\x07\u202eadmin"').replace("room_describe", "room\x1b[2J_\x9b")
    _, result = explain(world, hostile)
    expect(all(byte not in result.raw_out for byte in (b"\x1b", b"\x07", b"\xe2\x80\xae")), "raw bytes", result)


def test_cut_anywhere(world):
    chance = random.Random(7)
    for name, (text, _) in SAMPLES.items():
        for _ in range(3):
            result = world.run(world.gordian, "explain", "-", input=text[:chance.randrange(len(text))].encode())
            expect(result.status in (0, 2, 66), f"{name}", result)


def test_huge(world):
    """Tens of megabytes in seconds, also where every line tries to be a special case."""
    thread = "\nThread {0} (Thread 0x7f55{0:06x}c0 (LWP {0})):\n" + \
        "\n".join(f"#{i}  {frame}" for i, frame in enumerate(SAMPLES["two_sides"][0].split("\n")[4:8])) + "\n"
    for text in ("".join(thread.format(n) for n in range(1, 30001)), "#0  f (" + "(" * 5_000_000,
                 "#0  f (a=" + "\"x" * 3_000_000, "#0  f () at x.c:1\n" + "at \n" * 3_000_000,
                 "Thread 1 (Thread 0x1 (LWP 1)):\n" + "".join(f"#{i}  f ()\n" for i in range(500_000)),
                 "goroutine 1 [semacquire]:\n" + "sync.(*Mutex).Lock(0xc000)\n\t/x.go:1\n" * 300_000):
        result = world.run(world.gordian, "explain", "-", input=text.encode(), timeout=60)
        expect(result.status in (0, 2), "read", result)


# --- recorded: what gdb printed of the broken scenarios


def knots_of(world):
    return sorted((f["verdict"], f["kind"], sorted(t["tid"] for t in f["threads"] if t["role"] == "knot"))
                  for f in world.report()["findings"])


def test_recorded(world):
    """The threads and locks that the scenario's source promises; where the text has less, nothing else."""
    for label, text in recorded.all_recorded():
        _, result = explain(world, text)
        findings = world.report()["findings"]
        less = recorded.less(label)
        if less:
            expect(not findings, f"{label}: a finding, though {less}", result)
            continue
        for facts in recorded.facts_of(label, text):
            expect(any(recorded.scenario.fits(finding, facts) for finding in findings), f"{label}: no {facts}", result)
        expect(all(f["verdict"] == "stall" for f in findings), f"{label}: more than the text shows", result)


def test_recorded_and_changed(world):
    """Threads in another order, other addresses, other names of functions: the same answer."""
    for label, text in recorded.all_recorded():
        explain(world, text)
        before = knots_of(world)
        for change, changed in recorded.variants(text, seed=label):
            _, result = explain(world, changed)
            expect(knots_of(world) == before, f"{label}, {change}: {knots_of(world)}, not {before}", result)


def test_recorded_without_an_edge(world):
    """Each thread of a knot in poll instead, or left out: no claim."""
    for label, text in recorded.all_recorded():
        if any(label.startswith(start) for start in recorded.STILL_STUCK):
            continue
        explain(world, text)
        for _, _, knot in knots_of(world):
            for lwp in knot:
                for change, changed in recorded.without(text, lwp):
                    found, result = explain(world, changed)
                    expect(found == [], f"{label}, {lwp} {change}: {found}", result)


# --- live: what the tools of this machine print of programs that hang


def attach(world, command, process):
    try:
        made = subprocess.run([part.format(pid=process.pid) for part in command], capture_output=True, timeout=60,
                              check=False, cwd=world.directory, env=dict(world.environment, DEBUGINFOD_URLS=""))
    except FileNotFoundError:
        raise Skip(f"no {command[0]}") from None
    return made.stdout.decode(errors="replace")


GDB = ["gdb", "-batch", "-nx", "-iex", "set debuginfod enabled off", "-p", "{pid}", "-ex", "info threads", "-ex",
       "thread apply all bt"]


def names_of(finding):
    return sorted(thread["name"] for thread in finding["threads"] if thread["role"] == "knot")


def live(world, name, kinds, knot):
    """The broken twin of a story, hung without being watched: the same knot as `gordian run` names."""
    program = os.path.join(os.path.dirname(world.kinds), name, f"{name}-broken")
    if not os.path.exists(program):
        raise Skip(f"{name} is not built")
    process = world.start([program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    text = ""

    def is_found():
        nonlocal text
        text = attach(world, GDB, process)
        if "ptrace" in text or not text.strip():
            raise Skip("no permission to trace")
        explain(world, text)
        return world.report()["findings"]
    try:
        world.wait_for(is_found, f"the hang of {name} to show", 60)
        [finding] = world.report()["findings"]
        expect(finding["verdict"] == "stall" and finding["kind"] in kinds, f"{finding['kind']}\n{text}")
        expect(names_of(finding) == sorted(knot), f"{names_of(finding)}\n{text}")
    finally:
        process.kill()
        process.wait()


def test_live_videoroom(world):
    live(world, "videoroom", ["lock-order"], ["configure-1", "admin-1"])


def test_live_dtls_clock(world):
    live(world, "dtls-clock", ["join", "mixed"], ["hangup", "clock"])


def test_live_websocket_ping(world):
    live(world, "websocket-ping", ["self-lock"], ["rtc-worker"])


def test_live_replication(world):
    live(world, "replication", ["join", "mixed"], ["worker-1", "replication"])


def test_live_redis_lock(world):
    live(world, "redis-lock", ["condition", "queue", "mixed"],
         ["releaser", "waiter-1", "waiter-2", "redis-reader", "redis-lock-brok"])


def test_live_java(world):
    if not shutil.which("javac") or not shutil.which("jstack"):
        raise Skip("no JDK")
    world.write("Sides.java", """
class Sides {
  static void hold(Object first, Object second, java.util.concurrent.CyclicBarrier both) {
    synchronized (first) {
      try { both.await(); } catch (Exception e) { }
      synchronized (second) { }
    }
  }
  public static void main(String[] args) {
    Object a = new Object(), b = new Object();
    var both = new java.util.concurrent.CyclicBarrier(2);
    new Thread(() -> hold(a, b, both), "left").start();
    new Thread(() -> hold(b, a, both), "right").start();
  }
}""")
    made = world.run("javac", "Sides.java", timeout=120)
    expect(made.status == 0, "javac", made)
    process = world.start(["java", "-XX:+UseSerialGC", "-Xmx64m", "Sides"])
    try:
        text = ""

        def both_blocked():
            nonlocal text
            text = attach(world, ["jstack", "{pid}"], process)
            return text.count("- waiting to lock") >= 2
        world.wait_for(both_blocked, "the threads to block", 60)
        found, result = explain(world, text)
        expect(len(found) == 1 and found[0][:2] == ("deadlock", "lock-order"), f"{found}", result)
        expect(names_of(world.report()["findings"][0]) == ["left", "right"], "names", result)
    finally:
        process.kill()
        process.communicate()


def test_live_faulthandler(world):
    text = subprocess.run(
        [sys.executable, "-c", "import faulthandler, threading\n"
         "a = threading.Lock(); a.acquire(); at = threading.Barrier(2)\n"
         "threading.Thread(target=lambda: (at.wait(), a.acquire()), daemon=True).start()\n"
         "at.wait()\nfaulthandler.dump_traceback()"],
        capture_output=True, timeout=60, check=True).stderr.decode()
    found, result = explain(world, text)
    expect(found == [] and "gordian: read 2 threads" in result.out, f"{found}", result)


if __name__ == "__main__":
    harness.main(globals())
