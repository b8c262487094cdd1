# SPDX-License-Identifier: Apache-2.0
"""Backtraces as people paste them, each with what it shows. Made up, in the shape of real ones."""

import re

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

# A plug-in's constructor wants what another thread has that loads a plug-in itself.
def loads(*inside):
    return [*inside, '0x00007f55b00b6608 in _dl_open (file=0x55d0aa009004 "./plug.so", mode=<optimized out>, argc=1) at ./elf/dl-open.c:884',
            "0x00007f55b00334b8 in dlopen_doit (a=a@entry=0x7f55b0ba9e90) at ./dlfcn/dlopen.c:56",
            "0x00007f55b0032fa7 in _dlerror_run (operate=0x7f55b0033460 <dlopen_doit>, args=0x7f55b0ba9e90) at ./dlfcn/dlerror.c:138",
            "___dlopen (file=<optimized out>, mode=<optimized out>) at ./dlfcn/dlopen.c:81"]


def loader_hang(constructor):
    return native(
        (950, "app", join_wait(pthread_of(951), 951) + [MAIN]),
        (951, "plugins", constructor + loads(
            "0x00007f55b0d9d145 in plug_init () at plug.c:4",
            "0x00007f55b0dafa1e in call_init (env=0x7ffd0441e3c8, argv=0x7ffd0441e3b8, argc=1, l=<optimized out>) at ./elf/dl-init.c:74",
            "0x00007f55b0dafb04 in _dl_init (main_map=0x7f55acc00b90, argc=1) at ./elf/dl-init.c:121",
            "0x00007f55b0db626e in dl_open_worker (a=a@entry=0x7f55b0ba9c20) at ./elf/dl-open.c:808") +
         ["0x000055d0aa0081be in load_plugins (a=<optimized out>) at app.c:6"] + START),
        (952, "asker", mutex_wait("0x7f55b0ddea28 <_rtld_global+2568>") + loads() +
         ["0x000055d0aa0081f5 in load_codec (a=<optimized out>) at app.c:7"] + START))


LOADER = loader_hang(mutex_wait("0x55d0bb9cb0a0 <registry>"))

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

# The same hang as other libraries and versions of glibc show a thread that waits for a mutex.
LOCKS = {
    "glibc 2.17": lambda a: [
        "__lll_lock_wait () at ../nptl/sysdeps/unix/sysv/linux/x86_64/lowlevellock.S:135",
        "0x00007f55b00aa482 in _L_lock_870 () from /lib64/libpthread.so.0",
        f"0x00007f55b00aa682 in __GI___pthread_mutex_lock (mutex={a}) at ../nptl/pthread_mutex_lock.c:64"],
    "glibc 2.28": lambda a: [
        "__lll_lock_wait () at ../sysdeps/unix/sysv/linux/x86_64/lowlevellock.S:103",
        f"0x00007f55b00aa682 in __GI___pthread_mutex_lock (mutex={a}) at ../nptl/pthread_mutex_lock.c:80"],
    "glibc 2.31": lambda a: [
        f"__lll_lock_wait (futex=futex@entry={a}, private=0) at lowlevellock.c:52",
        f"0x00007f55b00aa682 in __GI___pthread_mutex_lock (mutex={a}) at ../nptl/pthread_mutex_lock.c:80"],
    "glibc 2.41": lambda a: [
        f"__syscall_cancel_arch () at ../sysdeps/unix/sysv/linux/x86_64/syscall_cancel.S:56",
        f"__internal_syscall_cancel (a1={a}, a2=128, nr=202) at ./nptl/cancellation.c:49",
        f"futex_wait (futex_word={a}, expected=2, private=0) at ../sysdeps/nptl/futex-internal.h:146",
        f"__GI___lll_lock_wait (futex={a}, private=0) at ./nptl/lowlevellock.c:49",
        f"___pthread_mutex_lock (mutex={a}) at ./nptl/pthread_mutex_lock.c:93"],
    "glibc without debug information": lambda a: [
        "0x00007f55b00a7d50 in __lll_lock_wait () from /lib/x86_64-linux-gnu/libc.so.6",
        "0x00007f55b00aa682 in pthread_mutex_lock () from /lib/x86_64-linux-gnu/libc.so.6"],
    "stripped glibc": lambda a: [
        "0x00007f55b00a7d50 in ?? () from /lib/x86_64-linux-gnu/libc.so.6",
        "0x00007f55b00aa682 in pthread_mutex_lock () from /lib/x86_64-linux-gnu/libc.so.6"],
    "musl": lambda a: [
        "__cp_end () at src/thread/x86_64/syscall_cp.s:29",
        f"0x00007f55b00a7d50 in __syscall_cp_c (nr=202, u={hex(int(a, 16) + 4)}, v=128) at src/thread/pthread_cancel.c:33",
        f"0x00007f55b00a7d60 in __timedwait_cp (addr={hex(int(a, 16) + 4)}, val=-2147483001, clk=0, at=0x0, priv=128) at src/thread/__timedwait.c:31",
        f"0x00007f55b00a7d70 in __pthread_mutex_timedlock (m={a}, at=0x0) at src/thread/pthread_mutex_timedlock.c:73",
        f"0x00007f55b00a7d80 in __pthread_mutex_lock (m={a}) at src/thread/pthread_mutex_lock.c:9"],
    "musl 1.2": lambda a: [
        "__cp_end () at src/thread/x86_64/syscall_cp.s:29",
        f"0x00007f55b00a7d50 in __syscall_cp_c (nr=202, u={hex(int(a, 16) + 4)}, v=128) at src/thread/pthread_cancel.c:33",
        f"0x00007f55b00a7d58 in __futex4_cp (addr={hex(int(a, 16) + 4)}, op=128, val=-2147483001, to=0x0) at src/thread/__timedwait.c:24",
        f"__timedwait_cp (addr={hex(int(a, 16) + 4)}, val=-2147483001, clk=0, at=0x0, priv=128) at src/thread/__timedwait.c:54",
        f"0x00007f55b00a7d70 in __pthread_mutex_timedlock (m={a}, at=0x0) at src/thread/pthread_mutex_timedlock.c:85"],
    "musl without debug information": lambda a: [
        "0x00007f55b00a7d50 in ?? () from /lib/ld-musl-x86_64.so.1",
        "0x00007f55b00a7d60 in __timedwait () from /lib/ld-musl-x86_64.so.1",
        "0x00007f55b00a7d70 in pthread_mutex_timedlock () from /lib/ld-musl-x86_64.so.1"],
    "copies the compiler made": lambda a: [
        "0x00007f55b00a7d50 in futex_wait.constprop.0 () from /lib64/libc.so.6",
        "0x00007f55b00a7d60 in __lll_lock_wait () from /lib64/libc.so.6",
        "0x00007f55b00aa682 in pthread_mutex_lock@@GLIBC_2.2.5 () from /lib64/libc.so.6"],
    "a wrapper without addresses": lambda a: [
        "0x00007f55b00a7d50 in __lll_lock_wait () from /lib/libpthread.so.0",
        "0x00007f55b00aa682 in pthread_mutex_lock () from /lib/libpthread.so.0",
        "0x00007f55b03069ac in Locker::Impl::lock () from /usr/lib/liblocker.so.3",
        "0x00007f55b03069bc in Locker::lock () from /usr/lib/liblocker.so.3"],
    "libstdc++ without debug information": lambda a: mutex_wait(a) + [
        "0x000055d0aa00f028 in std::mutex::lock() ()", "0x000055d0aa00f038 in std::lock_guard<std::mutex>::lock_guard(std::mutex&) ()"],
    "std::unique_lock": lambda a: mutex_wait(a) + [
        f"0x000055d0aa00f028 in __gthread_mutex_lock (__mutex={a}) at /usr/include/x86_64-linux-gnu/c++/12/bits/gthr-default.h:749",
        f"std::mutex::lock (this={a}) at /usr/include/c++/12/bits/std_mutex.h:100",
        "std::unique_lock<std::mutex>::lock (this=0x7f55aa0658b0) at /usr/include/c++/12/bits/unique_lock.h:139",
        f"std::unique_lock<std::mutex>::unique_lock (__m=..., this=0x7f55aa0658b0) at /usr/include/c++/12/bits/unique_lock.h:69"],
    "GLib": lambda a: [
        "syscall () at ../sysdeps/unix/sysv/linux/x86_64/syscall.S:38",
        "0x00007f55b030699c in ?? () from /lib/x86_64-linux-gnu/libglib-2.0.so.0"],
    "GLib with debug information": lambda a: [
        "syscall () at ../sysdeps/unix/sysv/linux/x86_64/syscall.S:38",
        f"0x00007f55b030699c in g_mutex_lock_slowpath (mutex=mutex@entry={a}) at ../../../glib/gthread-posix.c:1512",
        f"0x00007f55b03069ac in g_mutex_lock (mutex=mutex@entry={a}) at ../../../glib/gthread-posix.c:1536"],
    "Qt": lambda a: [
        "syscall () at ../sysdeps/unix/sysv/linux/x86_64/syscall.S:38",
        "0x00007f55b03069ac in QBasicMutex::lockInternal() () from /lib/x86_64-linux-gnu/libQt5Core.so.5",
        "0x00007f55b03069bc in QMutex::lock() () from /lib/x86_64-linux-gnu/libQt5Core.so.5"],
    "Qt with debug information": lambda a: [
        "syscall () at ../sysdeps/unix/sysv/linux/x86_64/syscall.S:38",
        f"0x00007f55b03069ac in QtLinuxFutex::_q_futex (val3=0, addr2=0x0, val2=0, val=3, op=0, addr={a}) at thread/qfutex_p.h:105",
        f"lockInternal_helper<false> (elapsedTimer=0x0, timeout=-1, d_ptr=...) at thread/qmutex_linux.cpp:142",
        f"QBasicMutex::lockInternal (this={a}) at thread/qmutex_linux.cpp:159",
        f"0x00007f55b03069bc in QMutex::lock (this={a}) at thread/qmutex.cpp:232"],
    "Rust": lambda a: [
        "syscall () at ../sysdeps/unix/sysv/linux/x86_64/syscall.S:38",
        "0x00007f55b03069ac in std::sys::pal::unix::futex::futex_wait () at library/std/src/sys/pal/unix/futex.rs:72",
        f"std::sys::sync::mutex::futex::Mutex::lock_contended (self={a}) at library/std/src/sys/sync/mutex/futex.rs:63",
        f"0x00007f55b03069bc in std::sync::poison::mutex::Mutex<app::State>::lock<app::State> (self={a}) at /rustc/0/library/std/src/sync/poison/mutex.rs:317"],
    "parking_lot": lambda a: [
        "syscall () at ../sysdeps/unix/sysv/linux/x86_64/syscall.S:38",
        "0x00007f55b03069ac in parking_lot_core::parking_lot::park () at parking_lot_core/src/parking_lot.rs:635",
        f"parking_lot::raw_mutex::RawMutex::lock_slow (self={a}) at parking_lot/src/raw_mutex.rs:262",
        f"0x00007f55b03069bc in lock_api::mutex::Mutex<parking_lot::raw_mutex::RawMutex, app::State>::lock (self={a}) at lock_api/src/mutex.rs:214"],
    "parking_lot with debug information": lambda a: [
        "syscall () at ../sysdeps/unix/sysv/linux/x86_64/syscall.S:38",
        "0x00007f55b03069ac in parking_lot_core::thread_parker::imp::ThreadParker::futex_wait (self=0x7f5510, ts=...) at parking_lot_core/src/thread_parker/linux.rs:112",
        "0x00007f55b03069bc in parking_lot_core::thread_parker::imp::{impl#0}::park (self=0x7f5510) at parking_lot_core/src/thread_parker/linux.rs:66",
        "parking_lot_core::parking_lot::park::{closure#0}<parking_lot::raw_mutex::{impl#3}::lock_slow::{closure_env#0}> (thread_data=0x7f5520) at parking_lot_core/src/parking_lot.rs:635",
        f"0x00007f55b03069cc in parking_lot::raw_mutex::RawMutex::lock_slow (self={a}, timeout=...) at parking_lot/src/raw_mutex.rs:262",
        f"0x00007f55b03069dc in parking_lot::raw_mutex::{{impl#0}}::lock (self={a}) at parking_lot/src/raw_mutex.rs:72",
        f"0x00007f55b03069ec in lock_api::mutex::Mutex<parking_lot::raw_mutex::RawMutex, u64>::lock<u64> (self={a}) at lock_api/src/mutex.rs:214"],
    "MariaDB": lambda a: mutex_wait(a) + [
        f"0x000055d0aa00f028 in psi_mutex_lock (that={a}, file=0x55d0aa9d1d8a \"core.cc\", line=510) at mysys/my_thr_init.c:489",
        f"0x000055d0aa00f038 in inline_mysql_mutex_lock (that={a}, src_file=0x55d0aa9d1d8a \"core.cc\", src_line=510) at include/mysql/psi/mysql_thread.h:746"],
    "InnoDB": lambda a: [
        "syscall () at ../sysdeps/unix/sysv/linux/x86_64/syscall.S:38",
        f"0x000055d0aa00f028 in srw_mutex_impl<true>::wait (this={a}, lk=2147483650) at storage/innobase/sync/srw_lock.cc:215",
        f"0x000055d0aa00f038 in srw_mutex_impl<true>::wait_and_lock (this={a}) at storage/innobase/sync/srw_lock.cc:301"],
    "Boost": lambda a: mutex_wait(a) + [
        f"0x000055d0aa00f028 in boost::mutex::lock (this={a}) at /usr/include/boost/thread/pthread/mutex.hpp:64",
        "boost::unique_lock<boost::mutex>::lock (this=0x7f55aa0658b0) at /usr/include/boost/thread/lock_types.hpp:346"],
    "Abseil": lambda a: [
        "syscall () at ../sysdeps/unix/sysv/linux/x86_64/syscall.S:38",
        "0x000055d0aa00f028 in absl::synchronization_internal::FutexWaiter::Wait (this=0x7f5510, t=...) at absl/synchronization/internal/futex_waiter.cc:67",
        "0x000055d0aa00f038 in AbslInternalPerThreadSemWait (t=...) at absl/synchronization/internal/per_thread_sem.cc:90",
        f"0x000055d0aa00f048 in absl::Mutex::Block (this={a}, s=0x7f5510) at absl/synchronization/mutex.cc:1082",
        f"0x000055d0aa00f058 in absl::Mutex::LockSlow (this={a}, how=0x55d0, cond=0x0, flags=0) at absl/synchronization/mutex.cc:1780"],
    "Abseil with its version": lambda a: [
        "syscall () at ../sysdeps/unix/sysv/linux/x86_64/syscall.S:38",
        "0x000055d0aa00f028 in absl::lts_20230802::synchronization_internal::FutexWaiter::WaitUntil (this=0x7f5510, v=0x1, t=...) at absl/synchronization/internal/futex_waiter.cc:67",
        "0x000055d0aa00f038 in AbslInternalPerThreadSemWait_lts_20230802 (t=...) at absl/synchronization/internal/per_thread_sem.cc:90",
        f"0x000055d0aa00f048 in absl::lts_20230802::Mutex::Block (this={a}, s=0x7f5510) at absl/synchronization/mutex.cc:1082",
        f"0x000055d0aa00f058 in absl::lts_20230802::Mutex::LockSlowLoop (this={a}, waitp=0x7f12, flags=1) at absl/synchronization/mutex.cc:1780",
        f"0x000055d0aa00f068 in absl::lts_20230802::Mutex::Lock (this={a}) at absl/synchronization/mutex.cc:1780",
        f"absl::lts_20230802::MutexLock::MutexLock (this=0x7f55aa, mu={a}) at absl/synchronization/mutex.h:600"],
    "a spin lock that sleeps": lambda a: [
        "0x00007f55b00ed545 in __GI___nanosleep (req=0x7f5512, rem=0x0) at ../sysdeps/unix/sysv/linux/nanosleep.c:28",
        f"0x000055d0aa00f038 in base::internal::SpinLockDelay (w={a}, value=2, loop=22) at src/base/spinlock_linux-inl.h:88",
        f"0x000055d0aa00f048 in SpinLock::SlowLock (this={a}) at src/base/spinlock.cc:119",
        f"SpinLock::Lock (this={a}) at src/base/spinlock.h:69"],
}


def hung_in(lock):
    """TWO_LAYERS, its two waits shown by that library."""
    wait_a, wait_b = LOCKS[lock](A), LOCKS[lock](B)
    skip = len(mutex_wait(A))
    return native((500, "core", SLEEP), (501, "admin", wait_b + CORE[skip:]), (502, "room", wait_a + PLUGIN[skip:]),
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

OTHER_OWNERS = BOTH_OWNERS + printed("mutex_a", 101)
# The owners were printed after the program had gone on.
LATER_OWNERS = "(gdb) c\nContinuing.\n^C\nThread 1 \"sides\" received signal SIGINT, Interrupt.\n" + BOTH_OWNERS

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

# The same with a lock of the program's own; and interrupted while it waited for it, so another thread has it.
def handler_logs(interrupted):
    return native((161, "", mutex_wait("0x601080") + [
        '0x000055d0aa001111 in log_line (text=0x55d0 "bye") at log.c:10', "0x000055d0aa001122 in on_signal (number=15) at main.c:8",
        "<signal handler called>"] + interrupted + ['0x000055d0aa001131 in log_line (text=0x55e0 "x") at log.c:14',
                                                    "0x000055d0aa001133 in work () at main.c:20", MAIN]))


HANDLER_LOGS = handler_logs(["0x000055d0aa001130 in format (out=0x7ffc) at log.c:55"])
HANDLER_IN_WAIT = handler_logs(mutex_wait("0x601080"))

# Interrupted while it waited for malloc's lock.
HANDLER_IN_MALLOC = re.sub(r"#(6|7|8|9) ", lambda m: f"#{int(m.group(1)) + 1} ", HANDLER).replace(
    "#7  _int_malloc", "#6  __lll_lock_wait_private () at lowlevellock.S:95\n#7  _int_malloc")

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

# Stop() waits for workers under the lock they need to end.
GO_GROUP_STOP = goroutine(61, "semacquire, 3 minutes", [
    "sync.runtime_Semacquire(0xc00009e008?)", "sync.(*WaitGroup).Wait(0xc00009e008?)", "main.(*Pool).Stop(0xc00009e000)"])
GO_GROUP = GO_GROUP_STOP + "".join(
    goroutine(n, "semacquire, 3 minutes", go_lock("0xc00009e000") + ["main.(*Pool).Worker(0xc00009e000, 0x0?)"]) for n in (62, 63))

# A reader that reads again while a writer waits: Go lets writers go first.
GO_OUTER = "main.scan(0xc00009a020?, 0xc00002c000, 0xc00002c060)\n\t/src/scan.go:20 +0x45\n"
GO_SECOND_READ = (
    goroutine(71, "semacquire, 3 minutes", ["sync.runtime_SemacquireMutex(0xc000094170?, 0x68?, 0xc0000800c0?)",
                                            "sync.(*RWMutex).RLock(...)", "main.(*Registry).Lookup(0xc00009a020, {0x47, 0x1})"]
              ).replace("created by", GO_OUTER + "created by")
    + goroutine(72, "semacquire, 3 minutes", ["sync.runtime_SemacquireMutex(0x0?, 0x0?, 0x0?)", "sync.(*RWMutex).Lock(0xc00009a020?)",
                                              "main.(*Registry).Write(0xc00009a020)"]))

# A register shows something else by now: the address of one lock is wrong, the other right.
GO_STALE = (
    goroutine(81, "sync.Mutex.Lock, 3 minutes", go_lock("0xc00008a210") + ["main.(*Cache).Invalidate(0xc00008a210)", "main.(*Registry).Update(0xc00008c000)"])
    + goroutine(82, "sync.RWMutex.RLock, 3 minutes", ["sync.runtime_SemacquireMutex(0x8?, 0x0?, 0x0?)", "sync.(*RWMutex).RLock(...)",
                                                      "main.(*Registry).Lookup(0xc00008c000?)", "main.(*Cache).Refresh(0xc00008a210)"]))

GO_ASLEEP = "fatal error: all goroutines are asleep - deadlock!\n\n" + \
    goroutine(1, "chan receive", ["main.main()"], "") + goroutine(6, "chan send", ["main.feed(0xc00001)"])


# Go has found out itself that nobody can go on; what has the lock is read from the only stack, or nobody is left.
GO_ASLEEP_TITLE = "fatal error: all goroutines are asleep - deadlock!\n\n"
GO_ASLEEP_SELF = GO_ASLEEP_TITLE + goroutine(1, "sync.Mutex.Lock", go_lock("0xc000010100") + [
    "main.inner({0x4d6e28, 0xc000010100})", "main.outer({0x4d6e28, 0xc000010100})", "main.main()"], "")
GO_ASLEEP_COPY = GO_ASLEEP_TITLE + goroutine(1, "semacquire", go_lock("0xc000010100") + ["main.main()"], "")


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
JAVA_FORCED = """Deadlock Detection:

Found one Java-level deadlock:
=============================

"left":
  waiting to lock Monitor@0x00007f55c4003828 (Object@0x000000076ab3c2f0, a java/lang/Object),
  which is held by "right"
"right":
  waiting to lock Monitor@0x00007f55c4006168 (Object@0x000000076ab3c300, a java/lang/Object),
  which is held by "left"

Found a total of 1 deadlock.
"""
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
# As a heading of a bug report.
JAVA_HEADING = "# " + JAVA_SECTION[:JAVA_SECTION.index("Java stack")].replace("=============================", "") + "```\n"
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

# Two classes that initialise each other; a third thread comes late. Whoever is in <clinit> has it.
def java_init(name, nid, where, wants):
    return (f'"{name}" #{nid} prio=5 os_prio=0 tid=0x00007f55c0 nid={hex(nid)} in Object.wait()  [0x00007f55c]\n'
            f"   java.lang.Thread.State: RUNNABLE\n\tat {where}(Init.java:5)\n"
            f"\t- waiting on the Class initialization monitor for {wants}\n"
            "\tat java.lang.Thread.run(java.base@17.0.15/Thread.java:840)\n\n")


JAVA_INIT = JAVA_TITLE + java_init("late", 0x733, "demo.Late.run", "demo.A") + \
    java_init("init-a", 0x731, "demo.A.<clinit>", "demo.B") + java_init("init-b", 0x732, "demo.B.<clinit>", "demo.A")

# jstack does not print whom a thread joins.
JAVA_JOINER = (f'"joiner" #16 prio=5 os_prio=0 tid=0x00007f55c0 nid={0x742} in Object.wait()  [0x00007f55c]\n'
               "   java.lang.Thread.State: WAITING (on object monitor)\n"
               "\tat java.lang.Object.wait(java.base@17.0.15/Native Method)\n\t- waiting on <0x00000000fc0affa0> (a java.lang.Thread)\n"
               "\tat java.lang.Thread.join(java.base@17.0.15/Thread.java:1313)\n\t- locked <0x00000000fc0affa0> (a java.lang.Thread)\n"
               f"\tat demo.Pool.stop(Pool.java:7)\n\t- locked <{X}> (a demo.Pool)\n\n")
JAVA_REFERENCES = ('"Reference Handler" #2 daemon prio=10 os_prio=0 tid=0x00007f55c0 nid=0x743 waiting on condition  [0x00007f55c]\n'
                   "   java.lang.Thread.State: RUNNABLE\n"
                   "\tat java.lang.ref.Reference.waitForReferencePendingList(java.base@17.0.15/Native Method)\n"
                   "\tat java.lang.ref.Reference.processPendingReferences(java.base@17.0.15/Reference.java:253)\n\n")
JAVA_JOIN = JAVA_TITLE + JAVA_REFERENCES + JAVA_JOINER + java_thread("worker", 0x741, X, None, "Worker", 9)
JAVA_WORKER = ('"worker" #17 prio=5 os_prio=0 tid=0x00007f55c0 nid=0x744 runnable  [0x00007f55c]\n'
               "   java.lang.Thread.State: RUNNABLE\n\tat demo.Worker.compute(Worker.java:3)\n\n")

# ThreadMXBean's own form; ids of Java, no LWPs.
THREAD_INFO = """"left" Id=12 BLOCKED on java.lang.Object@1b2c3d owned by "right" Id=13
\tat demo.Left.run(Demo.java:20)
\t-  blocked on java.lang.Object@1b2c3d
\t-  locked java.lang.Object@4e5f60

"right" Id=13 BLOCKED on java.lang.Object@4e5f60 owned by "left" Id=12
\tat demo.Right.run(Demo.java:30)
\t-  blocked on java.lang.Object@4e5f60
\t-  locked java.lang.Object@1b2c3d

"""

# An entry of the journal: systemd-coredump's stacks, of two modules.
JOURNAL = "\n".join("Nov 20 10:00:00 host systemd-coredump[999]: " + line for line in """Process 900 (server) of user 0 dumped core.

Stack trace of thread 901:
#0  0x00007f55b00aa482 __lll_lock_wait (libc.so.6 + 0x87482)
#1  0x00007f55b00aa682 pthread_mutex_lock@@GLIBC_2.2.5 (libc.so.6 + 0x8d682)
#2  0x000055d0aa0c7ab5 core_send_packet (server + 0xc7ab5)
#3  0x00007f55a193bce6 room_refresh (room.so + 0x3bce6)
#4  0x00007f55b00a71f5 start_thread (libc.so.6 + 0x891f5)
#5  0x00007f55b01278ec __clone3 (libc.so.6 + 0x1098ec)

Stack trace of thread 902:
#0  0x00007f55b00aa482 __lll_lock_wait (libc.so.6 + 0x87482)
#1  0x00007f55b00aa682 pthread_mutex_lock@@GLIBC_2.2.5 (libc.so.6 + 0x8d682)
#2  0x00007f55a1943a10 room_describe (room.so + 0x43a10)
#3  0x000055d0aa0da840 core_admin_request (server + 0xda840)
#4  0x00007f55b00a71f5 start_thread (libc.so.6 + 0x891f5)
#5  0x00007f55b01278ec __clone3 (libc.so.6 + 0x1098ec)
""".split("\n")) + "\n"

LLDB = """(lldb) bt all
* thread #1: tid = 900, 0x00007f55b00ed545 libc.so.6`__GI___clock_nanosleep + 69, name = 'core', stop reason = signal SIGSTOP
  * frame #0: 0x00007f55b00ed545 libc.so.6`__GI___clock_nanosleep + 69
    frame #1: 0x000055d0aa001234 server`main(argc=1, argv=0x00007ffc00000010) at main.c:90:3
  thread #2: tid = 901, 0x00007f55b00aa482 libc.so.6`__lll_lock_wait + 48, name = 'admin'
    frame #0: 0x00007f55b00aa482 libc.so.6`__lll_lock_wait(futex=0x000055d0bb200ee0, private=0) at lowlevellock.c:49:7
    frame #1: 0x00007f55b00aa682 libc.so.6`___pthread_mutex_lock(mutex=0x000055d0bb200ee0) at pthread_mutex_lock.c:93:7
    frame #2: 0x00007f55a1943a10 room.so`room_describe(channel=0x000055d0bb100000) at room.c:459:3
    frame #3: 0x000055d0aa0da840 server`core_admin_request(request=0x000055d0bb40ad50) at main.c:304:3
    frame #4: 0x00007f55b00a71f5 libc.so.6`start_thread(arg=0x0) at pthread_create.c:442:8
  thread #3: tid = 902, 0x00007f55b00aa482 libc.so.6`__lll_lock_wait + 48, name = 'room'
    frame #0: 0x00007f55b00aa482 libc.so.6`__lll_lock_wait(futex=0x000055d0bb100118, private=0) at lowlevellock.c:49:7
    frame #1: 0x00007f55b00aa682 libc.so.6`___pthread_mutex_lock(mutex=0x000055d0bb100118) at pthread_mutex_lock.c:93:7
    frame #2: 0x000055d0aa0c7ab5 server`core_send_packet(channel=0x000055d0bb100000, packet=0x00007f55c1e0) at core.c:510:3
    frame #3: 0x00007f55a193bce6 room.so`room_refresh(member=0x000055d0bb3056a0) at room.c:298:9
    frame #4: 0x00007f55b00a71f5 libc.so.6`start_thread(arg=0x0) at pthread_create.c:442:8
"""

PY_SPY = """Process 1234: python3 app.py
Python v3.11.2 (/usr/bin/python3.11)

Thread 1234 (idle): "MainThread"
    join (threading.py:1112)
    <module> (app.py:40)
Thread 1240 (idle): "Thread-1"
    transfer (app.py:14)
    run (threading.py:975)
"""

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
    "other_owners": (two_sides(tail=OTHER_OWNERS), [("stall", "lock-order", [102, 103], [101])]),
    "later_owners": (two_sides(tail=LATER_OWNERS), [("stall", "lock-order", [102, 103], [101])]),
    "other_owner": (two_sides(main=SLEEP, tail=printed("mutex_a", 101)), []),
    "loader": (LOADER, [("stall", "lock-order", [951, 952], [950])]),
    "loader_at_work": (loader_hang(POLL[:1]), []),
    "one_mutex": (two_sides(right="0x601080 <mutex_a>", main=SLEEP), []),
    "no_addresses": (two_sides(left="", right=""), [("stall", "lock-order", [102, 103], [101])]),
    "no_addresses_idle": (two_sides(left="", right="", main=SLEEP), []),
    "at_work": (two_sides(main=["0x000055d0aa001111 in compute () at sides.c:33", MAIN]), []),
    "handler": (HANDLER, [("stall", "self-lock", [0], [])]),
    "handler_logs": (HANDLER_LOGS, [("stall", "self-lock", [161], [])]),
    "handler_in_malloc": (HANDLER_IN_MALLOC, []),
    "handler_in_wait": (HANDLER_IN_WAIT, []),
    "eu_stack": (EU_STACK, [("stall", "lock-order", [901, 902], [])]),
    "token": (TOKEN, [("stall", "queue", [34, 35, 36, 37], [])]),
    "no_token": (TOKEN.replace(TOKEN_SENDER, ""), []),
    "go_two": (GO_TWO, [("stall", "lock-order", [18, 19], [])]),
    "go_asleep": (GO_ASLEEP, [("stall", "queue", [1, 6], [])]),
    "go_asleep_self": (GO_ASLEEP_SELF, [("stall", "self-lock", [1], [])]),
    "go_awake_self": (GO_ASLEEP_SELF.replace(GO_ASLEEP_TITLE, ""), []),
    "go_asleep_copy": (GO_ASLEEP_COPY, [("stall", "orphan", [1], [])]),
    "java": (JAVA, [("deadlock", "lock-order", [0x701, 0x702], [])]),
    "java_one_edge": (JAVA_ONE_EDGE, []),
    "java_section": (JAVA + JAVA_SECTION, [("deadlock", "lock-order", [0x701, 0x702], [])]),
    "java_section_alone": (JAVA_SECTION, [("deadlock", "lock-order", [0, 0], [])]),
    "java_forced": (JAVA_FORCED, [("deadlock", "lock-order", [0, 0], [])]),
    "java_heading": (JAVA_HEADING, [("deadlock", "lock-order", [0, 0], [])]),
    "java_parked": (JAVA_PARKED, [("stall", "lock-order", [721, 722], [])]),
    "java_owned": (JAVA_OWNED, [("deadlock", "lock-order", [721, 722], [])]),
    "java_init": (JAVA_INIT, [("deadlock", "once", [0x731, 0x732], [0x733])]),
    "java_init_one_edge": (JAVA_INIT.replace("- waiting on the Class initialization monitor for demo.B", "- locked <0xfc0> (a demo.B)"), []),
    "java_join": (JAVA_JOIN, [("stall", "join", [0x741, 0x742], [])]),
    "java_join_alone": (JAVA_TITLE + JAVA_REFERENCES + JAVA_JOINER, []),
    "java_join_at_work": (JAVA_JOIN + JAVA_WORKER, []),
    "go_group": (GO_GROUP, [("stall", "semaphore", [61, 62, 63], [])]),
    "go_group_alone": (GO_GROUP_STOP, []),
    "go_second_read": (GO_SECOND_READ, [("stall", "rwlock", [71, 72], [])]),
    "go_first_read": (GO_SECOND_READ.replace(GO_OUTER, ""), []),
    "go_stale": (GO_STALE, [("stall", "rwlock", [81, 82], [])]),
    "thread_info": (THREAD_INFO, [("deadlock", "lock-order", [12, 13], [])]),
    "journal": (JOURNAL, [("stall", "lock-order", [901, 902], [])]),
    "lldb": (LLDB, [("stall", "lock-order", [901, 902], [])]),
    "py_spy": (PY_SPY, []),
    "python": (PYTHON, []),
}
