# SPDX-License-Identifier: Apache-2.0
"""Recorded backtraces of the broken scenarios, what they must show, and what may be done to them
without changing that. The truth is the promise at the head of each scenario's source."""

import glob
import os
import random
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FOLDER = os.path.join(HERE, "recorded")
sys.path[:0] = [os.path.join(HERE, "..", "core"), os.path.join(HERE, "..", "support")]
import core_scenarios  # noqa: E402
from core_scenarios import scenario  # noqa: E402

# The beginning of a label -> why the text cannot show it. Then nothing is right.
LESS = {
    "mutex-shared": "the owner is in another process",
    "mutex-types": "nothing of the program is left on these stacks: tail calls",
    "rwlock-rwlock": "nothing of the program is left on these stacks: tail calls",
    "semaphore-semaphore": "a semaphore has no owner, and who could post it is not in the text",
    "spin-spin": "nothing of the program is left on these stacks: tail calls",
}


# The beginning of a label -> why threads are stuck also without one of the knot.
STILL_STUCK = {
    "mutex-lock_order-three": "two threads that want two locks look like a knot of their own",
    "redis-lock": "the other waiters hang as well",
    "videoroom-videoroom-broken@5": "it has the knot twice",
}


def less(label):
    return next((why for start, why in LESS.items() if label.startswith(start)), None)


IDLE = ("#0  0x00007f55b011a26f in __GI___poll (fds=0x55d0bb9dca0, nfds=1, timeout=-1) at ../sysdeps/unix/sysv/linux/poll.c:29\n"
        "#1  0x000055d0aa00298e in event_loop (loop=0x55d0bb000010) at loop.c:77\n"
        "#2  0x00007f55b00a71f5 in start_thread (arg=<optimized out>) at ./nptl/pthread_create.c:442\n\n")


def source_of(label):
    """The scenario of FOLDER-STEM-CASE, and the case."""
    for source in glob.glob(f"{ROOT}/scenarios/*/*.c*") + glob.glob(f"{ROOT}/scenarios/kinds/*/*.c*"):
        stem = os.path.splitext(os.path.basename(source))[0]
        start = os.path.basename(os.path.dirname(source)) + "-" + stem + "-"
        if label.startswith(start) and label[len(start):] in scenario.cases_of(scenario.parse(source)):
            return source, label[len(start):]
    raise SystemExit(f"no scenario for {label}")


def facts_of(label, text):
    """The findings a text of it must show: [(key, value)] each, without what only a run knows, and
    without names that are not in the text."""
    source, name = source_of(label.split(".")[0])
    case = scenario.Case(scenario.parse(source), name)
    found = []
    for facts in filter(None, map(core_scenarios.relaxed, case.texts("JSON"))):
        kept = []
        for key, value in facts:
            if key == "locks":
                value = ",".join(lock for lock in value.split(",") if f"<{lock}>" in text)
            if key in ("knot", "victims") and label.endswith(".eu"):  # eu-stack names no threads
                value = value if value.isdigit() else str(len([name for name in value.split(",") if name]))
            if value and key != "resource":
                kept.append((key, value))
        found.append(kept)
    return found


def all_recorded():
    for path in sorted(glob.glob(FOLDER + "/*.txt")):
        with open(path, encoding="utf-8", errors="replace") as file:
            yield os.path.basename(path)[:-4], file.read()


def split(text):
    """What stands before the stacks, and one text a thread."""
    pattern = r"(?m)^(?=TID \d+)" if re.search(r"(?m)^TID \d+", text) else r"(?m)^(?=Thread \d+ \()"
    first, *threads = re.split(pattern, text)
    return first, threads


def lwp_of(block):
    return int(re.search(r"(?:LWP|TID) (\d+)", block).group(1))


def shuffled(text, chance):
    first, threads = split(text)
    chance.shuffle(threads)
    return first + "".join(threads)


def moved(text, chance):
    """Everything somewhere else in memory."""
    shift = chance.randrange(1, 1000) << 16
    text = re.sub(r"0x([0-9a-f]{9,16})\b", lambda m: hex(int(m.group(1), 16) + shift), text)
    return re.sub(r"threadid=(\d{9,})", lambda m: f"threadid={int(m.group(1)) + shift}", text)


def renamed(text, chance):
    """Other names for the program's own functions, classes and namespaces."""
    words, taken = set(), {"main", "operator", "std", "lambda", "anonymous", "namespace", "const", "int", "void", "char",
                             "Thread", "LWP"}
    for line in text.split("\n"):
        frame = re.match(r"#\d+ +(?:0x[0-9a-f]+ in )?(.*)", line)
        if not frame:
            continue
        own = re.search(r"\) at (?:\.\./)*scenarios/", line) and not frame.group(1).startswith("std::")
        function = frame.group(1).split(" (", 1)[0] if not frame.group(1).startswith("(anon") else frame.group(1)[22:].split(" (", 1)[0]
        found = set(re.findall(r"[A-Za-z_]\w+", function))
        if own:
            words |= found
        elif not frame.group(1).startswith("std::"):
            taken |= set(re.findall(r"[A-Za-z_]\w+", line))
    for word in sorted(words - taken):
        text = re.sub(rf"(?<!/)\b{word}\b(?![./])", f"w{chance.randrange(10**6)}", text)
    return text


def variants(text, seed):
    chance = random.Random(seed)
    yield "shuffled", shuffled(text, chance)
    yield "moved", moved(text, chance)
    yield "renamed", renamed(text, chance)
    yield "all at once", renamed(moved(shuffled(text, chance), chance), chance)


def without(text, lwp):
    """The thread is in poll instead; and it is not in the paste at all."""
    first, threads = split(text)
    # A row of `info threads` would still say what it did.
    first = re.sub(r"(?m)^[* ] \d+ .*\n", "", first)
    at = next(i for i, block in enumerate(threads) if lwp_of(block) == lwp)
    head = threads[at].split("\n")[0] + "\n"
    if head.startswith("Thread"):
        yield "in poll", first + "".join(threads[:at] + [head + IDLE] + threads[at + 1:])
    yield "left out", first + "".join(threads[:at] + threads[at + 1:])
