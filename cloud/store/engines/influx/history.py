"""Series, their newest values and hours, and what is missing in them, asked in InfluxQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cloud.store.engines.influx.query import field_of, is_number, reasons, values, where_any, where_of
from cloud.store.history import Absent, Hour, Sample
from cloud.store.keys import HOUR_MS, MS_NS
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cloud.store.engines.influx.server import Server
    from cloud.store.history import Series

PARTS = ("count", "mean", "min", "max")  # of an hour
READINGS, HOURS = 200, 1_500  # so many hours of channels in one question: what a reply and its time may have


class Part(NamedTuple):
    """Series that are asked for together."""

    channels: list[tuple[str, str]]
    quantities: tuple[str, ...]

    def none(self) -> dict[Series, list[Any]]:
        """Return each of them with nothing."""
        return {(*channel, quantity): [] for channel in self.channels for quantity in self.quantities}


def parts(wanted: Sequence[Series], span_ms: int, most: int) -> Iterator[Part]:
    """Yield series, those of channels that are asked for the same together, as many at a time as a span lets."""
    quantities: dict[tuple[str, str], dict[str, None]] = {}
    for gateway, channel, quantity in wanted:
        quantities.setdefault((gateway, channel), {})[quantity] = None
    alike: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for channel_of, names in quantities.items():
        alike.setdefault(tuple(names), []).append(channel_of)
    many = max(1, most * HOUR_MS // max(1, span_ms))
    for told, channels in alike.items():
        for at in range(0, len(channels), many):
            yield Part(channels[at : at + many], told)


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


def series(server: Server, part: Part, start_ns: int, end_ns: int) -> dict[Series, list[tuple[int, float]]]:
    """Return (stored time, value) of some series within [start, end), in order of time."""
    fields = ", ".join(f"{field_of(quantity)} AS v{at}" for at, quantity in enumerate(part.quantities))
    where = where_any(part.channels, start_ns, end_ns)
    (rows,) = server.rows(f"SELECT {fields} FROM reading {where} GROUP BY gateway, channel")  # noqa: S608 - quoted
    found = part.none()
    for tags, row in rows:
        for at, quantity in enumerate(part.quantities):
            if is_number(value := row[f"v{at}"]):
                found[tags["gateway"], tags["channel"], quantity].append((row["time"], float(value)))
    return found


def missing(server: Server, gateway: str, channel: str, start_ns: int, end_ns: int) -> list[Absent]:
    """Return the absent values of a channel within [start, end), in order of time and quantity."""
    where = f"{where_of(gateway, channel, start_ns, end_ns)} GROUP BY gateway, channel"
    why, numbers = server.rows(f"SELECT * FROM missing {where}", f"SELECT * FROM raw {where}")  # noqa: S608
    raw = {(row["time"], q): number for _, row in numbers for q, number in values(row).items()}
    found = sorted((row["time"], q, int(code)) for _, row in why for q, code in reasons(row).items())
    return [Absent(time, q, code, raw.get((time, q))) for time, q, code in found]


def hourly(server: Server, part: Part, span_ms: tuple[int, int], source: str = "reading") -> dict[Series, list[Hour]]:
    """Return the hours of some series that begin within [start, end), counted by the database when asked."""
    low, high = (-(-edge // HOUR_MS) * HOUR_MS for edge in span_ms)
    return hours(server, part, (low, high), source, lambda of, name: f"{of}({field_of(name)})", "time(1h), ")


def hours(
    server: Server, part: Part, span_ms: tuple[int, int], source: str, field: Callable[[str, str], str], by: str = ""
) -> dict[Series, list[Hour]]:
    """Return the hours of some series; `field` is where a source has a part of a quantity's hour."""
    names = {(of, at): field(of, quantity) for at, quantity in enumerate(part.quantities) for of in PARTS}
    fields = ", ".join(f"{name} AS {of}{at}" for (of, at), name in names.items())
    where = where_any(part.channels, span_ms[0] * MS_NS, span_ms[1] * MS_NS)
    fill = " fill(none)" if by else ""
    (rows,) = server.rows(f"SELECT {fields} FROM {source} {where} GROUP BY {by}gateway, channel{fill}")  # noqa: S608
    found = part.none()
    for tags, row in rows:
        for at, quantity in enumerate(part.quantities):
            if hour := whole(row, at):
                found[tags["gateway"], tags["channel"], quantity].append(hour)
    return found


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


def whole(row: dict[str, Any], at: int) -> Hour | None:
    """Return the hour of a row; None for half of one: 2.7 may count it, and not yet average it, while it is written."""
    n, *rest = (row[f"{of}{at}"] for of in PARTS)
    if not is_number(n) or not all(map(is_number, rest)):
        return None
    return Hour(row["time"] // MS_NS, int(n), *map(float, rest))
