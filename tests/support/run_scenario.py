#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one case of a scenario and compares what happened with the promises at the top of its source.

scenarios/README.md describes the promises. A case that fails prints the command that repeats it by
hand, and its directory stays.
"""

import argparse
import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

DIRECTIVE = re.compile(
    r"^\s*(?://|#)\s*(RUN|EXIT|EXPECT|REJECT|JSON|REPEAT|ENV|TIMEOUT|BARE|ATTACH|STDOUT)"
    r"(?:\(([^)]*)\))?:\s*(.*?)\s*$")
MARKER = "GORDIAN_TEST_RUN"


class Failure(Exception):
    pass


def parse(source):
    """[(directive, [pattern...], text)] in the order of the file."""
    found = []
    with open(source, encoding="utf-8") as file:
        for line in file:
            match = DIRECTIVE.match(line)
            if match:
                patterns = [p.strip() for p in (match[2] or "*").split(",")]
                found.append((match[1], patterns, match[3]))
    return found


def cases_of(directives):
    return [case for name, patterns, _ in directives if name == "RUN"
            for case in (["run"] if patterns == ["*"] else patterns)]


class Case:
    def __init__(self, directives, case):
        self.case = case
        self.directives = directives
        runs = self.texts("RUN", exact=True)
        if len(runs) != 1:
            raise SystemExit(f"case {case!r}: {len(runs)} RUN lines; there are "
                             f"{', '.join(cases_of(directives))}")
        self.run = runs[0]

    def texts(self, name, exact=False):
        def chosen(patterns):
            if exact:
                return self.case in patterns or (patterns == ["*"] and self.case == "run")
            return any(fnmatch.fnmatchcase(self.case, p) for p in patterns)
        return [text for kind, patterns, text in self.directives if kind == name and chosen(patterns)]

    def last(self, name, default=None):
        texts = self.texts(name)
        return texts[-1] if texts else default


def squeeze(text):
    return " ".join(text.split())


def marked_processes(marker):
    """Pids whose environment carries this run's marker."""
    wanted = f"{MARKER}={marker}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    found.append(int(name))
        except OSError:
            pass
    return found


def describe(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return f"{pid} ({file.read().replace(bytes(1), b' ').decode(errors='replace').strip()})"
    except OSError:
        return str(pid)


def end_all(marker):
    for _ in range(50):
        pids = marked_processes(marker)
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.02)


def activity(marker, only=None):
    """What changes when any thread of the run, or of one process of it, runs; None while one is not asleep."""
    seen = []
    for pid in marked_processes(marker) if only is None else [only]:
        try:
            for tid in sorted(os.listdir(f"/proc/{pid}/task")):
                with open(f"/proc/{pid}/task/{tid}/status", encoding="utf-8",
                          errors="replace") as file:
                    status = file.read()
                state = re.search(r"^State:\s+(\w)", status, re.M)[1]
                if state not in "SZ":
                    return None
                seen.append((pid, tid, re.findall(r"ctxt_switches:\s+(\d+)", status)))
        except (OSError, TypeError):
            return None
    return seen or None  # nobody there: not yet, on a busy machine


class Outcome:
    def __init__(self, status, timed_out, out, err):
        self.status, self.timed_out, self.out, self.err = status, timed_out, out, err

    def words(self):
        if self.timed_out:
            return "did not end"
        if self.status < 0:
            return f"signal {-self.status}"
        return f"exit {self.status}"


def execute(words, directory, extra, timeout, until_quiet=False, when_quiet=None):
    marker = uuid.uuid4().hex
    environment = dict(os.environ, **extra)
    environment[MARKER] = marker
    out_path, err_path = os.path.join(directory, "stdout"), os.path.join(directory, "stderr")
    timed_out = False
    with open(out_path, "wb") as out, open(err_path, "wb") as err:
        process = subprocess.Popen(words, cwd=directory, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=err, start_new_session=True)
        end = time.monotonic() + timeout
        last, quiet_since = None, None
        while True:
            try:
                process.wait(0.1 if until_quiet else timeout)
                break
            except subprocess.TimeoutExpired:
                timed_out = not until_quiet or time.monotonic() > end
            if until_quiet:
                now = activity(marker)
                if now is None or now != last:
                    quiet_since = time.monotonic()
                last = now
                timed_out = timed_out or time.monotonic() - quiet_since > 0.5
            if timed_out:
                break
    if timed_out and when_quiet:
        when_quiet({process.pid, *marked_processes(marker)})
    left = []
    if not timed_out:
        for _ in range(25):  # a child that was told to end may need a moment
            left = marked_processes(marker)
            if not left:
                break
            time.sleep(0.02)
        left = [describe(pid) for pid in left]
    end_all(marker)
    if process.poll() is None:
        process.kill()
        process.wait()
    read = lambda path: open(path, encoding="utf-8", errors="replace").read()
    outcome = Outcome(process.returncode, timed_out, read(out_path), read(err_path))
    outcome.left = left
    return outcome


def check_status(outcome, wanted):
    if wanted == "hang":
        if not outcome.timed_out:
            raise Failure(f"expected it to hang, but: {outcome.words()}")
        return
    wanted = wanted if wanted.startswith("signal") else f"exit {wanted}"
    if outcome.words() != wanted:
        raise Failure(f"expected {wanted}, but: {outcome.words()}")
    if outcome.left:
        raise Failure("left behind: " + ", ".join(outcome.left))


def resource_names(finding):
    return [r.get("name") or "" for r in finding.get("resources", [])]


def roles(finding, role):
    return [t.get("name", "") for t in finding.get("threads", []) if t.get("role", "knot") == role]


def fits_names(actual, wanted):
    if wanted.isdigit():
        return len(actual) == int(wanted)
    return sorted(actual) == sorted(w for w in wanted.split(",") if w)


def fits(finding, facts):
    for key, wanted in facts:
        if key in ("verdict", "kind"):
            if finding.get(key) not in wanted.split("|"):
                return False
        elif key == "knot":
            if not fits_names(roles(finding, "knot"), wanted):
                return False
        elif key == "victims":
            if not fits_names(roles(finding, "victim"), wanted):
                return False
        elif key == "locks":
            names = resource_names(finding)
            if not all(w in names for w in wanted.split(",")):
                return False
        elif key == "classes":
            names = [r.get("class") or "" for r in finding.get("resources", [])]
            if not all(any(w in n for n in names) for w in wanted.split(",")):
                return False
        elif key == "resource":  # kinds of resources that must be there
            kinds = [r.get("kind") for r in finding.get("resources", [])]
            if not all(w in kinds for w in wanted.split(",")):
                return False
        elif key in ("reason", "summary", "advice", "assumptions"):
            if wanted not in squeeze(json.dumps(finding.get(key), ensure_ascii=False)):
                return False
        else:
            raise SystemExit(f"unknown fact {key!r} in a JSON line")
    return True


def outline(findings):
    lines = []
    for f in findings:
        lines.append(f"    verdict={f.get('verdict')} kind={f.get('kind')}"
                     f" knot={','.join(roles(f, 'knot'))} victims={','.join(roles(f, 'victim'))}"
                     f" resources={','.join(r.get('kind', '?') + ':' + (r.get('name') or '?') for r in f.get('resources', []))}"
                     f" reason={f.get('reason')}")
    return "\n".join(lines) or "    (none)"


def check_json(path, texts):
    try:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
    except FileNotFoundError:
        raise Failure("no JSON report was written") from None
    except ValueError as error:
        raise Failure(f"the JSON report is not JSON: {error}") from None
    if report.get("schema") != 1:
        raise Failure(f"schema is {report.get('schema')!r}, not 1")
    findings = report.get("findings", [])
    told = [f for f in findings if f.get("verdict") != "refuted"]
    for text in texts:
        words = shlex.split(text)
        negated = words[0] == "no"
        facts = [w.split("=", 1) for w in words[negated:]]
        if facts[0][0] == "findings":
            if len(told) != int(facts[0][1]):
                raise Failure(f"JSON: {text}, but there are {len(told)}:\n{outline(told)}")
            continue
        if facts[0][0] == "processes":
            if len(report.get("processes", [])) < int(facts[0][1]):
                raise Failure(f"JSON: {text}, but there are {len(report.get('processes', []))}")
            continue
        if any(fits(f, facts) for f in findings) == negated:
            raise Failure(f"JSON: {text}: {'there is one' if negated else 'no such finding'}; the "
                          f"findings:\n{outline(findings)}")


# Where a lock does not name its holder, attach infers it from the stacks and says `stall`.
RELAXED = "verdict=deadlock|stall"


def attach_texts(case):
    """What `gordian attach` must find in the hung program: ATTACH lines, else what `run` must find."""
    own = case.texts("ATTACH")
    if own:
        return own
    return [text.replace("verdict=deadlock", RELAXED) for text in case.texts("JSON")
            if "verdict=deadlock" in text and not text.startswith("no ")]


def attach_to(pids, options, directory, texts):
    """The first complaint of each process, until one has none."""
    complaints = []
    for pid in pids:
        path = os.path.join(directory, f"attach-{pid}.json")
        extra = [words[7:] for words in texts if words.startswith("option ")]
        result = subprocess.run([options.gordian, "attach", "--json", path, *extra, str(pid)],
                                capture_output=True, text=True, errors="replace", timeout=60)
        try:
            if result.returncode not in (0, 66):
                raise Failure(f"attach ended with {result.returncode}: {result.stderr}")
            check_json(path, [text for text in texts if not text.startswith("option ")])
            return
        except Failure as failure:
            complaints.append(f"attach {describe(pid)}: {failure}\n{result.stdout}{result.stderr}")
    raise Failure("\n".join(complaints) or "no process was left to attach to")


def command_words(case, options, directory):
    program = options.program.replace("%twin", case.case.split("@")[0])
    json_path = os.path.join(directory, "report.json")
    values = {"%program": program, "%json": json_path, "%dir": directory,
              "%case": case.case, "%source": os.path.dirname(os.path.abspath(options.source)),
              "%lib": options.runtime, "%bin": os.path.dirname(program)}
    words = []
    for word in shlex.split(case.run):
        for name, value in values.items():
            word = word.replace(name, value)
        words.append(word)
    if words[0] == "gordian":
        words[0] = options.gordian
        if words[1] == "run" and case.texts("JSON") and "--json" not in words:
            words[2:2] = ["--json", json_path]
    return words, json_path


def bare_words(words):
    if words[0] == "env":  # env LD_PRELOAD=... program
        return [w for w in words if not w.startswith("LD_PRELOAD=")]
    return words[words.index("--") + 1:]


def run_once(case, options, directory):
    words, json_path = command_words(case, options, directory)
    extra = dict(text.split("=", 1) for text in case.texts("ENV"))
    extra = {k: v.replace("%lib", options.runtime).replace("%dir", directory)
             for k, v in extra.items()}
    timeout = float(case.last("TIMEOUT", "20"))
    wanted = case.last("EXIT")
    if wanted is None:
        raise SystemExit(f"case {case.case!r} has no EXIT line")
    if options.bare or options.attach:
        wanted = case.last("BARE", "hang" if wanted == "66" else wanted)
        if wanted == "skip":
            return
        if options.attach and (wanted != "hang" or not attach_texts(case) or
                               attach_texts(case)[0] == "skip"):
            return
        words = bare_words(words)
    shown = " ".join(f"{k}={shlex.quote(v)}" for k, v in extra.items())
    case.by_hand = f"cd {shlex.quote(directory)} && {shown}{' ' if shown else ''}{shlex.join(words)}"
    quiet = (options.bare or options.attach) and wanted == "hang"
    complaint = []

    def attach(pids):
        try:
            attach_to(sorted(pids), options, directory, attach_texts(case))
        except Failure as failure:
            complaint.append(failure)
    outcome = execute(words, directory, extra, min(timeout, 2.0) if quiet else timeout, quiet,
                      attach if options.attach else None)
    case.outcome = outcome
    check_status(outcome, wanted)
    if complaint:
        raise complaint[0]
    for expected in case.texts("STDOUT"):
        if wanted != "hang" and squeeze(expected) not in squeeze(outcome.out):
            raise Failure(f"not on stdout: {expected}")
    if options.bare or options.attach:
        return
    text = squeeze(outcome.err + "\n" + outcome.out)
    for expected in case.texts("EXPECT"):
        if squeeze(expected) not in text:
            raise Failure(f"not in the output: {expected}")
    for rejected in case.texts("REJECT"):
        if squeeze(rejected) in text:
            raise Failure(f"must not be in the output: {rejected}")
    if case.texts("JSON"):
        check_json(json_path, case.texts("JSON"))


def repeats(case):
    """How often to run it; where GORDIAN_REPEAT_PART is 4, a quarter of that."""
    return max(1, int(case.last("REPEAT", "1")) // int(os.environ.get("GORDIAN_REPEAT_PART", "1")))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("case", nargs="?", help="default: every case of the source")
    parser.add_argument("--program", default="", help="%%twin stands for the case up to its @")
    parser.add_argument("--gordian", default="gordian")
    parser.add_argument("--runtime", default="")
    parser.add_argument("--directory", help="keep all runs below this directory")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--bare", action="store_true",
                        help="without gordian: does it hang, or end, by itself?")
    parser.add_argument("--attach", action="store_true",
                        help="without gordian, and when it hangs: does gordian attach say why?")
    options = parser.parse_args()
    options.gordian = os.path.abspath(shutil.which(options.gordian) or options.gordian)
    if options.program:
        options.program = os.path.abspath(options.program)
    if options.runtime:
        options.runtime = os.path.abspath(options.runtime)
    directives = parse(options.source)
    if options.list:
        print("\n".join(cases_of(directives)))
        return 0

    failed = 0
    for name in [options.case] if options.case else cases_of(directives):
        case = Case(directives, name)
        case.by_hand, case.outcome = "", None
        root = options.directory or tempfile.gettempdir()
        os.makedirs(root, exist_ok=True)
        stem = os.path.splitext(os.path.basename(options.source))[0]
        directory = tempfile.mkdtemp(prefix=f"{stem}-{name}-".replace("/", "_"), dir=root)
        repeat = 1 if options.bare or options.attach else repeats(case)
        try:
            for turn in range(repeat):
                run_once(case, options, directory)
        except Failure as failure:
            failed += 1
            print(f"FAILED {options.source}({name}): {failure}")
            if repeat > 1:
                print(f"  in run {turn + 1} of {repeat}")
            print(f"  by hand: {case.by_hand}")
            print(f"  kept:    {directory}")
            if case.outcome:
                for stream, text in (("stdout", case.outcome.out), ("stderr", case.outcome.err)):
                    if text:
                        print(f"--- {stream}\n{text[-6000:]}")
            continue
        shutil.rmtree(directory, ignore_errors=True)
        print(f"ok {stem}({name})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
