#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares gordian with the oracle of random programs: run_seeds.py --seeds 1..200

Never a deadlock in a run that ends; never a thread in a knot that could go on; always a deadlock in
a run that hangs by ownership. A seed that fails stays in its directory and prints how to repeat it.
"""

import argparse
import concurrent.futures
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE = 10.0  # seconds a run may hang, as the oracle says, before it counts as not reported


def ask_oracle(program, seed, state):
    out = subprocess.run([program, str(seed), state, "oracle"], capture_output=True, text=True,
                         check=False).stdout.splitlines()
    if len(out) != 3:
        return False, set(), set()
    return out[0] == "ended", set(out[1].split()[1:]), set(out[2].split()[1:])


def run_seed(options, seed):
    directory = tempfile.mkdtemp(prefix=f"seed-{seed}-", dir=options.directory)
    state, report = os.path.join(directory, "state"), os.path.join(directory, "report.json")
    words = [options.program, str(seed), state]
    if not options.bare:
        words = [options.gordian, "run", "--json", report, "--"] + words
    with open(os.path.join(directory, "output"), "wb") as output:
        process = subprocess.Popen(words, cwd=directory, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        hung, stuck_since, last, started = False, time.monotonic(), None, time.monotonic()
        while not hung:
            try:
                process.wait(0.05 if time.monotonic() - started < 0.3 else 0.3)
                break
            except subprocess.TimeoutExpired:
                pass
            _, truth, owned = ask_oracle(options.program, seed, state)
            if not truth or truth != last:
                stuck_since, last = time.monotonic(), truth
            hung = time.monotonic() - stuck_since > PATIENCE or time.monotonic() - started > 60
        if hung:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    ended, truth, owned = ask_oracle(options.program, seed, state)
    shown = (f"hung={hung} status={process.returncode} ended={ended} stuck={sorted(truth)} "
             f"by ownership={sorted(owned)}")
    problem = judge(options, process, hung, ended, truth, owned, report)
    if problem:
        return seed, f"seed {seed}: {problem}\n  {shown}\n  by hand: {shlex.join(words)}\n" \
                     f"  plan:    {options.program} {seed} - plan", "failed"
    shutil.rmtree(directory, ignore_errors=True)
    return seed, None, "ended" if ended else "deadlock" if owned else "hung"


def judge(options, process, hung, ended, truth, owned, report):
    if options.bare:
        if hung and not truth:
            return "hangs, but the oracle says that it can go on"
        if not hung and (truth or not ended):
            return "ended, but the oracle says that it hangs"
        return None
    findings = []
    if os.path.exists(report):
        with open(report, encoding="utf-8") as file:
            findings = json.load(file).get("findings", [])
    deadlocks = [f for f in findings if f["verdict"] == "deadlock"]
    named = {t["name"] for f in deadlocks for t in f["threads"]}
    if ended and deadlocks:
        return "FALSE DEADLOCK: reported in a run that ended"
    if named - truth:
        return f"FALSE DEADLOCK: {sorted(named - truth)} could go on"
    if hung:
        if owned:
            return "MISSED DEADLOCK"
        return None
    if deadlocks and process.returncode != 66:
        return "a deadlock, but the status is not 66"
    if not deadlocks and (process.returncode != 0 or not ended):
        return "it did not end as it should"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="1..200", help="FIRST..LAST")
    parser.add_argument("--program", required=True)
    parser.add_argument("--gordian", default="gordian")
    parser.add_argument("--bare", action="store_true", help="without gordian: is the oracle right?")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--directory", help="where failed seeds are kept")
    options = parser.parse_args()
    options.program = os.path.abspath(options.program)
    options.gordian = os.path.abspath(shutil.which(options.gordian) or options.gordian)
    if options.directory:
        os.makedirs(options.directory, exist_ok=True)
    first, last = (int(x) for x in options.seeds.split(".."))
    counts = {}
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for seed, problem, outcome in pool.map(lambda s: run_seed(options, s), range(first, last + 1)):
            counts[outcome] = counts.get(outcome, 0) + 1
            if problem:
                failed += 1
                print(problem, flush=True)
    print("seeds " + options.seeds + ": " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
