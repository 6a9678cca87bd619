"""The other spool of this boot, in memory: the card's takes in what it holds, a slice at a time, as there is room."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from itertools import islice
from typing import TYPE_CHECKING

from edge.keep.spool import names, repair
from edge.keep.spool.dates import dated, judged
from edge.keep.spool.file import SpoolFull, ballast_of, lock
from edge.keep.spool.salvage import UNREADABLE, cut, fresh_of, how_far, meta, opened, pass_on, ranges, whole
from settings.words import Taken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge.clock import Anchor, Judged
    from edge.keep.spool.file import File

SLICE = 100  # batches taken in while readings are kept: the largest of them take half of the ballast


class Other:
    """An intact file that nobody has open. `left` is how many numbers of each epoch lie there alone.

    How far it was taken in is known of the one of this `boot`: a power cut in the middle takes it away, and the next
    one under its name begins anew.
    """

    def __init__(self, file: File, path: Path | None, boot: str, make_room: Callable[[], None]) -> None:
        self._file, self._path, self._make_room = file, path, make_room
        self._name = f"{path.name} {boot}" if path else ""
        self._tight = False  # there was no room
        self.left = self._count()

    @property
    def there(self) -> bool:
        """Whether there is one."""
        return self._path is not None and self._path.exists()

    def beside(self, held: Mapping[str, int]) -> Counter[str]:
        """Return how many numbers of each epoch lie there or are `held` here."""
        return Counter(held) + self.left

    def follow(self, epoch: str) -> None:
        """Go on after it, without what this file took after all of its epoch and the other has (see `note_twins`).

        Raises SpoolFull: also where this one, left because its disk was full, has no room yet.
        """
        self._file.relieve()
        if self.there and not self._file.has_room:
            raise SpoolFull("no room to go on")
        if self._path is None:
            return
        try:
            said, _, last = _twins(self._path).read_text("ascii").partition(" ")
        except (OSError, UnicodeDecodeError):
            return
        if said == epoch and last.isdecimal():
            self.forget_after(int(last))

    def forget_after(self, last: int) -> None:
        """Forget what this file has uncut beyond a number: the other has it as well. Raises SpoolFull."""
        with self._file.transaction():
            self._file.db.execute("DELETE FROM fresh WHERE first > ?", (last,))

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
            self._remove(self._path)
        self._tight, self.left = False, self._count()
        return more

    def told_of(self, boot: str) -> tuple[Anchor | None, Judged | None]:
        """Return what dates a boot there, and what was said of the battery clock while it was in use."""
        if self._path is not None and self._path.exists():
            with closing(opened(self._path)) as db, suppress(*UNREADABLE):
                return dated(db, "AND id = ?", boot).get(boot), judged(db)
        return None, None

    def _remove(self, path: Path) -> None:
        """Remove it, unless it is somebody's: the card hung in here, and another keeper goes on with it."""
        with suppress(Taken):
            held = lock(path)
            for part in (*names.parts(path), ballast_of(path), _twins(path)):
                part.unlink(missing_ok=True)
            os.close(held)

    def _slice(self, path: Path) -> bool:
        at, readings, _ = how_far(self._file, self._name)
        with closing(opened(path)) as db:  # and not longer: where the card hangs in here it is needed
            some, fresh, told = list(islice(whole(db, at), SLICE)), fresh_of(db), meta(db)
            epoch = str(told.get("epoch") or "")
            renamed = not at and repair.renamed(str(told.get("gateway") or ""), self._file.meta("gateway"))
            held = ranges(db, epoch, fresh) if renamed else {}
        self._make_room()
        if some:
            with self._file.transaction():
                repair.disown(self._file, held)
                pass_on(self._file, self._name, some, readings)
            with closing(opened(path)) as db, suppress(sqlite3.Error):  # what stays all the same is known by its number
                db.execute("DELETE FROM batch WHERE id <= ?", (some[-1][0],))
            return True
        with self._file.transaction():
            repair.disown(self._file, held)
            cut(self._file, epoch, fresh)
            self._file.db.execute("DELETE FROM taken_over WHERE file LIKE ? || '%'", (path.name,))
        return False

    def _count(self) -> Counter[str]:
        held = Counter[str]()
        if self._path is None or not self._path.exists():
            return held
        at = how_far(self._file, self._name)[0]
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
