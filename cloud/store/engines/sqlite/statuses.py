"""What gateways say of themselves, in the table `status`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from cloud.store.statuses import StatusRow
from wire.batch import Status

if TYPE_CHECKING:
    import sqlite3

    from cloud.store.unreadable import Unreadable


def write(db: sqlite3.Connection, gateway: str, status: Status, arrival_ms: int) -> None:
    """Keep the newest status of the epoch, with the highest `acquired` ever told: a last will is older than it."""
    key = (gateway, status.epoch)
    known = db.execute("SELECT body FROM status WHERE (gateway, epoch) = (?, ?)", key).fetchone()
    if known is not None:
        with suppress(msgspec.DecodeError):  # what rotted is written anew
            before = msgspec.json.decode(known[0], type=Status)
            status = msgspec.structs.replace(status, acquired=max(status.acquired, before.acquired))
    row = (*key, arrival_ms, msgspec.json.encode(status))
    db.execute("INSERT OR REPLACE INTO status VALUES (?, ?, ?, ?)", row)


def newest(db: sqlite3.Connection, unreadable: Unreadable) -> list[StatusRow]:
    """Return the newest status of every (gateway, epoch)."""
    rows = db.execute("SELECT gateway, arrival_ms, body FROM status ORDER BY gateway, arrival_ms").fetchall()
    return unreadable.each(
        "status", rows, lambda row: StatusRow(row[0], row[1], msgspec.json.decode(row[2], type=Status))
    )
