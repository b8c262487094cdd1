# SPDX-License-Identifier: Apache-2.0
"""look.py [--pause SECONDS] GORDIAN LOG COMMAND...: becomes the command, while a process beside it
runs `gordian attach` on it again and again and writes to LOG, a line of JSON a look, what that said."""
import json
import os
import pathlib
import subprocess
import sys
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


def look(gordian, log, command, pause):
    report = log + ".json"
    while os.path.exists(f"/proc/{command}"):
        lines = len(pathlib.Path(log).read_text().splitlines()) if os.path.exists(log) else 0
        if lines >= LOOKS:
            return
        pid = busiest(command)
        if threads(pid) >= 2:
            pathlib.Path(report).unlink(missing_ok=True)
            result = subprocess.run([gordian, "attach", "--json", report, str(pid)], capture_output=True,
                                    text=True, timeout=60, check=False)
            if os.path.exists(report) and result.returncode != 2:  # 2: it has just ended
                findings = json.loads(pathlib.Path(report).read_text())["findings"]
                with open(log, "a", encoding="utf-8") as out:
                    out.write(json.dumps({"status": result.returncode, "threads": threads(pid),
                                          "findings": [f"{f['verdict']}: {f['summary']}" for f in findings]}) + "\n")
            time.sleep(pause)
        else:
            time.sleep(NAP)


def main():
    words = sys.argv[1:]
    pause = PAUSE
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
            look(gordian, log, own, pause)
        os._exit(0)
    os.waitpid(child, 0)
    os.execvp(command[0], command)


main()
