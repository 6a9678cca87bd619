"""What alerts have already seen: rule states per series, processed sequence numbers, gateways heard, ledger cursor.

Reading and writing cost more than judging does. So states are read once while they are in use, and written at once
where something goes on or was decided, with all that the decision rests on; while all is calm they are written now and
then, together with the numbers that they stand for. Whoever is killed in between finds neither, and the ledger brings
the readings again. Processed numbers are a row a range, so that a batch touches only its neighbours however many holes
there are; of an epoch the highest range is in memory, which is the one that grows.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import astuple, replace

from cloud.alerts.decide.in_use import MOST, InUse
from cloud.alerts.decide.series import NEW, Series, read_series
from cloud.store.intervals import Intervals
from detect.limits import LIMITS
from detect.state import VERSION, Node, moved
from wire.codec import MAX_SEQ

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloud.alerts.journal import Journal

LOG = logging.getLogger(__name__)
_Key = tuple[str, str, str]


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


class Watched(msgspec.Struct, frozen=True, array_like=True):
    """One node of the detector: its state, the one before the last gap, and whose incidents it has.

    `channel` is by which its incidents are known, `sources` which channel brings which value. `incident` is its own
    that goes on, 0 for none; `edge` what its edge claims, said at `edge_ms`, and suspects since `edge_since_ms`. `base`
    is what it was before the last gap, for batches of a backlog that are older than the first one of it; `back` is led
    on by that first one. By `moved_ms` it was brought back for a clock that was put back and may be put right yet.
    """

    channel: str
    live: Node = Node()
    back: Node | None = None
    sources: dict[str, str] = {}
    incident: int = 0
    edge: int = 0
    edge_ms: int = 0
    base: Node | None = None
    moved_ms: int = 0
    edge_since_ms: int = 0

    @property
    def smoke_ms(self) -> int:
        """When it last had smoke or heat; 0 for never."""
        return max(self.live.smoke_ms, self.live.heat_ms)

    @property
    def level(self) -> int:
        """What is claimed of it: by us or by its edge."""
        return max(self.live.claim.level, self.edge)

    @property
    def faults(self) -> str:
        """What keeps it from seeing, of detect.claim.FAULTS; what it was never fitted with is no fault."""
        return " ".join(one for one in self.live.claim.faults if one not in ("no-pm", "no-co"))

    @property
    def patient_ms(self) -> int:
        """How long it may say nothing before nobody sees what burns there."""
        return max(LIMITS.silent_ms, round(LIMITS.patience * self.live.pace_ms))

    def moved(self, by_ms: int) -> Watched:
        """Return it as by a clock that shows so much more (below 0: less)."""
        return replace(
            self,
            live=moved(self.live, by_ms),
            back=self.back and moved(self.back, by_ms),
            base=self.base and moved(self.base, by_ms),
            edge_ms=self.edge_ms and self.edge_ms + by_ms,
            edge_since_ms=self.edge_since_ms and self.edge_since_ms + by_ms,
            moved_ms=self.moved_ms - by_ms,
        )


class _Range(msgspec.Struct, frozen=True):
    """Processed sequence numbers: `first` to below `past`."""

    first: int
    past: int
    at_ms: int


def read_node(kept: bytes) -> Watched | None:
    """Return what was remembered of a node; None for what cannot be read, or is of another version: it learns anew."""
    try:
        state = _nodes.decode(kept)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        LOG.error("node-forgotten why=%r", str(fault))  # noqa: TRY400 - no traceback is wanted of what was read
        return None
    return state if state.live.version == VERSION else Watched(state.channel, incident=state.incident)


def read_sensors(db: sqlite3.Connection) -> list[Sensor]:
    """Return all sensors that are known."""
    return [_sensor(row) for row in db.execute("SELECT * FROM sensor")]


_nodes = msgspec.msgpack.Decoder(Watched)

_OVERLAPPING = """
SELECT first, past FROM processed WHERE gateway = :gateway AND epoch = :epoch AND past > :first AND first < :past
AND first >= coalesce(
  (SELECT max(first) FROM processed WHERE gateway = :gateway AND epoch = :epoch AND first <= :first), :first)"""

_SERIES = """
INSERT INTO series VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET look_ms = excluded.look_ms, state = excluded.state"""

_NODES = """
INSERT INTO node VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET smoke_ms = excluded.smoke_ms,
state = excluded.state, faults = excluded.faults, patient_ms = excluded.patient_ms"""

_PROCESSED = """
INSERT INTO processed VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET past = excluded.past, at_ms = max(at_ms, excluded.at_ms)"""

_NEWEST = "SELECT first, past, at_ms FROM processed WHERE gateway = ? AND epoch = ? ORDER BY first DESC LIMIT 1"

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
        self._series = InUse(self._read_series, self._write_series)
        self._sensors = InUse(self._read_sensor, self._write_sensors)
        self._nodes = InUse(self._read_node, self._write_nodes)
        self._newest = InUse(self._read_newest, self._write_ranges)  # range of an epoch
        self._kept: tuple[InUse[Any, Any], ...] = (self._series, self._sensors, self._nodes, self._newest)
        self._urgent = False
        journal.kept_by(self)

    def urge(self) -> None:
        """Have all that is known written by the next transaction."""
        self._urgent = True

    def close(self) -> None:
        """Write what is not written yet; where that fails the ledger brings it. May be called twice."""
        if any(kept.unwritten for kept in self._kept):
            self._urgent = True
            with suppress(sqlite3.Error, OSError), self._journal.transaction():
                pass

    def write(self) -> None:
        """Write what is not written yet if it is urgent, if something was decided by it, or if it is much."""
        if self._urgent or self._journal.decided or any(kept.unwritten > MOST for kept in self._kept):
            for kept in self._kept:
                kept.write()
            self._urgent = False

    def done(self) -> None:
        """The transaction is committed."""
        for kept in self._kept:
            kept.done()

    def undo(self) -> None:
        """The transaction is undone."""
        self._urgent = True
        for kept in self._kept:
            kept.undo()

    def forget(self) -> None:
        """The journal is elsewhere."""
        for kept in self._kept:
            kept.forget()

    def series(self, rule: str, gateway: str, channel: str) -> Series:
        """Return the state of a series, a new one if there is none."""
        return self._series.get((rule, gateway, channel)) or NEW

    def save_series(self, rule: str, gateway: str, channel: str, state: Series) -> None:
        """Keep the state of a series: one in which something goes on is written at once."""
        key = (rule, gateway, channel)
        before = self._series.known(key)
        self._urgent |= not (state.calm and (before is None or before.calm))
        self._series.put(key, state)

    def to_look_at(self) -> list[tuple[str, str, str, int]]:
        """Return (rule, gateway, channel, when) of the series that are to be judged again; these are always written."""
        query = "SELECT rule, gateway, channel, look_ms FROM series WHERE look_ms IS NOT NULL"
        return [(str(a), str(b), str(c), int(d)) for a, b, c, d in self._journal.db.execute(query)]

    def node(self, rule: str, gateway: str, node: str) -> Watched | None:
        """Return what is remembered of a node of the detector; None for one that never spoke."""
        return self._nodes.get((rule, gateway, node))

    def save_node(self, rule: str, gateway: str, node: str, state: Watched, *, urgent: bool) -> None:
        """Keep what is remembered of a node: what is urgent at once, else with all that is calm."""
        self._urgent |= urgent
        self._nodes.put((rule, gateway, node), state)

    def smoking(self, rule: str, since_ms: int) -> list[tuple[str, str]]:
        """Return (gateway, node) of what had smoke or heat since a time; these are always written."""
        query = "SELECT gateway, node FROM node WHERE smoke_ms > ? AND rule = ?"
        return [(str(a), str(b)) for a, b in self._journal.db.execute(query, (max(since_ms, 0), rule))]

    def processed(self, gateway: str, epoch: str, first: int = 0, n: int = MAX_SEQ) -> Intervals:
        """Return which of these sequence numbers rules have seen, in whole ranges."""
        newest = self._newest.get((gateway, epoch))
        if newest is None or first >= newest.past:
            return Intervals()
        if first >= newest.first:
            return Intervals([(newest.first, newest.past)])
        self._write_newest(gateway, epoch, newest)
        return ranges(self._journal.db, gateway, epoch, first, n)

    def has_seen(self, gateway: str, epoch: str, first: int, n: int) -> bool:
        """Tell, in any thread, whether rules have seen all of these as far as memory knows."""
        newest = self._newest.known((gateway, epoch))
        return newest is not None and newest.first <= first and first + n <= newest.past

    def add_processed(self, gateway: str, epoch: str, first: int, n: int, now_ms: int) -> None:
        """Keep that rules have seen these sequence numbers; neighbouring ranges become one row."""
        if not n:
            return
        key = (gateway, epoch)
        newest = self._newest.get(key)
        if newest is None or first > newest.past:
            self._write_newest(gateway, epoch, newest)
            self._newest.put(key, _Range(first, first + n, now_ms))
        elif first >= newest.first:
            self._newest.put(key, _Range(newest.first, max(newest.past, first + n), now_ms))
        else:
            self._write_newest(gateway, epoch, newest)
            self._add_range(gateway, epoch, first, n, now_ms)
            self._newest.drop(key)

    def _write_newest(self, gateway: str, epoch: str, newest: _Range | None) -> None:
        if newest is not None and self._newest.is_unwritten((gateway, epoch)):
            self._write_ranges([((gateway, epoch), newest)])

    def _add_range(self, gateway: str, epoch: str, first: int, n: int, now_ms: int) -> None:
        touching = list(ranges(self._journal.db, gateway, epoch, first - 1, n + 2))
        start = min([first] + [low for low, _ in touching])
        past = max([first + n] + [high for _, high in touching])
        if any(low != start for low, _ in touching):
            drop = "DELETE FROM processed WHERE gateway = ? AND epoch = ? AND first BETWEEN ? AND ?"
            self._journal.db.execute(drop, (gateway, epoch, start, past))
        self._journal.db.execute(_PROCESSED, (gateway, epoch, start, past, now_ms))

    def listened_ms(self) -> int:
        """Return how long alerts have listened, ever."""
        if self._listened_ms is None:
            self._listened_ms = int(self._journal.meta("listened_ms", "0"))
        return self._listened_ms

    def listen(self, counted_ms: int, now_ms: int | None = None) -> int:
        """Keep that alerts have listened for some more time, and what the clock shows; return for how long in all."""
        if now_ms is not None:
            self._journal.note_clock(now_ms)
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
        return self._sensors.get((gateway, channel, quantity))

    def sensors_of(self, gateway: str) -> list[tuple[str, str]]:
        """Return (channel, quantity) of what a gateway has told, as far as it is written: within seconds."""
        query = "SELECT channel, quantity FROM sensor WHERE gateway = ? ORDER BY channel, quantity"
        return [(str(channel), str(quantity)) for channel, quantity in self._journal.db.execute(query, (gateway,))]

    def dead(self, quantity: str, at_ms: int, after_ms: int, unbroken_ms: int) -> list[Sensor]:
        """Return the sensors without a value for so long in which their gateway was there all the time."""
        since = at_ms - after_ms
        where = {"quantity": quantity, "since": since, "there": at_ms - unbroken_ms}
        found = map(_sensor, self._journal.db.execute(_DEAD, where))
        newest = (self._sensors.known((one.gateway, one.channel, quantity)) or one for one in found)
        return [one for one in newest if one.heard_at <= since]

    def save_sensor(self, sensor: Sensor) -> None:
        """Keep what is known of a sensor."""
        self._sensors.put((sensor.gateway, sensor.channel, sensor.quantity), sensor)

    def forget_sensor(self, gateway: str, channel: str, quantity: str) -> None:
        """Forget a sensor: when it comes again it is a new one."""
        self._sensors.drop((gateway, channel, quantity))
        query = "DELETE FROM sensor WHERE gateway = ? AND channel = ? AND quantity = ?"
        self._journal.db.execute(query, (gateway, channel, quantity))

    def cursor(self) -> int | None:
        """Return the arrival up to which the ledger is read; None for a journal that has just begun."""
        return kept_cursor(self._journal.db)

    def save_cursor(self, arrival_ms: int) -> None:
        """Keep how far the ledger is read, and all that was judged on the way: it is not read again."""
        self._journal.set_meta("cursor", str(arrival_ms))
        self._urgent = True

    def _read_series(self, key: _Key) -> Series | None:
        query = "SELECT state FROM series WHERE rule = ? AND gateway = ? AND channel = ?"
        row = self._journal.db.execute(query, key).fetchone()
        return read_series(row[0]) if row else None

    def _write_series(self, changed: Iterable[tuple[_Key, Series]]) -> None:
        rows = [(*key, state.look_ms, msgspec.msgpack.encode(state.unpacked())) for key, state in changed]
        self._journal.db.executemany(_SERIES, rows)

    def _read_node(self, key: _Key) -> Watched | None:
        query = "SELECT state FROM node WHERE rule = ? AND gateway = ? AND node = ?"
        row = self._journal.db.execute(query, key).fetchone()
        return read_node(row[0]) if row else None

    def _write_nodes(self, changed: Iterable[tuple[_Key, Watched]]) -> None:
        told = [(key, one, msgspec.msgpack.encode(one)) for key, one in changed]
        rows = [(*key, one.smoke_ms, state, one.faults, one.patient_ms) for key, one, state in told]
        self._journal.db.executemany(_NODES, rows)

    def _read_newest(self, key: tuple[str, str]) -> _Range | None:
        row = self._journal.db.execute(_NEWEST, key).fetchone()
        return _Range(*row) if row else None

    def _write_ranges(self, changed: Iterable[tuple[tuple[str, str], _Range]]) -> None:
        self._journal.db.executemany(_PROCESSED, [(*key, *astuple(one)) for key, one in changed])

    def _read_sensor(self, key: _Key) -> Sensor | None:
        query = "SELECT * FROM sensor WHERE gateway = ? AND channel = ? AND quantity = ?"
        return next(map(_sensor, self._journal.db.execute(query, key)), None)

    def _write_sensors(self, changed: Iterable[tuple[_Key, Sensor]]) -> None:
        rows = [(*astuple(one)[:-1], msgspec.json.encode(one.intervals).decode()) for _, one in changed]
        self._journal.db.executemany("INSERT OR REPLACE INTO sensor VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _presences(self, where: str, value: str | int) -> Iterator[Presence]:
        rows = self._journal.db.execute(f"SELECT * FROM presence WHERE {where}", (value,)).fetchall()  # noqa: S608
        return (Presence(*row) for row in rows)


def _sensor(row: tuple[Any, ...]) -> Sensor:
    return replace(Sensor(*row[:-1]), intervals=msgspec.json.decode(row[-1], type=list[int]))
