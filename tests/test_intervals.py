"""Sets of sequence numbers: right for any two, and linear, because the books are added up under a lock."""

from __future__ import annotations

import random
import time

from cloud.store.intervals import Intervals


def ranges(chance: random.Random) -> list[tuple[int, int]]:
    return [
        (start, start + chance.randrange(9)) for start in (chance.randrange(60) for _ in range(chance.randrange(12)))
    ]


def members(some: object) -> set[int]:
    return {number for start, end in some for number in range(start, end)}


def test_a_difference_is_what_sets_make_of_it():
    chance = random.Random(7)
    for _ in range(3_000):
        one, other = ranges(chance), ranges(chance)
        left = Intervals(one).minus(Intervals(other))
        assert members(left) == members(one) - members(other)
        assert len(left) == len(members(left))
        assert list(left) == list(Intervals(left)), "ranges neither touch nor overlap"


def test_thirty_thousand_holes_cost_milliseconds():
    even = Intervals((20 * k, 20 * k + 10) for k in range(30_000))
    odd = Intervals((20 * k + 10, 20 * k + 20) for k in range(30_000))
    started = time.process_time()
    assert (len(even.minus(odd)), len(odd.minus(even))) == (300_000, 300_000)
    assert time.process_time() - started < 1.0, "5.7 s when each range looked through all holes"
