"""What gateways say of themselves, in the table `status`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from cloud.store.statuses import StatusRow
from wire.batch import Status

if TYPE_CHECKING:
    import sqlite3

PAGE = 500  # in one read transaction


def write(db: sqlite3.Connection, gateway: str, status: Status, arrival_ms: int) -> None:
    """Keep the newest status of the epoch, with the highest `acquired` ever told: a last will is older than it."""
    key = (gateway, status.epoch)
    known = db.execute("SELECT body FROM status WHERE (gateway, epoch) = (?, ?)", key).fetchone()
    if known is not None:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):  # what rotted is written anew
            before = msgspec.json.decode(known[0], type=Status)
            status = msgspec.structs.replace(status, acquired=max(status.acquired, before.acquired))
    row = (*key, arrival_ms, msgspec.json.encode(status))
    db.execute("INSERT OR REPLACE INTO status VALUES (?, ?, ?, ?)", row)


def page(db: sqlite3.Connection, after: tuple[str, str]) -> list[tuple[str, str, int, bytes]]:
    """Return some rows (gateway, epoch, arrival in ms, body) that follow a key, in the order of theirs."""
    return db.execute(
        "SELECT gateway, epoch, arrival_ms, body FROM status WHERE (gateway, epoch) > (?, ?)"
        " ORDER BY gateway, epoch LIMIT ?",
        (*after, PAGE),
    ).fetchall()


def row(found: tuple[str, str, int, bytes]) -> StatusRow:
    """Return a status as it was told. Raises msgspec.DecodeError, UnicodeDecodeError for one that rotted."""
    gateway, _, arrival_ms, body = found
    return StatusRow(gateway, arrival_ms, msgspec.json.decode(body, type=Status))
