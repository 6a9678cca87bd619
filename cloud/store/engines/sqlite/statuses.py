"""What gateways say of themselves, in the table `status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cloud.store.statuses import StatusRow
from wire.batch import Status

if TYPE_CHECKING:
    import sqlite3


def write(db: sqlite3.Connection, gateway: str, status: Status, arrival_ms: int) -> None:
    """Keep the newest status of the epoch, with the highest `acquired` ever told: a last will is older than it."""
    key = (gateway, status.epoch)
    known = db.execute("SELECT body FROM status WHERE (gateway, epoch) = (?, ?)", key).fetchone()
    if known is not None:
        before = msgspec.json.decode(known[0], type=Status)
        status = msgspec.structs.replace(status, acquired=max(status.acquired, before.acquired))
    row = (*key, arrival_ms, msgspec.json.encode(status))
    db.execute("INSERT OR REPLACE INTO status VALUES (?, ?, ?, ?)", row)


def newest(db: sqlite3.Connection) -> list[StatusRow]:
    """Return the newest status of every (gateway, epoch)."""
    rows = db.execute("SELECT gateway, arrival_ms, body FROM status ORDER BY gateway, arrival_ms").fetchall()
    return [StatusRow(gateway, at, msgspec.json.decode(body, type=Status)) for gateway, at, body in rows]
