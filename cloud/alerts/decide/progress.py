"""What alerts have already seen: rule states per series, processed sequence numbers, gateways heard, ledger cursor.

Nothing but the listening time is kept in memory between steps: reading it back from SQLite costs microseconds, and a
rolled back transaction then needs no second thought. Processed numbers are a row a range, so that a batch touches only
its neighbours however many holes there are.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import astuple, replace

from cloud.alerts.spans import Lane
from cloud.store.intervals import Intervals
from wire.codec import MAX_SEQ

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from cloud.alerts.journal import Journal

LOG = logging.getLogger(__name__)


class Series(msgspec.Struct, frozen=True):
    """One rule on one channel: its lane of present readings and its lane of late ones.

    At `look_ms` the live lane is judged again although nothing came: a span whose newest readings were already good
    was held back to be told in one message with its end, and the end did not come.
    """

    live: Lane = Lane()
    late: Lane = Lane()
    look_ms: int | None = None
    newest_ms: int = 0
    intervals: list[int] = []  # between its last readings, in ms: its pace


class Presence(msgspec.Struct, frozen=True):
    """When a gateway was heard last, and since when without a break: in UTC, and `_at` in listening time."""

    gateway: str
    heard_ms: int
    back_ms: int
    heard_at: int
    back_at: int


class Sensor(msgspec.Struct, frozen=True):
    """The last value of one channel's quantity, since when it is the same, and since when they come without a break.

    `_ms` is UTC (0 before the first value), `_at` listening time, and so are the `intervals` between its last arrivals:
    how often it is read and how often its gateway sends, together.
    """

    gateway: str
    channel: str
    quantity: str
    value_ms: int
    value: float | None
    changed_ms: int
    back_ms: int
    heard_at: int
    back_at: int
    intervals: list[int] = []


def read_series(text: str) -> Series | None:
    """Return a state as it was written; None for one that cannot be read: it costs its own past, and no smoke."""
    try:
        return msgspec.json.decode(text, type=Series)
    except msgspec.DecodeError as fault:
        LOG.error("series-forgotten why=%r", str(fault))  # noqa: TRY400 - no traceback is wanted of what was read
        return None


def read_sensors(db: sqlite3.Connection) -> list[Sensor]:
    """Return all sensors that are known."""
    return [_sensor(row) for row in db.execute("SELECT * FROM sensor")]


_OVERLAPPING = """
SELECT first, past FROM processed WHERE gateway = :gateway AND epoch = :epoch AND past > :first AND first < :past
AND first >= coalesce(
  (SELECT max(first) FROM processed WHERE gateway = :gateway AND epoch = :epoch AND first <= :first), :first)"""

_DEAD = """
SELECT sensor.* FROM sensor JOIN presence USING (gateway) WHERE quantity = :quantity AND sensor.heard_at <= :since
AND presence.back_at <= :since AND presence.heard_at > :there"""


def ranges(db: sqlite3.Connection, gateway: str, epoch: str, first: int, n: int) -> Intervals:
    """Return the ranges of processed numbers that meet `n` of them from `first`, whole."""
    where = {"gateway": gateway, "epoch": epoch, "first": first, "past": first + n}
    return Intervals(db.execute(_OVERLAPPING, where))


def kept_cursor(db: sqlite3.Connection) -> int | None:
    """Return the arrival up to which the ledger is read; None for a journal that has just begun."""
    row = db.execute("SELECT value FROM meta WHERE key = 'cursor'").fetchone()
    return int(row[0]) if row else None


class Progress:
    """The tables `series`, `processed`, `presence`, `sensor` and the cursor, within the caller's transaction."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._listened_ms: int | None = None

    def series(self, rule: str, gateway: str, channel: str) -> Series:
        """Return the state of a series, a new one if there is none."""
        query = "SELECT state FROM series WHERE rule = ? AND gateway = ? AND channel = ?"
        row = self._journal.db.execute(query, (rule, gateway, channel)).fetchone()
        return (read_series(row[0]) if row else None) or Series()

    def save_series(self, rule: str, gateway: str, channel: str, state: Series) -> None:
        """Keep the state of a series."""
        row = (rule, gateway, channel, state.look_ms, msgspec.json.encode(state).decode())
        self._journal.db.execute("INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?, ?)", row)

    def to_look_at(self) -> list[tuple[str, str, str, int]]:
        """Return (rule, gateway, channel, when) of the series that are to be judged again."""
        query = "SELECT rule, gateway, channel, look_ms FROM series WHERE look_ms IS NOT NULL"
        return [(str(a), str(b), str(c), int(d)) for a, b, c, d in self._journal.db.execute(query)]

    def processed(self, gateway: str, epoch: str, first: int = 0, n: int = MAX_SEQ) -> Intervals:
        """Return which of these sequence numbers rules have seen."""
        return ranges(self._journal.db, gateway, epoch, first, n)

    def add_processed(self, gateway: str, epoch: str, first: int, n: int, now_ms: int) -> None:
        """Keep that rules have seen these sequence numbers; neighbouring ranges become one row."""
        if not n:
            return
        touching = list(ranges(self._journal.db, gateway, epoch, first - 1, n + 2))
        start = min([first] + [low for low, _ in touching])
        past = max([first + n] + [high for _, high in touching])
        drop = "DELETE FROM processed WHERE gateway = ? AND epoch = ? AND first BETWEEN ? AND ?"
        self._journal.db.execute(drop, (gateway, epoch, start, past))
        self._journal.db.execute("INSERT INTO processed VALUES (?, ?, ?, ?, ?)", (gateway, epoch, start, past, now_ms))

    def listened_ms(self) -> int:
        """Return how long alerts have listened, ever."""
        if self._listened_ms is None:
            self._listened_ms = int(self._journal.meta("listened_ms", "0"))
        return self._listened_ms

    def listen(self, counted_ms: int) -> int:
        """Keep that alerts have listened for some more time, and return for how long in all."""
        at_ms = int(self._journal.meta("listened_ms", "0")) + counted_ms
        self._journal.set_meta("listened_ms", str(at_ms))
        self._listened_ms = at_ms
        return at_ms

    def presence(self, gateway: str) -> Presence | None:
        """Return when a gateway was heard; None for one that never was."""
        return next(self._presences("gateway = ?", gateway), None)

    def unheard_since(self, at_ms: int) -> list[Presence]:
        """Return the gateways of which nothing was heard after this listening time."""
        return list(self._presences("heard_at <= ?", at_ms))

    def save_presence(self, presence: Presence) -> None:
        """Keep when a gateway was heard."""
        self._journal.db.execute("INSERT OR REPLACE INTO presence VALUES (?, ?, ?, ?, ?)", astuple(presence))

    def forget_presence(self, gateway: str) -> None:
        """Forget a gateway: when it comes again it is a new one."""
        self._journal.db.execute("DELETE FROM presence WHERE gateway = ?", (gateway,))

    def sensor(self, gateway: str, channel: str, quantity: str) -> Sensor | None:
        """Return what is known of a sensor; None for one that never answered."""
        query = "SELECT * FROM sensor WHERE gateway = ? AND channel = ? AND quantity = ?"
        return next(map(_sensor, self._journal.db.execute(query, (gateway, channel, quantity))), None)

    def dead(self, quantity: str, at_ms: int, after_ms: int, unbroken_ms: int) -> list[Sensor]:
        """Return the sensors without a value for so long in which their gateway was there all the time."""
        where = {"quantity": quantity, "since": at_ms - after_ms, "there": at_ms - unbroken_ms}
        return [_sensor(row) for row in self._journal.db.execute(_DEAD, where)]

    def save_sensor(self, sensor: Sensor) -> None:
        """Keep what is known of a sensor."""
        *row, intervals = astuple(sensor)
        values = (*row, msgspec.json.encode(intervals).decode())
        self._journal.db.execute("INSERT OR REPLACE INTO sensor VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def forget_sensor(self, gateway: str, channel: str, quantity: str) -> None:
        """Forget a sensor: when it comes again it is a new one."""
        query = "DELETE FROM sensor WHERE gateway = ? AND channel = ? AND quantity = ?"
        self._journal.db.execute(query, (gateway, channel, quantity))

    def cursor(self) -> int | None:
        """Return the arrival up to which the ledger is read; None for a journal that has just begun."""
        return kept_cursor(self._journal.db)

    def save_cursor(self, arrival_ms: int) -> None:
        """Keep how far the ledger is read."""
        self._journal.set_meta("cursor", str(arrival_ms))

    def _presences(self, where: str, value: str | int) -> Iterator[Presence]:
        rows = self._journal.db.execute(f"SELECT * FROM presence WHERE {where}", (value,)).fetchall()  # noqa: S608
        return (Presence(*row) for row in rows)


def _sensor(row: tuple[Any, ...]) -> Sensor:
    return replace(Sensor(*row[:-1]), intervals=msgspec.json.decode(row[-1], type=list[int]))
