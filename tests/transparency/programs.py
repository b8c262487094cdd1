# SPDX-License-Identifier: Apache-2.0
"""The real programs of the transparency suite: unmodified, from Debian, each under a named load.

A program is (name, Debian packages, load in words, function). The function gets the prefix to put
before the command (empty, or `gordian run ... --`) and a folder of its own, and returns the output
that must not change. Programs that cannot nest two locks say so in `nests=False`.
"""
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import Callable


@dataclasses.dataclass
class Program:
    name: str
    packages: list
    load: str
    run: Callable
    quick: bool = False   # part of tools/test
    nests: bool = True    # takes one lock while it holds another, in at least one thread
    waits_only: bool = False  # blocks on bare futexes: its waits count, it has no locks
    timed: bool = False   # its load ends by the clock


def run(prefix, command, **options):
    """Output and status of a command that ends by itself."""
    result = subprocess.run([*prefix, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            stdin=options.pop("stdin", subprocess.DEVNULL), timeout=300, **options)
    return result.stdout, result.returncode


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def data_file(folder, name="data", size=40_000_000):
    """Compressible but not trivial, the same each time."""
    path = folder / name
    if not path.exists():
        line = 0
        with open(path, "wb") as out:
            while out.tell() < size:
                out.write(hashlib.md5(str(line // 3).encode()).hexdigest().encode() + b"\n")
                line += 1
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server under test: started with the prefix, stopped with SIGTERM, its status kept."""

    def __init__(self, prefix, command, port, **options):
        self.process = subprocess.Popen([*prefix, *command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
        self.port = port

    def __enter__(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with status {self.process.returncode}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        raise RuntimeError("the server does not answer")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError("the server does not stop")


def quiet(command, **options):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   stdin=subprocess.DEVNULL, timeout=300, **options)


# --- servers ---------------------------------------------------------------------------------

def memcached(prefix, folder):
    port = free_port()
    with Server(prefix, ["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", str(port), "-t", "4"],
                port) as server:
        quiet(["memcslap", f"--servers=127.0.0.1:{port}", "--concurrency=8", "--execute-number=4000",
               "--test=set"])
        stored = subprocess.run(["memcstat", f"--servers=127.0.0.1:{port}"], capture_output=True,
                                text=True, check=True).stdout
    return re.search(r"cmd_set: \d+", stored)[0], server.status


def redis(prefix, folder):
    port = free_port()
    with Server(prefix, ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                         "--dir", str(folder), "--io-threads", "4", "--io-threads-do-reads", "yes"],
                port) as server:
        quiet(["redis-benchmark", "-p", str(port), "-n", "40000", "-c", "50", "-P", "8", "-t",
               "set,lpush"])
        size = subprocess.run(["redis-cli", "-p", str(port), "dbsize"], capture_output=True, text=True,
                              check=True).stdout
        quiet(["redis-cli", "-p", str(port), "bgsave"])
        quiet(["redis-cli", "-p", str(port), "flushall", "async"])
    return size, server.status


def nginx(prefix, folder):
    port = free_port()
    www = folder / "www"
    www.mkdir(exist_ok=True)
    for i in range(50):
        (www / f"{i}.html").write_bytes(hashlib.md5(str(i).encode()).hexdigest().encode() * 2000)
    config = folder / "nginx.conf"
    modules = "/usr/share/nginx/modules"
    config.write_text(f"""
        daemon off; worker_processes 2; pid {folder}/pid; error_log /dev/null; user root;
        thread_pool default threads=8; events {{ worker_connections 256; }}
        http {{ access_log off; aio threads; sendfile off; server {{ listen 127.0.0.1:{port}; root {www}; }} }}
    """)
    with Server(prefix, ["nginx", "-c", str(config)], port) as server:
        quiet(["ab", "-q", "-n", "2000", "-c", "16", f"http://127.0.0.1:{port}/7.html"])
        pages = [subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/{i}.html"],
                                capture_output=True, check=True).stdout for i in range(50)]
    return hashlib.sha256(b"".join(pages)).hexdigest(), server.status


def mariadb(prefix, folder):
    data = folder / "data"
    if not data.exists():
        quiet(["mariadb-install-db", f"--datadir={data}", "--auth-root-authentication-method=normal",
               "--user=root"])
    port = free_port()
    with Server(prefix, ["mariadbd", "--no-defaults", "--user=root", f"--datadir={data}",
                         f"--socket={folder}/s", f"--port={port}", "--bind-address=127.0.0.1",
                         "--skip-log-bin"], port) as server:
        client = ["mariadb", f"--socket={folder}/s", "-uroot"]
        quiet([*client, "-e", "drop database if exists bench; create database bench"])
        sysbench = ["sysbench", "oltp_read_write", "--db-driver=mysql", f"--mysql-socket={folder}/s",
                    "--mysql-user=root", "--mysql-db=bench", "--tables=2", "--table-size=2000",
                    "--threads=8"]
        quiet([*sysbench, "prepare"])
        quiet([*sysbench, "--time=0", "--events=4000", "run"])
        rows = subprocess.run([*client, "-N", "-e", "select count(*) from bench.sbtest1"],
                              capture_output=True, text=True, check=True).stdout
    return rows, server.status


def mosquitto(prefix, folder):
    port = free_port()
    config = folder / "m.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    with Server(prefix, ["mosquitto", "-c", str(config)], port) as server:
        for i in range(20):
            quiet(["mosquitto_pub", "-p", str(port), "-r", "-t", f"t/{i}", "-m", "x" * i or "0"])
    return "", server.status


# --- things that end by themselves -----------------------------------------------------------

def rocksdb(prefix, folder):
    shutil.rmtree(folder / "db", ignore_errors=True)
    output, status = run(prefix, ["db_bench", "--benchmarks=fillrandom,readwhilewriting,compact",
                                  "--threads=4", "--num=20000", f"--db={folder}/db", "--seed=1"])
    return re.findall(rb"^(\w+) +:", output, re.M), status


def leveldb(prefix, folder):
    shutil.rmtree(folder / "ldb", ignore_errors=True)
    script = ("import plyvel, threading, sys\n"
              "db = plyvel.DB(sys.argv[1], create_if_missing=True, write_buffer_size=65536)\n"
              "def work(n):\n"
              "    for i in range(3000): db.put(b'%d-%d' % (n, i), b'v' * 100)\n"
              "ts = [threading.Thread(target=work, args=(n,)) for n in range(4)]\n"
              "[t.start() for t in ts]; [t.join() for t in ts]\n"
              "print(sum(1 for _ in db)); db.close()\n")
    return run(prefix, ["/usr/bin/python3", "-c", script, str(folder / "ldb")])


def python_threads(prefix, folder):
    script = ("import threading, queue, hashlib\n"
              "q, out, lock = queue.Queue(8), [], threading.Lock()\n"
              "def work():\n"
              "    while (i := q.get()) is not None:\n"
              "        with lock: out.append(hashlib.sha256(str(i).encode() * 500).hexdigest())\n"
              "ts = [threading.Thread(target=work) for _ in range(4)]\n"
              "[t.start() for t in ts]\n"
              "[q.put(i) for i in range(3000)]; [q.put(None) for _ in ts]; [t.join() for t in ts]\n"
              "print(hashlib.sha256(''.join(sorted(out)).encode()).hexdigest())\n")
    return run(prefix, ["/usr/bin/python3", "-c", script])


def java(prefix, folder):
    source = folder / "Load.java"
    source.write_text("""
import java.util.concurrent.*; import java.util.*;
public class Load { public static void main(String[] a) throws Exception {
  ExecutorService pool = Executors.newFixedThreadPool(8); Map<Integer,Integer> m = new ConcurrentHashMap<>();
  List<Future<Integer>> fs = new ArrayList<>();
  for (int i = 0; i < 2000; i++) { final int n = i; fs.add(pool.submit(() -> { int s = 0;
    for (int k = 0; k < 2000; k++) s += new byte[100].length * k % 7; synchronized (m) { m.merge(n % 10, s, Integer::sum); } return s; })); }
  long t = 0; for (Future<Integer> f : fs) t += f.get(); pool.shutdown(); System.out.println(t + " " + m); } }
""")
    return run(prefix, ["java", "-Xmx256m", str(source)])


def node(prefix, folder):
    script = ("const c=require('crypto'),z=require('zlib');let n=0,o=[];"
              "for(let i=0;i<60;i++){c.pbkdf2('p','s'+i,3000,32,'sha256',(e,k)=>{o[i]=k.toString('hex');"
              "z.gzip(Buffer.alloc(200000,i),()=>{if(++n==60)console.log(c.createHash('sha256').update(o.join('')).digest('hex'))})})}")
    return run(prefix, ["node", "-e", script])


def gstreamer(prefix, folder):
    target = folder / "out.raw"
    _, status = run(prefix, ["gst-launch-1.0", "-q", "videotestsrc", "num-buffers=300", "!",
                             "video/x-raw,width=160,height=120", "!", "queue", "!", "videoconvert",
                             "n-threads=4", "!", "tee", "name=t", "t.", "!", "queue", "!", "filesink",
                             f"location={target}", "t.", "!", "queue", "!", "fakesink"])
    return digest(target), status


def ffmpeg(prefix, folder):
    target = folder / "out.y4m"
    _, status = run(prefix, ["ffmpeg", "-y", "-loglevel", "error", "-f", "lavfi", "-i",
                             "testsrc=size=320x240:rate=25:duration=8", "-threads", "4", "-vf",
                             "scale=160:120,hqdn3d", "-c:v", "ffv1", "-slices", "4", "-fflags",
                             "+bitexact", "-flags:v", "+bitexact", "-f", "matroska", str(target)])
    return digest(target), status


def x264(prefix, folder):
    raw, target = folder / "in.yuv", folder / "out.264"
    if not raw.exists():
        frame = bytes((x * 7 + y * 3) & 255 for y in range(180) for x in range(160))
        raw.write_bytes(b"".join(frame[i:] + frame[:i] for i in range(150)))
    _, status = run(prefix, ["x264", "--quiet", "--threads", "4", "--input-res", "160x120", "--fps",
                             "25", "--demuxer", "raw", "-o", str(target), str(raw)])
    return digest(target), status


def compressor(name, arguments):
    def compress(prefix, folder):
        source = data_file(folder)
        with open(source, "rb") as stdin:
            output, status = run(prefix, [name, *arguments], stdin=stdin)
        return hashlib.sha256(output).hexdigest(), status
    return compress


def git_grep(prefix, folder):
    repository = folder / "repository"
    if not repository.exists():
        repository.mkdir()
        for i in range(1500):
            (repository / f"f{i}.txt").write_text("".join(f"line {k} of {i}\n" for k in range(40)))
        quiet(["git", "init", "-q", str(repository)])
        quiet(["git", "-C", str(repository), "add", "."])
    return run(prefix, ["git", "-C", str(repository), "-c", "grep.threads=8", "grep", "-c", "line 7 of .*3"])


def rsync(prefix, folder):
    source, target = folder / "source", folder / "target"
    shutil.rmtree(target, ignore_errors=True)
    source.mkdir(exist_ok=True)
    for i in range(300):
        (source / f"f{i}").write_bytes(str(i).encode() * 500)
    _, status = run(prefix, ["rsync", "-a", "--checksum", f"{source}/", str(target)])
    return sorted((p.name, digest(p)) for p in target.iterdir()), status


def curl(prefix, folder):
    port = free_port()
    (folder / "page").write_bytes(b"x" * 100_000)
    server = subprocess.Popen([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)],
                              cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with_retry = ["--retry", "50", "--retry-connrefused", "--retry-delay", "0"]
        quiet(["curl", "-s", *with_retry, f"http://127.0.0.1:{port}/page"])
        # One process takes some 900 locks, nearly all of them OpenSSL's: three processes.
        transfers = " ".join(f"http://localhost:{port}/page" for _ in range(100))
        return run(prefix, ["sh", "-c", f"for i in 1 2 3; do curl -s --parallel --parallel-max 20 {transfers}; done"])
    finally:
        server.kill()
        server.wait()


def qemu_img(prefix, folder):
    source, target = data_file(folder), folder / "disk.qcow2"
    _, status = run(prefix, ["qemu-img", "convert", "-m", "8", "-W", "-c", "-f", "raw", "-O", "qcow2",
                             str(source), str(target)])
    check, _ = run([], ["qemu-img", "compare", "-f", "raw", "-F", "qcow2", str(source), str(target)])
    return check, status


def gdb(prefix, folder):
    return run(prefix, ["gdb", "-nx", "-batch", "-ex", "maint set worker-threads 4", "-ex", "file /usr/bin/gdb",
                        "-ex", "info line main", "-ex", "python print(6 * 7)"])


def chromium(prefix, folder):
    page = folder / "page.html"
    page.write_text("<title>t</title><body><script>document.body.append([1,2,3].map(x=>x*x).join())</script>")
    return run(prefix, ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                        "--no-first-run", "--disable-background-networking", "--disable-component-update",
                        "--disable-sync", f"--user-data-dir={folder}/profile", "--dump-dom", f"file://{page}"])


def libreoffice(prefix, folder):
    source, target = folder / "sheet.csv", folder / "sheet.html"
    source.write_text("a,b\n1,2\n" * 50)
    target.unlink(missing_ok=True)
    _, status = run(prefix, ["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless",
                             "--convert-to", "html", "--outdir", str(folder), str(source)])
    return re.sub(rb"(?m)^.*<meta.*$", b"", target.read_bytes()), status


def ruby(prefix, folder):
    script = ("q = SizedQueue.new(8); m = Mutex.new; out = []\n"
              "ts = 4.times.map { Thread.new { while (i = q.pop) != nil; m.synchronize { out << i * i }; end } }\n"
              "3000.times { |i| q << i }; 4.times { q << nil }; ts.each(&:join); puts out.sum\n")
    return run(prefix, ["ruby", "-e", script])


def erlang(prefix, folder):
    script = ("Self = self(), [spawn(fun() -> Self ! lists:sum([X * N || X <- lists:seq(1, 2000)]) end)"
              " || N <- lists:seq(1, 300)],"
              "T = lists:sum([receive V -> V end || _ <- lists:seq(1, 300)]),"
              "io:format(\"~p~n\", [T]), halt().")
    return run(prefix, ["erl", "+S", "4:4", "+A", "8", "-noshell", "-eval", script], env={**os.environ, "HOME": str(folder)})


def perl(prefix, folder):
    script = ("use threads; use threads::shared; my $n :shared = 0; "
              "my @t = map { threads->create(sub { for (1..2000) { lock($n); $n++ } }) } 1..4; "
              "$_->join for @t; print \"$n\\n\"")
    return run(prefix, ["perl", "-e", script])


def povray(prefix, folder):
    scene, target = folder / "scene.pov", folder / "scene.ppm"
    scene.write_text("camera { location <0,2,-5> look_at <0,0,0> } light_source { <5,9,-9> rgb 1 }\n"
                     "plane { y, -1 pigment { checker rgb 0 rgb 1 } }\n"
                     "sphere { 0, 1 pigment { rgb <1,0,0> } finish { reflection 0.4 } }\n")
    _, status = run(prefix, ["povray", f"+I{scene}", f"+O{target}", "+FP", "+W400", "+H300", "-D", "+WT4",
                             "+BS8", "-GA"], cwd=folder)
    return len(target.read_bytes()), status  # its pixels differ from run to run, bare too


def bind9(prefix, folder):
    port = free_port()
    zone = folder / "zone"
    zone.write_text("$TTL 60\n@ SOA ns root 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n"
                    + "".join(f"h{i} A 127.0.0.{i}\n" for i in range(1, 200)))
    config = folder / "named.conf"
    config.write_text(f"""options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }};
        listen-on-v6 {{ none; }}; pid-file "{folder}/pid"; recursion no; session-keyfile "{folder}/key";
        lock-file none; }}; controls {{ }}; zone "test" {{ type primary; file "{zone}"; }};""")
    with Server(prefix, ["named", "-c", str(config), "-g", "-n", "4"], port) as server:
        # On a busy machine its 5 s pass, and then it writes about that between the answers.
        dig = ["dig", "@127.0.0.1", "-p", str(port), "+short", "+norecurse", "+timeout=30"]
        # It listens before its zone is loaded, and refuses until then.
        deadline = time.monotonic() + 30
        while not subprocess.run([*dig, "h1.test", "A"], capture_output=True).stdout:
            if time.monotonic() > deadline:
                raise RuntimeError("the zone does not load")
        queries = folder / "queries"
        queries.write_text("".join(f"h{i}.test A\n" for i in range(1, 200)))
        answer = subprocess.run([*dig, "-f", str(queries)], capture_output=True, text=True, check=True).stdout
    return answer, server.status


def unbound(prefix, folder):
    port = free_port()
    config = folder / "unbound.conf"
    records = "".join(f'local-data: "h{i}.test. A 127.0.0.{i}"\n' for i in range(1, 200))
    config.write_text(f"""server:
        interface: 127.0.0.1@{port}
        num-threads: 4
        do-daemonize: no
        use-syslog: no
        username: ""
        chroot: ""
        directory: "{folder}"
        pidfile: "{folder}/pid"
        auto-trust-anchor-file: ""
        local-zone: "test." static
        {records}
        remote-control:
        control-enable: no
    """)
    with Server(prefix, ["unbound", "-c", str(config)], port) as server:
        queries = folder / "queries"
        queries.write_text("".join(f"h{i}.test A\n" for i in range(1, 200)))
        answer = "".join(subprocess.run(["dig", "@127.0.0.1", "-p", str(port), "+short", "-f", str(queries)],
                                        capture_output=True, text=True, check=True).stdout for _ in range(3))
    return answer, server.status


def varnish(prefix, folder):
    port, backend = free_port(), free_port()
    (folder / "page").write_bytes(b"v" * 20_000)
    origin = subprocess.Popen([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(backend)],
                              cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with Server(prefix, ["varnishd", "-F", "-j", "none", "-a", f"127.0.0.1:{port}", "-b",
                             f"127.0.0.1:{backend}", "-n", str(folder / "varnish"), "-s", "malloc,16m"],
                    port) as server:
            quiet(["curl", "-s", "--retry", "50", "--retry-all-errors", "--retry-delay", "0", "-o", "/dev/null",
                   f"http://127.0.0.1:{port}/page"])
            quiet(["ab", "-q", "-n", "3000", "-c", "16", f"http://127.0.0.1:{port}/page"])
            page = subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/page"], capture_output=True,
                                  check=True).stdout
        return hashlib.sha256(page).hexdigest(), server.status
    finally:
        origin.kill()
        origin.wait()


def stress_ng(stressor, operations):
    def stress(prefix, folder):
        output, status = run(prefix, ["stress-ng", "--quiet", f"--{stressor}", "4", f"--{stressor}-ops",
                                      str(operations), "--timeout", "3", "--temp-path", str(folder)])
        return output, status
    return stress


def sort(prefix, folder):
    output, status = run(prefix, ["sort", "--parallel=4", "-S", "30M", "-T", str(folder), str(data_file(folder))])
    return hashlib.sha256(output).hexdigest(), status


PROGRAMS = [
    Program("memcached", ["memcached", "libmemcached-tools"], "8 clients store 32,000 items", memcached, quick=True),
    Program("redis", ["redis-server", "redis-tools"], "4 I/O threads, 80,000 pipelined commands, a save", redis, quick=True),
    Program("nginx", ["nginx-light", "apache2-utils", "curl"], "file reads in a pool of 8 threads, 2,050 requests", nginx),
    Program("mariadb", ["mariadb-server", "sysbench"], "sysbench, 4,000 read/write transactions, 8 threads", mariadb),
    Program("mosquitto", ["mosquitto", "mosquitto-clients"], "20 retained messages", mosquitto),
    Program("rocksdb", ["rocksdb-tools"], "db_bench, 4 threads, fill, mixed, compact", rocksdb),
    Program("leveldb", ["python3-plyvel"], "4 writers, 12,000 puts, compactions", leveldb),
    Program("python", ["python3"], "4 workers on a queue", python_threads, quick=True),
    Program("java", ["default-jdk-headless"], "a pool of 8, 2,000 tasks", java),
    Program("node", ["nodejs"], "60 pbkdf2 and gzip in libuv's pool", node),
    Program("gstreamer", ["gstreamer1.0-tools", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good"], "300 frames through queues and a tee", gstreamer),
    Program("ffmpeg", ["ffmpeg"], "200 frames, 4 threads", ffmpeg),
    Program("x264", ["x264"], "150 frames, 4 threads", x264),
    Program("pigz", ["pigz"], "40 MB, 4 threads", compressor("pigz", ["-p4", "-c"]), nests=False),
    Program("xz", ["xz-utils"], "40 MB, 4 threads", compressor("xz", ["-T4", "-1", "--block-size=50000", "-c"]), quick=True, nests=False),
    Program("zstd", ["zstd"], "40 MB, 4 threads", compressor("zstd", ["-T4", "-3", "-B65536", "-c"]), nests=False),
    Program("pbzip2", ["pbzip2"], "40 MB, 4 threads", compressor("pbzip2", ["-p4", "-b1", "-c"])),
    Program("git", ["git"], "grep over 1,500 files, 8 threads", git_grep, quick=True),
    Program("rsync", ["rsync"], "300 files", rsync),
    Program("curl", ["curl"], "300 transfers, 20 at a time", curl),
    Program("qemu-img", ["qemu-utils"], "compress 40 MB, 8 coroutines", qemu_img),
    Program("gdb", ["gdb"], "reads its own symbols with 4 workers", gdb),
    Program("chromium", ["chromium"], "a page with a script, headless", chromium),
    Program("libreoffice", ["libreoffice-calc-nogui"], "a table to HTML, headless", libreoffice),
    Program("stress-ng mutex", ["stress-ng"], "4 workers, 3 s", stress_ng("mutex", 10**8), nests=False, timed=True),
    Program("stress-ng sem", ["stress-ng"], "4 workers, 3 s", stress_ng("sem", 10**8), nests=False, timed=True),
    Program("stress-ng futex", ["stress-ng"], "4 workers", stress_ng("futex", 20000), nests=False, waits_only=True),
    Program("ruby", ["ruby"], "4 threads on a queue, 3,000 items", ruby, nests=False),
    Program("perl", ["perl"], "4 interpreter threads, 8,000 locked increments", perl, quick=True),
    Program("erlang", ["erlang-base"], "300 processes on 4 schedulers", erlang),
    Program("povray", ["povray"], "a reflecting sphere, 4 threads", povray),
    Program("bind9", ["bind9", "bind9-dnsutils"], "199 queries, 4 workers", bind9),
    Program("unbound", ["unbound", "bind9-dnsutils"], "597 queries, 4 threads", unbound),
    Program("varnish", ["varnish", "apache2-utils", "curl"], "3,000 requests through the cache", varnish),
    Program("sort", ["coreutils"], "40 MB, 4 threads", sort, quick=True),
]
