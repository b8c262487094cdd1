#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian as its user meets it: options, messages, exit statuses, the terminal."""

import atexit
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness
from harness import Skip, expect, same_as_bare


def is_message(result, *words):
    """One message, by us, without a stack trace, that has all the words."""
    text = result.err.lower()
    return text.startswith("gordian:") and all(w.lower() in text for w in words)


# --- the command line


def test_help(world):
    for words in (["--help"], ["-h"], ["run", "--help"]):
        result = world.run(world.gordian, *words)
        expect(result.status == 0, "help is no failure", result)
        expect("gordian run [options] [--] PROGRAM" in result.out, "no usage on stdout", result)
        expect(result.err == "", "something on stderr", result)


def test_help_names_all_options(world):
    result = world.run(world.gordian, "run", "--help")
    for option in ("--on-deadlock", "--stall", "--no-children", "--refuted", "--json", "--strict",
                   "--suppress", "--quiet", "--log"):
        expect(option in result.out, f"no {option}", result)


def test_version(world):
    result = world.run(world.gordian, "--version")
    expect(result.status == 0 and result.out.startswith("gordian ") and result.out.count("\n") == 1,
           "no version", result)


def test_bad_arguments(world):
    for words in ([], ["nothing-like-this"], ["--nothing"], ["run"], ["run", "--"],
                  ["run", "--nothing", "--", "true"], ["run", "--on-deadlock=what", "--", "true"],
                  ["run", "--stall=fast", "--", "true"], ["run", "--stall=-1s", "--", "true"],
                  ["run", "--stall=0", "--", "true"], ["run", "--json"],
                  ["run", "--json=/nonexistent/x.json", "--", "true"],
                  ["run", "--log=/nonexistent/x.log", "--", "true"],
                  ["run", "--suppress=/nonexistent/x", "--", "true"], ["run", ""]):
        result = world.run(world.gordian, *words)
        expect(result.status == 2, f"{words}: exit {result.status}, not 2", result)
        expect(result.err != "" and result.out == "", f"{words}: no message on stderr", result)
        expect("internal error" not in result.err, f"{words}", result)


def test_options_end_at_the_program(world):
    result = world.run(world.gordian, "run", "echo", "--json", "x", "--strict", "--help")
    expect(result.status == 0 and result.out == "--json x --strict --help\n", "took its options", result)
    result = world.run(world.gordian, "run", "--", "echo", "--", "-q")
    expect(result.out == "-- -q\n", "took its options", result)


# --- programs that cannot be started


def test_not_found(world):
    for name in ("no-such-program-anywhere", "./no-such-program", "/no/such/program"):
        result = world.watch(name)
        expect(result.status == 2, "exit 2", result)
        expect(is_message(result, name, "not found") or is_message(result, name, "no such"), "message", result)


def test_not_executable(world):
    path = world.write("data", "just data\n")
    result = world.watch(path)
    expect(result.status == 2 and is_message(result, path, "executable"), "message", result)


def test_directory(world):
    result = world.watch(world.directory)
    expect(result.status == 2 and is_message(result, world.directory), "message", result)


def test_no_permission(world):
    if os.getuid() != 0:
        raise Skip("needs root to become another user")
    folder = world.path("closed")
    os.mkdir(folder, 0o700)
    subprocess.run(["cp", "/bin/true", folder + "/true"], check=True)
    # The other user must be able to reach gordian itself.
    tools = copy_for_everybody(world)
    result = world.run(tools + "/bin/gordian", "run", "--", folder + "/true",
                       user=65534, group=65534, extra_groups=[])
    expect(result.status == 2 and "ermission" in result.err, "message", result)


def copy_for_everybody(world):
    """A tree as installed that any user may read, also if the build directory is under /root."""
    base = tempfile.mkdtemp(prefix="gordian-test-")
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    os.chmod(base, 0o755)
    os.makedirs(base + "/bin")
    os.makedirs(base + "/lib")
    subprocess.run(["cp", world.gordian, base + "/bin/gordian"], check=True)
    subprocess.run(["cp", world.runtime, base + "/lib/libgordian.so"], check=True)
    return base


def test_another_user(world):
    if os.getuid() != 0:
        raise Skip("needs root to become another user")
    tools = copy_for_everybody(world)
    subprocess.run(["cp", world.kind("mutex/lock_order"), tools + "/lock_order"], check=True)
    result = world.run(tools + "/bin/gordian", "run", "--", tools + "/lock_order", "cycle",
                       user=65534, group=65534, extra_groups=[])
    expect(result.status == 66 and "DEADLOCK: 2 threads, 2 locks" in result.err, "report", result)
    expect("kitchen" in result.err, "no lock names", result)


def test_script(world):
    path = world.write("hello.sh", "#!/bin/sh\necho hello $1; exit 3\n", 0o755)
    result = world.watch(path, "you")
    expect(result.status == 3 and result.out == "hello you\n", "a script runs", result)


def test_script_without_interpreter_line(world):
    path = world.write("plain", "echo plain $1; exit 4\n", 0o755)
    result = world.watch(path, "one")
    expect(result.status == 4 and result.out == "plain one\n", "as execvp does", result)


def test_script_whose_interpreter_is_missing(world):
    path = world.write("broken", "#!/no/such/interpreter\n", 0o755)
    result = world.watch(path)
    expect(result.status == 2 and is_message(result, "/no/such/interpreter"), "message", result)


def test_script_starts_a_deadlock(world):
    path = world.write("run.sh", f"#!/bin/sh\n'{world.kind('mutex/lock_order')}' cycle\necho after\n", 0o755)
    result = world.watch(path)
    expect(result.status == 66, "the child's deadlock counts", result)
    expect("DEADLOCK: 2 threads" in result.err, "report", result)


# --- programs that cannot be watched, and run all the same


def test_static(world):
    program = world.build("static", '#include <stdio.h>\nint main(void) { puts("static"); return 5; }\n', "-static")
    result = world.watch(program)
    expect(result.status == 5 and result.out == "static\n", "runs undisturbed", result)
    expect("static" in result.err and result.err.count("gordian:") == 1, "named once", result)


# The shell would take its bytes for commands.
def test_of_another_machine(world):
    path = world.path("foreign")
    with open(path, "wb") as file:
        file.write(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\xb7\0" + bytes(100) + b"\necho heard\n")
    os.chmod(path, 0o755)
    result = world.watch(path)
    expect(result.status == 2 and result.out == "", "not run", result)
    expect("foreign" in result.err and "Exec format error" in result.err, "said why", result)
    # What is a text in its first line is one, whatever follows.
    path = world.write("both", "MZqFpD='\n\0\x10'\necho ape $#\nexit 7\n", 0o755)
    result = world.watch(path, "a", "b")
    expect(result.status == 7 and result.out == "ape 2\n", "the shell's", result)


# Without a library: a 64-bit Debian has none of 32 bits.
SMALL = """
static int call(int number, int a, const char* b, int c) {
  int result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
  return result;
}
void _start(void) {
  call(4, 1, "small\\n", 6);
  call(1, 6, 0, 0);
}
"""


def test_32_bit(world):
    program = world.build("small", SMALL, "-m32", "-nostdlib", "-static", "-fno-pie", "-no-pie")
    try:
        subprocess.run([program], stdout=subprocess.DEVNULL, check=False)
    except OSError:
        raise Skip("this kernel runs no 32-bit programs") from None
    result = world.watch(program)
    expect(result.status == 6 and result.out == "small\n", "runs undisturbed", result)
    expect("32-bit" in result.err, "named once", result)


def test_setuid(world):
    if os.getuid() != 0:
        raise Skip("needs root to make a setuid program")
    program = world.path("setuid-id")
    subprocess.run(["cp", "/usr/bin/id", program], check=True)
    os.chown(program, 65534, 65534)
    os.chmod(program, 0o4755)
    result = world.watch(program, "-u")
    if result.out == "0\n":
        raise Skip("setuid programs have no effect here")
    expect(result.status == 0 and result.out == "65534\n", "runs with its rights", result)
    expect("set" in result.err.lower() and result.err.count("gordian:") >= 1, "said why unwatched", result)


WAITS_FOR_A_LINE = """
#include <stdio.h>
int main(int argc, char** argv) {
  char line[9];
  FILE* from = fopen(argv[argc - 1], "r");
  return from && fgets(line, sizeof line, from) ? 5 : 1;
}
"""

# Becomes another program, which may have no socket: so it can send no board.
WITHOUT_SOCKETS = """
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char** argv) {
  struct sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof rules / sizeof rules[0], rules};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    return 77;
  execv(argv[1], argv + 1);
  return 1;
}
"""


def named_while_it_runs(world, words, text):
    """Watches a program that reads lines from the pipe "line" until gordian has said `text`."""
    os.mkfifo(world.path("line"))
    judge = world.start([world.gordian, "run", "--log", world.path("log"), "--", *words])

    def said():
        with open(world.path("log"), encoding="utf-8") as file:
            return text in file.read()
    world.wait_for(lambda: judge.poll() is not None or os.path.exists(world.path("log")) and said(), text)
    while judge.poll() is None:  # as often as somebody reads
        try:
            line = os.open(world.path("line"), os.O_WRONLY | os.O_NONBLOCK)
            os.write(line, b"go\n")
            os.close(line)
        except OSError:
            time.sleep(0.01)
    with open(world.path("log"), encoding="utf-8") as file:
        return judge.returncode, file.read()


def test_static_child_of_a_watched_program(world):
    program = world.build("static", WAITS_FOR_A_LINE, "-static")
    status, log = named_while_it_runs(
        world, ["sh", "-c", f"'{program}' line & '{program}' line; wait; exit 7"], "statically linked")
    expect(status == 7, "runs undisturbed", log)
    expect(log.count("runs unwatched") == 1 and f"{program} (pid " in log, "named once", log)


def test_executed_where_no_board_can_be_made(world):
    filtered = world.build("filtered", WITHOUT_SOCKETS)
    program = world.build("dynamic", WAITS_FOR_A_LINE)
    status, log = named_while_it_runs(world, [filtered, program, "line"], "runs unwatched")
    if status == 77:
        raise Skip("no seccomp filters here")
    expect(status == 5, "runs undisturbed", log)
    expect(f"{program} (pid " in log and "seccomp" in log, "named, with the reason", log)


# --- how it ends


def test_exit_status_is_passed_on(world):
    for status in (0, 1, 2, 42, 66, 70, 126, 127, 255):
        result = world.watch("sh", "-c", f"exit {status}")
        expect(result.status == status, f"wanted {status}", result)


def test_death_by_signal_is_passed_on(world):
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1,
                   signal.SIGPIPE, signal.SIGALRM):
        result = world.watch("sh", "-c", f"ulimit -c 0; kill -{int(number)} $$")
        expect(result.status == -number, f"wanted death by {number}", result)


def test_crash_is_passed_on(world):
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE):
        result = world.watch("sh", "-c", f"ulimit -c 0; kill -{int(number)} $$")
        expect(result.status == -number, f"wanted death by {number}", result)


def test_output_of_a_clean_program_is_all_there_is(world):
    result = world.watch("sh", "-c", "echo out; echo err >&2")
    expect(result.out == "out\n", "stdout", result)
    expect(result.err == "err\n", "a clean program is not commented on", result)


# --- files and streams


def test_stdin_passes_through(world):
    data = os.urandom(3_000_000)
    result = world.watch("cat", input=data)
    expect(result.status == 0 and result.raw_out == data, "cat is no cat any more")


def test_descriptors_are_as_in_a_bare_run(world):
    same_as_bare(world, "sh", "-c", "ls /proc/self/fd | sort -n | tr '\\n' ' '")


def test_closed_streams(world):
    # With stderr closed the report has no place to go; the program must not notice, and nothing
    # of ours may land in a file that the program opens as descriptor 2.
    for closing in ("2>&-", ">&-", "<&-", "<&- >&- 2>&-"):
        result = world.run("sh", "-c", f"'{world.gordian}' run -- sh -c 'exit 9' {closing}")
        expect(result.status == 9, f"with {closing}", result)


def test_environment_and_place_are_as_in_a_bare_run(world):
    script = "pwd; umask; echo $0; env | grep -v -e ^LD_PRELOAD -e ^GORDIAN -e ^_= | sort; ulimit -a; trap"
    same_as_bare(world, "sh", "-c", script)


def test_signal_dispositions_are_as_in_a_bare_run(world):
    same_as_bare(world, "sh", "-c", "grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status")
    def ignore():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    same_as_bare(world, "sh", "-c", "grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status", preexec_fn=ignore)


def test_full_disk(world):
    result = world.watch(world.kind("mutex/lock_order"), "lucky", options=["--log", "/dev/full"])
    expect(result.status in (0, 2), "the program is not disturbed", result)
    expect(result.out == "done\n", "its output", result)
    result = world.watch(world.kind("mutex/lock_order"), "lucky", options=["--json", "/dev/full"])
    expect(result.status in (0, 2) and result.out == "done\n", "the program is not disturbed", result)
    expect("/dev/full" in result.err, "the user is told", result)
    result = cycle(world, "--log", "/dev/full")
    expect(result.status == 66 and "DEADLOCK: 2 threads" in result.err and "/dev/full" in result.err,
           "the report is not lost", result)
    for words in ("--help", "--version", "run --help"):
        result = world.run("sh", "-c", f"'{world.gordian}' {words} >/dev/full")
        expect(result.status == 2 and "cannot write" in result.err, words, result)


def test_few_descriptors(world):
    for count in (6, 8, 15):
        result = world.run("sh", "-c", f"ulimit -n {count}; '{world.gordian}' run -- sh -c 'echo ran; exit 9'")
        expect(result.status == 9 and result.out == "ran\n", "the program runs", result)
        expect(f"unwatched: only {count} files may be open" in result.err, "and why nobody watches it", result)
    result = world.run("sh", "-c", f"ulimit -n 16; '{world.gordian}' run -- '{world.kind('mutex/lock_order')}' cycle")
    expect(result.status == 66 and "DEADLOCK: 2 threads" in result.err, "enough", result)


# --- options


def cycle(world, *options, **more):
    return world.watch(world.kind("mutex/lock_order"), "cycle", options=options, **more)


def test_json(world):
    result = cycle(world, "--json", world.path("report.json"))
    expect(result.status == 66, "exit", result)
    report = world.report()
    expect(report["command"] and report["gordian"] and "host" in report, "head", report)
    (process,) = report["processes"]
    expect(process["exe"] == os.path.realpath(world.kind("mutex/lock_order")) and process["argv"][1:] == ["cycle"],
           "process", process)
    (finding,) = report["findings"]
    expect(finding["verdict"] == "deadlock" and finding["kind"] == "lock-order" and finding["fingerprint"],
           "finding", finding)
    knot = [t for t in finding["threads"] if t["role"] == "knot"]
    expect(sorted(t["name"] for t in knot) == ["left", "right"], "knot", finding)
    for thread in knot:
        expect(thread["holds"] and thread["wants"] and thread["wants"]["stack"], "holds and wants", thread)
        expect(thread["pid"] == process["pid"] and thread["tid"] > 0, "ids", thread)
    ids = {r["id"] for r in finding["resources"]}
    expect(all(h["resource"] in ids for t in knot for h in t["holds"]), "resources", finding)


def test_fingerprint_is_the_same_in_every_run(world):
    prints = set()
    for i in range(4):
        cycle(world, "--json", world.path(f"r{i}.json"))
        prints.add(world.report(f"r{i}.json")["findings"][0]["fingerprint"])
    expect(len(prints) == 1, f"{prints}")


def test_log(world):
    result = cycle(world, "--log", world.path("log"))
    expect(result.status == 66 and "DEADLOCK" not in result.err, "not on stderr", result)
    with open(world.path("log"), encoding="utf-8") as file:
        text = file.read()
    expect(text.startswith("DEADLOCK: 2 threads, 2 locks"), "first line first", text)
    expect("\x1b" not in text, "no colour in a file", text)


def test_the_longest_wait_is_that_of_the_deadlock(world):
    result = cycle(world)
    stopped = re.search(r"stopped ([\d.]+) ms\s+ago", result.err)
    longest = re.search(r"longest wait (\d+) ms", result.err)
    expect(stopped and longest and int(longest[1]) >= int(float(stopped[1])), "as the report says", result)


def test_links_are_not_followed(world):
    for option in ("--log", "--json"):
        os.symlink(world.path("precious"), world.path("link" + option))
        result = cycle(world, option, world.path("link" + option))
        expect(result.status == 2 and "is a symbolic link" in result.err, "refused, with the reason", result)
        expect(not os.path.exists(world.path("precious")), "nothing was made behind the link")


def test_where_a_report_cannot_go(world):
    os.mkdir(world.path("folder"))
    os.mkfifo(world.path("pipe"))
    for option, place, reason in (("--json", "folder", "is a folder"), ("--log", "folder", "is a folder"),
                                  ("--log", "pipe", "nobody reads")):
        result = cycle(world, option, world.path(place))
        expect(result.status == 2 and reason in result.err and "DEADLOCK" not in result.err,
               "said before the program runs", result)


def test_quiet(world):
    loud, quiet = cycle(world), cycle(world, "--quiet")
    expect(quiet.status == 66, "exit", quiet)
    expect("DEADLOCK" in quiet.err, "findings stay", quiet)
    expect(len(quiet.err) < len(loud.err), "nothing else stays", quiet)
    clean = world.watch(world.kind("mutex/lock_order"), "consistent", options=["--quiet"])
    expect(clean.err == "", "silent", clean)


def test_strict(world):
    lucky = world.kind("mutex/lock_order"), "lucky"
    expect(world.watch(*lucky).status == 0, "a possible one is no failure")
    expect(world.watch(*lucky, options=["--strict"]).status == 66, "but with --strict it is")
    clean = world.watch(world.kind("mutex/lock_order"), "consistent", options=["--strict"])
    expect(clean.status == 0, "nothing is nothing", clean)


def test_refuted(world):
    gate = world.kind("mutex/lock_order"), "gate"
    expect("REFUTED" not in world.watch(*gate).err, "hidden")
    result = world.watch(*gate, options=["--refuted"])
    expect("REFUTED" in result.err and "gate" in result.err, "shown with the reason", result)
    expect(result.status == 0 and world.watch(*gate, options=["--refuted", "--strict"]).status == 0, "harmless", result)


def suppress(world, text, *more):
    path = world.write("suppressions", text)
    return world.watch(world.kind("mutex/lock_order"), "lucky",
                       options=["--strict", "--suppress", path, "--json", world.path("report.json"), *more])


def test_suppress(world):
    man = subprocess.run(["grep", "-n", "-A30", "-i", "suppress", os.path.join(world.tools, "..", "man", "gordian.1")],
                         capture_output=True, text=True, check=False).stdout
    result = suppress(world, "lock:kitchen  # known, harmless\n")
    if result.status == 2:
        result = suppress(world, "lock kitchen  # known, harmless\n")
    expect(result.status == 0, "suppressed", f"{result}\n{man}")
    report = world.report()
    expect(not report["findings"] and report["suppressed"], "kept apart", report)


def test_suppress_bad_file(world):
    result = suppress(world, "complete nonsense without any meaning : : :\n\0\x01\n")
    expect(result.status == 2 and "suppressions" in result.err, "message with the file's name", result)
    result = world.watch("true", options=["--suppress", world.directory])
    expect(result.status == 2, "a directory", result)


def test_on_deadlock_keep(world):
    process = world.start([world.gordian, "run", "--on-deadlock=keep", "--json", world.path("report.json"), "--",
                           world.kind("mutex/lock_order"), "cycle"], start_new_session=True)
    world.wait_for(lambda: os.path.exists(world.path("report.json")), "the report")
    world.wait_for(lambda: world.report()["findings"], "the finding")
    time.sleep(0.3)
    expect(process.poll() is None, "it was to be kept")
    expect(world.report()["findings"][0]["verdict"] == "deadlock", "finding")
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    expect(err.decode().count("DEADLOCK:") == 1, "told once", err.decode())
    expect(process.returncode in (66, -signal.SIGTERM), f"ended with {process.returncode}")


def test_on_deadlock_core(world):
    result = world.run("sh", "-c", f"ulimit -c unlimited; exec '{world.gordian}' run --on-deadlock=core -- "
                                   f"'{world.kind('mutex/lock_order')}' cycle")
    expect(result.status == 66 and "DEADLOCK" in result.err, "report first", result)


def test_stall(world):
    program = world.kind("condition/condition")
    result = world.watch(program, "free-thread", options=["--stall=300ms", "--json", world.path("report.json")])
    expect(result.status == 0, "only a stall", result)
    expect(any(f["verdict"] == "stall" for f in world.report()["findings"]), "reported", result)
    result = world.watch(program, "free-thread", options=["--stall=300ms", "--strict"])
    expect(result.status == 66, "with --strict", result)


def test_redact_argv(world):
    result = world.watch(world.kind("mutex/lock_order"), "lucky", "secret-password",
                         options=["--redact-argv", "--json", world.path("report.json")])
    expect("secret-password" not in result.err, "in the text", result)
    expect("secret-password" not in json.dumps(world.report()), "in the JSON", result)


def test_the_report_says_what_matters_first(world):
    result = cycle(world)
    first = result.err.splitlines()[0]
    # Who blocked first stands first.
    expect(re.match(r'DEADLOCK: 2 threads, 2 locks: "(left" and "right|right" and "left)" \(pid ', first), "first line",
           result)
    for text in ("kitchen", "garden", 'thread "left" holds kitchen, wants garden',
                 'thread "right" holds garden, wants kitchen', "lock_order.cpp:", "What to change"):
        expect(text in result.err, f"no {text!r}", result)
    expect("\x1b[" not in result.err, "colour without a terminal", result)


# --- hostile programs


def test_hostile_names(world):
    program = world.build("hostile", r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static volatile int here;
static void cross(const char* name, pthread_mutex_t* first, pthread_mutex_t* second) {
  prctl(PR_SET_NAME, name);
  pthread_mutex_lock(first);
  __atomic_fetch_add(&here, 1, __ATOMIC_SEQ_CST);
  while (here < 2) sched_yield();
  pthread_mutex_lock(second);
}
static void* left(void* x) { cross("\033[2J\033]0;x\007\n", &a, &b); return x; }
static void* right(void* x) { cross("\"\\\377\376<b>%s\r", &b, &a); return x; }
int main(void) {
  pthread_t one, two;
  pthread_create(&one, 0, left, 0);
  pthread_create(&two, 0, right, 0);
  pthread_join(one, 0);
  return 0;
}
""", "-pthread")
    link = world.path("name \x1b[31m\nwith all")
    os.link(program, link)
    result = world.watch(link, "\x1b[31margument\x07", options=["--json", world.path("report.json")])
    expect(result.status == 66, "report", result)
    for byte in (b"\x1b", b"\x07", b"\r", b"\xff"):
        expect(byte not in result.raw_err, f"raw {byte!r} on the terminal", result)
    raw = open(world.path("report.json"), "rb").read()
    expect(b"\x1b" not in raw and raw.decode("utf-8"), "raw bytes in the JSON")
    expect(world.report()["findings"][0]["kind"] == "lock-order", "finding")


# --- the terminal


def in_terminal(world, words, act, timeout=20):
    """Runs words on a terminal of their own; act(write, read_until) plays the user."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(world.directory)
        os.execvpe(words[0], words, dict(world.environment, TERM="xterm", PS1="$ "))
    seen = b""
    end = time.monotonic() + timeout

    def read(until):
        nonlocal seen
        while until not in seen:
            ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"the terminal never showed {until!r}, but {seen.decode(errors='replace')!r}"
            try:
                data = os.read(terminal, 65536)
            except OSError:
                data = b""
            assert data, f"ended without {until!r}: {seen.decode(errors='replace')!r}"
            seen += data
        before, seen = seen.split(until, 1)
        return before + until

    try:
        act(lambda data: os.write(terminal, data), read)
        while time.monotonic() < end:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status), seen
            ready, _, _ = select.select([terminal], [], [], 0.05)
            if ready:
                try:
                    seen += os.read(terminal, 65536)
                except OSError:
                    pass
        raise AssertionError(f"did not end; it showed {seen.decode(errors='replace')!r}")
    finally:
        os.close(terminal)
        world.end_all()


def test_interrupt_goes_to_the_program(world):
    script = "trap 'echo caught; exit 11' INT; echo ready; while :; do sleep 0.1; done"

    def act(write, read):
        read(b"ready")
        write(b"\x03")
        read(b"caught")

    status, _ = in_terminal(world, [world.gordian, "run", "--", "sh", "-c", script], act)
    expect(status == 11, f"ended with {status}: the program decides")


def test_interrupt_ends_both(world):
    def act(write, read):
        read(b"ready")
        write(b"\x03")

    status, _ = in_terminal(world, [world.gordian, "run", "--", "sh", "-c", "echo ready; exec sleep 100"], act)
    expect(status == -signal.SIGINT, f"ended with {status}")


def test_interrupt_still_tells_hazards(world):
    script = f"'{world.kind('mutex/lock_order')}' lucky; echo ready; exec sleep 100"

    def act(write, read):
        read(b"ready")
        write(b"\x03")
        read(b"POSSIBLE DEADLOCK")

    in_terminal(world, [world.gordian, "run", "--", "sh", "-c", script], act)


def test_terminate_is_passed_on(world):
    process = world.start([world.gordian, "run", "--", "sh", "-c",
                           "trap 'echo bye; exit 12' TERM; echo ready; while :; do sleep 0.1; done"])
    expect(process.stdout.readline() == b"ready\n", "started")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=10)
    expect(process.returncode == 12 and out == b"bye\n", f"{process.returncode} {out}")


def test_job_control(world):
    """Ctrl-Z stops both, fg goes on, and the terminal stays the program's."""
    def act(write, read):
        read(b"$ ")
        write(f"stty -echo; {world.gordian} run -- sh -c 'echo re\"\"ady; read line; echo got $line; exit 13'\n".encode())
        read(b"ready")
        write(b"\x1a")
        read(b"$ ")
        write(b"fg > /dev/null\n")
        time.sleep(0.2)
        write(b"text\n")
        read(b"got text")
        read(b"$ ")
        write(b"echo status $?; exit\n")
        read(b"status 13")

    in_terminal(world, ["bash", "--norc", "-i"], act)


def test_colour_on_a_terminal_only(world):
    words = [world.gordian, "run", "--", world.kind("mutex/lock_order"), "cycle"]
    def act(_, read):
        read(b"DEADLOCK")
        read(b"\x1b[0")
    status, _ = in_terminal(world, words, act)
    expect(status == 66, f"ended with {status}")


# --- without a parent


def test_preload_alone(world):
    result = world.run(world.kind("mutex/lock_order"), "consistent", env={"LD_PRELOAD": world.runtime})
    expect(result.status == 0 and result.out == "done\n" and result.err == "", "undisturbed", result)
    process = world.start([world.kind("mutex/lock_order"), "cycle"], env={"LD_PRELOAD": world.runtime})
    world.wait_for(lambda: "gordian-board" in open(f"/proc/{process.pid}/maps").read(), "its board in /proc/PID/maps")
    descriptors = [os.readlink(f"/proc/{process.pid}/fd/{n}") for n in os.listdir(f"/proc/{process.pid}/fd")]
    process.kill()
    process.communicate()
    expect(not any("gordian" in d for d in descriptors), f"a descriptor stays open: {descriptors}")


def test_preload_with_a_dead_judge(world):
    result = world.run(world.kind("mutex/lock_order"), "consistent",
                       env={"LD_PRELOAD": world.runtime, "GORDIAN_JUDGE": "gordian-1-nobody"})
    expect(result.status == 0 and result.out == "done\n" and result.err == "", "undisturbed", result)


def test_within_itself(world):
    result = world.watch(world.gordian, "run", "--", world.kind("mutex/lock_order"), "cycle")
    expect(result.status == 66 and "DEADLOCK: 2 threads" in result.err, "report", result)


def test_installed_tree_works_from_any_place(world):
    base = world.path("some where")
    os.makedirs(base + "/bin")
    os.makedirs(base + "/lib")
    subprocess.run(["cp", world.gordian, base + "/bin/"], check=True)
    subprocess.run(["cp", world.runtime, base + "/lib/"], check=True)
    os.symlink(base + "/bin/gordian", world.path("gordian"))
    for gordian in (base + "/bin/gordian", world.path("gordian")):
        result = world.run(gordian, "run", "--", world.kind("mutex/lock_order"), "cycle")
        expect(result.status == 66 and "DEADLOCK" in result.err, "works", result)


def test_runtime_missing(world):
    os.mkdir(world.path("bin"))
    subprocess.run(["cp", world.gordian, world.path("bin/gordian")], check=True)
    result = world.run(world.path("bin/gordian"), "run", "--", "true")
    expect(result.status == 2 and is_message(result, "libgordian.so"), "message", result)


harness.main(globals())
