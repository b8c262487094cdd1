# SPDX-License-Identifier: Apache-2.0
"""look.py [--pause SECONDS] GORDIAN LOG COMMAND...: becomes the command, while a process beside it
runs `gordian attach` on it again and again and writes to LOG, a line of JSON a look, what that said.

With a pause it looks no more often than that, also at several commands after each other that share a
LOG, and writes to LOG.lived how long each lived, in seconds, a line a command."""
import json
import os
import pathlib
import resource
import select
import subprocess
import sys
import threading
import time

LOOKS = 20
PAUSE = 0.05  # so that the looks are spread over the load
NAP = 0.002   # until it has threads


def children(pid):
    try:
        return [int(child) for task in os.listdir(f"/proc/{pid}/task")
                for child in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    except OSError:
        return []


def threads(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def busiest(pid):
    """Of the command and what it has started, the process with the most threads."""
    tree = [pid]
    for one in tree:
        tree += children(one)
    return max(tree, key=threads)


def processor_seconds():
    """What our looks have used so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def look(gordian, log, pid):
    """One look: its line, or nothing where the process has just ended."""
    report = pathlib.Path(log + ".json")
    report.unlink(missing_ok=True)
    before = processor_seconds()
    result = subprocess.run([gordian, "attach", "--json", str(report), str(pid)], capture_output=True,
                            text=True, timeout=60, check=False)
    if not report.exists() or result.returncode == 2:
        return None
    findings = json.loads(report.read_text())["findings"]
    return json.dumps({"status": result.returncode, "threads": threads(pid), "processor": processor_seconds() - before,
                       "findings": [f"{f['verdict']}: {f['summary']}" for f in findings]})


def append(path, line):
    with open(path, "a", encoding="utf-8") as out:
        out.write(line + "\n")


class End:
    """When a process ends, also while a look is taken: a command may be over before that is."""

    def __init__(self, pid):
        self.at = 0.0
        self.happened = threading.Event()
        self._process = select.poll()
        self._process.register(os.pidfd_open(pid), select.POLLIN)
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self):
        self._process.poll()
        self.at = time.monotonic()
        self.happened.set()


def looks_at(gordian, log, command, pause):
    """Until the command ends, or after so many looks where nobody set the pace."""
    last = pathlib.Path(log + ".last")
    start = time.monotonic()
    end = End(command)
    wait = 0.0
    while not end.happened.wait(wait):
        wait = NAP
        if pause is None and os.path.exists(log) and len(pathlib.Path(log).read_text().splitlines()) >= LOOKS:
            return
        if pause is not None and last.exists():
            left = last.stat().st_mtime + pause - time.time()
            if left > 0:
                wait = left
                continue
        pid = busiest(command)
        if threads(pid) < 2:
            continue
        last.touch()
        line = look(gordian, log, pid)
        if line:
            append(log, line)
        wait = PAUSE if pause is None else NAP
    append(log + ".lived", str(end.at - start))


def main():
    words = sys.argv[1:]
    pause = None
    if words[0] == "--pause":
        pause = float(words[1])
        words = words[2:]
    gordian, log, *command = words
    own = os.getpid()
    # A grandchild, so that the command has no child it does not know, and none of its descriptors.
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in range(3):
                os.dup2(nothing, descriptor)
            os.closerange(3, 256)
            looks_at(gordian, log, own, pause)
        os._exit(0)
    os.waitpid(child, 0)
    os.execvp(command[0], command)


main()
