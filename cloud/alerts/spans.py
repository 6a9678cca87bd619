"""When something began, lasted and ended: a small machine over the readings of one series, in order of their own time.

Readings arrive out of order (the newest batch is sent first, older ones after a cut). So a series keeps the readings of
its last 15 minutes sorted and is judged again from the start of that window whenever one is added: the order of arrival
does not matter within it. What is older than the window is folded into one `Tracker` and forgotten.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from operator import itemgetter, lt

import msgspec
from msgspec.structs import replace

from wire.excerpt import Stretch

BAD, MIDDLE, GOOD = 1, 0, -1
MAX_POINTS = 2_000  # a flood of readings folds early instead of growing the state
Point = tuple[int, int, float]  # UTC ms, sequence number, value
Mark = Callable[[float], int]
VALUE = itemgetter(2)


class Patience(msgspec.Struct, frozen=True):
    """How long BAD must last to open a span and GOOD to end it.

    Readings further apart than `gap_ms` do not add up: the count begins anew. `only_lost` means that nothing can be
    lost that was never seen GOOD. `downwards` means that the lowest value is the worst.
    """

    persist_ms: int
    clear_ms: int
    gap_ms: int
    only_lost: bool = False
    downwards: bool = False

    def worse(self, one: float, other: float) -> float:
        """Return the worse of two values."""
        return min(one, other) if self.downwards else max(one, other)


class Span(msgspec.Struct, frozen=True):
    """Something that lasted: first BAD reading, the one that made it certain, first GOOD one, the one that ended it."""

    since_ms: int
    opened_ms: int
    until_ms: int | None
    ended_ms: int | None
    bad_ms: int  # the newest BAD reading
    value: float | None  # its value; none where silence is the evidence
    peak: float | None  # the worst


class Tracker(msgspec.Struct, frozen=True):
    """Where the machine stands after a reading. `phase` is quiet, rising, on or falling."""

    phase: str = "quiet"
    since_ms: int = 0
    opened_ms: int = 0
    fall_ms: int = 0
    last_ms: int = 0
    bad_ms: int = 0
    value: float = 0.0
    peak: float = 0.0
    good_seen: bool = False


class Lane(msgspec.Struct, frozen=True):
    """The readings of one series that may still be joined by others, and the state before them."""

    base: Tracker = Tracker()
    base_ms: int = 0  # readings up to here are folded into `base`
    points: list[Point] = []
    guessed: list[int] = []  # sequence numbers of points whose time is a guess: the dated reading takes their place
    stirred: bool = True  # False: `base` is quiet and no point is BAD, so there is nothing to scan
    packed: list[Stretch] = []  # after all points, none of it BAD, while not stirred

    @property
    def calm(self) -> bool:
        """Whether nothing goes on in it."""
        return not self.stirred or (not self.points and self.base.phase == "quiet")

    def unpacked(self) -> Lane:
        """Return the lane with all that it holds in `points`: the very same where it is so."""
        if not self.packed:
            return self
        return replace(self, points=self.points + [p for stretch in self.packed for p in stretch.points()], packed=[])


def passed(lane: Lane, stretches: Sequence[Stretch], horizon_ms: int) -> Lane | None:
    """Return a quiet lane with what came after all in it and is not BAD; None where that is not so simple.

    What is wholly older than the horizon is folded into the base.
    """
    points, packed = lane.points, lane.packed
    newest_ms = packed[-1].last_ms if packed else points[-1][0] if points else lane.base_ms
    size = len(points)
    if lane.stirred or lane.guessed:
        return None
    for stretch in stretches:
        if stretch.first_ms <= newest_ms:
            return None
        newest_ms = stretch.last_ms
    packed = [*packed, *stretches]
    for stretch in packed:
        size += len(stretch.values)
    if size > MAX_POINTS:
        return None
    folded_ms = 0
    if points and points[0][0] < horizon_ms:
        old = bisect_left(points, (horizon_ms,))
        folded_ms, points = points[old - 1][0], points[old:]
    if not points:
        old = 0
        while packed[old].last_ms < horizon_ms:
            old += 1
        if old:
            folded_ms, packed = packed[old - 1].last_ms, packed[old:]
    if not folded_ms:
        return Lane(lane.base, lane.base_ms, points, lane.guessed, stirred=False, packed=packed)
    base = replace(lane.base, last_ms=folded_ms)
    return Lane(base, max(lane.base_ms, folded_ms), points, lane.guessed, stirred=False, packed=packed)


def ordered(points: list[Point]) -> list[Point]:
    """Return points by time and then by number, each once: the very same list where they are, as nearly always."""
    rising = len(points) < 2 or all(map(lt, points, islice(points, 1, None)))
    return points if rising else sorted(set(points))


def scan(start: Tracker, points: Iterable[Point], mark: Mark, patience: Patience) -> tuple[Tracker, list[Span]]:
    """Return the state after the sorted points, and the spans that they end or leave open."""
    tracker, spans = start, []
    for utc_ms, _, value in points:
        tracker, ended = _advance(tracker, utc_ms, value, mark(value), patience)
        if ended is not None:
            spans.append(ended)
    if tracker.phase in ("on", "falling"):
        spans.append(_span(tracker, None))
    return tracker, spans


def add(lane: Lane, points: list[Point], *, guessed: bool = False) -> Lane:
    """Return the lane with more points, which are in order (see `ordered`), each once.

    A point is the same as another if number, time and value are: of two gateways that share the numbers of a copied
    card each has its own. The very same lane is returned where nothing is new.
    """
    if points and not (guessed or lane.guessed) and (not lane.points or lane.points[-1] < points[0]):
        return replace(lane, points=lane.points + points)  # in order, as nearly always
    merged, guesses = list(lane.points), set(lane.guessed)
    for point in points:
        at = bisect_left(merged, point)
        if merged[at : at + 1] == [point]:  # sent again, or told each minute because it cannot be stored
            continue
        if guessed:
            guesses.add(point[1])
        elif point[1] in guesses:
            guesses.remove(point[1])
            merged = [other for other in merged if other[1] != point[1]]
            at = bisect_left(merged, point)
        merged.insert(at, point)
    if merged == lane.points:
        return lane
    return replace(lane, points=merged, guessed=sorted(guesses))


def settle(lane: Lane, horizon_ms: int, mark: Mark, patience: Patience) -> Lane:
    """Fold what is older than the horizon, or beyond the bound, into the lane's base."""
    old = bisect_left(lane.points, (horizon_ms,))
    old = max(old, len(lane.points) - MAX_POINTS)
    if old <= 0:
        return _calmed(lane, mark)
    folded, points = lane.points[:old], lane.points[old:]
    base = _fold(lane, folded, mark, patience)
    guessed = sorted({point[1] for point in points}.intersection(lane.guessed)) if lane.guessed else lane.guessed
    base_ms = max(lane.base_ms, folded[-1][0])
    return _calmed(Lane(base, base_ms, points, guessed, lane.stirred), mark)


def stirs(points: Iterable[Point], mark: Mark) -> bool:
    """Tell whether any of the points is BAD."""
    return BAD in marks(points, mark)


def marks(points: Iterable[Point], mark: Mark) -> set[int]:
    """Return how the points are marked; each value is asked about once."""
    return set(map(mark, set(map(VALUE, points))))


def _fold(lane: Lane, points: list[Point], mark: Mark, patience: Patience) -> Tracker:
    """Return the state after points, as `scan` does; at once where the lane is not stirred.

    That something was GOOD is only looked for where it says that something can be lost.
    """
    base = lane.base
    if lane.stirred:
        return scan(base, points, mark, patience)[0]
    good_seen = base.good_seen or (patience.only_lost and GOOD in marks(points, mark))
    return replace(base, last_ms=points[-1][0], good_seen=good_seen)


def _calmed(lane: Lane, mark: Mark) -> Lane:
    if not lane.stirred or lane.base.phase != "quiet" or stirs(lane.points, mark):
        return lane
    return replace(lane, stirred=False)


def _advance(tracker: Tracker, utc_ms: int, value: float, mark: int, patience: Patience) -> tuple[Tracker, Span | None]:
    torn = utc_ms - tracker.last_ms > patience.gap_ms
    tracker = replace(tracker, last_ms=utc_ms, good_seen=tracker.good_seen or mark == GOOD)
    if tracker.phase in ("quiet", "rising"):
        return _rise(tracker, value, mark, patience, torn=torn), None
    return _fall(tracker, value, mark, patience, torn=torn)


def _rise(tracker: Tracker, value: float, mark: int, patience: Patience, *, torn: bool) -> Tracker:
    now_ms = tracker.last_ms
    if mark != BAD or (patience.only_lost and not tracker.good_seen):
        return replace(tracker, phase="quiet")
    if tracker.phase == "quiet" or torn:
        tracker = replace(tracker, phase="rising", since_ms=now_ms, peak=value)
    tracker = replace(tracker, bad_ms=now_ms, value=value, peak=patience.worse(tracker.peak, value))
    if now_ms - tracker.since_ms >= patience.persist_ms:
        return replace(tracker, phase="on", opened_ms=now_ms)
    return tracker


def _fall(tracker: Tracker, value: float, mark: int, patience: Patience, *, torn: bool) -> tuple[Tracker, Span | None]:
    now_ms = tracker.last_ms
    if mark == BAD:
        peak = patience.worse(tracker.peak, value)
        return replace(tracker, phase="on", bad_ms=now_ms, value=value, peak=peak), None
    if mark == MIDDLE:
        return replace(tracker, phase="on"), None
    if tracker.phase == "on" or torn:
        tracker = replace(tracker, phase="falling", fall_ms=now_ms)
    if now_ms - tracker.fall_ms >= patience.clear_ms:
        return replace(tracker, phase="quiet"), _span(tracker, now_ms)
    return tracker, None


def _span(tracker: Tracker, ended_ms: int | None) -> Span:
    return Span(
        since_ms=tracker.since_ms,
        opened_ms=tracker.opened_ms,
        until_ms=tracker.fall_ms if tracker.phase == "falling" else None,
        ended_ms=ended_ms,
        bad_ms=tracker.bad_ms,
        value=tracker.value,
        peak=tracker.peak,
    )
