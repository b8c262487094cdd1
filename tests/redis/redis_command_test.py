#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian redis: what it says of a real server and of programs that hold and want its locks."""

import json
import os
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness
from harness import Skip, expect


def start_server(world):
    if shutil.which("redis-server") is None:
        raise Skip("redis-server is not installed")
    path = world.path("redis.sock")
    if len(path) > 100:  # of a unix socket's name
        path = f"/tmp/redis-{world.marker[:12]}.sock"
    server = world.start(["redis-server", "--port", "0", "--unixsocket", path, "--save", "",
                          "--appendonly", "no"], stdout=subprocess.DEVNULL)
    world.wait_for(lambda: os.path.exists(path), "the server")
    return server, path


def stop_server(world, server, path):
    server.terminate()
    server.wait()
    world.end_all()
    if os.path.exists(path):
        os.unlink(path)


def look(world, path, *options):
    return world.run(world.gordian, "redis", *options, f"unix://{path}")


def locks(world, path):
    result = look(world, path, "--json")
    return json.loads(result.out)["locks"] if result.status in (0, 66) else []


def test_an_empty_server_has_no_locks(world):
    server, path = start_server(world)
    result = look(world, path)
    expect(result.status == 0, "0", result)
    expect("0 locks held" in result.out, "no locks", result)
    stop_server(world, server, path)


def test_holders_are_named_and_foreign_ones_are_told(world):
    server, path = start_server(world)
    made = subprocess.run(["redis-cli", "-s", path, "SET", "rueidislock:0:theirs", "x" * 24, "PX",
                           "60000"], capture_output=True, check=False)
    expect(made.returncode == 0, "redis-cli")
    program = world.start([world.kind("lease/lease"), "hybrid"],
                          env={"SCENARIO_REDIS": f"unix://{path}"})
    world.wait_for(lambda: len(locks(world, path)) == 2, "the lease")
    result = look(world, path, "--json")
    report = json.loads(result.out)
    expect(report["schema"] == 1, "schema", result)
    invoices = next(l for l in report["locks"] if l["name"] == "invoices")
    theirs = next(l for l in report["locks"] if l["name"] == "theirs")
    expect(theirs["foreign"] and "pid" not in theirs, "a foreign holder", result)
    expect(not invoices["foreign"] and invoices["pid"] == program.pid, "our holder", result)
    threads = os.listdir(f"/proc/{program.pid}/task")
    expect(str(invoices["thread"]) in threads, "its thread", result)
    expect(0 < invoices["expires_in_ms"] <= 5000, "its time", result)
    text = look(world, path).out
    expect(f'"invoices" by thread {invoices["thread"]} of process {program.pid}' in text, "in words",
           text)
    expect('"theirs" by somebody else\'s client' in text, "in words", text)
    stop_server(world, server, path)


def test_threads_that_wait_for_each_other_are_a_deadlock(world):
    server, path = start_server(world)
    world.start([world.kind("lease/lease"), "two-leases"], env={"SCENARIO_REDIS": f"unix://{path}"})
    world.wait_for(lambda: look(world, path).status == 66, "the deadlock")
    result = look(world, path)
    expect(result.status == 66, "66", result)
    expect("DEADLOCK: 2 threads" in result.out, "the deadlock", result)
    expect('wants "orders"' in result.out and 'wants "invoices"' in result.out, "both", result)
    expect("Nobody deletes or forces the key" in result.out, "the assumption", result)
    report = json.loads(look(world, path, "--json").out)
    expect(sorted(report["deadlocks"][0]) == [0, 1], "its waits", report)
    expect(sorted(w["wants"] for w in report["waits"]) == ["invoices", "orders"], "waits", report)
    dot = look(world, path, "--dot")
    expect(dot.out.startswith("digraph") and dot.out.count("[color=red]") == 4, "a graph", dot)
    stop_server(world, server, path)


def test_a_lease_whose_client_has_gone_is_suspicious(world):
    server, path = start_server(world)
    program = world.start([world.kind("lease/lease"), "hybrid"],
                          env={"SCENARIO_REDIS": f"unix://{path}"})
    world.wait_for(lambda: len(locks(world, path)) == 1, "the lease")
    expect("suspicious" not in look(world, path).out, "nothing to suspect")
    program.kill()
    program.wait()
    # The server may take a moment to see that the connection has ended.
    world.wait_for(lambda: "not connected any more" in look(world, path).out, "the suspicion", 4)
    stop_server(world, server, path)


def watch(world, path, name, *options):
    """A watching gordian, and what tells all it has said."""
    with open(world.path(name), "wb") as out:
        process = world.start([world.gordian, "redis", "--watch", *options, f"unix://{path}"], stdout=out, stderr=out)

    def said():
        with open(world.path(name), encoding="utf-8", errors="replace") as text:
            return text.read()
    return process, said


def test_a_holder_that_does_not_run_is_suspicious_after_a_while(world):
    server, path = start_server(world)
    world.start([world.kind("lease/lease"), "hybrid"], env={"SCENARIO_REDIS": f"unix://{path}"})
    world.wait_for(lambda: len(locks(world, path)) == 1, "the lease")
    _, said = watch(world, path, "soon", "--idle=500ms")
    _, said_later = watch(world, path, "later", "--idle=1h")
    world.wait_for(lambda: "it is renewed, but the thread that took it has not run for" in said(), "the suspicion")
    world.wait_for(lambda: said_later().count("1 lock held") >= 3, "three readings")
    expect("suspicious" not in said_later(), "nothing to suspect yet", said_later())
    stop_server(world, server, path)


def test_a_watch_goes_on_when_the_server_does_not(world):
    server, path = start_server(world)
    process, said = watch(world, path, "said")
    world.wait_for(lambda: "0 locks held" in said(), "a reading")
    server.terminate()
    server.wait()
    world.wait_for(lambda: "still watching" in said(), "the message")
    seen = said().count("locks held")
    server, path = start_server(world)
    world.wait_for(lambda: said().count("locks held") > seen, "another reading")
    expect(process.poll() is None, "still there")
    stop_server(world, server, path)


def test_a_lease_whose_thread_has_ended_is_suspicious(world):
    server, path = start_server(world)
    with socket.socket(socket.AF_UNIX) as client:  # one that says it is this process
        client.connect(path)
        host = socket.gethostname()
        client.sendall(f"CLIENT SETNAME gordian:2a:{os.getpid()}@{host}\r\n".encode())
        expect(client.recv(64) == b"+OK\r\n", "the name")
        # The kernel gives no thread so large a number.
        value = b"Gd\x01\x00" + (1 << 30).to_bytes(4, "little") + (0x2a).to_bytes(8, "little") + bytes(8)
        key = b"rueidislock:0:left"
        client.sendall(b"*5\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$24\r\n%s\r\n$2\r\nPX\r\n$5\r\n60000\r\n"
                       % (len(key), key, value))
        expect(client.recv(64) == b"+OK\r\n", "the lock")
        result = look(world, path)
        expect("suspicious: it is renewed, but the thread that took it has ended" in result.out, "the suspicion", result)
    stop_server(world, server, path)


def test_what_cannot_be_done_is_told(world):
    result = world.run(world.gordian, "redis", "unix:///nowhere/at/all.sock")
    expect(result.status == 2 and "cannot connect" in result.err, "no server", result)
    result = world.run(world.gordian, "redis", "http://somewhere")
    expect(result.status == 2, "no such address", result)
    result = world.run(world.gordian, "redis", "--json", "--dot", "redis://127.0.0.1:1")
    expect(result.status == 2 and "two forms" in result.err, "both forms", result)
    result = world.run(world.gordian, "redis")
    expect(result.status == 2, "no server is named", result)


if __name__ == "__main__":
    harness.main(globals())
