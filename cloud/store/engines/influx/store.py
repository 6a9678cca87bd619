"""A `Store` on InfluxDB: each promise handed to the part that keeps it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cloud.store import Retry
from cloud.store.engines.influx import create, history, ledger, shown, statuses, summary
from cloud.store.engines.influx.hours import Hours, joined
from cloud.store.engines.influx.server import BodyRefused, Server
from cloud.store.engines.influx.writing import Writing
from cloud.store.keys import MS_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cloud.store import Shown
    from cloud.store.engines.influx.config import InfluxConfig
    from cloud.store.engines.influx.parcels import Parcel
    from cloud.store.engines.influx.writing import Begun
    from cloud.store.history import Absent, Hour, Past, Sample, Series
    from cloud.store.ledger import Entry, LedgerRow, Refused
    from cloud.store.statuses import StatusRow
    from cloud.store.summary import Mark, Tallied
    from wire.batch import Batch, Dated, Status


class InfluxStore:
    """A `Store` in one InfluxDB database (1.x) or bucket (2.x). Several may write: nothing here keeps a lock."""

    def __init__(self, config: InfluxConfig, *, writer: bool) -> None:
        self._config = config
        self._is_writer = writer
        self.settle_s = config.settle_s
        self._server = Server(config)
        self._writing = Writing(self._server, config)
        self._hours = Hours(self._server, config.settle_s, config.keep_ms) if config.keep_ms else None

    def setup(self) -> None:
        """Create the database or bucket where it is missing and the credential may; else Retry says the command."""
        if self._is_writer:
            create.create(self._server, self._config)
        else:
            self._server.rows("SHOW DATABASES")

    def pack(self, batch: Batch, now_ms: int) -> Parcel:
        """Return a batch as the lines that it becomes."""
        return self._writing.pack(batch, now_ms)

    def commit(self, entries: Sequence[Entry], arrival_ms: int) -> list[list[Refused]]:
        """Store each batch and its ledger line in one request, several batches to a request, oldest first."""
        return self._writing.begin(entries, arrival_ms).end()

    def begin(self, entries: Sequence[Entry], arrival_ms: int) -> Begun:
        """Send what a commit stores, as much of it as the database takes at once."""
        return self._writing.begin(entries, arrival_ms)

    def write_status(self, gateway: str, status: Status, arrival_ms: int) -> None:
        """Keep a heartbeat: its figures as fields for panels, all of it as the text `body`."""
        statuses.write(self._server, gateway, status, arrival_ms)

    def statuses(self) -> list[StatusRow]:
        """Return the newest status of every gateway, and of epochs that ended lately."""
        return statuses.newest(self._server)

    def ledger(self, since_ms: int = 0, at_most: int = 0) -> list[LedgerRow]:
        """Return the ledger rows that arrived at or after `since_ms`, in order of arrival, each batch once."""
        return ledger.rows(self._server, since_ms, at_most)

    def rows_of(self, gateway: str, epoch: str, firsts: Sequence[int]) -> list[LedgerRow]:
        """Return the ledger rows of one epoch that begin with these sequence numbers, each batch once."""
        return ledger.rows_of(self._server, gateway, epoch, firsts)

    def kept_since_ms(self, now_ms: int) -> int:
        """Return from when on single readings are kept, 0 for ever: the database lets them go by whole shards."""
        return now_ms - self._config.keep_ms if self._config.keep_ms else 0

    def tidy(self, now_ms: int, turn: Callable[[], object] = lambda: None) -> None:
        """Count hours that are over; once all are, have the database let old readings go."""
        if self._hours and self._hours.roll(now_ms, turn) and not self._hours.is_limited():
            create.limit(self._server, self._config)
            self._hours.limit()

    def batch_readings(self, row: LedgerRow) -> list[Dated]:
        """Return the stored readings of one ledger row, with their sequence numbers, in order."""
        return ledger.readings(self._server, row)

    def latest(self) -> list[Sample]:
        """Return the newest value of every series."""
        return history.latest(self._server)

    def series(self, gateway: str, channel: str, quantity: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        """Return (stored time, value) of one series within [start, end), in order of time."""
        return next(self.each_series([(gateway, channel, quantity)], start_ns, end_ns))[1]

    def each_series(
        self, wanted: Sequence[Series], start_ns: int, end_ns: int
    ) -> Iterator[tuple[Series, list[tuple[int, float]]]]:
        """Yield each of many series with its (stored time, value) within [start, end), some in one question."""
        for part in history.parts(wanted, (end_ns - start_ns) // MS_NS, history.READINGS):
            yield from history.series(self._server, part, start_ns, end_ns).items()

    def missing(self, gateway: str, channel: str, start_ns: int, end_ns: int) -> list[Absent]:
        """Return the absent values of a channel within [start, end), in order of time and quantity."""
        return history.missing(self._server, gateway, channel, start_ns, end_ns)

    def hourly(self, gateway: str, channel: str, quantity: str, start_ms: int, end_ms: int) -> list[Hour]:
        """Return the hours of one series that begin within [start, end): counted when asked, or written down before."""
        return next(self.each_hourly([(gateway, channel, quantity)], start_ms, end_ms))[1]

    def each_hourly(self, wanted: Sequence[Series], start_ms: int, end_ms: int) -> Iterator[tuple[Series, list[Hour]]]:
        """Yield each of many series with its hours that begin within [start, end), some in one question."""
        for part in history.parts(wanted, end_ms - start_ms, history.HOURS):
            counted = history.hourly(self._server, part, (start_ms, end_ms))
            if self._hours is not None:
                written, late = (of(part, (start_ms, end_ms)) for of in (self._hours.read, self._hours.late))
                counted = {series: joined(written[series], own, late[series]) for series, own in counted.items()}
            yield from counted.items()

    def write_hours(self, past: Sequence[Past]) -> bool:
        """Write hours without readings, where hours are kept at all: with `keep_days`."""
        if self._hours is None:
            return False
        self._hours.put(past)
        return True

    def last_held(
        self, series: Sequence[tuple[str, str]], quantity: str, values: Sequence[float], start_ns: int, end_ns: int
    ) -> dict[tuple[str, str], int]:
        """Return by (gateway, channel) the newest stored time within [start, end) that had one of these values."""
        return history.last_held(self._server, series, quantity, values, (start_ns, end_ns))

    def keep_summary(self, tallies: Sequence[Tallied], mark: Mark, by: str = "-") -> None:
        """Keep what the ledger adds up to, beside what other ingesters keep."""
        summary.keep(self._server, tallies, mark, by)

    def summary(self) -> tuple[Mark, list[Tallied]]:
        """Return how far the summary goes, and what each ingester kept of each epoch."""
        return summary.read(self._server)

    def show(self, points: Sequence[Shown]) -> bool:
        """Copy points for boards: Grafana reads them here."""
        shown.write(self._server, points)
        return True

    def health(self) -> dict[str, Any]:
        """Return engine, version as the server tells it, address and the last fault; never raises."""
        version = ""
        with suppress(Retry, BodyRefused):
            version = self._server.call("GET", "/ping")[2].get("X-Influxdb-Version", "")
        return {
            "engine": "influx",
            "version": version,
            "url": self._config.url,
            "database": self._config.database,
            "fault": str(self._server),
            "unreadable": dict(self._server.unreadable.counts),
        }

    def close(self) -> None:
        """Let the connections go. May be called twice."""
        self._server.close()
