"""Who walks the invented ground, and what their telephones say: samples, as they would come from a survey.

- *Paths* lead between villages along the least climb, and from each village to four fields within 1.5 km. People
  are on paths and around houses; nobody walks straight over a hill.
- *A walk* is of one telephone on one day: 2 to 6 km at 1 m/s, from a village and on along paths by chance, with up to
  three rests of 2 to 20 minutes. A moment every 10 s.
- *Telephones*: the antenna of each is off by 4 dB (standard deviation), always the same way. Half can hear 5G. Each has
  a SIM of one network. Six in ten keep a file that is brought weeks later; the others send at once or never, and lose
  what they hear without service.
- *A moment* fades by 4 dB. Without service of its own network nine in ten say whether another would carry an emergency
  call. A place is off by 8 m (each axis), in one of fifty moments by 80 m; strengths are whole dBm.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from cloud.coverage.sample import LIMITED, NONE, SERVED, Heard, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from gocche.garden.radio import Ground, Network, Point

DEVICE_DB, FADE_DB = 4.0, 4.0
EVERY_S, PACE_MS = 10, 1.0
FIX_M, BAD_FIX_M, BAD_FIXES = 8.0, 80.0, 0.02
FIELDS, FIELD_M = 4, 1_500.0
HEAR_NR, KEEP_FILE, TELL_EMERGENCY = 0.5, 0.6, 0.9


class Phone(NamedTuple):
    """A telephone of a team: its SIM, how far its antenna is off, whether it hears 5G, whether it keeps a file."""

    team: str
    network: Network
    off_db: float
    hears_nr: bool
    keeps_file: bool


def phones(random: Random, teams: list[str], networks: list[Network], each: int) -> list[Phone]:
    """Return the telephones of the teams, so many each."""
    return [
        Phone(
            team,
            random.choice(networks),
            random.gauss(0, DEVICE_DB),
            random.random() < HEAR_NR,
            random.random() < KEEP_FILE,
        )
        for team in teams
        for _ in range(each)
    ]


def paths(random: Random, ground: Ground) -> dict[int, list[list[Point]]]:
    """Return the ways that begin at each village (by its number), those to fields first."""
    ways: dict[int, list[list[Point]]] = {}
    for number, village in enumerate(ground.villages):
        ends: list[Point] = []
        while len(ends) < FIELDS:
            turn, away = random.uniform(0, 2 * math.pi), random.uniform(500, FIELD_M)
            end = village[0] + away * math.cos(turn), village[1] + away * math.sin(turn)
            if ground.inside(end):
                ends.append(end)
        near = sorted(ground.villages, key=lambda other, own=village: math.dist(own, other))[1:3]  # type: ignore[misc]
        ways[number] = [[village, *ground.path(village, end)[1:]] for end in (*ends, *near)]
    return ways


def walk(random: Random, ground: Ground, ways: list[list[Point]], phone: Phone, start_ms: int) -> Iterator[Sample]:
    """Return what one walk brings: along ways from one village, there and back, until it is long enough."""
    left_m = random.uniform(2_000, 6_000)
    rests = {random.randint(0, 300): random.randint(12, 120) for _ in range(random.randint(0, 3))}
    now_ms, moments = start_ms, 0
    while left_m > 0:
        way = random.choice(ways)
        for begin, end in [*pairwise(way), *pairwise(way[::-1])]:
            length = math.dist(begin, end)
            steps = max(int(length / (EVERY_S * PACE_MS)), 1)
            for step in range(steps):
                share = step / steps
                at = begin[0] + (end[0] - begin[0]) * share, begin[1] + (end[1] - begin[1]) * share
                for _ in range(1 + rests.pop(moments, 0)):
                    if (told := _moment(random, ground, phone, at, now_ms)) is not None:
                        yield told
                    now_ms += EVERY_S * 1000
                moments += 1
            left_m -= length
            if left_m <= 0:
                return


def _moment(random: Random, ground: Ground, phone: Phone, at: Point, now_ms: int) -> Sample | None:
    """Return what the telephone says of a moment; None where it loses that."""
    network = phone.network
    off = phone.off_db + random.gauss(0, FADE_DB)
    lte = ground.rsrp(network, at) + off
    served = lte >= network.lost_dbm
    if not served and not phone.keeps_file:
        return None
    wrong = BAD_FIX_M if random.random() < BAD_FIXES else FIX_M
    place = ground.place((at[0] + random.gauss(0, wrong), at[1] + random.gauss(0, wrong)))
    service, nr = SERVED, None
    if not served:
        others = (ground.rsrp(other, at) + off >= other.lost_dbm for other in ground.networks if other is not network)
        service = LIMITED if any(others) and random.random() < TELL_EMERGENCY else NONE
    elif phone.hears_nr and any(network.nr):
        heard = ground.rsrp(network, at, nr=True) + off
        nr = (
            Heard(rsrp_dbm=float(round(heard)), sinr_db=float(round(min(max(heard + 115, -20), 30))))
            if heard >= network.lost_dbm
            else None
        )
    return Sample(
        time_ms=now_ms,
        lat=place[0],
        lon=place[1],
        source="phone",
        by=phone.team,
        service=service,
        plmn=network.plmn,
        accuracy_m=round(wrong * 2, 1),
        alt_m=float(round(ground.height(at))),
        radio=(4 if nr else 3) if served else 0,
        lte=Heard(rsrp_dbm=float(round(max(lte, -140))), sinr_db=float(round(min(max(lte + 118, -19), 30))))
        if served
        else None,
        nr=nr,
        nr_looked=phone.hears_nr,
    )
