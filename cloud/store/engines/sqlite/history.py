"""Series, their newest values and hours, and what is missing in them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
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
    from collections.abc import Iterator

    from cloud.store.unreadable import Unreadable

Where = dict[str, Any]
SLICE_HOURS = 48  # of one series: 172,800 readings where it tells one a second
MANY_HOURS = 20 * SLICE_HOURS  # where hours are read and hardly any readings
COUNTED = ("hourly", "dirty_hour")

_SERIES = f"""{SPAN}
    SELECT r.time, r.shape, r.texts FROM span
    CROSS JOIN reading r ON r.hour = h AND r.channel = :channel AND r.time >= :start_ns AND r.time < :end_ns
"""  # noqa: S608 - own constants
_SHAPE = "SELECT quantities FROM shape WHERE id = ?"
_MISSING = f"""{SPAN}
    SELECT m.time, m.quantity, m.reason, m.raw FROM span
    CROSS JOIN missing m ON m.hour = h AND m.channel = :channel AND m.time >= :start_ns AND m.time < :end_ns
    ORDER BY m.time, m.quantity
"""  # noqa: S608 - own constants
_HOURLY = f"""{SPAN}
    SELECT x.hour, x.quantity, x.n, x.mean, x.low, x.high FROM span
    CROSS JOIN hourly x ON x.hour = h AND x.channel = :channel
"""  # noqa: S608 - own constants
_ONE_HOURLY = f"{_HOURLY} AND x.quantity = :quantity"
_ROWS_BACKWARDS = """
    SELECT r.time, s.quantities, r.texts FROM reading r JOIN shape s ON s.id = r.shape
    WHERE r.hour = :hour AND r.channel = :channel AND r.time >= :start_ns AND r.time < :end_ns ORDER BY r.time DESC
"""
_DIRTY = f"{SPAN} SELECT h FROM span CROSS JOIN dirty_hour d ON d.hour = h AND d.channel = :channel"  # noqa: S608
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


def series(
    db: sqlite3.Connection, unreadable: Unreadable, where: Where, quantities: Sequence[str]
) -> dict[str, list[tuple[int, float]]]:
    """Return (stored time, value) of some series of a channel in a slice, in order of time."""
    out: dict[str, list[tuple[int, float]]] = {quantity: [] for quantity in quantities}
    rows = db.execute(_SERIES, where).fetchall()
    rows.sort(key=itemgetter(0))  # they are in order, but nobody promised it
    shapes: dict[int, tuple[int, _Places]] = {}
    for shape, own in groupby(rows, itemgetter(1)):
        if shape not in shapes:  # how many it has, and which of them are wanted
            names = (db.execute(_SHAPE, (shape,)).fetchone() or ("",))[0].split(",")
            shapes[shape] = len(names), [(names.index(of), into) for of, into in out.items() if of in names]
        many, places = shapes[shape]
        alike = list(own)
        if places and not _together(alike, many, places):
            for row in alike:
                _alone(unreadable, row, many, places)
    return out


_Places = Sequence[tuple[int, list[tuple[int, float]]]]  # where in a row values stand, and where they are wanted
_Row = tuple[int, int, str]


def _together(rows: Sequence[_Row], many: int, places: _Places) -> bool:
    """Take the values of rows of one shape at once; False, and none is taken, where one of the rows is not whole."""
    times, _, texts = zip(*rows, strict=True)
    try:
        if {text.count(",") for text in texts} != {many - 1}:
            return False
        values = ",".join(texts).split(",")
        columns = [list(map(float, values[place::many])) for place, _ in places]
    except ROTTEN:
        return False
    for (_, into), column in zip(places, columns, strict=True):
        into.extend(zip(times, column, strict=True))
    return True


def _alone(unreadable: Unreadable, row: _Row, many: int, places: _Places) -> None:
    """Take what a row has: some of its values are absent, or it rotted and is passed over."""
    try:
        values = row[2].split(",")
        if len(values) != many:
            raise ValueError(f"{len(values)} values for {many} quantities")
        for place, into in places:
            if text := values[place]:
                into.append((row[0], float(text)))
    except ROTTEN as error:
        unreadable.pass_over("reading", row, error)


def missing(db: sqlite3.Connection, where: Where) -> list[Absent]:
    """Return the absent values of a channel in a slice, in order of time and quantity."""
    return [Absent(*row) for row in db.execute(_MISSING, where)]


def hourly(
    db: sqlite3.Connection, unreadable: Unreadable, where: Where, quantities: Sequence[str]
) -> dict[str, list[Hour]]:
    """Return the hours of some series of a channel in a slice that begin within its range; what is dirty is counted."""
    where = where | {"low": max(where["low"], -(-where["start_ns"] // HOUR_NS)), "quantity": quantities[0]}
    out: dict[str, list[Hour]] = {quantity: [] for quantity in quantities}
    uncounted = {
        hour: count(db, unreadable, hour, where["channel"]) for (hour,) in db.execute(_DIRTY, where).fetchall()
    }
    for hour, quantity, n, mean, low, high in db.execute(_HOURLY if len(out) > 1 else _ONE_HOURLY, where).fetchall():
        if quantity in out and hour not in uncounted:
            out[quantity].append(Hour(hour * HOUR_MS, n, mean, low, high))
    for quantity, hours in out.items() if uncounted else ():
        hours += [Hour(hour * HOUR_MS, *of[quantity]) for hour, of in uncounted.items() if quantity in of]
        hours.sort(key=lambda hour: hour.start_ms)
    return out


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


def whole(db: sqlite3.Connection, tables: Sequence[str], span: tuple[int, int]) -> Where:
    """Return the parameters of a read in time, its hours cut to those that the tables have and that are kept."""
    # each end of each table is one seek; of tables put together it would be a walk through all their rows
    ends = [edge for table in tables for edge in db.execute(_ENDS.format(table)).fetchone() if edge is not None]
    if not ends:
        return {"start_ns": 0, "end_ns": 0, "low": 0, "high": -1}
    return {
        "start_ns": span[0],
        "end_ns": span[1],
        "low": max(min(ends), span[0] // HOUR_NS, 0 if tables == COUNTED else kept_since_hour(db)),
        "high": min(max(ends), (span[1] - 1) // HOUR_NS),
    }


def number_of(db: sqlite3.Connection, gateway: str, channel: str) -> int:
    """Return the number that stands for a channel, -1 for one that was never heard."""
    found = db.execute("SELECT id FROM channel WHERE (gateway, name) = (?, ?)", (gateway, channel)).fetchone()
    return found[0] if found else -1


def uncounted(db: sqlite3.Connection, where: Where) -> int:
    """Return how many hours of a channel are yet to be counted: each of them takes as long as its readings."""
    found: int = db.execute(f"SELECT count(*) FROM ({_DIRTY})", where).fetchone()[0]  # noqa: S608 - own constant
    return found


def sliced(where: Where, hours: int = SLICE_HOURS, *, newest_first: bool = False) -> Iterator[Where]:
    """Yield the parts of a read, each so small that its transaction is over within a second."""
    starts = range(where["low"], where["high"] + 1, hours)
    for low in reversed(starts) if newest_first else starts:
        yield where | {"low": low, "high": min(low + hours - 1, where["high"])}
