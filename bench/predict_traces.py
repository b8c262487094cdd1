# SPDX-License-Identifier: Apache-2.0
"""Traces for `tools/bench predict`: each grows in one direction. Seeded, so every run measures the same."""

import random


def in_order(events, threads=16, locks=100, memory=0.5):
    """Locks nested in one order everywhere: no candidate."""
    pick = random.Random(1)
    lines = [f"T0|fork(T{t})|1" for t in range(1, threads)]
    free = set(range(locks))
    held = [[] for _ in range(threads)]
    while len(lines) < events:
        t = pick.randrange(threads)
        mine = held[t]
        for _ in range(pick.randint(3, 20)):
            if pick.random() < memory:
                lines.append(f"T{t}|{pick.choice('rrw')}(V{pick.randrange(1000)})|{pick.randrange(5000)}")
            elif mine and (len(mine) > 1 or pick.random() < 0.5):
                lock = mine.pop()
                free.add(lock)
                lines.append(f"T{t}|rel(L{lock})|{lock * 3 + 1}")
            else:
                lock = pick.randrange(mine[-1] + 1 if mine else 0, locks + 1)
                if lock in free:
                    free.discard(lock)
                    mine.append(lock)
                    lines.append(f"T{t}|acq(L{lock})|{lock * 3}")
    return lines


def circles(events, count, members, shared=5):
    """`count` circles of `members` threads each, all of them deadlocks; some locks that all threads use."""
    pick = random.Random(2)
    threads = count * members
    lines = [f"T0|fork(T{t + 1})|1" for t in range(threads)]
    while len(lines) < events - threads:
        for t in range(threads):
            first = t - t % members
            a, b = t, first + (t + 1) % members
            common = pick.randrange(shared)
            lines += [f"T{t + 1}|acq(G{common})|9", f"T{t + 1}|w(V{common})|9", f"T{t + 1}|rel(G{common})|9",
                      f"T{t + 1}|acq(L{a})|2", f"T{t + 1}|acq(L{b})|3", f"T{t + 1}|rel(L{b})|4",
                      f"T{t + 1}|rel(L{a})|5"]
    return lines + [f"T0|join(T{t + 1})|6" for t in range(threads)]


def ordered_circles(events, count, members):
    """The same, but every round reads what the last one wrote: no deadlock, and much to follow."""
    threads = count * members
    lines = [f"T0|fork(T{t + 1})|1" for t in range(threads)]
    while len(lines) < events:
        for t in range(threads):
            first = t - t % members
            a, b = t, first + (t + 1) % members
            lines += [f"T{t + 1}|r(V)|1", f"T{t + 1}|acq(L{a})|2", f"T{t + 1}|acq(L{b})|3",
                      f"T{t + 1}|rel(L{b})|4", f"T{t + 1}|rel(L{a})|5", f"T{t + 1}|w(V)|6"]
    return lines


ROWS = {
    "no candidate, 0.5 M events": lambda: in_order(500_000),
    "no candidate, 2 M events": lambda: in_order(2_000_000),
    "no candidate, 2 M events, locks only": lambda: in_order(2_000_000, memory=0),
    "no candidate, 2 M events, 256 threads, 2,000 locks": lambda: in_order(2_000_000, 256, 2_000),
    "32 circles, 64 threads, 0.5 M events": lambda: circles(500_000, 32, 2),
    "32 circles, 64 threads, 2 M events": lambda: circles(2_000_000, 32, 2),
    "8 circles of 8, 64 threads, 2 M events": lambda: circles(2_000_000, 8, 8),
    "32 circles refuted, 64 threads, 2 M events": lambda: ordered_circles(2_000_000, 32, 2),
    "20 circles, 81 threads, 0.5 M events": lambda: circles(500_000, 20, 4),
    "200 circles, 801 threads, 0.5 M events": lambda: circles(500_000, 200, 4),
}
