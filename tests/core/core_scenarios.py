#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every case of a scenario that hangs for ever: started without Gordian, its core given to
`gordian core`, the answer compared with what the head of its source promises of `gordian run`.

A core knows less than a watched program. What a case may lack is said here, in LESS, each with its
reason; everything else must be the same threads and the same locks.
"""

import argparse
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import run_scenario as scenario  # noqa: E402

HANGS_WITHIN_S = 20

# What no core can tell, whatever the case: words of the report, and where a lock was born.
NOT_ASKED = ("reason", "summary", "advice", "assumptions", "classes")

# SOURCE(CASE), or the beginning of it -> why a core cannot show it. Then nothing, or less, is right.
LESS = {
    "lease/lease(self)": "from outside each client of a server is seen by itself",
    "annotate/annotate(cycle)": "what annotations say is known only while a program is watched",
    "annotate/annotate(with-mutex)": "what annotations say is known only while a program is watched",
    "annotate/annotate(named)": "what annotations say is known only while a program is watched",
    "annotate/annotate(mailbox)": "what annotations say is known only while a program is watched",
    "file/file": "the kernel knows who has a file lock, and it is in no core",
    "mutex/shared": "the owner is another process",
    "process/process(zombie-owner)": "the owner is another process",
    "process/process(thread-orphan)": "an owner that is no thread of it may be its parent's, from fork",
    "rwlock/rwlock": "nothing is left on these stacks of who reads: tail calls",
    "semaphore/semaphore": "the program can set signal handlers; a core does not say whether it did",
    "sync/parts": "what the parts announce is known only while a program is watched",
    "spin/spin": "a spinning thread runs, as far as registers show",
}


def limits():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    # gdb writes every byte of every stack, used or not.
    resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))


def start(words, directory, extra, marker):
    # Nor a heap of 64 MiB for each thread.
    environment = dict(os.environ, MALLOC_ARENA_MAX="1", **extra)
    environment.pop("LD_PRELOAD", None)
    environment[scenario.MARKER] = marker
    return subprocess.Popen(words, cwd=directory, env=environment, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                            preexec_fn=limits)


def wait_until_quiet(process, marker, seconds):
    """"quiet": nothing of it runs any more; "busy": something still does; or "ended"."""
    end = time.monotonic() + seconds
    last, since = None, time.monotonic()
    while time.monotonic() < end:
        if process.poll() is not None:
            return "ended"
        now = scenario.activity(marker)
        if now is None or now != last:
            since = time.monotonic()
        last = now
        if time.monotonic() - since > 0.4:
            return "quiet"
        time.sleep(0.05)
    return "busy"


def name_of(source):
    return os.path.splitext(os.path.basename(source))[0]


def names_of(pid):
    names = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="utf-8", errors="replace") as file:
            names[int(tid)] = file.read().rstrip("\n")
    return names


def gdb_core(directory, pid):
    made = subprocess.run(["gcore", "-o", os.path.join(directory, "core"), str(pid)],
                          capture_output=True, check=False)
    core = os.path.join(directory, f"core.{pid}")
    if made.returncode != 0 or not os.path.exists(core):
        raise scenario.Failure("gcore failed: " + made.stderr.decode(errors="replace"))
    return core


def kernel_core(directory, process):
    """The way out where gdb does not attach: the main thread has ended. None: not to be had here."""
    process.send_signal(signal.SIGQUIT)
    process.wait()
    cores = [name for name in os.listdir(directory) if name.startswith("core")]
    return os.path.join(directory, cores[0]) if cores else None


def findings_of(options, directory, process, pids):
    found = []
    for pid in pids or [process.pid]:
        names = names_of(pid)
        core = gdb_core(directory, pid) if pids else kernel_core(directory, process)
        if core is None:
            return None
        report = core + ".json"
        done = subprocess.run([options.gordian, "core", "--stall", "--json", report, core],
                              capture_output=True, timeout=60, check=False)
        if done.returncode not in (0, 66):
            raise scenario.Failure(f"gordian core: {done.returncode} {done.stderr.decode()}")
        with open(report, encoding="utf-8") as file:
            for finding in json.load(file)["findings"]:
                # gdb writes no names of threads; the same threads by their numbers.
                for thread in finding["threads"]:
                    thread["name"] = names.get(thread["tid"], thread["name"])
                for resource in finding["resources"]:
                    resource.setdefault("name", "")
                found.append(finding)
    return found


def relaxed(text):
    """The facts of a JSON line that a core can be asked for; none: nothing to ask."""
    words = shlex.split(text)
    if words[0] == "no" or words[0].startswith(("findings=", "processes=")):
        return None
    facts = []
    for word in words:
        key, value = word.split("=", 1)
        if key in NOT_ASKED:
            continue
        if key == "verdict":
            value = "deadlock|stall" if value in ("deadlock", "stall") else value
        facts.append((key, value))
    if any(key == "verdict" and value != "deadlock|stall" for key, value in facts):
        return None  # of something that did not happen in this run
    return facts


def run_case(directives, name, options, directory, less):
    case = scenario.Case(directives, name)
    if case.last("EXIT") != "66" or case.last("BARE", "hang") != "hang":
        return None
    words, _ = scenario.command_words(case, options, directory)
    words = scenario.bare_words(words)
    extra = dict(text.split("=", 1) for text in case.texts("ENV"))
    marker = uuid.uuid4().hex
    process = start(words, directory, extra, marker)
    end = time.monotonic() + (0 if less else HANGS_WITHIN_S)
    try:
        while True:
            state = wait_until_quiet(process, marker, 4)
            if state == "ended":
                return None
            found = findings_of(options, directory, process, scenario.marked_processes(marker))
            if found is None:
                return None
            missing = [facts for facts in map(relaxed, case.texts("JSON"))
                       if facts and not any(scenario.fits(finding, facts) for finding in found)]
            # Some programs never come to rest, having threads beside those that hang.
            if not missing or state == "quiet" or process.poll() is not None or time.monotonic() > end:
                break
    finally:
        scenario.end_all(marker)
        process.kill()
        process.wait()
    if missing:
        raise scenario.Failure(f"no finding with {missing[0]}; the findings:\n{scenario.outline(found)}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("case", nargs="?")
    parser.add_argument("--program", required=True)
    parser.add_argument("--gordian", required=True)
    parser.add_argument("--runtime", default="")
    parser.add_argument("--directory", required=True)
    options = parser.parse_args()
    options.gordian = os.path.abspath(options.gordian)
    options.program = os.path.abspath(options.program)
    if not shutil.which("gcore"):
        print("skipped: there is no gcore (package gdb)")
        return 77
    directives = scenario.parse(options.source)
    stem = name_of(options.source)
    folder = os.path.basename(os.path.dirname(os.path.abspath(options.source)))
    seen = failed = 0
    os.makedirs(options.directory, exist_ok=True)
    for name in [options.case] if options.case else scenario.cases_of(directives):
        directory = tempfile.mkdtemp(prefix=f"core-{stem}-{name}-".replace("/", "_"),
                                     dir=options.directory)
        label = f"{folder}/{stem}({name})"
        less = next((why for start_, why in LESS.items() if label.startswith(start_)), None)
        try:
            found = run_case(directives, name, options, directory, less)
            if found is not None:
                seen += 1
                print(f"ok {label}: " + (", ".join(f["verdict"] for f in found) or "nothing"))
        except scenario.Failure as failure:
            if less:
                print(f"less {label}: {less}")
            else:
                failed += 1
                print(f"FAILED {label}: {failure}\n  kept: {directory}")
                continue
        shutil.rmtree(directory, ignore_errors=True)
    if failed == 0 and seen == 0 and not options.case:
        print("no case of it hangs for ever")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
