"""Batches and ledger rows as the rules need them: dated points of the quantities that somebody follows. Pure."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from cloud.alerts.spans import Point
from cloud.store.intervals import Intervals
from wire.codec import EARLIEST_MS, FUTURE_MS
from wire.excerpt import Stretch
from wire.quantities import QUANTITIES
from wire.topics import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloud.clock import Clock
    from cloud.store import LedgerRow
    from wire.batch import Dated, Status
    from wire.excerpt import Excerpt

Follows = Callable[[str], bool]
BOOTS = 1_000
MOST_UNSTORED = 64  # of one status


class Evidence(msgspec.Struct, frozen=True):
    """Readings of one range of sequence numbers, dated: (channel, quantity) → points.

    Stretches are of calm batches alone, in the order in which they came; no key has both.
    """

    gateway: str
    epoch: str
    first: int
    n: int
    points: dict[tuple[str, str], list[Point]]
    undated: bool = False
    unstored: bool = False  # told by a gateway that could not keep them: without numbers, and stored some day perhaps
    calm: bool = False  # no rule calls any of it bad, as somebody has looked already
    packed: dict[tuple[str, str], list[Stretch]] = {}


def runs(found: Iterable[Evidence]) -> Iterator[Evidence]:
    """Yield what one gateway has sent one after the other as one; each gateway's in the order in which it came."""
    open_runs: dict[str, list[Evidence]] = {}
    for evidence in found:
        run = open_runs.setdefault(evidence.gateway, [])
        if run and not _leads_to(run[-1], evidence):
            yield _joined(run)
            run.clear()
        run.append(evidence)
    yield from map(_joined, open_runs.values())


def _leads_to(one: Evidence, other: Evidence) -> bool:
    """Tell whether the other range is the next one of the same epoch, so that both are judged as one."""
    guessed = one.undated or one.unstored or other.undated or other.unstored
    return other.first == one.first + one.n and other.epoch == one.epoch and not guessed


def _joined(run: Sequence[Evidence]) -> Evidence:
    if len(run) == 1:
        return run[0]
    points: dict[tuple[str, str], list[Point]] = defaultdict(list)
    packed: dict[tuple[str, str], list[Stretch]] = defaultdict(list)
    for one in run:
        for key, found in one.points.items():
            points[key] += found
        for key, stretches in one.packed.items():
            packed[key] += stretches
    for key in points.keys() & packed.keys():
        points[key] += unpacked(packed.pop(key))
    n, calm = sum(one.n for one in run), all(one.calm for one in run)
    return replace(run[0], n=n, points=points, calm=calm, packed=packed)


def unpacked(stretches: Iterable[Stretch]) -> list[Point]:
    """Return the points of stretches."""
    return [point for stretch in stretches for point in stretch.points()]


class BootDates:
    """When the boots of gateways began, by this server's monotonic clock: the least that any of their messages says.

    A message says how old its boot is, and transport only ever adds to that, so the least is the nearest to the truth.
    It dates boots that have no date yet, and those whose date cannot be: a gateway may have its date from a server
    whose clock was wrong, or this server's own clock may be wrong now. Whoever lives now and says how old its boot is
    is judged by that. In memory: after a restart the next message says it again. From any thread.
    """

    def __init__(self, clock: Clock, late_ms: int) -> None:
        self._clock, self._late_ms = clock, late_ms
        self._lock = threading.Lock()
        self._began: OrderedDict[str, int] = OrderedDict()  # boot → monotonic ms of this server
        self._alive: set[str] = set()

    def lives(self, boot: str, mono_ms: int) -> None:
        """Note that a boot lives and how old it is, as its beat or status says."""
        self._saw(boot, mono_ms, self._now_ms())
        with self._lock:
            self._alive.add(boot)

    def guess_ms(self, boot: str, mono_ms: int) -> int:
        """Return UTC minus the boot's own time, after a message that holds something of that time of the boot."""
        now_ms = self._now_ms()
        return self._clock.utc_ms() - now_ms + self._saw(boot, mono_ms, now_ms)

    @property
    def earliest_ms(self) -> int:
        """When the first gateway can have known anything; what is new is never earlier, be it 1970 on this server."""
        return min(EARLIEST_MS, self._clock.utc_ms() - self._late_ms)

    def shift_ms(self, batch: Excerpt) -> int | None:
        """Return what to add to the times of a batch; None where they can be believed."""
        newest_ms, offset_ms = batch.newest_ms, batch.offset_ms
        now_ms, utc_ms = self._now_ms(), self._clock.utc_ms()
        guess_ms = utc_ms - now_ms + self._saw(batch.boot, newest_ms - (offset_ms or 0), now_ms)
        if offset_ms is None:
            return guess_ms
        ahead = newest_ms > utc_ms + FUTURE_MS
        behind = batch.boot in self._alive and guess_ms - offset_ms > self._late_ms
        return guess_ms - offset_ms if ahead or behind else None

    def _saw(self, boot: str, mono_ms: int, now_ms: int) -> int:
        with self._lock:
            began = min(now_ms - mono_ms, self._began.get(boot, 2**62))
            self._began[boot] = began
            self._began.move_to_end(boot)
            while len(self._began) > BOOTS:
                self._alive.discard(self._began.popitem(last=False)[0])
            return began

    def _now_ms(self) -> int:
        return round(1000 * self._clock.monotonic())


def from_excerpt(said: Excerpt, dates: BootDates, *, calm: bool) -> Evidence:
    """Return what a batch of the stream says; one whose date is missing or cannot be is dated by arrival, marked so."""
    shift_ms = dates.shift_ms(said)
    if shift_ms is not None:
        earliest_ms = dates.earliest_ms
        points = {key: _dated(own, shift_ms, earliest_ms) for key, own in said.unpacked().items()}
        return Evidence(said.gateway, said.epoch, said.first, said.n, points, undated=True, calm=calm)
    points, packed = (said.points, {key: [one] for key, one in said.packed.items()}) if calm else (said.unpacked(), {})
    return Evidence(said.gateway, said.epoch, said.first, said.n, points, calm=calm, packed=packed)


def _dated(points: Iterable[Point], shift_ms: int, earliest_ms: int) -> list[Point]:
    """Return points at another time, without those that no gateway can have known."""
    return [(ms + shift_ms, seq, value) for ms, seq, value in points if ms + shift_ms >= earliest_ms]


def from_status(gateway: str, status: Status, dates: BootDates, arrival_ms: int, follows: Follows) -> Evidence:
    """Return what a gateway tells of values that it could not make safe.

    Its status says how long ago they were: where their date is missing or disagrees with that, they are dated by it.
    What cannot be believed is passed over: an unknown quantity, an implausible value.
    """
    points: dict[tuple[str, str], list[Point]] = {}
    undated = False
    for told in status.urgent[:MOST_UNSTORED]:
        row = QUANTITIES.get(told.quantity)
        if row is None or not follows(told.quantity) or not CHANNEL.fullmatch(told.channel):
            continue
        if not row.plausible(told.value):
            continue
        age_ms = max(status.mono_ms - told.mono_ms, 0)
        utc_ms = told.utc_ms
        if utc_ms is None or abs(arrival_ms - age_ms - utc_ms) > FUTURE_MS:
            utc_ms, undated = dates.guess_ms(status.boot, status.mono_ms) + told.mono_ms, True
            utc_ms -= utc_ms % 1000  # it is told again each minute, and the same second is the same point
        points.setdefault((told.channel, told.quantity), []).append((utc_ms, 0, told.value))
    return Evidence(gateway, status.epoch, 0, 0, points, undated, unstored=True)


def from_readings(row: LedgerRow, readings: Iterable[Dated], follows: Follows) -> Evidence:
    """Return what the stored readings of a ledger row say."""
    points: dict[tuple[str, str], list[Point]] = {}
    for reading in readings:
        for quantity, value in reading.values.items():
            if follows(quantity) and reading.utc_ms is not None:
                points.setdefault((reading.channel, quantity), []).append((reading.utc_ms, reading.seq, value))
    return Evidence(row.gateway, row.epoch, row.first, row.n, points)


def missing(done: Intervals, first: int, n: int) -> bool:
    """Tell whether any number of the range is not yet in the set."""
    return bool(Intervals([(first, first + n)]).minus(done))
