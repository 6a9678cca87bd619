"""A surveyed valley around the sample's three hamlets, which nobody ever walked: ground of `radio`, walks of `walkers`.

A newcomer sees on the first day what a survey looks like after five months: a hamlet that was a dead zone until a mast
went up three months ago, one that still is, one where nobody has been for long, paths that were walked and slopes that
were not. All of it is of the networks 001-01 and 001-02, which ITU-T E.212 keeps for tests and no operator has, and
coverage.db says that it is invented, so that pages say so too. What is measured later stands beside it.

Its seed was chosen for the look of it: of some sixty, the first on whose ground every class of the map shows. So it
demonstrates the map and is no evidence of how right the judge is; for that see `bench/survey.py`.
"""

from __future__ import annotations

import sqlite3
from random import Random
from typing import TYPE_CHECKING

from cloud.clock import DAY_MS, hanoi, midnight_ms
from cloud.coverage.book import NAME, Book
from cloud.coverage.shelf import INVENTED
from cloud.store import Retry
from gocche.garden.radio import Ground
from gocche.garden.walkers import Phone, paths, walk
from settings.words import Taken

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.coverage.sample import Sample
    from gocche.garden.radio import Network

SEED = "valley-29"  # chosen, as said above
CORNER, SIZE_M = (21.68, 103.975), 6_000.0
PLACES = {
    "hang-tay": (21.721, 104.002),
    "ke-ca": (21.706, 103.99),
    "pu-va": (21.695, 104.011),
}  # by team, of config/garden
FIRST, SECOND = 1_001, 1_002  # networks for tests: mcc 001
FAR, NEAR, OTHER = (5_800.0, 5_800.0), (2_100.0, 3_500.0), (5_800.0, 5_800.0)  # about where masts stand
MAST_DAYS = 100  # since the near one stands
WALKS = {
    "hang-tay": range(3, 150, 8),
    "ke-ca": range(5, 150, 11),
    "pu-va": (139, 131),
}  # how many days ago each team went


def first_start(folder: Path, now_ms: int) -> None:
    """Invent the survey where there is no coverage.db in the folder yet; without it the map is empty, not broken."""
    if (folder / NAME).exists():
        return
    book = Book(folder / NAME)
    try:
        book.put(invented(now_ms), now_ms)
        book.keep(INVENTED, "yes")
    except (Retry, Taken, sqlite3.Error):  # the room that writes there tells of it, and goes on telling
        return
    finally:
        book.close()


def invented(now_ms: int) -> list[Sample]:
    """Return the samples of five months up to yesterday: the same for the same day, about 10,000 in a second."""
    random = Random(SEED)
    ground = Ground(SEED, CORNER, SIZE_M, [], {FIRST: ([FAR, NEAR], -122.0), SECOND: ([OTHER], -118.0)})
    ground.villages.extend(ground.point(place) for place in PLACES.values())
    ways = paths(random, ground)
    first, second = ground.networks
    networks = [first._replace(nr=[False, True]), second]  # the new mast brings 5G
    today_ms = midnight_ms(hanoi(now_ms).date())
    told: list[Sample] = []
    for number, (team, days) in enumerate(WALKS.items()):
        teams = [Phone(team, network, random.gauss(0, 4), True, True) for network in networks]
        for at, ago in enumerate(days):
            phone = teams[at % 2]
            if phone.network.plmn == FIRST and ago > MAST_DAYS:
                phone = phone._replace(network=_before(phone.network))
            start_ms = today_ms - ago * DAY_MS + random.randint(7, 14) * 3_600_000
            told += walk(random, ground, ways[number][:5], phone, start_ms)
    return told


def _before(network: Network) -> Network:
    return network._replace(masts=network.masts[:1], nr=network.nr[:1])
