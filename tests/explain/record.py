#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records what gdb and eu-stack print of the broken scenarios, hung and not watched by anybody:
tests/explain/record.py [--build build/ci] [LABEL...]

A recording is tests/explain/recorded/LABEL.txt, its label FOLDER-STEM-CASE. What it must show is
not recorded: recorded.py takes it from the head of the scenario's source.
"""

import argparse
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "core"), os.path.join(HERE, "..", "support")]
import core_scenarios  # noqa: E402
import recorded  # noqa: E402
from core_scenarios import scenario  # noqa: E402


def gdb(*commands):
    words = ["gdb", "-batch", "-nx", "-iex", "set debuginfod enabled off", "-p", "{pid}"]
    for command in commands:
        words += ["-ex", command]
    return words


TOOLS = {
    "": gdb("info threads", "thread apply all bt"),
    ".full": gdb("thread apply all bt full"),
    ".eu": ["eu-stack", "-p", "{pid}"],
}


def program_of(build, source):
    folder = os.path.dirname(source)
    name = os.path.basename(folder)
    stem = os.path.splitext(os.path.basename(source))[0]
    own = os.path.join(build, os.path.relpath(folder, ROOT))
    for path in (os.path.join(own, stem), os.path.join(own, f"{name}-broken")):
        if os.path.isfile(path):
            return path
    return None


def record(options, label):
    plain, _, tool = label.partition(".")
    source, case_name = recorded.source_of(plain)
    options.source, options.program = source, program_of(options.build, source)
    if not options.program:
        return "not built"
    case = scenario.Case(scenario.parse(source), case_name)
    options.directory = tempfile.mkdtemp(prefix="gordian-record-")
    words, _ = scenario.command_words(case, options, options.directory)
    extra = dict(text.split("=", 1) for text in case.texts("ENV"))
    marker = uuid.uuid4().hex
    process = core_scenarios.start(scenario.bare_words(words), options.directory, extra, marker)
    try:
        if core_scenarios.wait_until_quiet(process, marker, 30) == "ended":
            return "it ended"
        command = [word.format(pid=process.pid) for word in TOOLS["." + tool if tool else ""]]
        made = subprocess.run(command, capture_output=True, timeout=90, check=False,
                              env=dict(os.environ, DEBUGINFOD_URLS=""))
    finally:
        scenario.end_all(marker)
        process.kill()
        process.wait()
        shutil.rmtree(options.directory, ignore_errors=True)
    with open(os.path.join(recorded.FOLDER, label + ".txt"), "wb") as out:
        out.write(made.stdout)
    return "recorded"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "ci"))
    parser.add_argument("labels", nargs="*", metavar="LABEL")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    options.gordian, options.runtime = os.path.join(options.build, "bin", "gordian"), ""
    known = [os.path.basename(path)[:-4] for path in sorted(glob.glob(recorded.FOLDER + "/*.txt"))]
    for label in options.labels or known:
        print(f"{label}: {record(options, label)}", flush=True)


if __name__ == "__main__":
    main()
