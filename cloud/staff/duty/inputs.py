"""What a node measured around an incident: PM2.5, CO, temperature and humidity, drawn with the limit and the beginning.

Read from the store in a job of its own, which may hang: the page waits a moment for it and is whole without.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from cloud.staff.aside.jobs import Busy
from cloud.staff.duty.nodes import INPUTS
from cloud.staff.duty.told import amount
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.staff.aside.jobs import Job
    from cloud.staff.duty.seen import Seen
    from cloud.staff.visit import Visit

BEFORE_MS, AFTER_MS, LONGEST_MS = 3_600_000, 3_600_000, 12 * 3_600_000
PATIENCE_S = 2.5
WIDTH, HEIGHT, PAD, PLACES = 600.0, 110.0, 6.0, 300
FRESH_MS = 10 * 60_000  # an older value says nothing of a moment
Points = list[tuple[int, float]]


class Chart(NamedTuple):
    """One quantity over the time: the picture, and what its ends are."""

    quantity: str
    what: str
    source: str
    picture: Markup
    low: str
    high: str
    points: Points


class Inputs(NamedTuple):
    """All charts of one time. `silent` where the store did not answer in time, or cannot be asked."""

    start_ms: int
    end_ms: int
    charts: list[Chart]
    silent: bool

    def at(self, visit: Visit, time_ms: int) -> str:
        """Return what was measured last before a time, as one line; "" where nothing was."""
        told = []
        for chart in self.charts:
            at = bisect_right(chart.points, (time_ms, float("inf"))) - 1
            if at >= 0 and time_ms - chart.points[at][0] <= FRESH_MS:
                told.append(f"{chart.what} {amount(visit, chart.points[at][1], chart.quantity)}")
        return " · ".join(told)


def inputs(visit: Visit, one: Seen) -> Inputs:
    """Return what was measured where an incident is, from an hour before it until an hour after, or now."""
    start_ms = one.since_ms - BEFORE_MS
    last_ms = max(one.ended_ms or one.closed_ms or visit.s.now_ms, one.opened_ms) + AFTER_MS
    end_ms = min(last_ms, visit.s.now_ms, start_ms + LONGEST_MS)
    wanted = _wanted(visit, one)
    store = visit.staff.store

    def work(job: Job) -> dict[str, Points]:
        series = [(one.gateway, channel, quantity) for quantity, channel in wanted.items()]
        read: dict[str, Points] = {}
        for (_, _, quantity), found in store.each_series(series, start_ms * 1_000_000, end_ms * 1_000_000):
            read[quantity] = [(time_ns // 1_000_000, value) for time_ns, value in found]
            job.step(len(read), len(wanted))
        return {quantity: read[quantity] for quantity in wanted}

    if not wanted or end_ms <= start_ms:
        return Inputs(start_ms, max(end_ms, start_ms + 1), [], silent=False)
    try:
        job = visit.staff.jobs.get(("duty", one.number, end_ms // 15_000), 0, work)
    except Busy:
        return Inputs(start_ms, end_ms, [], silent=True)
    left_s = job.begun + PATIENCE_S - visit.staff.clock.monotonic()  # of what all who look wait for it together
    if not job.over.wait(max(0.0, left_s)) or job.error is not None:
        return Inputs(start_ms, end_ms, [], silent=True)
    read: dict[str, Points] = job.answer
    charts = [
        _chart(visit, one, quantity, wanted[quantity], points, (start_ms, end_ms))
        for quantity, points in read.items()
        if points
    ]
    return Inputs(start_ms, end_ms, charts, silent=False)


def _wanted(visit: Visit, one: Seen) -> dict[str, str]:
    """Return by quantity the channel of the incident's gateway that measures it: its own before its neighbours."""
    today = visit.staff.today()
    own = [sensor for sensor in (today.sensors if today else []) if sensor.gateway == one.gateway]
    own.sort(key=lambda sensor: (sensor.channel != one.channel, f"{sensor.place}:{sensor.code}" != one.place))
    found: dict[str, str] = {one.quantity: one.channel} if one.quantity in INPUTS and one.channel else {}
    for sensor in own:
        for quantity in INPUTS:
            if quantity in sensor.quantities:
                found.setdefault(quantity, sensor.channel)
    return {quantity: found[quantity] for quantity in INPUTS if quantity in found}


def _chart(visit: Visit, one: Seen, quantity: str, channel: str, points: Points, span: tuple[int, int]) -> Chart:
    s, own = visit.s, QUANTITIES[quantity]
    low, high = min(value for _, value in points), max(value for _, value in points)
    limit = one.limit if quantity == one.quantity else None
    picture = svg(points, span, limit, one.since_ms)
    what = s.one(own.vi, own.en)
    return Chart(
        quantity, what, f"{one.gateway}/{channel}", picture, amount(visit, low, quantity),
        amount(visit, high, quantity), points,
    )  # fmt: skip


def svg(points: Sequence[tuple[int, float]], span: tuple[int, int], limit: float | None, since_ms: int) -> Markup:
    """Return a line over a span, its lowest and highest kept where there are more points than places."""
    start_ms, end_ms = span
    values = [value for _, value in points] + ([limit] if limit is not None else [])
    low, high = min(values), max(values)
    low, high = (low - 1, high + 1) if low == high else (low, high)

    def x(time_ms: int) -> float:
        return WIDTH * (time_ms - start_ms) / (end_ms - start_ms)

    def y(value: float) -> float:
        return PAD + (HEIGHT - 2 * PAD) * (high - value) / (high - low)

    line = "".join(
        f"{'M' if at == 0 or apart else 'L'}{x(time_ms):.1f} {y(value):.1f}"
        for at, (time_ms, value, apart) in enumerate(_thinned(points, end_ms - start_ms))
    )
    limit_ = f'<path class="limit" d="M0 {y(limit):.1f}H{WIDTH:.0f}"/>' if limit is not None else ""
    # numbers of our own: nothing of it was typed by anybody
    return Markup(  # noqa: S704
        f'<svg class="chart" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="began" d="M{x(since_ms):.1f} 0V{HEIGHT:.0f}"/>{limit_}<path class="mean" d="{line}h0"/></svg>'
    )


def _thinned(points: Sequence[tuple[int, float]], long_ms: int) -> list[tuple[int, float, bool]]:
    """Return (time, value, whether a gap is before it): of each place in the picture its lowest and highest."""
    each = max(1, long_ms // PLACES)
    kept: list[tuple[int, float]] = []
    at = 0
    while at < len(points):
        place = points[at][0] // each
        end = at
        while end < len(points) and points[end][0] // each == place:
            end += 1
        own = points[at:end]
        kept += sorted({min(own, key=lambda one: one[1]), max(own, key=lambda one: one[1])})
        at = end
    return [
        (time_ms, value, at > 0 and time_ms - kept[at - 1][0] > FRESH_MS) for at, (time_ms, value) in enumerate(kept)
    ]
