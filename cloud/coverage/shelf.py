"""coverage.db as others read it, while the room writes it: finished sheets, what teams did, how far files are read.

Each function opens the file for itself, and raises one of UNREADABLE for what keeps it from being read; that a cell is
none, who uses it finds out. Where there is no file yet there is nothing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from h3 import H3BaseException

from cloud.coverage.rows import STEPS
from cloud.coverage.seam import Judged
from disk.form import form_of
from settings.words import Taken

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UNREADABLE = (sqlite3.Error, Taken, msgspec.MsgspecError, H3BaseException)
cells_of = msgspec.msgpack.Decoder(list[Judged]).decode


class Sheet(NamedTuple):
    """A finished sheet of the map: a layer, a network (0: the best of all), a month (0: now), an H3 resolution."""

    layer: str
    plmn: int
    month: int
    res: int
    made_ms: int
    cells: list[Judged]


class Upload(NamedTuple):
    """How far a file is read: bytes of its size, records by what became of them; `why` it was given up, if it was."""

    id: int
    file: str
    team: str
    asked_ms: int
    size: int
    read: int
    records: int
    new: int
    known: int
    late: int
    refused: dict[str, int]
    done_ms: int | None
    why: str


def sheet(path: Path, layer: str, plmn: int, month: int, res: int) -> Sheet | None:
    """Return a sheet, None where there is none."""
    query = "SELECT made_ms, cells FROM sheet WHERE layer = ? AND plmn = ? AND month = ? AND res = ?"
    found = _asked(path, query, (layer, plmn, month, res))
    return Sheet(layer, plmn, month, res, found[0][0], cells_of(found[0][1])) if found else None


def sheets(path: Path) -> list[tuple[str, int, int, int, int]]:
    """Return (layer, network, month, resolution, made UTC ms) of each sheet there is."""
    return _asked(path, "SELECT layer, plmn, month, res, made_ms FROM sheet ORDER BY layer, plmn, month, res")


def networks(path: Path) -> list[int]:
    """Return the networks (mcc·1000+mnc) of which there is a sheet of now, by number."""
    found = _asked(path, "SELECT DISTINCT plmn FROM sheet WHERE month = 0 AND plmn > 0 ORDER BY plmn")
    return [plmn for (plmn,) in found]


def effort(path: Path, since_month: int) -> list[tuple[str, int, int]]:
    """Return (team, month, cells of resolution 8 in which it listened) since a month."""
    query = """SELECT name, month, count(*) FROM effort JOIN teller ON teller.id = effort.teller
    WHERE source = 'phone' AND month >= ? GROUP BY name, month ORDER BY name, month"""
    return _asked(path, query, (since_month,))


def uploads(path: Path, most: int = 50) -> list[Upload]:
    """Return the files that were brought, the newest first, with how far they are read."""
    found = _asked(path, "SELECT * FROM upload ORDER BY id DESC LIMIT ?", (most,))
    refused = msgspec.json.Decoder(dict[str, int]).decode
    return [Upload._make((*one[:10], refused(one[10]), *one[11:])) for one in found]


def compacted(path: Path) -> list[tuple[int, int, int]]:
    """Return (month, samples that were let go, samples that came too late) of months that are."""
    return _asked(path, "SELECT month, samples, late FROM compacted ORDER BY month")


def _asked(path: Path, query: str, values: Sequence[object] = ()) -> list[tuple]:  # type: ignore[type-arg]
    """Return what is read by a connection of its own; nothing where there is no book, or one without tables yet."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)) as db:
        return db.execute(query, values).fetchall() if form_of(db, path, len(STEPS)) else []
