#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian order as its user meets it: learn from runs, check runs, show the file."""

import os
import re
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness
from harness import Skip, expect

# One thread alone. Without an argument every lock is taken in the one order.
BANK = r"""
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

struct Journal { std::mutex write_mutex; };
struct Account {
  std::mutex mutex;
  int balance = 0;
};
struct Bank {
  std::mutex mutex;
  std::map<int, std::unique_ptr<Account>> accounts;
  Journal journal;

  void log(Account& account) { std::lock_guard lock(journal.write_mutex); ++account.balance; }
  void deposit(int number) {
    std::lock_guard lock(mutex);
    Account& account = *accounts[number];
    std::lock_guard inner(account.mutex);
    log(account);
  }
  void audit(int number) {
    Account& account = *accounts[number];
    std::lock_guard inner(account.mutex);
    std::lock_guard lock(mutex);
    ++account.balance;
  }
  void transfer(int from, int to) {
    std::lock_guard one(accounts[from]->mutex);
    std::lock_guard two(accounts[to]->mutex);
    ++accounts[to]->balance;
  }
};
std::mutex rooms_mutex;

int main(int count, char** words) {
  const auto owned = std::make_unique<Bank>();
  Bank& bank = *owned;
  for (int i = 0; i < 3; ++i) bank.accounts[i] = std::make_unique<Account>();
  for (int i = 0; i < 3; ++i) bank.deposit(i);
  for (int i = 1; i < count; ++i) {
    if (!std::strcmp(words[i], "audit")) bank.audit(1);
    if (!std::strcmp(words[i], "rooms")) { std::lock_guard lock(rooms_mutex); bank.deposit(0); }
    if (!std::strcmp(words[i], "transfer")) bank.transfer(0, 1);
    if (!std::strcmp(words[i], "back")) bank.transfer(1, 0);
    if (!std::strcmp(words[i], "fail")) return 7;
  }
}
"""
LEARNT = ["Account::mutex -> Journal::write_mutex", "Bank::mutex -> Account::mutex"]


def build_cxx(world, name, source, *flags):
    path = world.write(name + ".cpp", source)
    made = subprocess.run(["c++", "-std=c++20", "-g", *flags, "-o", world.path(name), path],
                          capture_output=True, check=False)
    if made.returncode != 0:
        raise Skip(f"c++ does not work here: {made.stderr.decode()[-300:]}")
    return world.path(name)


def order(world, *words, **more):
    return world.run(world.gordian, "order", *words, **more)


def lines(world, name="gordian.order"):
    with open(world.path(name), encoding="utf-8") as file:
        text = file.read()
    return [line for line in text.splitlines() if "->" in line and not line.startswith("#")]


def test_learn_is_the_same_in_every_build(world):
    for flags in (["-O0"], ["-O2"], ["-O2", "-fno-omit-frame-pointer"]):
        program = build_cxx(world, "bank" + re.sub(r"\W", "", "".join(flags)), BANK, *flags)
        result = order(world, "learn", "learnt.order", "--", program)
        expect(result.status == 0, "status", result)
        expect(lines(world, "learnt.order") == LEARNT, f"{flags}: {lines(world, 'learnt.order')}", result)
        text = open(world.path("learnt.order"), encoding="utf-8").read()
        expect("0x" not in text and ".cpp:" not in text, "no addresses, no lines: " + text, result)
        os.unlink(world.path("learnt.order"))


def test_learn_adds_and_keeps_comments(world):
    program = build_cxx(world, "bank", BANK, "-O1")
    mine = "# ours\n[order]\n# a bank first\nBank::mutex -> Account::mutex   # agreed in March\n"
    os.chmod(world.write("gordian.order", mine), 0o640)
    result = order(world, "learn", "--", program, "rooms")
    expect(result.status == 0, "status", result)
    text = open(world.path("gordian.order"), encoding="utf-8").read()
    expect(text == "# ours\n[order]\nAccount::mutex -> Journal::write_mutex\n# a bank first\n"
                   "Bank::mutex -> Account::mutex   # agreed in March\nrooms_mutex -> Bank::mutex\n",
           text, result)
    expect("2 new lock orders added to gordian.order" in result.err, "says what it did", result)
    expect(stat.S_IMODE(os.stat(world.path("gordian.order")).st_mode) == 0o640, "its mode", result)
    again = order(world, "learn", "--", program, "rooms")
    expect(open(world.path("gordian.order"), encoding="utf-8").read() == text, "learnt twice", again)
    expect(again.status == 0 and again.err == "", "nothing to say", again)


def test_many_learn_at_once(world):
    program = build_cxx(world, "bank", BANK, "-O1")
    runs = [world.start([world.gordian, "order", "learn", "--", program, *words])
            for words in (["rooms"], ["transfer"], [], ["rooms", "transfer"])]
    for run in runs:
        expect(run.wait(60) == 0, "learns")
        run.communicate()
    expect(lines(world) == ["Account::mutex -> Account::mutex", *LEARNT, "rooms_mutex -> Bank::mutex"],
           f"nothing is lost: {lines(world)}")


def test_check_passes_the_program_on(world):
    program = build_cxx(world, "bank", BANK, "-O1")
    order(world, "learn", "--", program)
    result = order(world, "check", "--", program)
    expect(result.status == 0 and result.err == "" and result.out == "", "silent", result)
    result = order(world, "check", "--", program, "fail")
    expect(result.status == 7, "its own status", result)


def test_check_finds_an_inversion_of_one_thread(world):
    for flag in ("-O0", "-O2"):
        program = build_cxx(world, "bank" + flag, BANK, flag)
        world.write("gordian.order", "[order]\nBank::mutex -> Account::mutex\n")
        result = order(world, "check", "gordian.order", "--json=out.json", "--", program, "audit")
        expect(result.status == 66, "status", result)
        expect("LOCK ORDER VIOLATED: Bank::mutex taken while Account::mutex is held" in result.err,
               "headline", result)
        expect("gordian.order:2 says Bank::mutex -> Account::mutex" in result.err, "the line", result)
        violation, = world.report("out.json")["order"]["violations"]
        expect(violation["held"] == "Account::mutex" and violation["wanted"] == "Bank::mutex", "pair", result)
        expect(violation["against"] == "file", "against", result)
        for stack in (violation["thread"]["holds"][0]["stack"], violation["thread"]["wants"]["stack"]):
            functions = [frame["function"] for frame in stack]
            expect(any("audit" in function for function in functions), f"stack {functions}", result)
        opposite, = violation["opposite"]
        expect(opposite["line"] == 2, "line", result)
        functions = [frame["function"] for frame in opposite["thread"]["wants"]["stack"]]
        expect(any("deposit" in function for function in functions), f"the right way: {functions}", result)


def test_both_orders_in_one_run_need_no_file(world):
    program = build_cxx(world, "bank", BANK, "-O1")
    result = order(world, "learn", "--", program, "audit")
    expect(result.status == 66 and "LOCK ORDER VIOLATED" in result.err, "found", result)
    expect(lines(world) == LEARNT, f"the contradiction is not learnt: {lines(world)}", result)


def test_instances_of_one_class(world):
    program = build_cxx(world, "bank", BANK, "-O1")
    result = order(world, "learn", "--", program, "transfer")
    expect(result.status == 0 and "Account::mutex -> Account::mutex" in lines(world), "learnt", result)
    result = order(world, "check", "--", program, "transfer")
    expect(result.status == 0, "one order", result)
    result = order(world, "check", "--json=out.json", "--", program, "transfer", "back")
    expect(result.status == 66 and "in both orders" in result.err, "two orders", result)
    violation, = world.report("out.json")["order"]["violations"]
    expect(violation["against"] == "instances", "against", result)
    world.write("gordian.order", "[any]\nAccount::mutex <-> Account::mutex # by design\n")
    result = order(world, "check", "--", program, "transfer", "back")
    expect(result.status == 0, "excepted", result)


def test_new_orders_and_strict(world):
    program = build_cxx(world, "bank", BANK, "-O1")
    world.write("gordian.order", "[order]\n* -> Journal::write_mutex  # innermost\n")
    result = order(world, "check", "--", program)
    expect(result.status == 0, "only told", result)
    expect("1 new lock order not in gordian.order" in result.err, "told", result)
    expect("Bank::mutex -> Account::mutex" in result.err, "which", result)
    expect(order(world, "check", "--strict", "--", program).status == 66, "strict", result)
    world.write("gordian.order", "[order]\n* -> Account::mutex\n")
    result = order(world, "check", "--", program)
    expect(result.status == 66 and "gordian.order:2 says" not in result.out, "a wildcard is law", result)


def test_a_hang_is_both(world):
    program = world.kind("mutex/lock_order")
    world.write("gordian.order", "[order]\nnobody -> nowhere\n")
    result = order(world, "check", "--json=out.json", "--", program, "cycle")
    expect(result.status == 66 and "DEADLOCK" in result.err, "the deadlock", result)
    report = world.report("out.json")
    expect(report["findings"][0]["verdict"] == "deadlock", "finding", result)
    expect(len(report["order"]["violations"]) == 1, "and the order that made it", result)


def test_bad_files(world):
    program = build_cxx(world, "bank", BANK, "-O1")
    for text, message in (("[order]\na b\n", ":2:"), ("a -> b\n", ":1:"), ("[any]\na <-> b\n", "no reason given"),
                          ("[order]\na -> b\nb -> c\nc -> a\n", "2, 3, 4"),
                          ("[order]\n<<<<<<< HEAD\n", "a merge that was not finished"), ("\x7fELF\x00\x01", ":1:")):
        world.write("bad.order", text)
        for action in ("learn", "check"):
            result = order(world, action, "bad.order", "--", program)
            expect(result.status == 2 and "bad.order" in result.err and message in result.err, message, result)
            expect(open(world.path("bad.order"), encoding="utf-8").read() == text, "untouched", result)
    result = order(world, "check", "missing.order", "--", program)
    expect(result.status == 2 and "missing.order" in result.err, "missing", result)
    os.symlink("elsewhere", world.path("link.order"))
    result = order(world, "learn", "link.order", "--", program)
    expect(result.status == 2 and not os.path.exists(world.path("elsewhere")), "a link", result)
    for words in ((), ("teach",), ("check",), ("check", "f", "--"), ("check", "f", "prog"), ("show", "--svg"),
                  ("learn", "--bogus", "--", "true")):
        result = order(world, *words)
        expect(result.status == 2 and "hint:" in result.err, f"{words}", result)


def test_show(world):
    world.write("gordian.order", "[order]\n\"a\\\"b c\" -> d # why\n[any]\nd <-> e # gated\n")
    result = order(world, "show")
    expect(result.status == 0 and "d" in result.out, "text", result)
    result = order(world, "show", "--dot")
    expect(result.out.startswith("digraph lock_order {") and '"a\\"b c" -> "d"' in result.out, "dot", result)
    expect("dir=both" in result.out, "either order", result)
    result = order(world, "show", "--dot", "missing.order")
    expect(result.status == 2, "missing", result)


def test_help(world):
    for words in (("order", "--help"), ("help", "order")):
        result = world.run(world.gordian, *words)
        expect(result.status == 0 and "gordian order learn [FILE]" in result.out, "help", result)
    result = world.run(world.gordian, "help", "run")
    expect(result.status == 0 and "--on-deadlock" in result.out, "help run", result)
    result = order(world, "check", "--help")
    expect(result.status == 0 and "usage: gordian order check [FILE]" in result.out, "help of check", result)


if __name__ == "__main__":
    harness.main(globals())
