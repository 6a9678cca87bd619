"""What alerts have already seen: rule states per series, processed sequence numbers, gateways heard, ledger cursor.

Nothing is kept in memory between steps: reading it back from SQLite costs microseconds, and a rolled back transaction
then needs no second thought.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cloud.alerts.rules.absence import Presence
from cloud.alerts.spans import Lane
from cloud.store.intervals import Intervals

if TYPE_CHECKING:
    from cloud.alerts.journal import Journal


class Series(msgspec.Struct, frozen=True):
    """One rule on one channel: its lane of present readings and its lane of late ones.

    At `look_ms` the live lane is judged again although nothing came: a span whose newest readings were already good
    was held back to be told in one message with its end, and the end did not come.
    """

    live: Lane = Lane()
    late: Lane = Lane()
    look_ms: int | None = None


class Progress:
    """The tables `series`, `processed`, `presence` and the cursor, within the caller's transaction."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def series(self, rule: str, gateway: str, channel: str) -> Series:
        """Return the state of a series, a new one if there is none."""
        query = "SELECT state FROM series WHERE rule = ? AND gateway = ? AND channel = ?"
        row = self._journal.db.execute(query, (rule, gateway, channel)).fetchone()
        return msgspec.json.decode(row[0], type=Series) if row else Series()

    def save_series(self, rule: str, gateway: str, channel: str, state: Series) -> None:
        """Keep the state of a series."""
        row = (rule, gateway, channel, state.look_ms, msgspec.json.encode(state).decode())
        self._journal.db.execute("INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?, ?)", row)

    def to_look_at(self, now_ms: int) -> list[tuple[str, str, str]]:
        """Return (rule, gateway, channel) of the series that are to be judged again by now."""
        query = "SELECT rule, gateway, channel FROM series WHERE look_ms <= ?"
        return [(str(a), str(b), str(c)) for a, b, c in self._journal.db.execute(query, (now_ms,))]

    def processed(self, gateway: str, epoch: str) -> Intervals:
        """Return the sequence numbers that rules have seen."""
        query = "SELECT ranges FROM processed WHERE gateway = ? AND epoch = ?"
        row = self._journal.db.execute(query, (gateway, epoch)).fetchone()
        return Intervals(msgspec.json.decode(row[0], type=list[tuple[int, int]])) if row else Intervals()

    def save_processed(self, gateway: str, epoch: str, done: Intervals) -> None:
        """Keep the processed sequence numbers."""
        row = (gateway, epoch, msgspec.json.encode(list(done)).decode())
        self._journal.db.execute("INSERT OR REPLACE INTO processed VALUES (?, ?, ?)", row)

    def presences(self) -> dict[str, Presence]:
        """Return every gateway that was ever heard."""
        rows = self._journal.db.execute("SELECT gateway, heard_ms, silent_ms FROM presence")
        return {row[0]: Presence(*row) for row in rows}

    def save_presence(self, presence: Presence) -> None:
        """Keep when a gateway was heard."""
        row = (presence.gateway, presence.heard_ms, presence.silent_ms)
        self._journal.db.execute("INSERT OR REPLACE INTO presence VALUES (?, ?, ?)", row)

    def cursor(self) -> int | None:
        """Return the arrival up to which the ledger is read; None for a journal that has just begun."""
        text = self._journal.meta("cursor")
        return int(text) if text else None

    def save_cursor(self, arrival_ms: int) -> None:
        """Keep how far the ledger is read."""
        self._journal.set_meta("cursor", str(arrival_ms))
