"""What became of every batch, in the order of its arrival, and the readings of one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from cloud.store.engines.sqlite.retention import kept_since_hour
from cloud.store.engines.sqlite.schema import SPAN
from cloud.store.engines.sqlite.texts import present
from cloud.store.keys import HOUR_NS, MS_NS, seq_of
from cloud.store.ledger import VERDICTS, LedgerRow
from wire.batch import Dated
from wire.reading import Reason

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from cloud.store.unreadable import Unreadable

_LAST_ARRIVAL = "SELECT arrival_ms FROM ledger WHERE arrival_ms >= ? ORDER BY arrival_ms LIMIT 1 OFFSET ?"
_BATCH_READINGS = f"""{SPAN}
    SELECT c.name, r.time, r.seq, s.quantities, r.texts FROM span
    CROSS JOIN channel c ON c.gateway = :gateway
    CROSS JOIN reading r ON r.hour = h AND r.channel = c.id AND r.time BETWEEN :start_ns AND :end_ns
    JOIN shape s ON s.id = r.shape JOIN epoch e ON e.id = s.epoch AND e.name = :epoch
"""  # noqa: S608 - own constants
_BATCH_MISSING = f"""{SPAN}
    SELECT c.name, m.time, m.quantity, m.reason FROM span
    CROSS JOIN channel c ON c.gateway = :gateway
    CROSS JOIN missing m ON m.hour = h AND m.channel = c.id AND m.time BETWEEN :start_ns AND :end_ns
"""  # noqa: S608 - own constants


def rows(db: sqlite3.Connection, unreadable: Unreadable, since_ms: int, at_most: int) -> list[LedgerRow]:
    """Return about `at_most` ledger rows that arrived at or after `since_ms`, in order of arrival."""
    where = "arrival_ms BETWEEN ? AND ? ORDER BY arrival_ms, ledger.epoch, first"
    while True:
        last = db.execute(_LAST_ARRIVAL, (since_ms, at_most - 1)).fetchone()
        found = _rows(db, unreadable, where, (since_ms, last[0] if last else 2**62))
        if found or last is None:
            return found
        since_ms = last[0] + 1  # none of these can be read: what follows them can


def rows_of(
    db: sqlite3.Connection, unreadable: Unreadable, gateway: str, epoch: str, firsts: Sequence[int]
) -> list[LedgerRow]:
    """Return the ledger rows of one epoch that begin with these sequence numbers."""
    where = f"e.gateway = ? AND e.name = ? AND first IN ({', '.join('?' * len(firsts))})"
    return _rows(db, unreadable, where, (gateway, epoch, *firsts))


def _rows(db: sqlite3.Connection, unreadable: Unreadable, where: str, which: tuple[object, ...]) -> list[LedgerRow]:
    found = db.execute(
        "SELECT e.gateway, e.name, first, n, verdict, arrival_ms, start_ns, end_ns, words"  # noqa: S608 - own constants
        f" FROM ledger JOIN epoch e ON e.id = ledger.epoch WHERE {where}",
        which,
    ).fetchall()
    return unreadable.each("ledger", found, _row)


def _row(found: tuple[Any, ...]) -> LedgerRow:
    gateway, epoch, first, n, verdict, at, start, end, words = found
    return LedgerRow(gateway, epoch, first + 0, n + 0, VERDICTS[verdict], at + 0, 0, start + 0, end + 0, words)


def readings(db: sqlite3.Connection, unreadable: Unreadable, where: dict[str, Any], row: LedgerRow) -> list[Dated]:
    """Return the stored readings of one ledger row in a slice of its hours, with their sequence numbers."""
    found = db.execute(_BATCH_READINGS, where).fetchall()
    absent = db.execute(_BATCH_MISSING, where).fetchall()
    reasons: dict[tuple[str, int], dict[str, Reason]] = {}
    for channel, time, quantity, reason in unreadable.each("reason", absent, _reason):
        reasons.setdefault((channel, time), {})[quantity] = reason
    out = []
    for channel, time, told, names, values in unreadable.each("reading", found, _values):
        seq = seq_of(time, told, row)
        if seq is not None:
            why, bounded = reasons.get((channel, time), {}), "clock_uncertainty" in names
            out.append(Dated(row.gateway, row.epoch, seq, channel, time // MS_NS, values, why, bounded))
    return out


def _reason(found: tuple[str, int, str, int]) -> tuple[str, int, str, Reason]:
    channel, time, quantity, reason = found
    return channel, time, quantity, Reason(reason)


def _values(found: tuple[str, int, int | None, str, str]) -> tuple[str, int, int | None, list[str], dict[str, float]]:
    channel, time, told, quantities, texts = found
    names = quantities.split(",")
    return channel, time, told, names, dict(present(names, texts))


def whole(db: sqlite3.Connection, row: LedgerRow) -> dict[str, Any]:
    """Return the parameters of the read of one ledger row, its hours cut to those that are kept."""
    low = max(row.start_ns // HOUR_NS, kept_since_hour(db))
    return msgspec.structs.asdict(row) | {"low": low, "high": row.end_ns // HOUR_NS}
