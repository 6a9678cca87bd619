"""Series, their newest values and hours, and what is missing in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud.store.engines.sqlite.retention import kept_since_hour
from cloud.store.engines.sqlite.rollup import count
from cloud.store.engines.sqlite.schema import SPAN
from cloud.store.engines.sqlite.texts import present
from cloud.store.history import Absent, Hour, Sample
from cloud.store.keys import HOUR_MS, HOUR_NS
from cloud.store.unreadable import ROTTEN

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from cloud.store.unreadable import Unreadable

Where = dict[str, Any]
SLICE_HOURS = 48  # of one series: 172,800 readings where it tells one a second
MANY_HOURS = 20 * SLICE_HOURS  # where hours are read and hardly any readings
COUNTED = ("hourly", "dirty_hour")

_SERIES = f"""{SPAN}
    SELECT r.time, s.quantities, r.texts FROM span
    CROSS JOIN reading r ON r.hour = h AND r.channel = :channel AND r.time >= :start_ns AND r.time < :end_ns
    JOIN shape s ON s.id = r.shape ORDER BY r.time
"""  # noqa: S608 - own constants
_MISSING = f"""{SPAN}
    SELECT m.time, m.quantity, m.reason, m.raw FROM span
    CROSS JOIN missing m ON m.hour = h AND m.channel = :channel AND m.time >= :start_ns AND m.time < :end_ns
    ORDER BY m.time, m.quantity
"""  # noqa: S608 - own constants
_HOURLY = f"""{SPAN}
    SELECT x.hour, x.n, x.mean, x.low, x.high FROM span
    CROSS JOIN hourly x ON x.hour = h AND x.channel = :channel AND x.quantity = :quantity
"""  # noqa: S608 - own constants
_ROWS_BACKWARDS = """
    SELECT r.time, s.quantities, r.texts FROM reading r JOIN shape s ON s.id = r.shape
    WHERE r.hour = :hour AND r.channel = :channel AND r.time >= :start_ns AND r.time < :end_ns ORDER BY r.time DESC
"""
_DIRTY = "SELECT hour FROM dirty_hour WHERE hour BETWEEN :low AND :high AND channel = :channel"
_ENDS = "SELECT (SELECT min(hour) FROM {0}), (SELECT max(hour) FROM {0})"


def latest(db: sqlite3.Connection, unreadable: Unreadable) -> list[Sample]:
    """Return the newest value of every series."""
    rows = db.execute(
        "SELECT gateway, name, quantities, time, texts FROM latest JOIN channel ON id = channel ORDER BY time"
    ).fetchall()
    newest = {
        (gateway, channel, quantity): (time, value)
        for gateway, channel, time, values in unreadable.each("latest", rows, _latest)
        for quantity, value in values
    }
    return [Sample(*series, *found) for series, found in sorted(newest.items())]


def _latest(row: tuple[str, str, str, int, str]) -> tuple[str, str, int, list[tuple[str, float]]]:
    gateway, channel, quantities, time, texts = row
    return gateway, channel, time, present(quantities.split(","), texts)


def series(db: sqlite3.Connection, unreadable: Unreadable, where: Where, quantity: str) -> list[tuple[int, float]]:
    """Return (stored time, value) of one series in a slice, in order of time."""
    rows = db.execute(_SERIES, where).fetchall()
    out: list[tuple[int, float]] = []
    shapes: dict[str, tuple[int, int]] = {}  # of a shape: how many it has, and where the quantity stands
    for row in rows:
        time, quantities, texts = row
        if quantities not in shapes:
            names = quantities.split(",")
            shapes[quantities] = len(names), names.index(quantity) if quantity in names else -1
        many, place = shapes[quantities]
        if place < 0:
            continue
        try:
            own = texts.split(",")
            if len(own) != many:
                raise ValueError(f"{len(own)} values for {many} quantities")
            if own[place]:
                out.append((time, float(own[place])))
        except ROTTEN as error:
            unreadable.pass_over("reading", row, error)
    return out


def missing(db: sqlite3.Connection, where: Where) -> list[Absent]:
    """Return the absent values of a channel in a slice, in order of time and quantity."""
    return [Absent(*row) for row in db.execute(_MISSING, where)]


def hourly(db: sqlite3.Connection, unreadable: Unreadable, where: Where, quantity: str) -> list[Hour]:
    """Return the hours of one series in a slice that begin within its range; those not yet at rest are counted now."""
    where = where | {"low": max(where["low"], -(-where["start_ns"] // HOUR_NS)), "quantity": quantity}
    rows = db.execute(_HOURLY, where).fetchall()
    hours = {hour: Hour(hour * HOUR_MS, n, mean, low, high) for hour, n, mean, low, high in rows}
    for (hour,) in db.execute(_DIRTY, where).fetchall():
        found = count(db, unreadable, hour, where["channel"]).get(quantity)
        hours.pop(hour, None)
        if found is not None:
            hours[hour] = Hour(hour * HOUR_MS, *found)
    return [hours[hour] for hour in sorted(hours)]


def last_held(db: sqlite3.Connection, where: Where, quantity: str, values: Sequence[float]) -> int | None:
    """Return the newest stored time in a slice at which a series had one of these values."""
    where = where | {"quantity": quantity}
    places: dict[str, int | None] = {}  # where a row of a shape has the quantity: every row is looked at, not read
    for hour in _hours_that_may_hold(db, where, values):
        for time, quantities, texts in db.execute(_ROWS_BACKWARDS, where | {"hour": hour}):
            if quantities not in places:
                names = quantities.split(",")
                places[quantities] = names.index(quantity) if quantity in names else None
            place = places[quantities]
            text = "" if place is None else texts.split(",")[place]
            if text and float(text) in values:
                found: int = time
                return found
    return None


def _hours_that_may_hold(db: sqlite3.Connection, where: dict[str, Any], values: Sequence[float]) -> Iterator[int]:
    """Yield hours, newest first, whose lowest and highest leave room for a value, or that were not counted yet."""
    room = " OR ".join(f"x.low <= :v{at} AND x.high >= :v{at}" for at in range(len(values)))
    query = f"""{SPAN} SELECT h FROM span WHERE EXISTS
        (SELECT 1 FROM dirty_hour d WHERE d.hour = h AND d.channel = :channel) OR EXISTS
        (SELECT 1 FROM hourly x WHERE x.hour = h AND x.channel = :channel AND x.quantity = :quantity AND ({room}))
        ORDER BY h DESC"""  # noqa: S608 - own words and numbers
    yield from (hour for (hour,) in db.execute(query, where | {f"v{at}": value for at, value in enumerate(values)}))


def whole(db: sqlite3.Connection, tables: Sequence[str], series: tuple[str, str], span: tuple[int, int]) -> Where:
    """Return the parameters of a read in time, its hours cut to those that the tables have and that are kept."""
    found = db.execute("SELECT id FROM channel WHERE (gateway, name) = (?, ?)", series).fetchone()
    # each end of each table is one seek; of tables put together it would be a walk through all their rows
    ends = [edge for table in tables for edge in db.execute(_ENDS.format(table)).fetchone() if edge is not None]
    if found is None or not ends:
        return {"channel": -1, "start_ns": 0, "end_ns": 0, "low": 0, "high": -1}
    return {
        "channel": found[0],
        "start_ns": span[0],
        "end_ns": span[1],
        "low": max(min(ends), span[0] // HOUR_NS, 0 if tables == COUNTED else kept_since_hour(db)),
        "high": min(max(ends), (span[1] - 1) // HOUR_NS),
    }


def hours_at_once(db: sqlite3.Connection, where: Where) -> int:
    """Return how many hours one slice of a read of hours may have: few where many are yet to be counted."""
    (uncounted,) = db.execute(f"SELECT count(*) FROM ({_DIRTY})", where).fetchone()  # noqa: S608 - own constant
    return MANY_HOURS if uncounted <= SLICE_HOURS else SLICE_HOURS


def sliced(where: Where, hours: int = SLICE_HOURS, *, newest_first: bool = False) -> Iterator[Where]:
    """Yield the parts of a read, each so small that its transaction is over within a second."""
    starts = range(where["low"], where["high"] + 1, hours)
    for low in reversed(starts) if newest_first else starts:
        yield where | {"low": low, "high": min(low + hours - 1, where["high"])}
