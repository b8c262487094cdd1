# SPDX-License-Identifier: Apache-2.0
"""How far the median of some measured values may be believed."""

import math


def bounds(values):
    """Between which two the median lies in 95 of 100 cases: by ranks, whatever the distribution (None for less than six)."""
    values = sorted(values)
    tail, rank = 0.5 ** len(values), 0
    if tail > 0.025:
        return None
    total = tail
    while total + math.comb(len(values), rank + 1) * tail <= 0.025:
        rank += 1
        total += math.comb(len(values), rank) * tail
    return values[rank], values[-1 - rank]
