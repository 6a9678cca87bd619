"""coverage.db as others read it, while the room writes it: finished sheets, what teams did, how far files are read.

Each function opens the file for itself, and raises one of UNREADABLE for what keeps it from being read; that a cell is
none, who uses it finds out. Where there is no file yet there is nothing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from h3 import H3BaseException

from cloud.coverage.rows import STEPS, sample_of
from cloud.coverage.seam import Judged
from disk.form import form_of
from settings.words import Taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cloud.coverage.sample import Sample

SAMPLES = """SELECT time_ms, source, name, plmn, service, told FROM sample JOIN teller ON teller.id = sample.teller
WHERE time_ms >= ? AND time_ms < ? ORDER BY time_ms, key"""
ROTTEN = (msgspec.MsgspecError, UnicodeDecodeError)  # what decoding raises where bytes rotted
UNREADABLE = (sqlite3.Error, Taken, *ROTTEN, H3BaseException)
INVENTED = "invented"  # under which a sample garden notes that its survey is none
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


def invented(path: Path) -> bool:
    """Tell whether a sample garden's invented survey is among it."""
    return bool(_asked(path, "SELECT 1 FROM kept WHERE name = ?", (INVENTED,)))


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


def samples(path: Path, since_ms: int, until_ms: int) -> Iterator[Sample]:
    """Yield those of [since, until) that are still kept one by one, by time: for exports."""
    with _opened(path) as db:
        if db is not None:
            for one in db.execute(SAMPLES, (since_ms, until_ms)):
                yield sample_of(*one)


def _asked(path: Path, query: str, values: Sequence[object] = ()) -> list[tuple]:  # type: ignore[type-arg]
    """Return what is read by a connection of its own."""
    with _opened(path) as db:
        return [] if db is None else db.execute(query, values).fetchall()


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Give the book to be read; None where there is none, or one without tables yet."""
    if not path.exists():
        yield None
        return
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)) as db:
        yield db if form_of(db, path, len(STEPS)) else None
