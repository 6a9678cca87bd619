"""What a gateway's modem and its GNSS receiver said, as samples. Pure.

A modem that stands still and polls each ten seconds would drown a map in one place. Of each ten minutes of the clock
the first reading is a sample, and each at which service, radio or network is another than just before. Where fixes of
those ten minutes lie apart somebody walks with it: then it is the first of every twenty seconds. Which readings these
are hangs on their own times alone, so what is read again makes the same samples.

A failed poll has no registration, and is nothing. A modem that says that it is not registered and does not say that it
is denied found no network; one that is denied, for an unpaid SIM perhaps, has heard some network and is in reach of
emergency calls, but says nothing of its own network. What a modem calls unknown is no sample.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from cloud.coverage.sample import LIMITED, NONE, SERVED, BadSample, Heard, Sample
from wire.quantities import IN_SERVICE

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Mapping, Sequence

BUCKET_MS, WALK_MS = 600_000, 20_000
FRESH_MS = 30_000  # as old as a fix may be at a reading: at a walk 35 m
STILL_DEG = 0.001  # fixes that lie closer, some 100 m, are of one place
HDOP_M = 5.0  # metres of uncertainty for each unit of HDOP
ATTACHED = IN_SERVICE | {6, 7, 9, 10}  # registered, for SMS alone or without calls over LTE: the network is there
NOT_FOUND, EMERGENCY, DENIED = frozenset({0, 2}), 8, 3
SAID = (
    *("registration", "radio", "plmn", "tac", "cell", "rssi", "rtt", "loss"),
    *("lte_rsrp", "lte_rsrq", "lte_sinr", "pci", "earfcn", "lte_band"),
    *("nr_ss_rsrp", "nr_ss_rsrq", "nr_ss_sinr", "nr_pci", "nr_arfcn", "nr_band"),
)
WAY = ("rtt", "loss")  # of a probe of the way to the server
PLACED = ("lat", "lon", "alt", "accuracy", "hdop", "fix_quality")
Poll = dict[str, float]  # what one reading said, by quantity


class Place(NamedTuple):
    """Where a reading was made: by a receiver that was with it, or where the registry says that it is `bound`."""

    lat: float
    lon: float
    accuracy_m: float | None = None
    alt_m: float | None = None
    bound: bool = True


class Modem(NamedTuple):
    """A channel, and what is known of it beside its readings."""

    gateway: str
    channel: str
    hears_nr: bool  # it has told of 5G at some time
    home: int  # the network that served it last, 0 where nobody knows


def polls_of(series: Mapping[str, Sequence[tuple[int, float]]]) -> list[tuple[int, Poll]]:
    """Return the readings of a channel by time (UTC ms), of the points (stored ns) of its quantities."""
    found: dict[int, Poll] = {}
    for quantity, points in series.items():
        for time_ns, value in points:
            found.setdefault(time_ns, {})[quantity] = value
    return [(time_ns // 1_000_000, found[time_ns]) for time_ns in sorted(found)]


def with_way(polls: Sequence[tuple[int, Poll]], way: Sequence[tuple[int, Poll]]) -> list[tuple[int, Poll]]:
    """Return a modem's readings with what a probe of the same ten minutes said of the way, last of several."""
    told = {
        ms // BUCKET_MS: {name: poll[name] for name in WAY if name in poll}
        for ms, poll in sorted(way, key=lambda one: one[0])
    }
    return [(ms, told.get(ms // BUCKET_MS, {}) | poll) for ms, poll in polls]


class Fixes:
    """The fixes of a gateway's receivers, by time."""

    def __init__(self, polls: Sequence[tuple[int, Poll]]) -> None:
        good = [(ms, poll) for ms, poll in polls if "lat" in poll and "lon" in poll and poll.get("fix_quality", 1) > 0]
        self._fixes = sorted(good, key=lambda fix: fix[0])
        self._times = [ms for ms, _ in self._fixes]

    def at(self, time_ms: int) -> Place | None:
        """Return where the gateway was by its last fix, None without a fresh one.

        One that comes after may be nearer, and may come with the next batch: the moment would be another then.
        """
        at = bisect_right(self._times, time_ms)
        if not at or time_ms - self._times[at - 1] > FRESH_MS:
            return None
        _, fix = self._fixes[at - 1]
        accuracy_m = fix.get("accuracy", fix["hdop"] * HDOP_M if "hdop" in fix else None)
        return Place(fix["lat"], fix["lon"], accuracy_m, fix.get("alt"), bound=False)


def samples(
    modem: Modem,
    polls: Sequence[tuple[int, Poll]],
    place_at: Callable[[int], Place | None],
    since_ms: int,
    now_ms: int,
    counts: Counter[str],
) -> Iterator[Sample]:
    """Yield the samples since a time, which is the beginning of a bucket, of readings that begin one bucket before.

    What is none is counted by its reason.
    """
    home, before = modem.home, None
    for bucket, own in groupby(polls, key=lambda one: one[0] // BUCKET_MS):
        placed = [(ms, poll, place_at(ms)) for ms, poll in own if "registration" in poll]
        step_ms = BUCKET_MS if _still([place for _, _, place in placed if place and not place.bound]) else WALK_MS
        step = None
        for ms, poll, place in placed:
            home = int(poll.get("plmn", home))
            said = poll["registration"], poll.get("radio"), poll.get("plmn")
            if said == before and step == ms // step_ms:
                continue
            step, before = ms // step_ms, said
            if bucket * BUCKET_MS < since_ms:
                continue
            try:
                yield _sample(modem, ms, poll, place, home).checked(now_ms)
            except BadSample as bad:
                counts[bad.reason] += 1


def _still(places: Sequence[Place]) -> bool:
    lats, lons = [place.lat for place in places], [place.lon for place in places]
    return not places or max(max(lats) - min(lats), max(lons) - min(lons)) < STILL_DEG


def _sample(modem: Modem, time_ms: int, poll: Poll, place: Place | None, home: int) -> Sample:
    if place is None:
        raise BadSample("no place")
    registration = int(poll["registration"])
    if registration in ATTACHED:
        service = SERVED
    elif registration in {EMERGENCY, DENIED}:
        service = LIMITED
    elif registration in NOT_FOUND:
        service = NONE
    else:
        raise BadSample("registration unknown")
    loss = poll.get("loss")
    return Sample(
        time_ms=time_ms,
        lat=place.lat,
        lon=place.lon,
        accuracy_m=place.accuracy_m,
        alt_m=place.alt_m,
        source="gateway",
        by=modem.gateway,
        service=service,
        plmn=0 if registration == DENIED else home,
        radio=_whole(poll, "radio"),
        lte=_heard(poll, "lte_rsrp", "lte_rsrq", "lte_sinr", "pci", "earfcn", "lte_band"),
        nr=_heard(poll, "nr_ss_rsrp", "nr_ss_rsrq", "nr_ss_sinr", "nr_pci", "nr_arfcn", "nr_band"),
        nr_looked=modem.hears_nr,
        rssi_dbm=poll.get("rssi"),
        rtt_ms=poll.get("rtt"),
        loss=None if loss is None else loss / 100,
    )


def _heard(poll: Poll, rsrp: str, rsrq: str, sinr: str, pci: str, arfcn: str, band: str) -> Heard | None:
    """Return what was heard by one radio, None where it said no strength; area and cell are those of what serves."""
    if rsrp not in poll:
        return None
    serves = rsrp == "lte_rsrp" or "lte_rsrp" not in poll
    return Heard(
        rsrp_dbm=poll[rsrp],
        rsrq_db=poll.get(rsrq),
        sinr_db=poll.get(sinr),
        tac=_whole(poll, "tac") if serves else None,
        cell=_whole(poll, "cell") if serves else None,
        pci=_whole(poll, pci),
        arfcn=_whole(poll, arfcn),
        band=_whole(poll, band),
    )


def _whole(poll: Poll, quantity: str) -> int | None:
    value = poll.get(quantity)
    return None if value is None else int(value)
