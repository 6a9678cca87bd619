"""Hours for ever: counted from the readings while these are kept, and written down, in the measurement `hour`.

Once an hour, when it is over, the ledger tells what came since the last time and for which hours; each of them is
counted anew by the database and overwritten, so late data is in, and doing it twice changes nothing: the database lets
go of whole hours. Only when all is counted does the first start with `keep_days` let old readings go. What comes later
than that lies in `late`, reading by reading and for ever, and is added when somebody asks for the hour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud.store import Retry
from cloud.store.engines.influx import history, ledger
from cloud.store.engines.influx.lines import escaped, tagged
from cloud.store.engines.influx.places import HOURS
from cloud.store.engines.influx.query import field_of, is_number, quote
from cloud.store.engines.influx.server import BodyRefused, Server
from cloud.store.keys import HOUR_MS, HOUR_NS, MS_NS
from cloud.store.ledger import PAGE
from wire.codec import EARLIEST_MS
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cloud.store.history import Hour, Past, Series

QUIET_MS = 180_000  # after an hour's end: what is on its way has come, and can be seen
AT_ONCE = 24  # hours counted in one turn
GATEWAYS = 200  # in one question
LINES = 5_000  # in one request
_FIRST_HOUR = EARLIEST_MS // HOUR_MS  # a ledger row that tells of earlier ones is none of ours


class Hours:
    """Belongs to one thread."""

    def __init__(self, server: Server, settle_s: float, keep_ms: int) -> None:
        self._server, self._keep_ms = server, keep_ms
        self._quiet_ms = QUIET_MS + round(settle_s * 1000)

    def roll(self, now_ms: int, turn: Callable[[], object] = lambda: None) -> bool:
        """Count some of what is due, as far as the ledger was read; tell whether all is counted. Raises Retry.

        `turn` is called at each hour: after an outage there are hundreds, and a slow database is no stuck loop.
        """
        until_ms, limited = self._kept()
        end_ms = (now_ms - self._quiet_ms) // HOUR_MS * HOUR_MS
        while until_ms < end_ms:
            rows = ledger.rows(self._server, until_ms, PAGE)
            touched: dict[int, set[str]] = {}
            for row in rows:
                if row.arrival_ms < end_ms and row.end_ns:
                    low, high = max(row.start_ns // HOUR_NS, _FIRST_HOUR), min(row.end_ns // HOUR_NS, end_ms // HOUR_MS)
                    for hour in range(low, high + 1):
                        touched.setdefault(hour * HOUR_MS, set()).add(row.gateway)
            first_ms = until_ms - self._keep_ms if limited else 0  # what came then for older ones lies in `late`
            for hour_ms in sorted(touched):
                turn()
                if first_ms <= hour_ms < end_ms:
                    self._count(hour_ms, sorted(touched[hour_ms]))
            more = bool(rows) and rows[-1].arrival_ms < end_ms
            until_ms = rows[-1].arrival_ms + 1 if more else end_ms
            self._keep(until_ms, limited=limited)
            if len(touched) > AT_ONCE:
                return False
        return True

    def limit(self) -> None:
        """Note that old readings are let go from now on."""
        self._keep(self._kept()[0], limited=True)

    def is_limited(self) -> bool:
        """Tell whether old readings are let go already."""
        return self._kept()[1]

    def read(self, part: history.Part, span_ms: tuple[int, int]) -> dict[Series, list[Hour]]:
        """Return the hours of some series that are written down."""
        return history.hours(
            self._server, part, span_ms, f'"{HOURS}".hour', lambda of, quantity: field_of(f"{quantity}.{of}")
        )

    def late(self, part: history.Part, span_ms: tuple[int, int]) -> dict[Series, list[Hour]]:
        """Return what came for the hours of some series after they were counted for good."""
        return history.hourly(self._server, part, span_ms, f'"{HOURS}".late')

    def put(self, past: Sequence[Past]) -> None:
        """Write hours that no reading stands behind, some thousand lines a request, oldest first."""
        lines = [
            (hour.start_ms, f"hour,{tagged(one.gateway, channel=one.channel)} {_fields(one.quantity, hour)}")
            for one in past
            for hour in one.hours
        ]
        lines.sort()
        for at in range(0, len(lines), LINES):
            self._write("\n".join(f"{line} {start_ms * MS_NS}" for start_ms, line in lines[at : at + LINES]))

    def _count(self, hour_ms: int, gateways: list[str]) -> None:
        wanted = ", ".join(f"{part}(*)" for part in history.PARTS)
        span = f"time >= {hour_ms * MS_NS} AND time < {(hour_ms + HOUR_MS) * MS_NS}"
        for at in range(0, len(gateways), GATEWAYS):
            any_of = " OR ".join(f"gateway = {quote(gateway)}" for gateway in gateways[at : at + GATEWAYS])
            where = f"WHERE {span} AND ({any_of})"
            (rows,) = self._server.rows(
                f"SELECT {wanted} FROM reading {where} GROUP BY gateway, channel"  # noqa: S608 - quoted
            )
            body = "\n".join(_line(tags, row, hour_ms) for tags, row in rows if any(_counted(row)))
            if body:
                self._write(body)

    def _kept(self) -> tuple[int, bool]:
        (rows,) = self._server.rows(f'SELECT until_ms, limited FROM "{HOURS}".rolled')  # noqa: S608 - own constant
        return next(((int(row["until_ms"]), bool(row["limited"])) for _, row in rows), (0, False))

    def _keep(self, until_ms: int, *, limited: bool) -> None:
        self._write(f"rolled until_ms={until_ms}i,limited={str(limited).lower()} 0")

    def _write(self, body: str) -> None:
        try:
            self._server.write(body, HOURS)
        except BodyRefused as error:
            raise Retry(f"InfluxDB refuses the hours: {error}", 60.0) from error


def joined(written: Sequence[Hour], counted: Sequence[Hour], late: Sequence[Hour]) -> list[Hour]:
    """Return the hours of a series: written down or counted now, and what came for them later."""
    found = {hour.start_ms: hour for hour in written}
    for hour in counted:
        if hour.start_ms not in found or hour.n >= found[hour.start_ms].n:  # else some of it is gone already
            found[hour.start_ms] = hour
    for hour in late:
        found[hour.start_ms] = found[hour.start_ms].plus(hour) if hour.start_ms in found else hour
    return [found[start] for start in sorted(found)]


def _fields(quantity: str, hour: Hour) -> str:
    numbers = zip(history.PARTS, (hour.n, hour.mean, hour.low, hour.high), strict=True)
    return ",".join(f"{escaped(quantity)}.{part}={float(number)}" for part, number in numbers)


def _counted(row: dict[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Yield (quantity, part, number) of what is ours in a row of `count(*), mean(*) …`."""
    for name, value in row.items():
        part, _, quantity = name.partition("_")
        if part in history.PARTS and quantity in QUANTITIES and is_number(value):
            yield quantity, part, value


def _line(tags: dict[str, str], row: dict[str, Any], hour_ms: int) -> str:
    fields = ",".join(f"{escaped(quantity)}.{part}={float(value)}" for quantity, part, value in _counted(row))
    return f"hour,{tagged(tags['gateway'], channel=tags['channel'])} {fields} {hour_ms * MS_NS}"
