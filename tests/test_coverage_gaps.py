"""Dead zones that gaps are taken for, on walks whose truth is known: rarely wrong, however the recording stutters."""

from __future__ import annotations

import math
import random

import pytest

from cloud.coverage.sample import NONE
from tests.test_coverage_csv import START, cells, files, fixes, read

LOST_DBM = -120.0  # below it a telephone has no service
LONG_S = 7_200
WALKS = [(share, every) for share in (0.02, 0.1, 0.3) for every in (2, 5, 10, 30)]  # scans missed; seconds between two


def ground(dice: random.Random) -> list[float]:
    """Return the strength at each second of a walk: hills, and shadows of 8 dB that last for 100 m at 1.4 m/s."""
    keep, phase, shadow = math.exp(-1.4 / 100), dice.uniform(0, 6), 0.0
    found = []
    for second in range(LONG_S):
        shadow = keep * shadow + math.sqrt(1 - keep**2) * dice.gauss(0, 8)
        found.append(-112 + 10 * math.sin(second / 1_100 + phase) + shadow)
    return found


@pytest.mark.journey  # seconds of a core
def test_of_dead_moments_that_are_claimed_no_more_than_one_in_a_hundred_had_service_to_spare() -> None:
    claimed = wrong = 0
    for number, (missed, every) in enumerate(WALKS):
        dice = random.Random(number)
        truth = ground(dice)
        rows = [
            row
            for second in range(0, LONG_S, every)
            if truth[second] + dice.gauss(0, 1.5) > LOST_DBM and dice.random() > missed
            for row in cells(second, rsrp=round(max(truth[second], -140)))
        ]
        samples, refused = read(files({"LteRecord": rows, "GnssRecord": fixes(*range(0, LONG_S, 8))}))
        assert not refused
        dead = [round(one.time_ms / 1000 - START.timestamp()) for one in samples if one.service == NONE]
        claimed += len(dead)
        wrong += sum(truth[second] > LOST_DBM + 3 for second in dead)
    assert claimed > 700
    assert wrong <= claimed / 100
