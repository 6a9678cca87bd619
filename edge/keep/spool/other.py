"""The other spool of this boot, in memory: the card's takes in what it holds, a slice at a time, as there is room."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing, suppress
from itertools import islice
from typing import TYPE_CHECKING

from edge.keep.spool import repair
from edge.keep.spool.file import SpoolFull, ballast_of
from edge.keep.spool.salvage import UNREADABLE, how_far, meta, opened, pass_on, uncut, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge.keep.spool.file import File

SLICE = 100  # batches taken in while readings are kept: the largest of them take half of the ballast


class Other:
    """An intact file that nobody has open. `left` is how many numbers of each epoch lie there alone."""

    def __init__(self, file: File, path: Path | None, make_room: Callable[[], None]) -> None:
        self._file, self._path, self._make_room = file, path, make_room
        self._tight = False  # there was no room
        self.left = self._count()

    @property
    def there(self) -> bool:
        """Whether there is one."""
        return self._path is not None and self._path.exists()

    def beside(self, held: Mapping[str, int]) -> Counter[str]:
        """Return how many numbers of each epoch lie there or are `held` here."""
        return Counter(held) + self.left

    def forget_twins(self, epoch: str) -> None:
        """Forget what this file took after all of an epoch, and the other has as well (see `note_twins`).

        Raises SpoolFull.
        """
        if self._path is None:
            return
        try:
            said, _, last = _twins(self._path).read_text("ascii").partition(" ")
        except (OSError, UnicodeDecodeError):
            return
        if said == epoch and last.isdecimal():
            with self._file.transaction():
                self._file.db.execute("DELETE FROM fresh WHERE first > ?", (int(last),))

    def take_in(self) -> bool:
        """Take over a slice, and remove the file after the last; tell whether there may be more.

        Raises SpoolFull where there is no room for it: what it holds stays there.
        """
        if self._path is None or not self._path.exists():
            return False
        if self._tight and not self._file.has_room:  # to try it would wear the card
            raise SpoolFull(f"{self._path}: no room")
        self._tight = True
        more = self._slice(self._path)
        if not more:
            for part in (*repair.parts(self._path), ballast_of(self._path), _twins(self._path)):
                part.unlink(missing_ok=True)
        self._tight, self.left = False, self._count()
        return more

    def _slice(self, path: Path) -> bool:
        at, readings, _ = how_far(self._file, path)
        with closing(opened(path)) as db:
            some = list(islice(whole(db, at), SLICE))
        self._make_room()
        if some:
            pass_on(self._file, path, some, readings)  # not open meanwhile: where the card hangs in here it is needed
            with closing(opened(path)) as db, suppress(sqlite3.Error):  # what stays all the same is known by its number
                db.execute("DELETE FROM batch WHERE id <= ?", (some[-1][0],))
            return True
        with closing(opened(path)) as db, self._file.transaction():
            uncut(self._file, db, str(meta(db).get("epoch") or ""))
            self._file.db.execute("DELETE FROM taken_over WHERE file = ?", (path.name,))  # another may get its name
        return False

    def _count(self) -> Counter[str]:
        held = Counter[str]()
        if self._path is None or not self._path.exists():
            return held
        at = how_far(self._file, self._path)[0]
        sql = "SELECT epoch, sum(n) FROM batch WHERE aside = 0 AND id > ? GROUP BY epoch"
        with closing(opened(self._path)) as db, suppress(*UNREADABLE):
            held.update(dict(db.execute(sql, (at,)).fetchall()))
            fresh = db.execute("SELECT sum(n) FROM fresh").fetchone()[0]
            held.update({str(meta(db).get("epoch")): fresh or 0})
        return +held


def note_twins(path: Path, epoch: str, last: int) -> None:
    """Say beside a spool in memory that it has what the card's may have yet taken of an epoch beyond a number.

    The card hung in that, and took it or not: of the two the card forgets its own, or they would be stored twice.
    """
    _twins(path).write_text(f"{epoch} {last}", "ascii")


def _twins(path: Path) -> Path:
    return path.with_suffix(".twins")
