# SPDX-License-Identifier: Apache-2.0
"""Backtraces as people paste them, each with what it shows. Made up, in the shape of real ones."""


def native(*threads, tail=""):
    """gdb's `thread apply all bt`: (lwp, name, [frames]); highest number first, as gdb prints."""
    out = ["[Thread debugging using libthread_db enabled]"]
    for number in range(len(threads), 0, -1):
        lwp, name, frames = threads[number - 1]
        label = f' "{name}"' if name else ""
        out.append(f"\nThread {number} (Thread 0x7f55aa{lwp:03x}6c0 (LWP {lwp}){label}):")
        out += [f"#{i:<2} {frame}" for i, frame in enumerate(frames)]
    return "\n".join(out) + "\n" + tail


START = ["0x00007f55b00a71f5 in start_thread (arg=<optimized out>) at ./nptl/pthread_create.c:442",
         "0x00007f55b01278ec in clone3 () at ../sysdeps/unix/sysv/linux/x86_64/clone3.S:81"]
MAIN = "0x000055d0aa001234 in main (argc=1, argv=0x7ffc1) at main.c:90"


def mutex_wait(address):
    return [f"futex_wait (private=0, expected=2, futex_word={address}) at ../sysdeps/nptl/futex-internal.h:146",
            f"__GI___lll_lock_wait (futex=futex@entry={address}, private=0) at ./nptl/lowlevellock.c:49",
            f"0x00007f55b00aa482 in lll_mutex_lock_optimized (mutex={address}) at ./nptl/pthread_mutex_lock.c:48",
            f"___pthread_mutex_lock (mutex=mutex@entry={address}) at ./nptl/pthread_mutex_lock.c:93"]


def rwlock_wait(address, how):
    return ["__futex_abstimed_wait_common (cancel=false, private=<optimized out>, abstime=0x0, clockid=0, "
            f"expected=3, futex_word={address}) at ./nptl/futex-internal.c:103",
            f"0x00007f55b00a27fb in __pthread_rwlock_{how}_full64 (abstime=0x0, clockid=0, rwlock={address}) "
            "at ./nptl/pthread_rwlock_common.c:460",
            f"___pthread_rwlock_{how} (rwlock={address}) at ./nptl/pthread_rwlock_{how}.c:26",
            f"0x000055d0aa00f028 in std::__glibcxx_rwlock_{how} (__rwlock={address}) at /usr/include/c++/11/shared_mutex:73"]


def join_wait(pthread, lwp):
    return ["__futex_abstimed_wait_common64 (private=128, cancel=true, abstime=0x0, op=265, "
            f"expected={lwp}, futex_word={hex(pthread + 0x2d0)}) at ./nptl/futex-internal.c:57",
            f"0x00007f55b00a8ce3 in __pthread_clockjoin_ex (threadid={pthread}, thread_return=0x0, clockid=0, "
            "abstime=0x0, block=block@entry=true) at ./nptl/pthread_join_common.c:102"]


def pthread_of(lwp):
    return int(f"0x7f55aa{lwp:03x}6c0", 16)


POLL = ["0x00007f55b011a26f in __GI___poll (fds=0x55d0bb9dca0, nfds=1, timeout=-1) at ../sysdeps/unix/sysv/linux/poll.c:29",
        "0x000055d0aa00298e in event_loop (loop=0x55d0bb000010) at loop.c:77"]
SLEEP = ["0x00007f55b00ed545 in __GI___clock_nanosleep (clock_id=0, flags=0, req=0x7f, rem=0x0) at ../sysdeps/unix/sysv/linux/clock_nanosleep.c:48",
         MAIN]
CONDITION = ["__futex_abstimed_wait_common64 (private=0, cancel=true, abstime=0x0, op=393, expected=0, futex_word=0x55d0bb289ee8) at ./nptl/futex-internal.c:57",
             "0x00007f55b00a65d8 in __pthread_cond_wait_common (abstime=0x0, clockid=0, mutex=0x55d0bb289e70, cond=0x55d0bb289ec0) at ./nptl/pthread_cond_wait.c:503",
             "___pthread_cond_wait (cond=0x55d0bb289ec0, mutex=0x55d0bb289e70) at ./nptl/pthread_cond_wait.c:618",
             "0x000055d0aa00be7b in pool_worker (pool=0x55d0bb289e00) at pool.c:144"]

A, B = "0x55d0bb100118", "0x55d0bb200ee0"

# A plug-in asks the core, the core asks the plug-in: neither owner is printed.
PLUGIN = mutex_wait(A) + [
    "0x000055d0aa0c7ab5 in core_send_packet (packet=0x7f55c1e0, channel=0x55d0bb100000) at core.c:510",
    "core_send_packet (channel=0x55d0bb100000, packet=0x7f55c1e0) at core.c:500",
    "0x00007f55a193bce6 in room_refresh (member=0x55d0bb3056a0, why=<optimized out>) at plugins/room.c:298",
    "0x00007f55a197fa85 in room_handler (data=<optimized out>) at plugins/room.c:1091"] + START
CORE = mutex_wait(B) + [
    "0x00007f55a1943a10 in room_describe (channel=<optimized out>) at plugins/room.c:459",
    "0x000055d0aa0da840 in core_admin_request (request=0x55d0bb40ad50) at main.c:304",
    "0x000055d0aa0dd94c in core_requests (data=<optimized out>) at main.c:359"] + START
TWO_LAYERS = native((500, "core", SLEEP), (501, "admin", CORE), (502, "room", PLUGIN),
                    (503, "pool", CONDITION + START), (504, "loop", POLL + START))

# An object is left through its callback and entered again; another thread queues behind.
SELF = "0x55d0bb601d20"
REENTRY = mutex_wait(SELF) + [
    f"0x00007f55b018fff8 in std::mutex::lock (this={SELF}) at /usr/include/c++/12/bits/std_mutex.h:100",
    "std::lock_guard<std::mutex>::lock_guard (__m=..., this=<optimized out>) at /usr/include/c++/12/bits/std_mutex.h:229",
    'net::Secure::send (this=0x55d0bb601130, text=warning: RTTI symbol not found for class \'std::_Sp_counted_base<int>\'',
    "0x00007f55b01a4c5e in net::Socket::pong (this=this@entry=0x55d0bb701220, frame=...) at /src/socket.cpp:412",
    "0x00007f55b01923c8 in net::Layer::receive (this=<optimized out>, message=...) at /src/layer.cpp:55",
    'net::Secure::on_bytes (context=0x55d0bb601130, bytes=0x55d0bb602378 "\\027\\003(\\"", size=5) at /src/secure.cpp:533',
    "0x00007f55b02f022d in tls_read (tls=0x55d0bb6019e0, size=4096) at /src/tls.c:583",
    "0x00007f55b018d885 in net::Secure::read_all (this=0x55d0bb601130) at /src/secure.cpp:472"] + START
REENTRY[6] += "\nstd::shared_ptr<net::Text> (use count 2, weak count 0) = {...}) at /src/secure.cpp:401"
QUEUED = mutex_wait("0x55d0bb601328") + [
    "0x00007f55b018d526 in net::Secure::read_all (this=0x55d0bb601130) at /src/secure.cpp:435"] + START
SELF_LOCK = native((600, "app", SLEEP), (601, "worker", QUEUED), (602, "worker", REENTRY), (603, "poll", POLL + START))

# The joined thread is not there any more; a worker wants the lock the joiner holds.
GONE = native(
    (700, "phone", join_wait(0x7f55aa7fe6c0, 4294967295) + [
        "0x000055d0aa0eee28 in thread_join (thread=0x55d0bb010d18) at ../src/os/thread.c:87",
        "0x000055d0aa08d9aa in clock_stop (clock=0x55d0bb062670) at ../src/media/clock.c:245",
        "0x000055d0aa0f671d in call_hangup (call=<optimized out>) at ../src/calls/call.c:304", MAIN]),
    (702, "sip", mutex_wait("0x55d0bb146fb8") + [
        "0x000055d0aa0eefcc in os_mutex_lock (mutex=0x55d0bb146fb8) at ../src/os/thread.c:143",
        "0x000055d0aa05664a in dialog_lock (dialog=0x55d0bb144da8) at ../src/calls/dialog.c:92",
        "0x000055d0aa051d1e in on_timer (entry=0x7f642807aa98) at ../src/calls/transaction.c:126"] + START),
    (703, "event", CONDITION + START), (704, "media", POLL + START))

# A worker holds the guard exclusively and joins the thread that waits for that guard.
GUARD = "0x7ffc2c7fe660"
JOINER = join_wait(pthread_of(805), 805) + [
    "0x000055d0aa3eeca7 in std::thread::join() ()",
    '0x000055d0aa28c52e in tools::Join(std::thread&, char const*) [clone .constprop.0] (t=..., what=0x55d0 "join")\n    at /src/common/join.cc:39',
    "Replica::Stop (this=<optimized out>) at /src/cluster/replica.cc:367",
    "0x000055d0aa1e62bb in Store::Follow (this=0x7ffc2c7fe150, host=..., port=6379)\n    at /src/server/store.cc:261",
    "0x000055d0aa1e72bb in Session::Execute (this=0x7f55c0000100) at /src/server/session.cc:405"] + START
READER = rwlock_wait(GUARD, "rdlock") + [
    "Store::Shared (this=0x7ffc2c7fe150) at /src/server/store.cc:133",
    "0x000055d0aa1e72bb in Session::Execute (this=0x7f55c0000200) at /src/server/session.cc:345"] + START
WRITER = rwlock_wait(GUARD, "wrlock") + [
    "Store::Exclusive (this=0x7ffc2c7fe150) at /src/server/store.cc:140",
    "0x000055d0aa1e82bb in Store::Restore (this=0x7ffc2c7fe150) at /src/server/store.cc:400",
    "0x000055d0aa1e92bb in Replica::Loop (this=0x7f55c0000300) at /src/cluster/replica.cc:612"] + START
REPLICA = native((800, "store", SLEEP), (801, "worker", READER), (802, "worker", JOINER),
                 (803, "worker", READER), (805, "replica", WRITER))


def two_sides(left="0x601080 <mutex_a>", right="0x6010c0 <mutex_b>", main=None, tail=""):
    """The textbook: left() has b and wants a, right() has a and wants b. Old glibc."""
    def side(lock, frame):
        arguments = f"mutex={lock}" if lock else ""
        return ["__lll_lock_wait () at ../nptl/sysdeps/unix/sysv/linux/x86_64/lowlevellock.S:135",
                "0x00007f55b00aa482 in _L_lock_883 () from /lib64/libpthread.so.0",
                f"0x00007f55b00aa682 in __GI___pthread_mutex_lock ({arguments}) at pthread_mutex_lock.c:61",
                frame, *START]
    return native((101, "", main or join_wait(pthread_of(102), 102) + [MAIN]),
                  (102, "", side(left, "0x0000000000400927 in left (arg=0x0) at sides.c:15")),
                  (103, "", side(right, "0x0000000000400a27 in right (arg=0x0) at sides.c:30")), tail=tail)


def printed(expression, owner, kind=0):
    return (f"(gdb) p {expression}\n$1 = {{__data = {{__lock = 2, __count = 0,\n    __owner = {owner}, __nusers = 1, "
            f"__kind = {kind}, __spins = 0}}, __size = \"\\002\\000\", __align = 2}}\n")


BOTH_OWNERS = printed("mutex_a", 103) + printed("*(pthread_mutex_t*)0x6010c0", 102)
SELECTED_OWNERS = (
    "(gdb) thread 2\n[Switching to thread 2 (Thread 0x7f55aa0666c0 (LWP 102))]\n"
    "#0  __lll_lock_wait () at ../nptl/sysdeps/unix/sysv/linux/x86_64/lowlevellock.S:135\n(gdb) frame 2\n"
    "#2  0x00007f55b00aa682 in __GI___pthread_mutex_lock (mutex=0x601080 <mutex_a>) at pthread_mutex_lock.c:61\n"
    "61\tin pthread_mutex_lock.c\n" + printed("*mutex", 103) + "(gdb) p mutex_b.__data.__owner\n$2 = 102\n")

# A handler calls malloc, which it interrupted.
HANDLER = "\n".join(f"#{i}  {frame}" for i, frame in enumerate([
    "__lll_lock_wait_private () at ../nptl/sysdeps/unix/sysv/linux/x86_64/lowlevellock.S:95",
    "0x00007f55b0111111 in _L_lock_10501 () at malloc.c:5207",
    "0x00007f55b0111122 in __GI___libc_malloc (bytes=100) at malloc.c:2885",
    '0x000055d0aa001111 in write_line (text=0x55d0 "bye") at log.c:10',
    "0x000055d0aa001122 in on_signal (number=15) at main.c:8",
    "<signal handler called>",
    "_int_malloc (av=0x7f55b0, bytes=24) at malloc.c:3500",
    "0x00007f55b0111133 in __GI___libc_malloc (bytes=24) at malloc.c:2891",
    "0x000055d0aa001133 in work () at main.c:20", MAIN])) + "\n"

EU_STACK = """PID 900 - process
TID 900:
#0  0x00007f55b00a8ce3 __futex_abstimed_wait_common64
#1  0x00007f55b00a8b8f __pthread_clockjoin_ex
#2  0x000055d0aa001234 main
#3  0x00007f55b0045000 __libc_start_call_main
TID 901:
#0  0x00007f55b00aa482 __lll_lock_wait
#1  0x00007f55b00aa682 pthread_mutex_lock@@GLIBC_2.2.5
#2  0x000055d0aa0c7ab5 core_send_packet
    /src/core.c:510:5
#3  0x00007f55a193bce6 room_refresh
    /src/plugins/room.c:298:9
#4  0x00007f55b00a71f5 start_thread
#5  0x00007f55b01278ec __clone3
TID 902:
#0  0x00007f55b00aa482 __lll_lock_wait
#1  0x00007f55b00aa682 pthread_mutex_lock@@GLIBC_2.2.5
#2  0x00007f55a1943a10 room_describe
    /src/plugins/room.c:459:3
#3  0x000055d0aa0da840 core_admin_request
    /src/core.c:304:3
#4  0x00007f55b00a71f5 start_thread
#5  0x00007f55b01278ec __clone3
"""


def goroutine(number, state, frames, by="main.main in goroutine 1"):
    out = [f"goroutine {number} [{state}]:"]
    for line, frame in enumerate(frames, 10):
        name = frame.split("(", 1)[0].strip(".").split("/")[-1]
        out += [frame, f"\t/src/{name or 'x'}.go:{line} +0x25"]
    return "\n".join(out) + (f"\ncreated by {by}\n\t/src/main.go:9 +0x1b" if by else "") + "\n\n"


def go_lock(address, kind="Mutex"):
    sema = int(address, 16)
    if kind == "Mutex":
        return [f"sync.runtime_SemacquireMutex({hex(sema + 4)}?, 0x0?, 0x1?)",
                f"sync.(*Mutex).lockSlow({address})", "sync.(*Mutex).Lock(...)"]
    if kind == "R":
        return [f"sync.runtime_SemacquireRWMutexR({hex(sema + 12)}?, 0x0?, 0x0?)", "sync.(*RWMutex).RLock(...)"]
    return [f"sync.runtime_SemacquireRWMutex({hex(sema + 8)}?, 0x0?, 0x0?)", f"sync.(*RWMutex).Lock({address})"]


# The one who releases sends a token under the lock; all who could take it want that lock first.
TOKEN_SENDER = goroutine(34, "chan send, 8 minutes", ["example.com/lease.(*keeper).try.func1()"],
                         "example.com/lease.(*keeper).try in goroutine 33")
TOKEN = (
    goroutine(1, "select", ["main.main()"], "")
    + TOKEN_SENDER
    + goroutine(35, "sync.RWMutex.Lock, 8 minutes", go_lock("0xc000118020", "W") + [
        "example.com/lease.(*keeper).enter(0xc000118000, {0x1, 0xc000}, {0xc, 0x3})", "main.worker(0xc000118000)"])
    + goroutine(36, "semacquire, 8 minutes", go_lock("0xc000118020") + [
        "sync.(*RWMutex).Lock(0xc000118020)", "example.com/lease.(*keeper).enter(0xc000118000, {0x1, 0xc000})"])
    + goroutine(37, "sync.RWMutex.RLock, 8 minutes", go_lock("0xc000118020", "R") + [
        "example.com/lease.(*keeper).on_push(0xc000118000, {0x1, 0xc000})", "example.com/wire.(*pipe).read(0xc000200000)"])
    + goroutine(50, "running", ["runtime/pprof.writeGoroutineStacks({0x1, 0x2})"]))

GO_TWO = (
    goroutine(1, "semacquire, 3 minutes", ["sync.runtime_Semacquire(0xc000012000?)", "sync.(*WaitGroup).Wait(0xc000012000?)", "main.main()"], "")
    + goroutine(18, "sync.Mutex.Lock, 3 minutes", go_lock("0xc0000b4010") + ["main.(*Bank).Credit(0xc0000b4000, 0x5)"])
    + goroutine(19, "sync.Mutex.Lock, 3 minutes", go_lock("0xc0000b4030") + ["main.(*Bank).Debit(0xc0000b4000, 0x5)"]))

GO_ASLEEP = "fatal error: all goroutines are asleep - deadlock!\n\n" + \
    goroutine(1, "chan receive", ["main.main()"], "") + goroutine(6, "chan send", ["main.feed(0xc00001)"])


def java_thread(name, nid, wants, has, where, line):
    has = f"\n\t- locked <{has}> (a java.lang.Object)" if has else ""
    return (f'"{name}" #{nid} prio=5 os_prio=0 cpu=1.2ms elapsed=9s tid=0x00007f55c0{nid:02d} nid={hex(nid)} '
            "waiting for monitor entry  [0x00007f55c]\n   java.lang.Thread.State: BLOCKED (on object monitor)\n"
            f"\tat demo.{where}.run(Demo.java:{line})\n\t- waiting to lock <{wants}> (a java.lang.Object){has}\n\n")


X, Y = "0x000000076ab3c2f0", "0x000000076ab3c300"
JAVA_MAIN = ('"main" #1 prio=5 os_prio=0 tid=0x00007f55c1 nid=0x700 in Object.wait()  [0x00007f55c]\n'
             "   java.lang.Thread.State: WAITING (on object monitor)\n"
             "\tat java.lang.Object.wait(java.base@17/Native Method)\n\t- waiting on <0x000000076ab3c400> (a java.lang.Thread)\n"
             "\tat java.lang.Thread.join(java.base@17/Thread.java:1304)\n\t- locked <0x000000076ab3c400> (a java.lang.Thread)\n"
             "\tat demo.Demo.main(Demo.java:50)\n\n")
JAVA_TITLE = "Full thread dump OpenJDK 64-Bit Server VM (17.0.1+12 mixed mode):\n\n"
JAVA = JAVA_TITLE + java_thread("right", 0x702, X, Y, "Right", 30) + java_thread("left", 0x701, Y, X, "Left", 20) + JAVA_MAIN
JAVA_ONE_EDGE = JAVA_TITLE + java_thread("right", 0x702, X, None, "Right", 30) + java_thread("left", 0x701, Y, X, "Left", 20) + JAVA_MAIN
JAVA_SECTION = f"""Found one Java-level deadlock:
=============================
"left":
  waiting to lock monitor 0x00007f55c4003828 (object {Y}, a java.lang.Object),
  which is held by "right"

"right":
  waiting to lock monitor 0x00007f55c4003829 (object {X}, a java.lang.Object),
  which is held by "left"

Java stack information for the threads listed above:
===================================================
"left":
\tat demo.Left.run(Demo.java:20)
\t- waiting to lock <{Y}> (a java.lang.Object)
\t- locked <{X}> (a java.lang.Object)
"right":
\tat demo.Right.run(Demo.java:30)
\t- waiting to lock <{X}> (a java.lang.Object)
\t- locked <{Y}> (a java.lang.Object)

Found 1 deadlock.
"""
SYNC = "java.util.concurrent.locks.ReentrantLock$NonfairSync"


def java_parked(name, nid, wants, owns, line):
    owned = f"\n   Locked ownable synchronizers:\n\t- <{owns}> (a {SYNC})\n" if owns else ""
    return (f'"{name}" #{nid} prio=5 os_prio=0 tid=0x00007f55c0 nid={nid} waiting on condition  [0x00007f55c]\n'
            "   java.lang.Thread.State: WAITING (parking)\n\tat jdk.internal.misc.Unsafe.park(java.base@17/Native Method)\n"
            f"\t- parking to wait for  <{wants}> (a {SYNC})\n"
            "\tat java.util.concurrent.locks.LockSupport.park(java.base@17/LockSupport.java:211)\n"
            "\tat java.util.concurrent.locks.ReentrantLock.lock(java.base@17/ReentrantLock.java:322)\n"
            f"\tat demo.Bank.move(Bank.java:{line})\n{owned}\n")


JAVA_PARKED = java_parked("worker-1", 721, X, None, 10) + java_parked("worker-2", 722, Y, None, 20)
JAVA_OWNED = java_parked("worker-1", 721, X, Y, 10) + java_parked("worker-2", 722, Y, X, 20)

PYTHON = """Thread 0x00007f55b0001700 (most recent call first):
  File "/app/sides.py", line 14 in left
  File "/usr/lib/python3.11/threading.py", line 975 in run

Current thread 0x00007f55b0002740 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 1132 in _wait_for_tstate_lock
  File "/usr/lib/python3.11/threading.py", line 1112 in join
  File "/app/sides.py", line 40 in <module>
"""

# name: text, [(verdict, kind, knot, victims)]
SAMPLES = {
    "two_layers": (TWO_LAYERS, [("stall", "lock-order", [501, 502], [])]),
    "self_lock": (SELF_LOCK, [("stall", "self-lock", [602], [601])]),
    "gone": (GONE, [("stall", "orphan", [700], [702])]),
    "replica": (REPLICA, [("stall", "join", [802, 805], [801, 803])]),
    "two_sides": (two_sides(), [("stall", "lock-order", [102, 103], [101])]),
    "both_owners": (two_sides(tail=BOTH_OWNERS), [("deadlock", "lock-order", [102, 103], [101])]),
    "selected_owners": (two_sides(tail=SELECTED_OWNERS), [("deadlock", "lock-order", [102, 103], [101])]),
    "one_owner": (two_sides(tail=printed("mutex_a", 103)), [("stall", "lock-order", [102, 103], [101])]),
    "other_owner": (two_sides(main=SLEEP, tail=printed("mutex_a", 101)), []),
    "one_mutex": (two_sides(right="0x601080 <mutex_a>", main=SLEEP), []),
    "no_addresses": (two_sides(left="", right=""), [("stall", "lock-order", [102, 103], [101])]),
    "no_addresses_idle": (two_sides(left="", right="", main=SLEEP), []),
    "at_work": (two_sides(main=["0x000055d0aa001111 in compute () at sides.c:33", MAIN]), []),
    "handler": (HANDLER, [("stall", "self-lock", [0], [])]),
    "eu_stack": (EU_STACK, [("stall", "lock-order", [901, 902], [])]),
    "token": (TOKEN, [("stall", "queue", [34, 35, 36, 37], [])]),
    "no_token": (TOKEN.replace(TOKEN_SENDER, ""), []),
    "go_two": (GO_TWO, [("stall", "lock-order", [18, 19], [])]),
    "go_asleep": (GO_ASLEEP, [("stall", "queue", [1, 6], [])]),
    "java": (JAVA, [("deadlock", "lock-order", [0x701, 0x702], [])]),
    "java_one_edge": (JAVA_ONE_EDGE, []),
    "java_section": (JAVA + JAVA_SECTION, [("deadlock", "lock-order", [0x701, 0x702], [])]),
    "java_section_alone": (JAVA_SECTION, [("deadlock", "lock-order", [0, 0], [])]),
    "java_parked": (JAVA_PARKED, [("stall", "lock-order", [721, 722], [])]),
    "java_owned": (JAVA_OWNED, [("deadlock", "lock-order", [721, 722], [])]),
    "python": (PYTHON, []),
}
