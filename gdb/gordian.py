# SPDX-License-Identifier: Apache-2.0
"""The gdb command `gordian`: why do the threads of this process wait?

    (gdb) source /usr/share/gordian/gdb/gordian.py
    (gdb) gordian

A core that is open is given to `gordian core` as it is. Of a live process gdb first writes one, into
a folder that only you can read and that is removed afterwards.
"""

import os
import re
import shutil
import subprocess
import tempfile

import gdb

HERE = os.path.dirname(os.path.realpath(__file__))  # gdb knows it only while it reads this


def find_program():
    """$GORDIAN, else the gordian this script was installed with, else the one of the PATH."""
    installed = os.path.join(HERE, "..", "..", "..", "bin", "gordian")
    for path in (os.environ.get("GORDIAN"), installed, shutil.which("gordian")):
        if path and os.access(path, os.X_OK):
            return os.path.normpath(path)
    raise gdb.GdbError("gordian is not installed beside this script, nor on the PATH; "
                       "say where it is by the environment variable GORDIAN")


def find_open_core():
    """The path of the core that is open; None for a live process."""
    text = gdb.execute("info files", to_string=True)
    match = re.search(r"core dump file:\s*`(.*)', file type", text)
    return match[1] if match else None


def search_options():
    """What this gdb knows of where the files lie."""
    options = []
    program = gdb.current_progspace().filename
    if program and os.path.isfile(program):
        options += ["--exe", program]
    root = gdb.parameter("sysroot")
    if root and not root.startswith("target:") and os.path.isdir(root) and root != "/":
        options += ["--sysroot", root]
    return options


def analyse(core, arguments):
    command = [find_program(), "core", *search_options(), *arguments, core]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    gdb.write(done.stdout.decode(errors="replace"))
    # Scripts ask how it went: 0 nothing found, 66 a deadlock, 2 it could not say.
    gdb.set_convenience_variable("gordian_status", done.returncode)


class Gordian(gdb.Command):
    """Say why the threads of this process wait, and which locks they wait for.

Usage: gordian [OPTION]...

The same analysis as `gordian core`, on the process or core that is open; OPTIONs are those of
`gordian core`, such as --threads or --json FILE. The process is left as it was. Afterwards
$gordian_status is 66 if it found a deadlock, else 0; 2 if it could not say."""

    def __init__(self):
        super().__init__("gordian", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        arguments = gdb.string_to_argv(argument)
        if not gdb.selected_inferior().threads():
            raise gdb.GdbError("The program is not being run, and no core is open.")
        core = find_open_core()
        if core:
            analyse(core, arguments)
            return
        mask = os.umask(0o077)
        try:
            with tempfile.TemporaryDirectory(prefix="gordian-gdb-") as folder:  # mode 0700
                core = os.path.join(folder, "core")
                gdb.execute("generate-core-file " + core, to_string=True)
                analyse(core, arguments)
        finally:
            os.umask(mask)


Gordian()
