# SPDX-License-Identifier: Apache-2.0
"""What tests of the whole program share: run it, look at what it left behind, say how to repeat it.

A test is a function test_NAME(world). A file of tests ends with harness.main(globals()) and is
called with the name of one test, or without any for all.
"""

import argparse
import glob
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid

from run_scenario import MARKER, marked_processes


class Skip(Exception):
    """The machine lacks something the test needs. Said, not hidden."""


class Result:
    def __init__(self, words, status, out, err):
        self.words, self.status = words, status
        self.raw_out, self.raw_err = out, err
        self.out = out.decode(errors="replace")
        self.err = err.decode(errors="replace")

    def __str__(self):
        return (f"{shlex.join(self.words)}\n  status {self.status}\n--- stdout\n{self.out[-3000:]}"
                f"\n--- stderr\n{self.err[-3000:]}")


class World:
    """Where the programs are, a directory for one test, and a marker on every process it starts."""

    def __init__(self, options, directory):
        self.gordian = os.path.abspath(options.gordian)
        self.runtime = os.path.abspath(options.runtime)
        self.kinds = os.path.abspath(options.kinds)
        self.random_program = os.path.abspath(options.random_program)
        self.tools = os.path.abspath(options.tools) if options.tools else ""
        self.directory = directory
        self.marker = uuid.uuid4().hex
        self.environment = dict(os.environ)
        self.environment.pop("LD_PRELOAD", None)
        self.environment[MARKER] = self.marker

    def path(self, name):
        return os.path.join(self.directory, name)

    def kind(self, name):
        """A program of scenarios/kinds, as "mutex/lock_order"."""
        return os.path.join(self.kinds, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def build(self, name, source, *flags):
        """Compiles a C program; skips where the compiler cannot."""
        self.write(name + ".c", source)
        made = subprocess.run(["cc", "-O2", "-g", "-o", self.path(name), self.path(name + ".c"), *flags],
                              capture_output=True, check=False)
        if made.returncode != 0:
            raise Skip(f"cc {' '.join(flags)} does not work here")
        return self.path(name)

    def start(self, words, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        more.setdefault("cwd", self.directory)
        environment = dict(self.environment, **more.pop("env", {}))
        return subprocess.Popen(words, env=environment, **more)

    def run(self, *words, input=None, timeout=30, **more):
        if input is not None:
            more["stdin"] = subprocess.PIPE
        process = self.start(list(words), **more)
        try:
            out, err = process.communicate(input, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            self.end_all()
            out, err = process.communicate()
            raise AssertionError(
                f"did not end in {timeout} s: {Result(list(words), 'none', out or b'', err or b'')}") from None
        return Result(list(words), process.returncode, out or b"", err or b"")

    def watch(self, *words, options=(), **more):
        """gordian run OPTIONS -- WORDS"""
        return self.run(self.gordian, "run", *options, "--", *words, **more)

    def report(self, name="report.json"):
        with open(self.path(name), encoding="utf-8") as file:
            report = json.load(file)
        assert report["schema"] == 1, report
        return report

    def processes(self):
        return marked_processes(self.marker)

    def wait_for(self, condition, what, timeout=20):
        """What the condition gave when it held. (Asked again it may give nothing: a process that
        executes another program shows no environment for a moment.)"""
        end = time.monotonic() + timeout
        while not (found := condition()):
            assert time.monotonic() < end, f"waited {timeout} s in vain for {what}"
            time.sleep(0.01)
        return found

    def end_all(self):
        for _ in range(100):
            pids = self.processes()
            if not pids:
                return
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            time.sleep(0.02)

    def expect_nothing_left(self, before):
        """No process, and no file that carries our name, of this run is still there."""
        end = time.monotonic() + 3
        while self.processes() and time.monotonic() < end:
            time.sleep(0.02)
        left = []
        for pid in self.processes():
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    left.append(f"{pid} {file.read().replace(bytes(1), b' ').decode(errors='replace')}")
            except OSError:
                pass
        assert not left, f"processes left behind: {left}"
        new = files_of_ours() - before
        assert not new, f"files left behind: {sorted(new)}"


def files_of_ours():
    return set(glob.glob("/dev/shm/*gordian*") + glob.glob("/tmp/*gordian-board*"))


def child_status(status):
    """What a shell would say."""
    return f"signal {-status}" if status < 0 else f"exit {status}"


def expect(condition, text, result=None):
    assert condition, f"{text}\n{result}" if result is not None else text


def same_as_bare(world, *words, options=(), ignore_stderr=False, **more):
    """The program's output and end do not change. Returns the watched run."""
    bare = world.run(*words, **more)
    watched = world.watch(*words, options=options, **more)
    expect(watched.status == bare.status,
           f"ends with {child_status(watched.status)} instead of {child_status(bare.status)}", watched)
    expect(watched.raw_out == bare.raw_out, "its output differs", f"{bare}\n{watched}")
    if not ignore_stderr:
        expect(watched.err.endswith(bare.err) or bare.err in watched.err, "its messages differ",
               f"{bare}\n{watched}")
    return watched


def main(tests):
    parser = argparse.ArgumentParser()
    parser.add_argument("test", nargs="*")
    parser.add_argument("--gordian", required=True)
    parser.add_argument("--runtime", required=True)
    parser.add_argument("--kinds", required=True, help="where scenarios/kinds was built")
    parser.add_argument("--random-program", default="")
    parser.add_argument("--tools", default="", help="the folder tools of the repository")
    parser.add_argument("--directory", default=None)
    options = parser.parse_args()
    names = options.test or [n[5:] for n in tests if n.startswith("test_")]
    if options.directory:
        os.makedirs(options.directory, exist_ok=True)
    failed = 0
    skipped = 0
    for name in names:
        directory = tempfile.mkdtemp(prefix=f"{name}-", dir=options.directory)
        os.chmod(directory, 0o755)
        world = World(options, directory)
        before = files_of_ours()
        try:
            tests["test_" + name](world)
            world.expect_nothing_left(before)
            print(f"ok {name}", flush=True)
            shutil.rmtree(directory, ignore_errors=True)
        except Skip as skip:
            skipped += 1
            print(f"skipped {name}: {skip}", flush=True)
            shutil.rmtree(directory, ignore_errors=True)
        except (AssertionError, OSError, KeyError, ValueError, IndexError) as error:
            failed += 1
            print(f"FAILED {name}: {error}")
            if not isinstance(error, AssertionError):
                traceback.print_exc(file=sys.stdout)
            print(f"  again: {shlex.join([sys.executable, *sys.argv[:1], name, *sys.argv[1 + len(options.test):]])}")
            print(f"  kept:  {directory}", flush=True)
        finally:
            world.end_all()
    if failed:
        sys.exit(1)
    sys.exit(77 if skipped == len(names) else 0)
