#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gordian redis: what it says of a real server and of programs that hold and want its locks."""

import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness
from harness import Skip, expect


LIBC = ctypes.CDLL(None)


def end_with_the_test():
    """However that ends. By their environment such processes are not found: a redis-server writes its title there."""
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def start_server(world):
    if shutil.which("redis-server") is None:
        raise Skip("redis-server is not installed")
    path = world.path("redis.sock")
    if len(path) > 100:  # of a unix socket's name
        path = f"/tmp/redis-{world.marker[:12]}.sock"
    server = world.start(["redis-server", "--port", "0", "--unixsocket", path, "--save", "",
                          "--appendonly", "no"], stdout=subprocess.DEVNULL, preexec_fn=end_with_the_test)
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


def test_a_lock_whose_key_is_no_string_is_told(world):
    server, path = start_server(world)
    made = subprocess.run(["redis-cli", "-s", path, "RPUSH", "rueidislock:0:list", "x"],
                          capture_output=True, check=False)
    expect(made.returncode == 0, "redis-cli")
    result = look(world, path)
    expect('"list" cannot be taken: its key is no string' in result.out, "a word", result)
    expect("0 locks held" in result.out, "no lock", result)
    expect(json.loads(look(world, path, "--json").out)["blocked"] == ["list"], "as data", result)
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


def free_port():
    """Below what the kernel gives to connections, see redis_server.cpp."""
    for port in random.sample(range(10000, 30000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise Skip("no free port")


def start_tcp_server(world, *words):
    port = free_port()
    server = world.start(["redis-server", *words, "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                          "--appendonly", "no", "--dir", world.directory], stdout=subprocess.DEVNULL,
                         preexec_fn=end_with_the_test)
    world.wait_for(lambda: cli(port, "PING") == "PONG", "the server")
    return server, port


def cli(port, *words):
    asked = subprocess.run(["redis-cli", "-p", str(port), *words], capture_output=True, check=False)
    return asked.stdout.decode(errors="replace").strip()


def test_all_of_a_cluster_is_read(world):
    if shutil.which("redis-server") is None:
        raise Skip("redis-server is not installed")
    started = [start_tcp_server(world, "--cluster-enabled", "yes", "--cluster-port", str(free_port()),
                                "--cluster-config-file", f"nodes{number}.conf",
                                "--cluster-require-full-coverage", "no") for number in range(2)]
    (server, port), (other, other_port) = started
    for number, (_, one) in enumerate(started):
        cli(one, "CLUSTER", "ADDSLOTSRANGE", str(number * 8192), str(number * 8192 + 8191))
        cli(one, "CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
    bus = cli(other_port, "CONFIG", "GET", "cluster-port").split()[-1]
    cli(port, "CLUSTER", "MEET", "127.0.0.1", str(other_port), bus)
    for one in (port, other_port):
        world.wait_for(lambda one=one: cli(one, "CLUSTER", "SLOTS").count("127.0.0.1") == 2, "the cluster")
        world.wait_for(lambda one=one: "cluster_state:ok" in cli(one, "CLUSTER", "INFO"), "the cluster")
    # Slots 5538 and 13792.
    expect(cli(port, "SET", "rueidislock:0:x0", "x" * 24, "PX", "60000") == "OK", "a lock here")
    expect(cli(other_port, "SET", "rueidislock:0:x2", "x" * 24, "PX", "60000") == "OK", "one there")
    for one in (port, other_port):
        url = f"redis://127.0.0.1:{one}"
        text = world.run(world.gordian, "redis", url).out
        expect("2 locks held" in text and '"x0"' in text and '"x2"' in text, "both locks", text)
        expect(text.count(", master of a cluster") == 2, "both servers", text)
        report = json.loads(world.run(world.gordian, "redis", "--json", url).out)
        expect([s["address"] for s in report["servers"]] == [f"127.0.0.1:{p}" for p in (port, other_port)], "servers",
               report)
        expect(report["servers_not_read"] == [] and len(report["locks"]) == 2, "all of it", report)
        dot = world.run(world.gordian, "redis", "--dot", url).out
        expect('"x0"' in dot and '"x2"' in dot, "a graph", dot)
    # One of them goes: the rest is shown, and what is missing is told.
    other.kill()
    other.wait()
    result = world.run(world.gordian, "redis", f"redis://127.0.0.1:{port}")
    expect(result.status == 0 and "1 lock held" in result.out, "the rest", result)
    expect(f"NOT READ: 127.0.0.1:{other_port}: " in result.out, "what is missing", result)
    server.kill()
    server.wait()
    world.end_all()


def slot_of(key):
    """Of a key without braces: CRC16 (XMODEM)."""
    crc = 0
    for byte in key.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
    return (crc & 0xffff) % 16384


class Cluster:
    """Three masters and a replica of the first; "orders" (slot 12359) is on the second, "invoices" (13303) on the third."""

    FIRST_SLOTS = (0, 5461, 13000, 16384)

    def __init__(self, world):
        if shutil.which("redis-server") is None:
            raise Skip("redis-server is not installed")
        self.buses = [free_port() for _ in range(4)]
        self.servers, self.ports = zip(*(
            start_tcp_server(world, "--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-config-file",
                             f"nodes{number}.conf", "--cluster-node-timeout", "500",
                             "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
            for number, bus in enumerate(self.buses)))
        for number, port in enumerate(self.ports[:3]):
            cli(port, "CLUSTER", "ADDSLOTSRANGE", str(self.FIRST_SLOTS[number]), str(self.FIRST_SLOTS[number + 1] - 1))
            cli(port, "CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for number in range(1, 4):
            cli(self.ports[0], "CLUSTER", "MEET", "127.0.0.1", str(self.ports[number]), str(self.buses[number]))
        master = cli(self.ports[0], "CLUSTER", "MYID")
        world.wait_for(lambda: cli(self.ports[3], "CLUSTER", "REPLICATE", master) == "OK", "the replica")
        for port in self.ports:
            world.wait_for(lambda port=port: {"cluster_state:ok", "cluster_known_nodes:4"}
                           <= set(cli(port, "CLUSTER", "INFO").split()), "the cluster")
        world.wait_for(lambda: "master_link_status:up" in cli(self.ports[3], "INFO", "replication"), "the replica")

    def master_of(self, name):
        slot = slot_of(f"rueidislock:0:{name}")
        return next(number for number in range(3) if slot < self.FIRST_SLOTS[number + 1])

    def name_on(self, master, hint):
        return next(name for number in range(1000) if self.master_of(name := f"{hint}{number}") == master)


def set_lock(port, name):
    return cli(port, "SET", f"rueidislock:0:{name}", "x" * 24, "PX", "60000") == "OK"


def has_lock(port, name):
    """Also of a replica in a cluster, which must be told that it may say so."""
    asked = subprocess.run(["redis-cli", "-p", str(port)], input=f"READONLY\nEXISTS rueidislock:0:{name}\n".encode(),
                           capture_output=True, check=False)
    return asked.stdout.split()[-1:] == [b"1"]


def expect_a_ring(world, urls, program, servers):
    """Two threads of the program that wait for each other's locks; text, JSON."""
    world.wait_for(lambda: world.run(world.gordian, "redis", *urls).status == 66, "the deadlock")
    result = world.run(world.gordian, "redis", *urls)
    text = result.out
    expect(result.status == 66 and "DEADLOCK: 2 threads wait for each other's locks" in text, "the deadlock", result)
    expect("2 locks held" in text and "2 waits published" in text, "each lock and each wait once", text)
    for name, other in (("invoices", "orders"), ("orders", "invoices")):
        expect(f'of process {program.pid} on {socket.gethostname()}, expires in' in text, "a holder", text)
        expect(f'wants "{name}", holds "{other}"' in text, "a wait", text)
    for server in servers:
        expect(f"read: {server}\n" in text, "the servers", text)
    expect(text.count("read: ") == len(servers) and "NOT READ" not in text and "suspicious" not in text, "no more",
           text)
    report = json.loads(world.run(world.gordian, "redis", "--json", *urls).out)
    expect([", ".join(filter(None, (s["address"], s["what"]))) for s in report["servers"]] == servers, "the servers",
           report)
    expect(sorted((l["name"], l["pid"], l["foreign"]) for l in report["locks"])
           == [("invoices", program.pid, False), ("orders", program.pid, False)], "holders", report)
    expect(sorted((w["wants"], w["holds"], w["thread_name"]) for w in report["waits"])
           == [("invoices", ["orders"], "right"), ("orders", ["invoices"], "left")], "waits", report)
    expect([sorted(ring) for ring in report["deadlocks"]] == [[0, 1]], "the ring", report)


def test_what_independent_servers_have_together_is_told_once(world):
    if shutil.which("redis-server") is None:
        raise Skip("redis-server is not installed")
    servers = [f"127.0.0.1:{start_tcp_server(world)[1]}" for _ in range(3)]
    urls = [f"redis://{server}" for server in servers]
    program = world.start([world.kind("lease/lease"), "two-leases"],
                          env={"SCENARIO_REDIS": " ".join(urls), "SCENARIO_REDIS_TOPOLOGY": "independent"})
    expect_a_ring(world, urls, program, servers)
    world.end_all()


def interrupt(process):
    """As Ctrl-C does: it ends at once, by nothing but that."""
    process.send_signal(signal.SIGINT)
    expect(process.wait(5) == -signal.SIGINT, "ended by the signal", process.returncode)


def test_holders_and_waiters_of_a_cluster_are_watched_when_a_master_dies(world):
    cluster = Cluster(world)
    urls = [f"redis://127.0.0.1:{port}" for port in cluster.ports]
    program = world.start([world.kind("lease/lease"), "two-leases"],
                          env={"SCENARIO_REDIS": urls[2], "SCENARIO_REDIS_TOPOLOGY": "cluster"})
    masters = [f"127.0.0.1:{port}, master of a cluster" for port in cluster.ports[:3]]
    expect_a_ring(world, urls[:1], program, masters)
    # Watched by way of the master that is to die.
    with open(world.path("said"), "wb") as out:
        process = world.start([world.gordian, "redis", "--watch", urls[0]], stdout=out, stderr=out)

    def last():
        with open(world.path("said"), encoding="utf-8", errors="replace") as said:
            return re.split(r"(?<!key of a lease\.)\n\n", said.read())[-1]
    world.wait_for(lambda: '"invoices" by thread' in last() and '"orders" by thread' in last(), "both locks")
    before, after = cluster.name_on(0, "before"), cluster.name_on(0, "after")
    expect(set_lock(cluster.ports[0], before), "a lock")
    world.wait_for(lambda: f'"{before}" by' in last(), "a change")
    world.wait_for(lambda: has_lock(cluster.ports[3], before), "that the replica has it")
    cluster.servers[0].kill()
    cluster.servers[0].wait()
    # What is left is shown meanwhile, and what the replica has once it is the master.
    world.wait_for(lambda: f"NOT READ: 127.0.0.1:{cluster.ports[0]}: " in last() and '"orders" by' in last()
                   or f"read: 127.0.0.1:{cluster.ports[3]}, " in last(), "the rest")
    world.wait_for(lambda: set_lock(cluster.ports[3], after), "the failover")
    world.wait_for(lambda: f'"{after}" by' in last() and f'"{before}" by' in last(), "the locks of the next master")
    expect(f"read: 127.0.0.1:{cluster.ports[3]}, master of a cluster" in last(), "the next master", last())
    expect(last().count(f"NOT READ: 127.0.0.1:{cluster.ports[0]}: ") == 1, "told once", last())
    interrupt(process)
    world.end_all()


def test_holders_and_waiters_behind_sentinels_are_watched_when_their_master_dies(world):
    if shutil.which("redis-server") is None:
        raise Skip("redis-server is not installed")
    master, port = start_tcp_server(world, "--repl-diskless-sync-delay", "0")
    _, replica_port = start_tcp_server(world, "--replicaof", "127.0.0.1", str(port), "--repl-timeout", "5")
    world.wait_for(lambda: "master_link_status:up" in cli(replica_port, "INFO", "replication"), "the replica")
    sentinel_ports = []
    for number, patience in enumerate((300, 60000)):  # one of them decides: two would vote for themselves
        config = world.write(f"sentinel{number}.conf",
                             f"sentinel monitor mymaster 127.0.0.1 {port} 1\n"
                             f"sentinel down-after-milliseconds mymaster {patience}\n"
                             "sentinel failover-timeout mymaster 2000\n")
        sentinel_ports.append(start_tcp_server(world, config, "--sentinel")[1])
    for one in sentinel_ports:
        world.wait_for(lambda one=one: "slaves=1,sentinels=2" in cli(one, "INFO", "sentinel"), "the sentinels")
    urls = [f"redis+sentinel://127.0.0.1:{one}/mymaster" for one in sentinel_ports]
    program = world.start([world.kind("lease/lease"), "two-leases"],
                          env={"SCENARIO_REDIS": " ".join(f"redis://127.0.0.1:{one}" for one in sentinel_ports),
                               "SCENARIO_REDIS_TOPOLOGY": "sentinel"})
    what = 'master "mymaster" of sentinels'
    expect_a_ring(world, urls[:1], program, [f"127.0.0.1:{port}, {what}"])
    # One of the sentinels that are named is not there.
    nobody = f"127.0.0.1:{free_port()}"
    with open(world.path("said"), "wb") as out:
        process = world.start([world.gordian, "redis", "--watch", "--json", f"redis+sentinel://{nobody}/mymaster",
                               *urls], stdout=out)

    def last():
        """Of the reports that are whole; one without anything before."""
        with open(world.path("said"), encoding="utf-8", errors="replace") as said:
            reports = re.findall(r"^{$.*?^}$", said.read(), re.MULTILINE | re.DOTALL)
        return json.loads(reports[-1]) if reports else dict.fromkeys(("locks", "servers", "deadlocks"), [])

    def held():
        return sorted(lock["name"] for lock in last()["locks"])
    world.wait_for(lambda: held() == ["invoices", "orders"], "both locks")
    expect([s["address"] for s in last()["servers_not_read"]] == [nobody], "who is not there", last())
    expect(set_lock(port, "theirs"), "a lock")
    world.wait_for(lambda: held() == ["invoices", "orders", "theirs"], "a change")
    world.wait_for(lambda: has_lock(replica_port, "theirs"), "that the replica has it")
    master.kill()
    master.wait()
    next_master = {"address": f"127.0.0.1:{replica_port}", "what": what}
    world.wait_for(lambda: last()["servers"] == [next_master], "the next master")
    expect(set_lock(replica_port, "more"), "a lock there")
    # The leases may be over, if this took longer than they last.
    world.wait_for(lambda: {"more", "theirs"} <= set(held()), "the locks of the next master")
    interrupt(process)
    world.end_all()


def test_a_master_is_found_behind_its_sentinel(world):
    if shutil.which("redis-server") is None:
        raise Skip("redis-server is not installed")
    server, port = start_tcp_server(world)
    config = world.write("sentinel.conf", f"sentinel monitor shop 127.0.0.1 {port} 1\n")
    sentinel, sentinel_port = start_tcp_server(world, config, "--sentinel")
    expect(cli(port, "SET", "rueidislock:0:theirs", "x" * 24, "PX", "60000") == "OK", "a lock")
    url = f"redis+sentinel://127.0.0.1:{sentinel_port}"
    result = world.run(world.gordian, "redis", url + "/shop")
    expect(result.status == 0 and f'read: 127.0.0.1:{port}, master "shop" of sentinels' in result.out, "it", result)
    expect('"theirs"' in result.out, "its lock", result)
    result = world.run(world.gordian, "redis", url)
    expect(result.status == 2 and "no master is named" in result.err, "no master", result)
    result = world.run(world.gordian, "redis", f"redis://127.0.0.1:{sentinel_port}")
    expect(result.status == 2 and 'it watches "shop"' in result.err, "a sentinel", result)
    for process in (server, sentinel):
        process.kill()
        process.wait()
    world.end_all()


def test_servers_are_asked_over_tls_and_must_prove_who_they_are(world):
    if shutil.which("redis-server") is None or shutil.which("openssl") is None:
        raise Skip("redis-server or openssl is not installed")
    key, certificate = world.path("tls.key"), world.path("tls.crt")
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                           "-subj", "/CN=redis.test", "-addext", "subjectAltName=DNS:redis.test", "-keyout", key,
                           "-out", certificate], capture_output=True, check=False)
    expect(made.returncode == 0, "a certificate", made.stderr)
    secure = free_port()
    server, port = start_tcp_server(world, "--tls-port", str(secure), "--tls-cert-file", certificate, "--tls-key-file",
                                    key, "--tls-ca-cert-file", certificate, "--tls-auth-clients", "optional")
    expect(cli(port, "SET", "rueidislock:0:theirs", "x" * 24, "PX", "60000") == "OK", "a lock")
    url = f"rediss://127.0.0.1:{secure}"
    for words in ([], [f"--cacert={certificate}"]):
        result = world.run(world.gordian, "redis", *words, url)
        if "built without OpenSSL" in result.err:
            raise Skip("it was built without OpenSSL")
        expect(result.status == 2 and f"127.0.0.1:{secure}" in result.err, "the server", result)
        expect("TLS: the server's certificate is refused: " in result.err, "the reason", result)
    for words in ([f"--cacert={certificate}", "--sni=redis.test", f"--cert={certificate}", f"--key={key}"],
                  ["--insecure"]):
        result = world.run(world.gordian, "redis", *words, url)
        expect(result.status == 0 and '"theirs"' in result.out, "its lock", result)
    server.kill()
    server.wait()
    world.end_all()


class Liar(threading.Thread):
    """A server that answers each command with the bytes its first word stands for, and with an error to all else."""

    def __init__(self, answers):
        super().__init__(daemon=True)
        self.answers = answers
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client:
            # One command at a time: what is asked has come whole, in one piece.
            while request := client.recv(4096):
                word = request.split(b"\r\n")[2].decode()
                client.sendall(self.answers.get(word, b"-ERR no\r\n"))

    def stop(self):
        self.listener.close()


def test_what_servers_make_up_is_refused(world):
    slots = b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$%d\r\n%s\r\n:%d\r\n"
    for answers, said in (
            ({"ROLE": b"*2\r\n$8\r\nsentinel\r\n*1\r\n$5\r\na\x1b[2J\r\n"}, "it is a sentinel"),
            ({"CLUSTER": b"*1\r\n:1\r\n"}, "cannot be read"),
            ({"CLUSTER": slots % (9, b"a\x1b]0;x\x07bc", 1)}, "names no master"),
            ({"CLUSTER": slots % (9, b"127.0.0.1", 1)}, "cannot connect"),
            ({"CLUSTER": b"$-1\r\n", "SCAN": b"*2\r\n:1\r\n:2\r\n"}, "does not list its keys"),
            ({"CLUSTER": b"*3\r\n"}, "does not answer")):
        liar = Liar(answers)
        result = world.run(world.gordian, "redis", liar.url)
        expect(result.status == 2 and said in result.err, said, result)
        expect("\x1b" not in result.err, "nothing for the terminal", result)
        liar.stop()


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
