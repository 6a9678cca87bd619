"""Series, their newest values and hours, and what is missing in them, asked in InfluxQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud.store.engines.influx.query import field_of, is_number, reasons, values, where_of
from cloud.store.history import Absent, Hour, Sample
from cloud.store.keys import HOUR_MS, MS_NS
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cloud.store.engines.influx.server import Server


def latest(server: Server) -> list[Sample]:
    """Return the newest value of every series: one statement a field, as `last(*)` has no time of its own."""
    (keys,) = server.rows("SHOW FIELD KEYS FROM reading")
    fields = sorted({row["fieldKey"] for _, row in keys} & QUANTITIES.keys())
    if not fields:
        return []
    statements = [
        f"SELECT last({field_of(field)}) FROM reading GROUP BY gateway, channel"  # noqa: S608 - quoted
        for field in fields
    ]
    return sorted(
        (
            Sample(tags["gateway"], tags["channel"], field, row["time"], float(row["last"]))
            for field, rows in zip(fields, server.rows(*statements), strict=True)
            for tags, row in rows
            if tags["gateway"] and tags["channel"] and is_number(row["last"])
        ),
        key=lambda sample: (sample.gateway, sample.channel, sample.quantity),
    )


def series(
    server: Server, gateway: str, channel: str, quantity: str, start_ns: int, end_ns: int
) -> list[tuple[int, float]]:
    """Return (stored time, value) of one series within [start, end), in order of time."""
    where = where_of(gateway, channel, start_ns, end_ns)
    (rows,) = server.rows(f"SELECT {field_of(quantity)} AS value FROM reading {where}")  # noqa: S608 - quoted
    return [(row["time"], float(row["value"])) for _, row in rows if is_number(row["value"])]


def missing(server: Server, gateway: str, channel: str, start_ns: int, end_ns: int) -> list[Absent]:
    """Return the absent values of a channel within [start, end), in order of time and quantity."""
    where = f"{where_of(gateway, channel, start_ns, end_ns)} GROUP BY gateway, channel"
    why, numbers = server.rows(f"SELECT * FROM missing {where}", f"SELECT * FROM raw {where}")  # noqa: S608
    raw = {(row["time"], q): number for _, row in numbers for q, number in values(row).items()}
    found = sorted((row["time"], q, int(code)) for _, row in why for q, code in reasons(row).items())
    return [Absent(time, q, code, raw.get((time, q))) for time, q, code in found]


def hourly(
    server: Server, gateway: str, channel: str, quantity: str, start_ms: int, end_ms: int, source: str = "reading"
) -> list[Hour]:
    """Return the hours of one series that begin within [start, end), counted by the database when asked."""
    low, high = (-(-edge // HOUR_MS) * HOUR_MS for edge in (start_ms, end_ms))
    field, where = field_of(quantity), where_of(gateway, channel, low * MS_NS, high * MS_NS)
    (rows,) = server.rows(
        f"SELECT count({field}), mean({field}), min({field}), max({field}) FROM {source} {where}"  # noqa: S608
        " GROUP BY time(1h) fill(none)"
    )
    return hours(row for _, row in rows)


def last_held(
    server: Server, series: Sequence[tuple[str, str]], quantity: str, codes: Sequence[float], span: tuple[int, int]
) -> dict[tuple[str, str], int]:
    """Return by series the newest time that had one of these values: one request, each series read backwards."""
    if not series:
        return {}
    field = field_of(quantity)
    held = " OR ".join(f"{field} = {float(value)}" for value in codes)
    statements = [
        f"SELECT {field} FROM reading {where_of(*one, *span)} AND ({held}) ORDER BY time DESC LIMIT 1"  # noqa: S608
        for one in series
    ]
    replies = zip(series, server.rows(*statements), strict=True)
    return {one: row["time"] for one, rows in replies for _, row in rows}


def hours(rows: Iterable[dict[str, Any]]) -> list[Hour]:
    """Return the hours of a reply. While points are written 2.7 may count an hour and not yet average it: pass over."""
    keys = ("count", "mean", "min", "max")
    return [
        Hour(row["time"] // MS_NS, int(row["count"]), *(float(row[key]) for key in keys[1:]))
        for row in rows
        if all(row.get(key) is not None for key in keys)
    ]
