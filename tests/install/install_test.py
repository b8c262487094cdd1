#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gordian as it is installed: the tree moved elsewhere, found by CMake and pkg-config, the examples built against it."""

import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness
from harness import Skip, expect


def sources(world):
    return os.path.dirname(world.tools)


def build_tree(world):
    return os.path.dirname(os.path.dirname(world.gordian))


def installed(world):
    """Installed at one place and moved to another."""
    first = world.path("first")
    made = world.run("cmake", "--install", build_tree(world), "--prefix", first)
    expect(made.status == 0, "cmake --install", made)
    prefix = world.path("moved-here")
    os.rename(first, prefix)
    return prefix


def build(world, example, prefix):
    if shutil.which("ninja") is None:
        raise Skip("no ninja")
    target = world.path("build-" + example)
    made = world.run("cmake", "-G", "Ninja", "-S", os.path.join(sources(world), "examples", example), "-B", target,
                     f"-DCMAKE_PREFIX_PATH={prefix}", timeout=120)
    expect(made.status == 0, "configure", made)
    made = world.run("cmake", "--build", target, timeout=170)
    expect(made.status == 0, "build", made)
    return target


def test_tree(world):
    prefix = installed(world)
    program = os.path.join(prefix, "bin", "gordian")
    result = world.run(program, "--version")
    expect(re.fullmatch(r"gordian \d+\.\d+\.\d+\n", result.out), "version", result)
    commands = re.findall(r"^  (\w+) ", world.run(program, "--help").out, flags=re.M)
    expect("run" in commands and "order" in commands, f"commands {commands}")
    for command in commands:
        result = world.run(program, "help", command)
        expect(result.status == 0 and "sage: " in result.out, "help " + command, result)
        expect(os.path.exists(os.path.join(prefix, f"share/man/man1/gordian-{command}.1")), f"man page of {command}")
        for file in ("share/bash-completion/completions/gordian", "share/zsh/site-functions/_gordian"):
            text = open(os.path.join(prefix, file), encoding="utf-8").read()
            expect(re.search(rf"\b{command}\b", text), f"{file} knows {command}")
    # The library is found beside the program, wherever that is.
    result = world.run(program, "run", "--", world.kind("mutex/lock_order"), "cycle")
    expect(result.status == 66 and "DEADLOCK" in result.err, "the moved tree works", result)
    # What stands in the tree must not depend on where it was installed.
    for file in glob.glob(os.path.join(prefix, "lib/cmake/gordian/*")) + [
            os.path.join(prefix, "share/pkgconfig/gordian.pc")]:
        text = open(file, encoding="utf-8").read()
        expect(world.directory not in text and sources(world) not in text, f"{file} names its first place")


def test_cmake_example(world):
    prefix = installed(world)
    target = build(world, "cmake-ctest", prefix)
    result = world.run("ctest", "--test-dir", target, "--output-on-failure", timeout=60)
    expect(result.status == 0 and "100% tests passed" in result.out, "ctest", result)
    result = world.run("ctest", "--test-dir", target, "-R", "audit", "-V", timeout=60)
    expect("LOCK ORDER VIOLATED: Bank::mutex taken while Account::mutex is held" in result.out, "the reason", result)


def test_arguments_of_a_test(world):
    """Words that are empty or have a semicolon arrive as with add_test()."""
    with open(world.path("CMakeLists.txt"), "w", encoding="utf-8") as file:
        file.write(f"""cmake_minimum_required(VERSION 3.25)
project(arguments NONE)
enable_testing()
set(GORDIAN_EXECUTABLE gordian)
include("{sources(world)}/cmake/package/GordianAddTest.cmake")
gordian_add_test(NAME some COMMAND program --name "" "a b;c" last OPTIONS --strict)
""")
    made = world.run("cmake", "-S", world.directory, "-B", world.path("configured"), timeout=60)
    expect(made.status == 0, "configure", made)
    tests = open(world.path("configured/CTestTestfile.cmake"), encoding="utf-8").read()
    expect('"run" "--strict" "--" "program" "--name" "" "a b;c" "last")' in tests, tests)


def test_googletest_example(world):
    prefix = installed(world)
    target = build(world, "googletest", prefix)
    result = world.run("ctest", "--test-dir", target, "--output-on-failure", timeout=60)
    expect(result.status == 0 and "100% tests passed" in result.out, "ctest", result)
    # The very test, and no other.
    program = os.path.join(target, "cache_test")
    result = world.run(os.path.join(prefix, "bin/gordian"), "run", "--", program)
    expect(result.status == 1, "the status of GoogleTest", result)
    failed = re.findall(r"^\[  FAILED  \] (\S+) \(", result.out, flags=re.M)
    expect(failed == ["Cache.LooksUpAnEntryAndThenTheIndex"], f"failed {failed}", result)
    expect("LOCK ORDER VIOLATED: index_mutex taken while entry_mutex is held" in result.out, "the reason", result)
    expect(world.run(program).status == 0, "without gordian it does nothing", result)


def test_make_example(world):
    if shutil.which("pkg-config") is None or shutil.which("make") is None:
        raise Skip("no pkg-config or make")
    prefix = installed(world)
    folder = world.path("make")
    shutil.copytree(os.path.join(sources(world), "examples/make-pkgconfig"), folder)
    environment = {"PKG_CONFIG_PATH": os.path.join(prefix, "share/pkgconfig")}
    version = world.run("pkg-config", "--modversion", "gordian", env=environment)
    expect(re.fullmatch(r"\d+\.\d+\.\d+\n", version.out), "pkg-config", version)
    result = world.run("make", "check", f"GORDIAN={prefix}/bin/gordian", env=environment, cwd=folder, timeout=60)
    expect(result.status == 0 and "LOCK ORDER VIOLATED" in result.err, "make check", result)


def test_packages(world):
    if shutil.which("dpkg-deb") is None or shutil.which("dpkg-shlibdeps") is None:
        raise Skip("no dpkg-deb or dpkg-shlibdeps")
    made = world.run("cpack", "-B", world.directory, "--config", os.path.join(build_tree(world), "CPackConfig.cmake"),
                     timeout=120)
    expect(made.status == 0, "cpack", made)
    files = {}
    for package in glob.glob(world.path("*.deb")):
        name = os.path.basename(package).split("_")[0]
        listing = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, check=True).stdout
        files[name] = {line.split(" ./", 1)[1] for line in listing.splitlines() if not line.endswith("/")}
    expect(set(files) == {"libgordian", "gordian", "gordian-dev"}, f"packages {sorted(files)}", made)
    expect("usr/lib/libgordian.so" in files["libgordian"], "the library", sorted(files["libgordian"]))
    expect("usr/bin/gordian" in files["gordian"], "the program", sorted(files["gordian"]))
    expect("usr/include/gordian/annotate.h" in files["gordian-dev"], "headers", sorted(files["gordian-dev"]))
    for one in files:
        for other in files:
            expect(one == other or not files[one] & files[other], f"{one} and {other} have the same file")
    needs = subprocess.run(["dpkg-deb", "-f", glob.glob(world.path("gordian_*.deb"))[0], "Depends"], capture_output=True,
                           text=True, check=True).stdout
    expect("libgordian (= " in needs and "libhiredis" in needs and "libc6" in needs and "libdw1" not in needs, "dependencies: " + needs)


if __name__ == "__main__":
    harness.main(globals())
